// Finds pictures of a long report: filters and sorts all of them, and shows fifty at a time.

import { ROWS_SHOWN, cardOf, meant, readAsked, writtenAsked } from "./asking.js";
import { fillClasses, fillForm, fitForm, readForm } from "./finder.js";
import { pictureRow } from "./found.js";
import { loadPictures } from "./pictures.js";

/** @typedef {import("./asking.js").Asked} Asked */
/** @typedef {import("./pictures.js").Picture} Picture */

const form = /** @type {HTMLElement} */ (document.querySelector(".find"));
const without = /** @type {HTMLElement} */ (document.querySelector(".without"));
const shown = /** @type {HTMLOutputElement} */ (form.querySelector("output"));
const table = /** @type {HTMLTableElement} */ (document.querySelector(".found"));
const turning = /** @type {HTMLElement} */ (document.querySelector(".turning"));
const wishes = /** @type {NodeListOf<HTMLInputElement | HTMLSelectElement>} */ (form.querySelectorAll("input, select"));
const wishList = [...wishes];

/** @type {Picture[]} */
let known = [];
let asked = readAsked(location.hash.slice(1));

/** Show the rows that are asked for. */
function showRows() {
  const rows = meant(known, asked);
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_SHOWN));
  const page = Math.min(pages, Math.max(1, Number.parseInt(asked.page) || 1));
  const start = (page - 1) * ROWS_SHOWN;
  const visible = rows.slice(start, start + ROWS_SHOWN);
  table.tBodies[0].replaceChildren(...visible.map(picture => pictureRow(picture, cardOf(picture, asked))));
  const all = known.length.toLocaleString("en");
  shown.textContent = rows.length === known.length ? `all ${all}` : `${rows.length.toLocaleString("en")} of ${all}`;
  turning.hidden = pages === 1;
  turning.querySelector("p")?.replaceChildren(`Rows ${(start + 1).toLocaleString("en")} to ${(start + visible.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")}`);
  for (const button of turning.querySelectorAll("button")) {
    const to = { first: 1, prev: page - 1, next: page + 1, last: pages }[button.name] ?? 1;
    button.disabled = to === page || to < 1 || to > pages;
    button.value = String(to);
  }
}

/** Hide the columns and controls of what no picture has. */
function fitColumns() {
  for (const [name, is] of Object.entries(fitForm(form, known))) table.classList.toggle(`no-${name}`, !is);
}

/** What is asked for stands in the address, so that going back, or a link, shows it again. @param {boolean} step */
function note(step) {
  const address = `#${writtenAsked(asked)}`;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function restore() {
  asked = readAsked(location.hash.slice(1));
  fillForm(wishList, asked);
  showRows();
}

form.addEventListener("input", () => { readForm(wishList, asked); showRows(); note(false); });
form.querySelector("button")?.addEventListener("click", () => { history.pushState(null, "", "#sort="); restore(); });
addEventListener("popstate", restore);
turning.addEventListener("click", event => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (!button) return;
  asked.page = button.value;
  showRows();
  note(true);
  table.scrollIntoView();
});

// "/" goes to the search, the arrow keys from row to row.
document.addEventListener("keydown", event => {
  const from = document.activeElement;
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const search = wishList[0];
  if (event.key === "/" && !(from instanceof HTMLInputElement)) {
    search.focus();
    event.preventDefault();
    return;
  }
  const links = /** @type {HTMLElement[]} */ ([...table.querySelectorAll("th a")]);
  const place = links.findIndex(link => link === from);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || (place < 0 && from !== search)) return;
  event.preventDefault();
  (place < 0 ? links[0] : place + step < 0 ? search : links[place + step])?.focus();
});

loadPictures(pictures => {
  known = pictures;
  fillClasses(wishList.find(({ name }) => name === "class"), known, "answer");
  fillClasses(wishList.find(({ name }) => name === "expected"), known, "expected");
  fitColumns();
  fillForm(wishList, asked);
  showRows();
  for (const part of [form, table]) part.hidden = false;
  without.hidden = true;
}).catch(error => {
  console.warn(error);
  without.hidden = false;
  without.textContent = "The index of the pictures (find-1.css and those that follow) cannot be read here, or not to its end; the lists above show all pictures.";
});
