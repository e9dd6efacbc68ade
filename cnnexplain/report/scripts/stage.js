// One view of a picture: the picture itself, a map over it, and marks; zoomed and moved as it is told to be.

import { boxOf, seenOf } from "./maps.js";
import { element } from "./elements.js";
import { paint } from "./paint.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */
/** @typedef {import("./numbers.js").Box} Box */
/** @typedef {import("./paint.js").Look} Look */
/** @typedef {{zoom: number, x: number, y: number}} Frame how often enlarged, and the picture's share at the upper left */
/**
 * @typedef {object} Shown
 * @property {ValueMap | null} map null for the picture alone
 * @property {string} words what is seen
 * @property {Look | null} look
 * @property {number} opacity
 * @property {boolean} grey
 * @property {boolean} peak
 * @property {boolean} unseen
 */

const WIDEST = 1024; // pixels of the picture's canvas

export class Stage {
  /**
   * @param {HTMLImageElement} drawn a drawn picture, on which the original is
   * @param {Box} original where: left, top, width, height
   * @param {[number, number]} size of the picture
   */
  constructor(drawn, original, size) {
    this.size = size;
    this.scale = Math.min(original[2], WIDEST) / size[0];
    this.picture = element("canvas", { className: "original", width: original[2], height: original[3] });
    this.map = element("canvas", { className: "map" });
    this.unseen = element("div", { className: "unseen" });
    this.peak = element("div", { className: "peak" });
    this.cell = element("div", { className: "cell", hidden: true });
    this.words = element("p", { className: "words" });
    this.world = element("div", { className: "world" }, this.picture, this.map, this.unseen, this.cell, this.peak);
    this.window = element("div", { className: "window", tabIndex: 0, role: "application" }, this.world);
    this.window.style.aspectRatio = `${size[0]} / ${size[1]}`;
    this.window.style.setProperty("--shape", String(size[0] / size[1]));
    this.root = element("div", { className: "stage" }, this.words, this.window);
    this.painted = "";
    const context = /** @type {CanvasRenderingContext2D} */ (this.picture.getContext("2d"));
    context.drawImage(drawn, ...original, 0, 0, original[2], original[3]);
  }

  /** @param {Shown} shown */
  show(shown) {
    const { map, look } = shown;
    this.words.textContent = shown.words;
    this.window.setAttribute("aria-label", `${shown.words}. Arrow keys read values, ? lists all keys`);
    this.picture.classList.toggle("grey", shown.grey && map !== null);
    this.map.hidden = map === null;
    this.unseen.hidden = map === null || !shown.unseen;
    this.peak.hidden = map === null || !shown.peak || map.peak === null;
    if (map === null || look === null) return;
    const seen = seenOf(map, this.size);
    this.place(this.map, seen);
    this.map.style.opacity = String(shown.opacity);
    this.unseen.style.clipPath = around(seen, this.size);
    if (map.peak) this.place(this.peak, [map.peak[0] + 0.5, map.peak[1] + 0.5, map.peak[0] + 0.5, map.peak[1] + 0.5]);
    const now = JSON.stringify([map.box, map.min, map.max, shown.words, look]);
    if (now !== this.painted) paint(this.map, map, this.size, this.scale, look);
    this.painted = now;
  }

  /**
   * Mark a cell, or none.
   * @param {ValueMap | null} map
   * @param {[number, number] | null} cell
   */
  mark(map, cell) {
    this.cell.hidden = map === null || cell === null;
    if (map && cell) this.place(this.cell, boxOf(map, cell));
  }

  /** @param {Frame} frame */
  frame({ zoom, x, y }) {
    this.world.style.width = this.world.style.height = `${100 * zoom}%`;
    this.world.style.left = `${-100 * zoom * x}%`;
    this.world.style.top = `${-100 * zoom * y}%`;
    this.window.classList.toggle("zoomed", zoom > 1);
    this.picture.classList.toggle("sharp", this.window.clientWidth * zoom > 3 * this.size[0]);
  }

  /**
   * The share of the window at which a pointer is.
   * @param {{clientX: number, clientY: number}} event
   * @returns {[number, number]}
   */
  shareOf(event) {
    const box = this.window.getBoundingClientRect();
    const { clientLeft, clientTop, clientWidth, clientHeight } = this.window;
    return [(event.clientX - box.left - clientLeft) / clientWidth, (event.clientY - box.top - clientTop) / clientHeight];
  }

  /**
   * @param {HTMLElement} part
   * @param {Box} box
   */
  place(part, [left, top, right, bottom]) {
    const [width, height] = this.size;
    part.style.left = `${100 * left / width}%`;
    part.style.top = `${100 * top / height}%`;
    part.style.width = `${100 * (right - left) / width}%`;
    part.style.height = `${100 * (bottom - top) / height}%`;
  }
}

/**
 * All of a picture but a box of it, as a clipping path.
 * @param {Box} box
 * @param {[number, number]} size
 */
function around(box, size) {
  const [left, top, right, bottom] = box.map((edge, side) => `${100 * edge / size[side % 2]}%`);
  return `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${left} ${top}, ${left} ${bottom}, `
    + `${right} ${bottom}, ${right} ${top}, ${left} ${top})`;
}
