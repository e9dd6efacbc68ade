// Arrow keys go from tile to tile, "/" goes to the search.
document.addEventListener("keydown", event => {
  const from = document.activeElement;
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "/" && !(from instanceof HTMLInputElement)) {
    /** @type {HTMLElement | null} */ (document.querySelector(".find input"))?.focus();
    event.preventDefault();
    return;
  }
  const tile = from?.closest(".tilings > li");
  const list = tile?.parentElement;
  if (!tile || !list) return;
  const tiles = [...list.children];
  const place = tiles.indexOf(tile);
  const top = tile.getBoundingClientRect().top;
  const start = tiles.findIndex(other => other.getBoundingClientRect().top === top);
  const below = tiles.findIndex(other => other.getBoundingClientRect().top > top);
  const columns = below < 0 ? place - start + 1 : below - start;
  /** @type {Record<string, number>} */
  const steps = { ArrowLeft: place - 1, ArrowRight: place + 1, ArrowUp: place - columns, ArrowDown: place + columns, Home: 0, End: tiles.length - 1 };
  const link = tiles[steps[event.key] ?? -1]?.querySelector("a");
  if (!link) return;
  event.preventDefault();
  link.focus();
});
