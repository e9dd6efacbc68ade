// The maps of a card, as the page's own figures name them.

/** @typedef {import("./numbers.js").Numbers} Numbers */
/** @typedef {import("./numbers.js").ValueMap} ValueMap */
/**
 * @typedef {object} Entry
 * @property {HTMLElement} figure
 * @property {string} method
 * @property {string} layer
 * @property {string} of the class, or what else it is of
 * @property {ValueMap} map
 */
/** @typedef {"method" | "layer" | "of"} Field */

/** @type {Field[]} */
export const FIELDS = ["method", "layer", "of"];

/**
 * The maps of a card that lie on its picture.
 * @param {HTMLElement} figures
 * @param {Numbers} numbers
 * @returns {Entry[]}
 */
export function entriesOf(figures, numbers) {
  /** @type {Entry[]} */
  const entries = [];
  const all = /** @type {NodeListOf<HTMLElement>} */ (figures.querySelectorAll("figure[data-map]"));
  all.forEach((figure, place) => {
    const map = numbers.maps[place];
    const [method, layer, of] = (figure.dataset.map || "").split("/").map(decodeURIComponent);
    if (map) entries.push({ figure, method, layer, of, map });
  });
  return entries;
}

/**
 * The entry that differs from another in a field alone, or else in as little as can be.
 * @param {Entry[]} entries
 * @param {Entry} from
 * @param {Field} field
 * @param {string} value
 */
export function nearest(entries, from, field, value) {
  const alike = (/** @type {Entry} */ entry) => FIELDS.filter(name => entry[name] === from[name]).length;
  return entries.filter(entry => entry[field] === value).reduce((best, entry) => alike(entry) > alike(best) ? entry : best);
}

/**
 * The values of a field, each once.
 * @param {Entry[]} entries
 * @param {Field} field
 */
export function valuesOf(entries, field) {
  return [...new Set(entries.map(entry => entry[field]))];
}

/** @param {Entry} entry */
export function nameOf(entry) {
  return [entry.method, entry.layer, entry.of].filter(Boolean).join(" · ");
}

/**
 * Where the colours of a map end: by itself, or as far as those of any map of its method on this picture.
 * @param {Entry[]} entries
 * @param {Entry} entry
 * @param {boolean} shared
 */
export function limitOf(entries, entry, shared) {
  const together = shared ? entries.filter(other => other.method === entry.method) : [entry];
  return Math.max(...together.map(other => other.map.limit));
}
