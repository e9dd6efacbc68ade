// What the curves of a chart are at a share of the cells.

import { element } from "./elements.js";
import { number } from "./words.js";

/** @typedef {import("./spots.js").Curves} Curves */

/**
 * The point of the curves that is nearest to a share.
 * @param {Curves} curves
 * @param {number} share
 */
export function pointAt({ x }, share) {
  return x.reduce((best, place, at) => Math.abs(place - share) < Math.abs(x[best] - share) ? at : best, 0);
}

/**
 * What every curve is at a point, each a name and a text.
 * @param {Curves} curves
 * @param {number} at
 * @returns {[string, string][]}
 */
export function pointFacts({ x, of, lines }, at) {
  return [[of, `${number(100 * x[at])}% of the cells`], ...lines.map(([name, values]) =>
    /** @type {[string, string]} */ ([name, number(values[at])]))];
}

/**
 * All points as a table.
 * @param {Curves} curves
 */
export function curveTable(curves) {
  const head = [curves.of, ...curves.lines.map(([name]) => name)].map(name => element("th", { scope: "col" }, name));
  const rows = curves.x.map((share, at) => element(
    "tr", {}, element("th", { scope: "row" }, `${number(100 * share)}%`),
    ...curves.lines.map(([, values]) => element("td", {}, number(values[at]))),
  ));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return element("div", { className: "points", tabIndex: 0, role: "region", "aria-label": "Points of the curves" }, table);
}
