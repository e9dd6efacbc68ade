// A drawn sheet to look into: its tiles say what they are, can be enlarged, and names stay while it is scrolled.

import { pointAt, pointFacts } from "./curves.js";
import { element } from "./elements.js";
import { enlarge } from "./enlarge.js";
import { lay, spotButtons } from "./spots.js";

/** @typedef {import("./spots.js").Sheet} Sheet */
/** @typedef {import("./spots.js").Spot} Spot */

const READABLE = 0.8; // times as large as it was drawn: smaller, its words cannot be read

export class SheetView {
  /**
   * @param {HTMLImageElement} image
   * @param {Sheet} sheet
   */
  constructor(image, sheet) {
    this.sheet = sheet;
    const [width, height] = sheet.size;
    const picture = /** @type {HTMLElement} */ (image.closest(".picture") || image);
    const buttons = spotButtons(sheet, spot => enlarge(image, sheet, spot));
    this.tip = element("div", { className: "tip", hidden: true, "aria-hidden": "true" });
    this.paper = element("div", { className: "paper" });
    this.scroller = element("div", { className: "scroller" }, this.paper);
    this.root = element("div", { className: "sheet" }, this.scroller);
    picture.replaceWith(this.root);
    this.paper.append(picture, ...(sheet.names ? [this.namesOf(sheet.names)] : []), ...buttons, this.tip);
    this.paper.style.width = `max(100%, ${Math.round(READABLE * width)}px)`;
    this.paper.style.maxWidth = `${width}px`;
    this.paper.style.aspectRatio = `${width} / ${height}`;
    buttons.forEach((made, place) => this.follow(made, sheet.spots[place]));
    new ResizeObserver(() => this.root.classList.toggle("scrolls", this.scroller.scrollWidth > this.scroller.clientWidth))
      .observe(this.scroller);
  }

  /** @param {import("./spots.js").RowName[]} names */
  namesOf(names) {
    const rows = names.map(({ box, name, texts }) => {
      const row = element("div", {}, element("b", {}, name), ...texts.map(text => element("span", {}, text)));
      row.style.top = `${100 * (box[1] - 4) / this.sheet.size[1]}%`;
      row.style.height = `${100 * box[3] / this.sheet.size[1]}%`;
      return row;
    });
    return element("div", { className: "names", "aria-hidden": "true" }, ...rows);
  }

  /**
   * @param {HTMLButtonElement} made
   * @param {Spot} spot
   */
  follow(made, spot) {
    const leave = () => { this.tip.hidden = true; };
    made.addEventListener("pointerenter", () => this.say(spot, spot.facts));
    made.addEventListener("focus", () => this.say(spot, spot.facts));
    made.addEventListener("pointerleave", leave);
    made.addEventListener("blur", leave);
    made.addEventListener("keydown", event => { if (event.key === "Escape") leave(); });
    const { curve } = spot;
    if (!curve) return;
    made.addEventListener("pointermove", event => {
      const box = made.getBoundingClientRect();
      const at = pointAt(curve, (event.clientX - box.left) / box.width);
      this.say(spot, pointFacts(curve, at));
    });
  }

  /**
   * @param {Spot} spot
   * @param {[string, string][]} facts
   */
  say({ box, name }, facts) {
    const rows = facts.map(([fact, text]) => element("span", {}, `${fact} `, element("span", { className: "value" }, text)));
    this.tip.replaceChildren(element("b", {}, name), ...rows);
    const [width, height] = this.sheet.size;
    const low = box[1] > height / 2;
    const right = box[0] + box[2] / 2 > width / 2;
    lay(this.tip, [0, 0, 0, 0], this.sheet.size);
    this.tip.style.cssText = `${right ? `right: ${100 * (1 - (box[0] + box[2]) / width)}%` : `left: ${100 * box[0] / width}%`};`
      + `${low ? `bottom: ${100 * (1 - box[1] / height)}%` : `top: ${100 * (box[1] + box[3]) / height}%`}`;
    this.tip.hidden = false;
  }
}
