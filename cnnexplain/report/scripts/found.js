// The row of a picture that was found.

import { element } from "./elements.js";
import { number } from "./words.js";

/** @typedef {import("./pictures.js").Picture} Picture */

/**
 * @param {Picture} picture
 * @param {string} href where its card stands
 */
export function pictureRow(picture, href) {
  const name = element("th", { scope: "row" }, element("a", { href }, element("bdi", {}, picture.name)));
  if (picture.problem) {
    return element("tr", {}, name, element("td", { className: "problem", colSpan: 6 }, picture.problem));
  }
  if (picture.picture) {
    const thumb = element("a", { href, tabIndex: -1, "aria-hidden": "true", className: "thumb" });
    thumb.append(element("img", { loading: "lazy", decoding: "async", alt: "", src: picture.picture }));
    name.prepend(thumb);
  }
  const right = picture.right === null ? "" : picture.right ? "right" : "wrong";
  return element(
    "tr",
    {},
    name,
    element("td", { className: "of-answer" }, element("bdi", {}, picture.answer)),
    chanceCell(picture),
    element("td", { className: "of-expected" }, element("bdi", {}, picture.expected)),
    element("td", { className: `of-right is-${right || "unknown"}` }, right),
    element("td", { className: "of-agreement" }, picture.agreement === null ? "" : number(picture.agreement)),
  );
}

/** @param {Picture} picture */
function chanceCell({ chance, scored }) {
  const cell = element("td", { className: "share of-chance" });
  if (chance === null) return cell;
  if (scored) cell.append(`score ${number(chance)}`);
  else {
    cell.append(`${chance.toFixed(1)}% `);
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const filled = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    filled.setAttribute("width", `${chance.toFixed(2)}%`);
    filled.setAttribute("height", "100%");
    bar.setAttribute("class", "bar");
    bar.setAttribute("aria-hidden", "true");
    bar.append(filled);
    cell.append(bar);
  }
  return cell;
}
