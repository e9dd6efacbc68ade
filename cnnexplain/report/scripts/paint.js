// A map in colours on a canvas, enlarged as it is on the drawn pictures: between the middles of cells, or cell by cell.

import { isSigned, seenOf } from "./maps.js";
import { palette, placeOf } from "./palettes.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */
/**
 * @typedef {object} Look
 * @property {string} colormap
 * @property {number} limit where colours end
 * @property {number} least what is weaker than this has no colour
 * @property {boolean} smooth
 */

const LARGEST = 2048; // pixels of a canvas's side

/**
 * Paint what of a map lies on the picture.
 * @param {HTMLCanvasElement} canvas
 * @param {ValueMap} map
 * @param {[number, number]} size of the picture
 * @param {number} scale pixels of the canvas for one of the picture
 * @param {Look} look
 */
export function paint(canvas, map, size, scale, look) {
  const [left, top, right, bottom] = seenOf(map, size);
  const columns = along(left, right, map.box[0], map.box[2], map.shape[1], scale, look.smooth);
  const rows = along(top, bottom, map.box[1], map.box[3], map.shape[0], scale, look.smooth);
  canvas.width = columns.length;
  canvas.height = rows.length;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(canvas.width, canvas.height);
  if (look.limit > 0) fill(image.data, map, rows, columns, look);
  context.putImageData(image, 0, 0);
}

/**
 * @param {Uint8ClampedArray} pixels
 * @param {ValueMap} map
 * @param {Place[]} rows
 * @param {Place[]} columns
 * @param {Look} look
 */
function fill(pixels, map, rows, columns, look) {
  const signed = isSigned(map);
  const colours = palette(look.colormap);
  const { values, shape: [, width] } = map;
  let at = 0;
  for (const [above, below, down] of rows) {
    for (const [before, after, across] of columns) {
      const upper = values[above * width + before] * (1 - across) + values[above * width + after] * across;
      const lower = values[below * width + before] * (1 - across) + values[below * width + after] * across;
      const value = upper * (1 - down) + lower * down;
      const place = 3 * placeOf(value, look.limit, signed);
      pixels[at] = colours[place];
      pixels[at + 1] = colours[place + 1];
      pixels[at + 2] = colours[place + 2];
      pixels[at + 3] = (signed ? Math.abs(value) : value) >= look.least ? 255 : 0;
      at += 4;
    }
  }
}

/** @typedef {[number, number, number]} Place a cell, the next one, and how far it is from one to the other */

/**
 * Between which cells every pixel of a side lies.
 * @param {number} first where on the picture the side begins
 * @param {number} last
 * @param {number} low where the map begins
 * @param {number} high
 * @param {number} cells
 * @param {number} scale
 * @param {boolean} smooth
 * @returns {Place[]}
 */
function along(first, last, low, high, cells, scale, smooth) {
  const finest = Math.max(scale, cells / (high - low)); // no cell without a pixel
  const pixels = Math.max(1, Math.min(LARGEST, Math.round((last - first) * finest)));
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = (first + (pixel + 0.5) * (last - first) / pixels - low) * cells / (high - low);
    const middle = smooth ? Math.min(Math.max(place - 0.5, 0), cells - 1) : Math.floor(place);
    const cell = Math.min(Math.max(Math.floor(middle), 0), cells - 1);
    return [cell, Math.min(cell + 1, cells - 1), smooth ? middle - cell : 0];
  });
}
