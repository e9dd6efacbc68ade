// What the keys do: a dialog that every viewer of the page shares.

import { button, element } from "./elements.js";

const KEYS = [
  ["Arrow keys", "read the value of the next cell"],
  ["R", "go to the peak"],
  ["+ − 0", "enlarge, reduce, show all"],
  ["Shift and arrow keys", "move an enlarged picture"],
  ["M L C", "next method, layer, class; with Shift the one before"],
  ["B", "beside it: the picture, the other maps, nothing"],
  ["O", "the map on or off"],
  ["[ ]", "less or more opaque"],
  [", .", "fewer or more of the strongest cells"],
  ["K", "next colour map"],
  ["S", "own scale, or one for all maps of the method"],
  ["P U I G", "peak, unseen parts, smooth, grey picture: on or off"],
  ["J", "the drawn pictures, or the viewer"],
  ["N", "next picture; with Shift the one before"],
  ["?", "this list"],
];

/** @type {HTMLDialogElement | null} */
let dialog = null;

/** Show the list of keys. */
export function help() {
  dialog = dialog || made();
  dialog.showModal();
}

function made() {
  const rows = KEYS.map(([keys, says]) => element("div", {}, element("dt", {}, keys), element("dd", {}, says)));
  const close = button("Close", "Close the list of keys", () => made.close());
  const made = element(
    "dialog",
    { className: "keys", "aria-label": "Keys of the viewer" },
    element("h2", {}, "Keys of the viewer"),
    element("p", {}, "While the viewer has the focus. Drag moves an enlarged picture; two fingers, a double click, or "
      + "the wheel with Ctrl enlarge."),
    element("dl", {}, ...rows),
    close,
  );
  document.body.append(made);
  return made;
}
