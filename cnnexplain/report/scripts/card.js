// The viewer of one card: which maps are shown, how, and what is read from them.

import { ColourBar } from "./colourbar.js";
import { button, choice, element } from "./elements.js";
import { FIELDS, limitOf, nameOf, nearest, valuesOf } from "./entries.js";
import { help } from "./help.js";
import { listen } from "./keys.js";
import { link } from "./links.js";
import { boxOf, cellAt } from "./maps.js";
import { follow } from "./pointing.js";
import { Reading } from "./reading.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";

/** @typedef {import("./entries.js").Entry} Entry */
/** @typedef {import("./entries.js").Field} Field */
/** @typedef {import("./numbers.js").Numbers} Numbers */

const NAMES = { method: "Method", layer: "Layer", of: "Class" };
const NOTHING = "nothing";
const PICTURE = "picture";
const ROOMY = "(min-width: 52rem)"; // two stand side by side
const LARGEST_ZOOM = 32;

export class CardViewer {
  /**
   * @param {HTMLElement} figures of the card
   * @param {Numbers} numbers
   * @param {Entry[]} entries
   * @param {HTMLImageElement} drawn
   * @param {(back: boolean) => void} leaveFor goes to another picture
   */
  constructor(figures, numbers, entries, drawn, leaveFor) {
    this.figures = figures;
    this.size = numbers.size;
    this.entries = entries;
    this.leaveFor = leaveFor;
    this.entry = entries[0];
    this.beside = matchMedia(ROOMY).matches ? PICTURE : NOTHING;
    this.frame = { zoom: 1, x: 0, y: 0 };
    /** @type {[number, number] | null} */
    this.point = null;
    this.stages = [0, 1].map(() => new Stage(drawn, numbers.original, numbers.size));
    this.reading = new Reading();
    this.bar = new ColourBar();
    this.settings = new Settings(() => this.show());
    this.choices = FIELDS.map(field => choice(
      NAMES[field], valuesOf(entries, field).map(value => [value, value]), value => this.choose(field, value),
    ));
    /** @type {[string, string][]} */
    const others = entries.map((entry, place) => [String(place), nameOf(entry)]);
    this.besides = choice("Beside it", [[NOTHING, "nothing"], [PICTURE, "the picture"], ...others], value => this.putBeside(value));
    this.root = this.made();
    for (const stage of this.stages) this.followPointer(stage);
    listen(this);
    figures.prepend(this.root);
    this.flipPictures(false);
    this.show();
    new ResizeObserver(() => this.reframe()).observe(this.stages[0].window);
  }

  made() {
    const buttons = element(
      "div", { className: "buttons" },
      button("+", "Enlarge", () => this.zoomBy(1.5)),
      button("−", "Reduce", () => this.zoomBy(1 / 1.5)),
      button("All", "All of the picture", () => this.zoomBy(0)),
      button("Pictures", "The pictures as they were drawn", () => this.flipPictures()),
      button("?", "Keys", help),
    );
    this.back = button("Viewer", "Back to the viewer", () => this.flipPictures());
    this.back.className = "back";
    const shown = element("div", { className: "shown" }, element("div", { className: "stages" }, ...this.stages.map(stage => stage.root)), this.reading.root);
    const selects = [...this.choices, this.besides].map(made => made.label);
    const controls = element("div", { className: "controls" }, buttons, ...selects, this.bar.root, ...this.settings.parts);
    const name = this.figures.closest("article")?.querySelector("h3")?.textContent || "";
    return element("section", { className: "viewer", "aria-label": `Viewer of ${name}` }, this.back, shown, controls);
  }

  /** @param {Stage} stage */
  followPointer(stage) {
    follow(stage, {
      read: (across, down) => {
        this.reading.root.setAttribute("aria-live", "off");
        const { zoom, x, y } = this.frame;
        this.read(Math.floor((x + across / zoom) * this.size[0]), Math.floor((y + down / zoom) * this.size[1]));
      },
      leave: () => this.read(-1, -1),
      move: (across, down) => this.move(across, down),
      zoom: (times, across, down) => this.zoomBy(times, across, down),
      zoomed: () => this.frame.zoom > 1,
    });
  }

  /** The map in the second stage; null where there is none. */
  get other() {
    return this.entries[Number(this.beside)] || null;
  }

  show() {
    const { settings, entry } = this;
    settings.fit(entry.map);
    const limit = limitOf(this.entries, entry, settings.switches.shared.checked);
    this.bar.show(entry.map, settings.colormap(entry.map), limit);
    this.choices.forEach(({ select }, place) => { select.value = entry[FIELDS[place]]; });
    this.besides.select.value = this.beside;
    this.stages[0].show(this.shownOf(settings.switches.on.checked ? entry : null, nameOf(entry)));
    this.stages[1].root.hidden = this.beside === NOTHING;
    this.stages[1].show(this.shownOf(this.other, this.other ? nameOf(this.other) : "the picture"));
    for (const { figure } of this.entries) figure.classList.remove("current");
    for (const current of [entry, this.other]) current?.figure.classList.add("current");
    this.reframe();
    if (this.point) this.read(...this.point);
  }

