// Keys of a viewer. Nothing is taken from a control that needs a key itself.

import { help } from "./help.js";

/** @typedef {import("./card.js").CardViewer} CardViewer */

/** @type {Record<string, [number, number]>} across and down */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @type {Record<string, (viewer: CardViewer, back: boolean) => void>} */
const DEEDS = {
  m: (viewer, back) => viewer.step("method", back),
  l: (viewer, back) => viewer.step("layer", back),
  c: (viewer, back) => viewer.step("of", back),
  b: viewer => viewer.nextBeside(),
  o: viewer => viewer.settings.flip("on"),
  p: viewer => viewer.settings.flip("peak"),
  u: viewer => viewer.settings.flip("unseen"),
  i: viewer => viewer.settings.flip("smooth"),
  g: viewer => viewer.settings.flip("grey"),
  s: viewer => viewer.settings.flip("shared"),
  k: viewer => viewer.settings.nextColormap(),
  j: viewer => viewer.flipPictures(),
  n: (viewer, back) => viewer.leaveFor(back),
  r: viewer => viewer.readPeak(),
  "[": viewer => viewer.settings.setOpacity(100 * viewer.settings.opacity(viewer.entry.map) - 5),
  "]": viewer => viewer.settings.setOpacity(100 * viewer.settings.opacity(viewer.entry.map) + 5),
  ",": viewer => viewer.settings.setPercent(viewer.settings.percent - 1),
  ".": viewer => viewer.settings.setPercent(viewer.settings.percent + 1),
  "+": viewer => viewer.zoomBy(1.5),
  "=": viewer => viewer.zoomBy(1.5),
  "-": viewer => viewer.zoomBy(1 / 1.5),
  "0": viewer => viewer.zoomBy(0),
  "?": help,
};

/** @param {CardViewer} viewer */
export function listen(viewer) {
  viewer.root.addEventListener("keydown", event => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof HTMLSelectElement && event.key !== "?") return;
    const arrow = target.classList.contains("window") ? ARROWS[event.key] : undefined;
    const deed = DEEDS[event.key.length === 1 ? event.key.toLowerCase() : ""];
    if (!arrow && !deed) return;
    event.preventDefault();
    viewer.reading.root.setAttribute("aria-live", "polite");
    if (arrow && event.shiftKey) viewer.move(arrow[0] / 8, arrow[1] / 8);
    else if (arrow) viewer.readNext(arrow);
    else deed(viewer, event.shiftKey);
  });
}
