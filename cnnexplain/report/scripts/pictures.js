// All pictures of a report, as the files of its index know them.

import { sheetBytes } from "./sheets.js";

/**
 * @typedef {object} Picture
 * @property {number} place among all, from 0
 * @property {number} page where its card stands
 * @property {string} name
 * @property {string} answer the first one; these are empty where there is none
 * @property {string} expected
 * @property {string} problem why it failed
 * @property {number | null} chance the probability of the answer in percent, or its score
 * @property {boolean} scored whether that is a score
 * @property {boolean | null} right null where that is not known
 * @property {number | null} agreement of the methods that were compared
 * @property {string} picture a link to what was drawn
 * @property {number} rank by name
 * @property {string} words what a search looks at
 */
/**
 * A file: columns of the same length. `answer`, `expected` and `problem` are places in `texts`, or -1.
 * @typedef {object} Columns
 * @property {boolean} last whether no file follows
 * @property {number} cards on a page
 * @property {boolean} scores whether `chance` are scores, and not probabilities
 * @property {string[]} texts
 * @property {string[]} name
 * @property {number[]} answer
 * @property {number[]} [expected] this and others are left out where no picture has them
 * @property {number[]} [problem]
 * @property {(number | null)[]} chance
 * @property {(boolean | null)[]} [right]
 * @property {(number | null)[]} [agreement]
 * @property {string[]} [picture]
 * @property {number[]} rank
 */

/**
 * Read the index, file by file.
 * @param {(pictures: Picture[]) => void} [arrived] called after each file with all that are known by then
 * @returns {Promise<Picture[]>}
 */
export async function loadPictures(arrived) {
  /** @type {Picture[]} */
  const pictures = [];
  for (let number = 1, last = false; !last; number++) {
    const bytes = await sheetBytes(`./find-${number}.css`, "--index");
    /** @type {Columns} */
    const columns = JSON.parse(new TextDecoder().decode(bytes));
    addPictures(pictures, columns);
    last = columns.last;
    arrived?.(pictures);
  }
  return pictures;
}

/**
 * @param {Picture[]} pictures
 * @param {Columns} columns
 */
export function addPictures(pictures, columns) {
  const { texts, scores } = columns;
  const small = texts.map(text => text.toLowerCase());
  columns.name.forEach((name, row) => {
    const [answer, expected, problem] = [columns.answer[row], columns.expected?.[row] ?? -1, columns.problem?.[row] ?? -1];
    const words = [answer, expected, problem].map(place => small[place]).filter(Boolean);
    const chance = columns.chance[row];
    pictures.push({
      place: pictures.length,
      page: Math.floor(pictures.length / columns.cards) + 1,
      name,
      answer: texts[answer] ?? "",
      expected: texts[expected] ?? "",
      problem: texts[problem] ?? "",
      chance: chance === null || scores ? chance : 100 * chance,
      scored: scores,
      right: columns.right?.[row] ?? null,
      agreement: columns.agreement?.[row] ?? null,
      picture: columns.picture?.[row] ?? "",
      rank: columns.rank[row],
      words: [name.toLowerCase(), ...words].join("\n"),
    });
  });
}
