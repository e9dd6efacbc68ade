// Leads from the rows of the table of layers back to the graph: to a layer's box, or that of the block which has it.

/**
 * @param {{anchor: string}[]} items
 * @param {Map<number, {elements: {item: number}[]}>} blocks the items in each block
 * @param {(place: number, around: number[]) => void} show opens the blocks around an item and goes there
 */
export function leadBack(items, blocks, show) {
  /** @type {Map<number, number>} */
  const parents = new Map();
  for (const [block, { elements }] of blocks) for (const { item } of elements) if (item > 0 && item !== block) parents.set(item, block);
  /** @type {Map<string, number>} */
  const places = new Map();
  items.forEach(({ anchor }, place) => { if (anchor && !places.has(anchor)) places.set(anchor, place); });
  /** @param {number} place */
  const reveal = place => {
    const around = [];
    for (let at = parents.get(place); at !== undefined; at = parents.get(at)) around.push(at);
    show(place, around);
  };
  /** The item of a row, or of the nearest block around it. @param {Element} row @returns {number | undefined} */
  const placeOf = row => {
    const place = places.get(row.id);
    const around = (row.matches("summary") ? row.parentElement?.parentElement : row)?.closest("details");
    return place ?? (around ? placeOf(/** @type {Element} */ (around.querySelector("summary"))) : undefined);
  };
  for (const row of document.querySelectorAll(".tree .row")) {
    const place = placeOf(row);
    if (place === undefined) continue;
    const link = Object.assign(document.createElement("a"), { className: "to-graph", href: `#graph-${place}`, textContent: "graph" });
    link.setAttribute("aria-label", `${row.querySelector(".name bdi")?.textContent} in the graph`);
    // Within the heading of a block, which opens it, there is no place for a link.
    if (row.matches("summary")) row.after(link);
    else row.querySelector(".name")?.append(link);
  }
  const follow = () => {
    const place = /^#graph-(\d+)$/.exec(location.hash)?.[1];
    if (place !== undefined && items[Number(place)]) reveal(Number(place));
  };
  document.querySelector(".layers")?.addEventListener("click", event => {
    const link = event.target instanceof Element ? event.target.closest("a.to-graph") : null;
    if (link instanceof HTMLAnchorElement && link.hash === location.hash) follow();
  });
  addEventListener("hashchange", follow);
  follow();
}
