// What can be asked of a map: which cell lies under a pixel, how its values rank, how strong the strongest are.

import { DIVERGING } from "./palettes.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */
/** @typedef {import("./numbers.js").Box} Box */

/**
 * Whether a map is coloured on both sides of zero.
 * @param {ValueMap} map
 */
export function isSigned(map) {
  return DIVERGING.includes(map.colormap);
}

/**
 * The cell over the middle of a pixel: row and column; null where the model does not see it.
 * @param {ValueMap} map
 * @param {number} x
 * @param {number} y
 * @returns {[number, number] | null}
 */
export function cellAt(map, x, y) {
  const [left, top, right, bottom] = map.box;
  const row = Math.floor((y + 0.5 - top) * map.shape[0] / (bottom - top));
  const column = Math.floor((x + 0.5 - left) * map.shape[1] / (right - left));
  return row >= 0 && row < map.shape[0] && column >= 0 && column < map.shape[1] ? [row, column] : null;
}

/**
 * Where a cell lies, in pixels of the picture.
 * @param {ValueMap} map
 * @param {[number, number]} cell
 * @returns {Box}
 */
export function boxOf(map, [row, column]) {
  const [left, top, right, bottom] = map.box;
  const across = (right - left) / map.shape[1];
  const down = (bottom - top) / map.shape[0];
  return [left + column * across, top + row * down, left + (column + 1) * across, top + (row + 1) * down];
}

/**
 * The part of the picture that the model saw.
 * @param {ValueMap} map
 * @param {[number, number]} size of the picture
 * @returns {Box}
 */
export function seenOf(map, size) {
  const [left, top, right, bottom] = map.box;
  return [Math.max(0, left), Math.max(0, top), Math.min(size[0], right), Math.min(size[1], bottom)];
}

/**
 * @param {ValueMap} map
 * @param {[number, number]} cell
 */
export function valueOf(map, [row, column]) {
  return map.values[row * map.shape[1] + column];
}

/**
 * The percentile of a value: how many of a hundred cells do not exceed it.
 * @param {ValueMap} map
 * @param {number} value
 */
export function percentile(map, value) {
  let within = 0;
  for (const other of map.values) if (other <= value) within++;
  return 100 * within / map.values.length;
}

/**
 * How strong the weakest cell of the strongest percent is: by the absolute value where both signs count.
 * @param {ValueMap} map
 * @param {number} percent
 */
export function strengthOf(map, percent) {
  const signed = isSigned(map);
  const strengths = map.values.map(value => signed ? Math.abs(value) : value).sort();
  const count = Math.max(1, Math.round(strengths.length * percent / 100));
  return strengths[strengths.length - count];
}
