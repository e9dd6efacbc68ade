// Links to a picture, and to a map of it: #image-3 and #image-3/gradcam/conv_head/tiger%20cat.

/** Give every map of the page the name that links end in: that of its card, method, layer and class. */
export function nameMaps() {
  for (const figure of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("figure[data-map]"))) {
    const card = figure.closest("article");
    if (card && card.id) figure.id = `${card.id}/${figure.dataset.map}`;
  }
}

/** The name that the page's address ends in. */
function linked() {
  return location.hash.slice(1);
}

/**
 * Have the address name an element, as a step that the browser can go back from.
 * @param {string} id
 */
export function link(id) {
  if (id && id !== linked()) history.pushState(null, "", `#${id}`);
}

/**
 * Call back with the name whenever the address changes, now as well.
 * @param {(id: string) => void} follow
 */
export function onLink(follow) {
  addEventListener("popstate", () => follow(linked()));
  if (linked()) follow(linked());
}
