// The left and right arrow lead to the unit before and to the next, Escape to the layer.
document.addEventListener("keydown", event => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const unit = document.querySelector(".unit:target");
  /** @type {Record<string, string>} */
  const links = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", Escape: "h2 a" };
  const link = /** @type {HTMLElement | null | undefined} */ (event.key in links ? unit?.querySelector(links[event.key]) : null);
  if (!link) return;
  event.preventDefault();
  link.click();
});
