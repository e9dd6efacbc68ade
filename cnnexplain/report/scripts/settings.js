// How a reader wants maps shown, and the controls that say so.

import { choice, element, fillChoices, slider, toggle } from "./elements.js";
import { DIVERGING, SEQUENTIAL } from "./palettes.js";
import { isSigned, strengthOf } from "./maps.js";
import { number } from "./words.js";

/** @typedef {import("./numbers.js").ValueMap} ValueMap */
/** @typedef {"shared" | "peak" | "unseen" | "smooth" | "grey" | "on"} Switch */

/** @type {[Switch, string, boolean][]} */
const SWITCHES = [
  ["on", "Map", true],
  ["peak", "Peak", true],
  ["unseen", "Unseen parts", true],
  ["smooth", "Smooth", true],
  ["grey", "Grey picture", true],
  ["shared", "One scale for all maps of the method", false],
];
const FINE = 40; // cells a side: maps that are finer are shown as the pixels that they are

export class Settings {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {number | null} none as long as every map has the opacity that it was drawn with */
    this.chosenOpacity = null;
    this.percent = 100;
    /** @type {Record<string, string>} by whether a map is signed */
    this.colormaps = {};
    /** @type {Record<Switch, HTMLInputElement>} */
    this.switches = Object.create(null);
    this.opacitySlider = slider("Opacity", 0, 100, value => this.setOpacity(value));
    this.percentSlider = slider("Strongest", 1, 100, value => this.setPercent(value));
    this.colours = choice("Colours", [["", ""], ["", ""]], name => this.setColormap(name));
    const toggles = SWITCHES.map(([name, text, checked]) => {
      const made = toggle(text, checked, changed);
      this.switches[name] = made.input;
      return made.label;
    });
    const sliders = [this.opacitySlider.label, this.percentSlider.label, this.colours.label];
    this.parts = [...sliders, element("div", { className: "toggles" }, ...toggles)];
    /** @type {ValueMap | null} */
    this.map = null;
  }

  /**
   * Have the controls fit a map.
   * @param {ValueMap} map
   */
  fit(map) {
    const signed = isSigned(map);
    if (this.map === null || isSigned(this.map) !== signed) {
      fillChoices(this.colours.select, (signed ? DIVERGING : SEQUENTIAL).map(name => [name, name]));
    }
    if (this.map === null) this.switches.smooth.checked = Math.max(...map.shape) <= FINE;
    this.map = map;
    this.colours.select.value = this.colormap(map);
    this.opacitySlider.input.value = String(Math.round(100 * this.opacity(map)));
    this.opacitySlider.output.value = `${this.opacitySlider.input.value}%`;
    this.percentSlider.input.value = String(this.percent);
    this.percentSlider.output.value = this.percent === 100 ? "all cells" : `top ${this.percent}%: ≥ ${number(this.least(map))}`;
  }

  /** @param {ValueMap} map */
  opacity(map) {
    return this.chosenOpacity === null ? map.opacity : this.chosenOpacity / 100;
  }

  /** @param {ValueMap} map */
  colormap(map) {
    return this.colormaps[String(isSigned(map))] || map.colormap;
  }

  /** @param {ValueMap} map */
  least(map) {
    return this.percent === 100 ? -Infinity : strengthOf(map, this.percent);
  }

  /** @param {number} value */
  setOpacity(value) {
    this.chosenOpacity = Math.min(100, Math.max(0, value));
    this.changed();
  }

  /** @param {number} value */
  setPercent(value) {
    this.percent = Math.min(100, Math.max(1, value));
    this.changed();
  }

  /** @param {string} name */
  setColormap(name) {
    if (this.map) this.colormaps[String(isSigned(this.map))] = name;
    this.changed();
  }

  nextColormap() {
    const { select } = this.colours;
    this.setColormap(select.options[(select.selectedIndex + 1) % select.options.length].value);
  }

  /** @param {Switch} name */
  flip(name) {
    this.switches[name].checked = !this.switches[name].checked;
    this.changed();
  }
}
