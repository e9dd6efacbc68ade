// The bar that says which colour is which value.

import { isSigned } from "./maps.js";
import { element } from "./elements.js";
import { palette } from "./palettes.js";
import { number } from "./words.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */

export class ColourBar {
  constructor() {
    this.canvas = element("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    this.ends = element("p", {});
    this.root = element("div", { className: "colours" }, this.canvas, this.ends);
  }

  /**
   * @param {ValueMap} map
   * @param {string} name of the colour map
   * @param {number} limit
   */
  show(map, name, limit) {
    this.canvas.hidden = !(limit > 0);
    if (!(limit > 0)) {
      this.ends.replaceChildren("nothing positive: the largest value is ", number(map.max));
      return;
    }
    const signed = isSigned(map);
    const low = signed ? `${-map.min > limit ? "≤ " : ""}${number(-limit)}` : "0";
    const high = `${map.max > limit ? "≥ " : ""}${number(limit)}`;
    const middle = signed ? "0" : number(limit / 2);
    this.ends.replaceChildren(...[low, middle, high].map(text => element("span", {}, text)));
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const image = context.createImageData(256, 1);
    const colours = palette(name);
    for (let place = 0; place < 256; place++) {
      image.data.set([colours[3 * place], colours[3 * place + 1], colours[3 * place + 2], 255], 4 * place);
    }
    context.putImageData(image, 0, 0);
  }
}
