// Gives every card whose maps have numbers a viewer, when the card comes into sight. Without it the pictures show.

import { CardViewer } from "./card.js";
import { element } from "./elements.js";
import { entriesOf } from "./entries.js";
import { nameMaps, onLink } from "./links.js";
import { load } from "./numbers.js";

/** @type {Map<HTMLElement, Promise<CardViewer | null>>} */
const viewers = new Map();
const cards = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".figures[data-numbers]:has([data-map])")]);

/**
 * The viewer of a card; null where it has no maps that lie on the picture, or its files are not there.
 * @param {HTMLElement} figures
 */
function viewerOf(figures) {
  const viewer = viewers.get(figures) || start(figures);
  viewers.set(figures, viewer);
  return viewer;
}

/**
 * @param {HTMLElement} figures
 * @returns {Promise<CardViewer | null>}
 */
async function start(figures) {
  try {
    const numbers = await load(figures.dataset.numbers || "");
    const entries = entriesOf(figures, numbers);
    if (entries.length === 0) return null;
    const picture = entries[0].figure.querySelector("img");
    const drawn = new Image();
    drawn.src = picture ? picture.src : "";
    await drawn.decode();
    return new CardViewer(figures, numbers, entries, drawn, back => void leave(figures, back));
  } catch (error) {
    console.warn(error);
    const words = "The maps' numbers or the first picture cannot be read here, so the pictures are shown as they were drawn.";
    figures.before(element("p", { className: "notice" }, words));
    return null;
  }
}

/**
 * Go to the next picture of the page, or the one before.
 * @param {HTMLElement} figures
 * @param {boolean} back
 */
async function leave(figures, back) {
  const next = cards[cards.indexOf(figures) + (back ? -1 : 1)];
  if (!next) return;
  (next.closest("article") || next).scrollIntoView();
  const viewer = await viewerOf(next);
  viewer?.stages[0].window.focus({ preventScroll: true });
}

/** @param {string} id */
async function turnTo(id) {
  const named = document.getElementById(id);
  const figures = /** @type {HTMLElement | null} */ (named?.closest(".figures[data-numbers]") ?? named?.querySelector(".figures[data-numbers]") ?? null);
  if (!named || !figures) return;
  const viewer = await viewerOf(figures);
  if (!viewer) return;
  const entry = viewer.entries.find(({ figure }) => figure === named) || viewer.entries[0];
  viewer.entry = entry;
  viewer.show();
  (figures.closest("article") || figures).scrollIntoView();
}

nameMaps();
const sight = new IntersectionObserver(seen => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    void viewerOf(/** @type {HTMLElement} */ (target));
  }
}, { rootMargin: "600px" });
for (const figures of cards) sight.observe(figures);
onLink(id => void turnTo(id));
