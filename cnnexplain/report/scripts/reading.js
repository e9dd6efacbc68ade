// What the maps say at a pixel of the picture: value, percentile and cell.

import { cellAt, percentile, valueOf } from "./maps.js";
import { element } from "./elements.js";
import { number } from "./words.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */

export class Reading {
  constructor() {
    this.root = element("output", { className: "reading", "aria-live": "off" });
    this.nothing();
  }

  /** Say how values are read. */
  nothing() {
    this.root.replaceChildren(element("span", { className: "quiet" }, "Point at the picture, or use the arrow keys, to read values."));
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {[string, ValueMap][]} maps with their names
   */
  show(x, y, maps) {
    const place = element("span", { className: "place" }, `x ${x}, y ${y}`);
    this.root.replaceChildren(place, ...maps.map(([name, map]) => said(maps.length > 1 ? name : "", map, x, y)));
  }
}

/**
 * @param {string} name
 * @param {ValueMap} map
 * @param {number} x
 * @param {number} y
 */
function said(name, map, x, y) {
  const line = element("span", { className: "said" }, ...(name ? [element("span", { className: "quiet" }, name)] : []));
  const cell = cellAt(map, x, y);
  if (cell === null) {
    line.append("not seen by the model");
    return line;
  }
  const value = valueOf(map, cell);
  const share = percentile(map, value);
  line.append(
    element("data", { className: "value", value: String(value) }, number(value)),
    " ",
    element("data", { className: "percentile", value: String(share) }, `percentile ${share.toFixed(1)}`),
    " ",
    element("span", { className: "quiet" }, `row ${cell[0]}, column ${cell[1]}`),
  );
  return line;
}
