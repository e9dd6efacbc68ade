// The controls that ask for pictures, on a page of their own or above the cards.

import { element } from "./elements.js";

/** @typedef {import("./asking.js").Wish} Wish */
/** @typedef {import("./asking.js").Asked} Asked */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {HTMLInputElement | HTMLSelectElement} Control */

/** Have the controls say what is asked for. @param {Control[]} controls @param {Asked} asked */
export function fillForm(controls, asked) {
  for (const control of controls) {
    const value = asked[/** @type {Wish} */ (control.name)];
    if (control instanceof HTMLInputElement && control.type === "checkbox") control.checked = value !== "";
    else control.value = value;
    if (control instanceof HTMLSelectElement && control.selectedIndex < 0) control.selectedIndex = 0;
  }
}

/** Have what is asked for be what the controls say. @param {Control[]} controls @param {Asked} asked */
export function readForm(controls, asked) {
  for (const control of controls) {
    const checked = control instanceof HTMLInputElement && control.type === "checkbox";
    asked[/** @type {Wish} */ (control.name)] = checked ? (control.checked ? "1" : "") : control.value.trim();
  }
  asked.page = "";
}

/**
 * The choices of a control: what the pictures have, the most frequent first.
 * @param {Control | undefined} control
 * @param {Picture[]} pictures
 * @param {"answer" | "expected"} field
 */
export function fillClasses(control, pictures, field) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const picture of pictures) if (picture[field]) counts.set(picture[field], (counts.get(picture[field]) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const choices = sorted.map(([value, count]) => element("option", { value }, `${value} (${count.toLocaleString("en")})`));
  control?.replaceChildren(element("option", { value: "" }, "any"), ...choices);
}

/** What any of the pictures has, by its name in `data-of`; controls of what none has are hidden. @param {HTMLElement} form @param {Picture[]} pictures */
export function fitForm(form, pictures) {
  const has = {
    expected: pictures.some(picture => picture.expected),
    right: pictures.some(picture => picture.right !== null),
    agreement: pictures.some(picture => picture.agreement !== null),
    answer: pictures.some(picture => picture.answer),
    chance: pictures.some(picture => picture.chance !== null),
    picture: pictures.some(picture => picture.picture),
  };
  for (const [name, is] of Object.entries(has)) {
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(`[data-of="${name}"]`))) part.hidden = !is;
  }
  return has;
}
