// Finds pictures of a short report in place: cards that were not asked for are hidden, the others put in order.

import { meant, readAsked, writtenAsked } from "./asking.js";
import { element } from "./elements.js";
import { fillClasses, fillForm, fitForm, readForm } from "./finder.js";
import { addPictures } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */

const cardForm = /** @type {HTMLElement} */ (document.querySelector(".find"));
const cardControls = /** @type {(HTMLInputElement | HTMLSelectElement)[]} */ ([...cardForm.querySelectorAll("input, select")]);
const way = element("nav", { className: "walk", "aria-label": "Pictures that were asked for" });
/** @type {Picture[]} */
const cardPictures = [];
addPictures(cardPictures, JSON.parse(document.querySelector(".pictures-data")?.textContent ?? ""));
const cardAsked = readAsked(location.search.slice(1));

/** @param {Picture} picture */
const anchorOf = picture => `image-${picture.place + 1}`;
/** @param {Picture} picture */
const cardNode = picture => document.getElementById(anchorOf(picture));

/** Show the cards that are asked for; their order is that of the page where no other is wanted. */
function showCards() {
  const pictures = meant(cardPictures, cardAsked);
  const wanted = new Set(pictures);
  for (const picture of cardPictures) {
    for (const part of [cardNode(picture), document.querySelector(`.index a[href="#${anchorOf(picture)}"]`)?.parentElement]) {
      if (part) part.hidden = !wanted.has(picture);
    }
  }
  for (const picture of pictures) {
    const card = cardNode(picture);
    card?.parentElement?.append(card);
  }
  for (const section of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("section.cards"))) {
    section.hidden = !section.querySelector(".card:not([hidden])");
  }
  const shown = /** @type {HTMLOutputElement} */ (cardForm.querySelector("output"));
  shown.textContent = pictures.length === cardPictures.length ? `all ${cardPictures.length}` : `${pictures.length} of ${cardPictures.length}`;
  showTurns();
}

/** The way from the card that the address names to the next and the previous of those that are shown. */
function showTurns() {
  const pictures = meant(cardPictures, cardAsked);
  const place = Number(/^#image-(\d+)/.exec(location.hash)?.[1] ?? 0) - 1;
  const at = pictures.findIndex(picture => picture.place === place);
  way.hidden = at < 0;
  const had = way.contains(document.activeElement) ? /** @type {HTMLAnchorElement} */ (document.activeElement).rel : "";
  const ends = /** @type {[string, string, Picture | undefined][]} */ ([["prev", "Previous", pictures[at - 1]], ["next", "Next", pictures[at + 1]]]);
  way.replaceChildren(
    element("p", {}, `${at + 1} of ${pictures.length}`),
    ...ends.map(([rel, text, picture]) => picture
      ? element("a", { rel, href: `#${anchorOf(picture)}`, title: picture.name }, text)
      : element("span", {}, text)),
  );
  if (had) /** @type {HTMLElement | null} */ (way.querySelector(`[rel=${had}]`))?.focus();
}

/** What is asked for stands in the address beside the card that it names. */
function noteCards() {
  const address = writtenAsked(cardAsked, false);
  history.replaceState(null, "", `${address === "sort=" ? location.pathname : `?${address}`}${location.hash}`);
}

cardForm.addEventListener("input", () => { readForm(cardControls, cardAsked); showCards(); noteCards(); });
cardForm.querySelector("button")?.addEventListener("click", () => {
  Object.assign(cardAsked, readAsked(""));
  fillForm(cardControls, cardAsked);
  showCards();
  noteCards();
});
addEventListener("hashchange", showTurns);
addEventListener("popstate", showTurns);

// "/" goes to the controls; the left and right arrow from card to card, but not from what needs the key itself.
document.addEventListener("keydown", event => {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.closest("input, select, textarea, .viewer, dialog, .list, .layers, .graph-box")) return;
  if (event.key === "/") cardControls[0].focus();
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const turned = /** @type {HTMLElement | null} */ (rel ? way.querySelector(`a[rel=${rel}]`) : null);
  turned?.click();
  if (turned || event.key === "/") event.preventDefault();
});

fillClasses(cardControls.find(({ name }) => name === "class"), cardPictures, "answer");
fillClasses(cardControls.find(({ name }) => name === "expected"), cardPictures, "expected");
fitForm(cardForm, cardPictures);
fillForm(cardControls, cardAsked);
cardForm.hidden = false;
document.body.append(way);
showCards();
