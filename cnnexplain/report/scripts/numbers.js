// The values of a picture's maps, read from the style sheet in which they stand beside the page.

import { inflated, sheetTexts } from "./sheets.js";

/** @typedef {[number, number, number, number]} Box left, top, right, bottom in pixels of the picture */
/**
 * A map as its file describes it.
 * @typedef {object} MapFacts
 * @property {[number, number]} shape rows and columns
 * @property {number} min
 * @property {number} max
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
 * @property {Record<string, import("./spots.js").Sheet>} sheets by the names of their files
 */

const LETTERS = new TextDecoder("windows-1252").decode(Uint8Array.from({ length: 256 }, (_, byte) => byte));
const ESCAPE = "=".charCodeAt(0);
const STEPS = 2 ** 16 - 1;

/** @type {Map<string, Promise<Numbers>>} */
const files = new Map();

/**
 * The numbers of a file, which is read once.
 * @param {string} href
 */
export function load(href) {
  const numbers = files.get(href) || sheetTexts(href, "--numbers-").then(texts => inflated(bytesOf(texts.join("")))).then(unpacked);
  files.set(href, numbers);
  return numbers;
}

/**
 * The bytes of a text of which every letter is one, or two: "=" and what is 64 above a byte that cannot stand there.
 * @param {string} text
 */
function bytesOf(text) {
  const places = new Map([...LETTERS].map((letter, byte) => [letter.charCodeAt(0), byte]));
  const bytes = new Uint8Array(text.length);
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const plain = text.charCodeAt(at) !== ESCAPE;
    if (!plain) at++;
    const byte = /** @type {number} */ (places.get(text.charCodeAt(at)));
    bytes[count++] = plain ? byte : byte - 64;
  }
  return bytes.subarray(0, count);
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
    const size = 2 * map.shape[0] * map.shape[1];
    map.values = restored(map, bytes.subarray(at, at + size));
    at += size;
  }
  return header;
}

/**
 * @param {MapFacts} map
 * @param {Uint8Array} bytes the high bytes of all levels, then the low ones
 */
function restored(map, bytes) {
  const cells = bytes.length / 2;
  const step = (map.max - map.min) / STEPS;
  return Float64Array.from({ length: cells }, (_, cell) => map.min + (bytes[cell] * 256 + bytes[cells + cell]) * step);
}
