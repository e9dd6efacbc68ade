// A tile of a sheet enlarged, in a dialog that all sheets of the page share; arrow keys lead to the next one.

import { curveTable } from "./curves.js";
import { button, element } from "./elements.js";

/** @typedef {import("./spots.js").Sheet} Sheet */
/** @typedef {import("./spots.js").Spot} Spot */

const AROUND = 44; // pixels of the sheet left of a chart and below it, for the numbers of its axes
const LARGEST_TILE = 12; // times

/** @type {Enlarged | null} */
let enlarged = null;

class Enlarged {
  constructor() {
    /** @type {[HTMLImageElement, Sheet, number] | null} */
    this.shown = null;
    this.canvas = element("canvas", { className: "tile" });
    this.heading = element("h2");
    this.facts = element("div");
    const buttons = element(
      "div", { className: "buttons" },
      button("←", "Previous", () => this.turn(-1)),
      button("→", "Next", () => this.turn(1)),
      button("Close", "Close", () => this.dialog.close()),
    );
    this.dialog = element("dialog", { className: "enlarged" }, this.heading, this.canvas, this.facts, buttons);
    this.dialog.addEventListener("keydown", event => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const scrolls = /** @type {Element} */ (event.target).matches(".points");
      if (!way || scrolls || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.turn(way);
    });
    this.dialog.addEventListener("click", event => {
      if (event.target === this.dialog) this.dialog.close(); // beside what it shows
    });
    document.body.append(this.dialog);
  }

  /**
   * @param {HTMLImageElement} image
   * @param {Sheet} sheet
   * @param {number} place
   */
  show(image, sheet, place) {
    this.shown = [image, sheet, place];
    const spot = sheet.spots[place];
    this.heading.textContent = spot.name;
    this.dialog.setAttribute("aria-label", spot.name);
    const rows = spot.facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)));
    this.facts.replaceChildren(element("dl", {}, ...rows), ...(spot.curve ? [curveTable(spot.curve)] : []));
    drawTile(this.canvas, image, spot);
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** @param {number} step */
  turn(step) {
    if (this.shown === null) return;
    const [image, sheet, place] = this.shown;
    this.show(image, sheet, (place + step + sheet.spots.length) % sheet.spots.length);
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {Spot} spot
 */
function drawTile(canvas, image, { box, curve }) {
  const around = curve ? AROUND : 0;
  const left = Math.max(0, box[0] - around);
  const [width, height] = [box[0] + box[2] - left + around / 3, box[3] + around / 2];
  const room = [Math.min(innerWidth - 80, 720), Math.min(innerHeight * 0.55, 560)];
  const times = Math.min(LARGEST_TILE, room[0] / width, room[1] / height);
  canvas.width = Math.round(width * times);
  canvas.height = Math.round(height * times);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingEnabled = curve !== undefined || times < 2;
  context.drawImage(image, left, box[1] - around / 8, width, height, 0, 0, canvas.width, canvas.height);
}

/**
 * Show a tile of a sheet enlarged. The focus returns where it was when the dialog is closed.
 * @param {HTMLImageElement} image
 * @param {Sheet} sheet
 * @param {Spot} spot
 */
export function enlarge(image, sheet, spot) {
  enlarged = enlarged || new Enlarged();
  enlarged.show(image, sheet, sheet.spots.indexOf(spot));
}