  /**
   * @param {Entry | null} entry
   * @param {string} words
   */
  shownOf(entry, words) {
    const { settings } = this;
    const { shared, grey, peak, unseen, smooth } = settings.switches;
    const map = entry && entry.map;
    const look = entry && map && {
      colormap: settings.colormap(map),
      limit: limitOf(this.entries, entry, shared.checked),
      least: settings.least(map),
      smooth: smooth.checked,
    };
    const opacity = map ? settings.opacity(map) : 0;
    return { map, words, look, opacity, grey: grey.checked, peak: peak.checked, unseen: unseen.checked };
  }

  /**
   * Read the maps at a pixel; nothing beyond the picture.
   * @param {number} x
   * @param {number} y
   */
  read(x, y) {
    const inside = x >= 0 && y >= 0 && x < this.size[0] && y < this.size[1];
    this.point = inside ? [x, y] : null;
    const { entry, other } = this;
    for (const [stage, map] of /** @type {const} */ ([[this.stages[0], entry.map], [this.stages[1], other && other.map]])) {
      stage.mark(map, inside && map ? cellAt(map, x, y) : null);
    }
    if (!inside) this.reading.nothing();
    else this.reading.show(x, y, [entry, ...(other ? [other] : [])].map(shown => [nameOf(shown), shown.map]));
  }

  /**
   * Read the next cell of the first map.
   * @param {[number, number]} arrow across and down
   */
  readNext([across, down]) {
    const { map } = this.entry;
    const cell = this.point && cellAt(map, ...this.point);
    if (!cell) return this.readPeak();
    const [left, top, right, bottom] = boxOf(map, [cell[0] + down, cell[1] + across]);
    const x = Math.floor((left + right) / 2);
    const y = Math.floor((top + bottom) / 2);
    if (x >= 0 && y >= 0 && x < this.size[0] && y < this.size[1] && cellAt(map, x, y)) this.read(x, y);
  }

  readPeak() {
    const [left, top, right, bottom] = this.entry.map.box;
    this.read(...(this.entry.map.peak || [Math.floor((left + right) / 2), Math.floor((top + bottom) / 2)]));
  }

  /**
   * @param {Field} field
   * @param {string} value
   */
  choose(field, value) {
    this.turnTo(nearest(this.entries, this.entry, field, value));
  }

  /**
   * @param {Field} field
   * @param {boolean} back
   */
  step(field, back) {
    const values = valuesOf(this.entries, field);
    const place = values.indexOf(this.entry[field]) + (back ? values.length - 1 : 1);
    this.choose(field, values[place % values.length]);
  }

  /**
   * Show a map; the address then leads to it.
   * @param {Entry} entry
   */
  turnTo(entry) {
    if (entry === this.entry) return;
    this.entry = entry;
    link(entry.figure.id);
    this.show();
  }

  /** @param {string} value */
  putBeside(value) {
    this.beside = value;
    this.show();
  }

  nextBeside() {
    const { select } = this.besides;
    this.putBeside(select.options[(select.selectedIndex + 1) % select.options.length].value);
  }

  /**
   * The drawn pictures in place of the viewer, or the viewer again.
   * @param {boolean} pictures
   */
  flipPictures(pictures = this.figures.classList.contains("viewed")) {
    const had = this.root.contains(document.activeElement);
    this.figures.classList.toggle("viewed", !pictures);
    if (had) (pictures ? this.back : this.stages[0].window)?.focus();
  }

  /**
   * Enlarge about a point of the window; by 0, show the whole picture.
   * @param {number} times
   * @param {number} across
   * @param {number} down
   */
  zoomBy(times, across = 0.5, down = 0.5) {
    const { zoom, x, y } = this.frame;
    const now = Math.min(LARGEST_ZOOM, Math.max(1, zoom * times));
    this.frame = { zoom: now, x: x + across / zoom - across / now, y: y + down / zoom - down / now };
    this.reframe();
  }

  /**
   * @param {number} across of the window
   * @param {number} down
   */
  move(across, down) {
    const { zoom, x, y } = this.frame;
    this.frame = { zoom, x: x + across / zoom, y: y + down / zoom };
    this.reframe();
  }

  reframe() {
    const { zoom, x, y } = this.frame;
    const last = 1 - 1 / zoom;
    this.frame = { zoom, x: Math.min(last, Math.max(0, x)), y: Math.min(last, Math.max(0, y)) };
    for (const stage of this.stages) stage.frame(this.frame);
  }
}
