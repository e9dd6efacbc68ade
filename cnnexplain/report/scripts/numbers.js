// The values of a picture's maps, read from the style sheet in which they stand beside the page.

import { sheetBytes } from "./sheets.js";

/** @typedef {[number, number, number, number]} Box left, top, right, bottom in pixels of the picture */
/**
 * A map as its file describes it.
 * @typedef {object} MapFacts
 * @property {[number, number]} shape rows and columns
 * @property {number} min
 * @property {number} max
 * @property {number} bits how fine its levels are: 16 or 12
 * @property {Box} box where it lies
 * @property {[number, number] | null} peak
 * @property {string} colormap
 * @property {number} limit where its colours end
 * @property {number} opacity
 */
/** @typedef {MapFacts & {values: Float64Array}} ValueMap */
/**
 * @typedef {object} Numbers
 * @property {[number, number]} size of the picture: width and height
 * @property {Box} original where it is on every drawn picture: left, top, width, height
 * @property {(ValueMap | null)[]} maps
 */

/**
 * The numbers of a file.
 * @param {string} href
 * @returns {Promise<Numbers>}
 */
export async function load(href) {
  return unpacked(await sheetBytes(href, "--numbers"));
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Numbers}
 */
function unpacked(bytes) {
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  for (const map of header.maps) {
    if (map === null) continue;
    const cells = map.shape[0] * map.shape[1];
    const size = map.bits === 16 ? 2 * cells : cells + Math.ceil(cells / 2);
    map.values = restored(map, bytes.subarray(at, at + size));
    at += size;
  }
  return header;
}

/**
 * @param {MapFacts} map
 * @param {Uint8Array} bytes the high bytes of all levels, then what is below them: bytes, or two halves in a byte
 */
function restored(map, bytes) {
  const values = new Float64Array(map.shape[0] * map.shape[1]);
  const step = (map.max - map.min) / (2 ** map.bits - 1);
  for (let cell = 0; cell < values.length; cell++) {
    const low = bytes[values.length + (map.bits === 16 ? cell : cell >> 1)];
    const level = map.bits === 16 ? bytes[cell] * 256 + low : bytes[cell] * 16 + (cell % 2 ? low & 15 : low >> 4);
    values[cell] = map.min + level * step;
  }
  return values;
}
