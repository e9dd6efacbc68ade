// The tiles of a sheet as buttons that lie on it: one is reached by Tab, the others from there by arrow keys.

import { element } from "./elements.js";

/**
 * @typedef {object} Spot
 * @property {[number, number, number, number]} box left, top, width and height on the sheet
 * @property {string} name
 * @property {[string, string][]} facts
 * @property {Curves} [curve] of a chart
 */
/** @typedef {{x: number[], of: string, lines: [string, number[]][]}} Curves */
/** @typedef {{box: [number, number, number, number], name: string, texts: string[]}} RowName */
/** @typedef {{size: [number, number], spots: Spot[], names?: RowName[]}} Sheet */

/** @type {Record<string, [number, number]>} across and down */
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Place a part of a sheet over it.
 * @param {HTMLElement} part
 * @param {[number, number, number, number]} box
 * @param {[number, number]} size of the sheet
 */
export function lay(part, [left, top, width, height], size) {
  part.style.left = `${100 * left / size[0]}%`;
  part.style.top = `${100 * top / size[1]}%`;
  part.style.width = `${100 * width / size[0]}%`;
  part.style.height = `${100 * height / size[1]}%`;
}

/**
 * The nearest spot in a direction; the spot itself where there is none.
 * @param {Spot[]} spots
 * @param {number} from
 * @param {[number, number]} way
 */
export function nextSpot(spots, from, [across, down]) {
  const middle = (/** @type {Spot} */ { box: [left, top, width, height] }) => [left + width / 2, top + height / 2];
  const [x, y] = middle(spots[from]);
  let [best, nearest] = [from, Infinity];
  spots.forEach((spot, place) => {
    const [right, below] = [middle(spot)[0] - x, middle(spot)[1] - y];
    const along = across * right + down * below;
    const aside = Math.abs(down * right) + Math.abs(across * below);
    if (along > 1 && along + 3 * aside < nearest) [best, nearest] = [place, along + 3 * aside];
  });
  return best;
}

/**
 * @param {Sheet} sheet
 * @param {(spot: Spot) => void} press
 * @returns {HTMLButtonElement[]}
 */
export function spotButtons({ spots, size }, press) {
  const buttons = spots.map((spot, place) => {
    const said = [spot.name, ...spot.facts.map(([name, text]) => `${name} ${text}`)].join(", ");
    const made = element("button", { type: "button", className: "spot", tabIndex: place ? -1 : 0, "aria-label": said });
    lay(made, spot.box, size);
    made.addEventListener("click", () => press(spot));
    made.addEventListener("keydown", event => {
      const way = WAYS[event.key];
      if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      buttons[nextSpot(spots, place, way)].focus();
    });
    made.addEventListener("focus", () => {
      for (const other of buttons) other.tabIndex = other === made ? 0 : -1;
    });
    return made;
  });
  return buttons;
}
