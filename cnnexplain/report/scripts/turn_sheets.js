// Lets every drawn sheet of the page be looked into, when its card comes into sight. Without it the pictures show.

import { load } from "./numbers.js";
import { SheetView } from "./sheet.js";

/** @param {HTMLElement} card */
async function openSheets(card) {
  const { sheets } = await load(card.dataset.numbers || "");
  for (const image of /** @type {NodeListOf<HTMLImageElement>} */ (card.querySelectorAll("figure:not([data-map]) img"))) {
    const sheet = sheets && sheets[decodeURIComponent(image.src.replace(/.*\//, ""))];
    if (sheet) new SheetView(image, sheet);
  }
}

const sheetSight = new IntersectionObserver(seen => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    sheetSight.unobserve(target);
    openSheets(/** @type {HTMLElement} */ (target)).catch(error => console.warn(error));
  }
}, { rootMargin: "600px" });
for (const card of document.querySelectorAll(".figures[data-numbers]")) sheetSight.observe(card);
