// Opens and closes the blocks of a model's graph in place, and goes from a layer to its row in the table.

import { leadBack } from "./graph_rows.js";
import { placedGraph } from "./graph_place.js";

/** @typedef {{kind: string, rest: string, whole: string, short: string, facts: string, about: string, sort: string,
 *   anchor: string, times: number, function: boolean, block: boolean, dead: number}} Item */
/** @typedef {{item: number, x: number, y: number, width: number, height: number, open: boolean}} GraphBox */

for (const svg of /** @type {NodeListOf<SVGSVGElement>} */ (document.querySelectorAll("svg.graph"))) {
  const data = JSON.parse(/** @type {HTMLElement} */ (svg.parentElement?.querySelector(".graph-data")).textContent ?? "");
  /** @type {Item[]} */
  const items = data.items;
  const opened = new Set(data.opened);
  const graph = {
    sizes: data.sizes,
    functions: items.map(item => item.function),
    blocks: new Map(data.blocks.map((/** @type {any[]} */ [item, elements, rows, lines]) => [item, {
      elements: elements.map((/** @type {any[]} */ [kind, of, source]) => ({kind: data.kinds[kind], item: of, source})),
      rows, lines,
    }])),
  };
  const {title: TITLE, text: TEXT, wide: WIDE, bold: BOLD, inset: INSET, sign: SIGN, apart: APART} = data.letters;

  /** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
  const element = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key of Object.keys(attributes)) made.setAttribute(key, String(attributes[key]));
    if (text !== undefined) made.textContent = text;
    return made;
  };
  /** @param {string} text @param {number} room @param {number} size @param {number} wide @param {boolean} end */
  const lettered = (text, room, size, wide, end) => {
    const letters = [...text], most = Math.trunc(room / (size * wide));
    if (letters.length <= most) return text;
    if (most < 3) return "";
    return end ? `…${letters.slice(letters.length - most + 1).join("")}` : `${letters.slice(0, most - 1).join("")}…`;
  };
  /** @param {string} text @param {number} size @param {number} wide */
  const length = (text, size, wide) => [...text].length * size * wide;
  /** @param {string} text @param {number} room */
  const fits = (text, room) => (length(text, TEXT, WIDE) <= room - APART ? text : "");

  /** The words of a box: text, x, y, class. @param {Item} item @param {GraphBox} box @returns {any[][]} */
  const words = (item, box) => {
    const sign = item.block ? SIGN : 0, room = box.width - 2 * INSET - sign;
    if (item.function) {
      const kind = lettered(item.kind, room, TITLE, BOLD, false);
      return [[kind, INSET, 16.5, "kind"],
        [fits(item.facts.split(" · ")[0], room - length(kind, TITLE, BOLD)), box.width - INSET, 16.5, "end"]];
    }
    const most = room - Math.min(length(item.short, TEXT, WIDE) + APART, 0.45 * room);
    const title = lettered(item.kind, most - length(item.rest, TITLE, BOLD), TITLE, BOLD, false) + item.rest;
    const left = room - length(title, TITLE, BOLD);
    const name = (box.open && fits(`${item.whole}  ${item.facts}`, left))
      || fits(item.whole, left) || lettered(item.short, left - APART, TEXT, WIDE, true);
    const all = [[title, INSET + sign, 18, "kind"], [name, box.width - INSET, 18, "end"]];
    if (!box.open) all.push([lettered(item.facts, room + sign, TEXT, WIDE, false), INSET, 35, item.dead ? "fact dead" : "fact"]);
    return all;
  };

  /** @param {GraphBox} box */
  const drawn = box => {
    const item = items[box.item];
    const kind = box.open ? "frame" : `box ${item.sort}`;
    const link = element(item.anchor || item.block ? "a" : "g", {class: kind, transform: `translate(${box.x} ${box.y})`});
    if (item.anchor || item.block) {
      link.id = `graph-${box.item}`;
      link.setAttribute("href", `#${item.anchor}`);
    }
    if (item.block) {
      link.dataset.item = String(box.item);
      link.setAttribute("aria-expanded", String(box.open));
    }
    const round = box.open ? 8 : item.function ? 12 : 6, size = {width: box.width, height: box.height, rx: round};
    link.append(element("title", {}, item.about));
    if (item.times > 1 && !box.open) link.append(element("rect", {...size, x: 4, y: 4}));
    link.append(element("rect", size));
    if (box.open) link.append(element("rect", {class: "bar", width: box.width, height: data.sizes.header}));
    if (item.block) link.append(element("text", {class: "kind", x: INSET, y: 18}, box.open ? "▾" : "▸"));
    for (const [text, x, y, setting] of words(item, box)) {
      if (text) link.append(element("text", {class: setting, x, y}, text));
    }
    return link;
  };

  /** @param {{points: number[][], arrow: boolean}} way */
  const line = ({points, arrow}) => {
    let path = `M${points[0][0]} ${points[0][1]}`;
    for (let at = 1; at < points.length; at++) {
      const [[x0, y0], [x1, y1]] = [points[at - 1], points[at]], middle = (y0 + y1) / 2;
      if (x0 === x1 && y0 === y1) continue;
      const straight = Math.abs(x0 - x1) < 0.05 || Math.abs(y0 - y1) < 0.05;
      path += straight ? `L${x1} ${y1}` : `C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}`;
    }
    const [x, y] = points[points.length - 1];
    const head = arrow ? [element("path", {class: "tip", d: `M${x} ${y}l-3.5 -7h7z`})] : [];
    return [element("path", {class: "way", d: path}), ...head];
  };

  const draw = () => {
    const drawing = placedGraph(graph, opened);
    const [width, height] = [Math.ceil(drawing.width) + 8, Math.ceil(drawing.height) + 8];
    svg.setAttribute("width", String(width));
    svg.setAttribute("height", String(height));
    svg.setAttribute("viewBox", `-4 -4 ${width} ${height}`);
    svg.replaceChildren(
      ...drawing.boxes.filter(box => box.open).map(drawn),
      ...drawing.ways.flatMap(line),
      ...drawing.boxes.filter(box => !box.open).map(drawn),
    );
  };

  leadBack(items, graph.blocks, (place, around) => {
    for (const block of around) opened.add(block);
    draw();
    const box = /** @type {SVGElement | null} */ (/** @type {unknown} */ (document.getElementById(`graph-${place}`)));
    box?.focus({preventScroll: true});
    box?.scrollIntoView({block: "center", inline: "center"});
  });

  svg.addEventListener("click", event => {
    const link = /** @type {Element} */ (event.target).closest("a");
    if (!link) return;
    const place = /** @type {SVGAElement} */ (/** @type {unknown} */ (link)).dataset.item;
    if (place === undefined) {
      // A row that is out of sight because the table is sorted by a column: back to the order of the code.
      /** @type {HTMLElement | null} */ (document.querySelector(".layers .tree[hidden]"))
        ?.parentElement?.querySelector(".head button")?.dispatchEvent(new MouseEvent("click"));
      return;
    }
    event.preventDefault();
    const item = Number(place);
    if (!opened.delete(item)) opened.add(item);
    draw();
    const same = /** @type {SVGElement | null} */ (svg.querySelector(`[data-item="${item}"]`));
    same?.focus({preventScroll: true});
    (same?.querySelector(".bar") ?? same)?.scrollIntoView({block: "nearest", inline: "nearest"});
  });
}
