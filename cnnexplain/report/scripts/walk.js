// Leads from the card of a picture to the next and the previous of those that were asked for, and back to their list.

import { ROWS_SHOWN, cardOf, meant, readAsked, writtenAsked } from "./asking.js";
import { element } from "./elements.js";
import { loadPictures } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */

const wanted = readAsked(location.search.slice(1));
const bar = element("nav", { className: "walk", "aria-label": "Pictures that were asked for" });

/** @param {Picture[]} pictures */
function showWay(pictures) {
  const place = Number(/^#image-(\d+)/.exec(location.hash)?.[1] ?? 0) - 1;
  const at = pictures.findIndex(picture => picture.place === place);
  bar.hidden = at < 0;
  if (at < 0) return;
  const list = `./find.html#${writtenAsked({ ...wanted, page: String(Math.floor(at / ROWS_SHOWN) + 1) })}`;
  const ends = /** @type {[string, string, Picture | undefined][]} */ ([["prev", "Previous", pictures[at - 1]], ["next", "Next", pictures[at + 1]]]);
  const had = bar.contains(document.activeElement) ? /** @type {HTMLAnchorElement} */ (document.activeElement).rel : "";
  bar.replaceChildren(
    element("p", {}, `${(at + 1).toLocaleString("en")} of ${pictures.length.toLocaleString("en")}`),
    ...ends.map(([rel, text, picture]) => picture
      ? element("a", { rel, href: cardOf(picture, wanted), title: picture.name }, text)
      : element("span", {}, text)),
    element("a", { rel: "up", href: list }, "List"),
  );
  if (had) /** @type {HTMLElement | null} */ (bar.querySelector(`[rel=${had}]`))?.focus();
}

// The left and right arrow lead on as the links do, Escape to the list; not from a control that needs the key itself.
document.addEventListener("keydown", event => {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.closest("input, select, textarea, .viewer, dialog, .list")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next", Escape: "up" }[event.key];
  const link = /** @type {HTMLElement | null} */ (rel ? bar.querySelector(`a[rel=${rel}]`) : null);
  if (!link) return;
  event.preventDefault();
  link.click();
});

if (location.search) {
  loadPictures().then(all => {
    const pictures = meant(all, wanted);
    document.body.append(bar);
    showWay(pictures);
    addEventListener("popstate", () => showWay(pictures));
  }, error => console.warn(error));
}
