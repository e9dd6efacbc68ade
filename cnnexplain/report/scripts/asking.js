// What was asked for of the pictures of a report: as it stands in an address, and the pictures that it means.

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {"find" | "state" | "class" | "expected" | "from" | "to" | "sort" | "down" | "page"} Wish */
/** @typedef {Record<Wish, string>} Asked empty where nothing is asked */

export const ROWS_SHOWN = 50; // at a time

/** @type {Wish[]} */
const WISHES = ["find", "state", "class", "expected", "from", "to", "sort", "down", "page"];

/**
 * @param {string} address what follows # or ?
 * @returns {Asked}
 */
export function readAsked(address) {
  const read = new URLSearchParams(address);
  const asked = /** @type {Asked} */ (Object.fromEntries(WISHES.map(wish => [wish, read.get(wish) ?? ""])));
  return asked;
}

/**
 * What `readAsked` reads; without the page it is what leads through the pictures one by one.
 * @param {Asked} asked
 * @param {boolean} [paged]
 */
export function writtenAsked(asked, paged = true) {
  const wanted = WISHES.filter(wish => asked[wish] && (paged || wish !== "page"));
  return String(new URLSearchParams(wanted.map(wish => [wish, asked[wish]]))) || "sort=";
}

/** @type {Record<string, (picture: Picture) => boolean>} */
const STATES = {
  right: picture => picture.right === true,
  wrong: picture => picture.right === false,
  explained: picture => picture.problem === "",
  failed: picture => picture.problem !== "",
};

/**
 * The pictures that are meant, in the order that is wanted.
 * @param {Picture[]} pictures
 * @param {Asked} asked
 * @returns {Picture[]}
 */
export function meant(pictures, asked) {
  const tests = [...testsOf(asked)];
  const left = pictures.filter(picture => tests.every(test => test(picture)));
  return ordered(left, asked.sort, asked.down !== "");
}

/**
 * @param {Asked} asked
 * @returns {Generator<(picture: Picture) => boolean>}
 */
function* testsOf(asked) {
  for (const word of asked.find.toLowerCase().split(/\s+/).filter(Boolean)) {
    yield picture => picture.words.includes(word);
  }
  if (asked.state in STATES) yield STATES[asked.state];
  if (asked.class) yield picture => picture.answer === asked.class;
  if (asked.expected) yield picture => picture.expected === asked.expected;
  const [least, most] = [limit(asked.from, -Infinity), limit(asked.to, Infinity)];
  if (least > -Infinity || most < Infinity) {
    yield ({ chance }) => chance !== null && least <= chance && chance <= most;
  }
}

/**
 * A number; after it a percent sign may stand.
 * @param {string} text
 * @param {number} without
 */
function limit(text, without) {
  const value = Number.parseFloat(text.replace(",", ".").replace("−", "-"));
  return Number.isNaN(value) ? without : value;
}

/**
 * @param {Picture[]} pictures
 * @param {string} by
 * @param {boolean} down
 */
function ordered(pictures, by, down) {
  const sign = down ? -1 : 1;
  /** @type {(picture: Picture) => number | null} */
  let measure = picture => picture.place;
  if (by === "name") measure = picture => picture.rank;
  if (by === "confidence") measure = picture => picture.chance;
  if (by === "agreement") measure = picture => picture.agreement;
  if (by === "class") {
    const ranks = rankOf(pictures.map(picture => picture.answer));
    measure = picture => ranks.get(picture.answer) ?? null;
  }
  const keyed = pictures.map(picture => ({ picture, key: measure(picture) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null);
    return sign * (a.key - b.key);
  });
  return keyed.map(({ picture }) => picture);
}

/**
 * The place of every text in the order of the alphabet, of numbers as numbers; none of the empty one.
 * @param {string[]} texts
 */
function rankOf(texts) {
  const different = [...new Set(texts)].filter(Boolean).sort(new Intl.Collator("en", { numeric: true }).compare);
  return new Map(different.map((text, rank) => [text, rank]));
}

/**
 * Where the card of a picture stands; going on from there leads through what was asked for.
 * @param {Picture} picture
 * @param {Asked} asked
 */
export function cardOf(picture, asked) {
  return `./images-${picture.page}.html?${writtenAsked(asked, false)}#image-${picture.place + 1}`;
}
