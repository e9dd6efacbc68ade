// Sorts and filters the units of a layer. Without it they stand in the order of their channels.
{
  /**
   * What is known of the units: a list of every field, a value for every unit in the order of the tiles.
   * @typedef {Object} Columns
   * @property {number[]} channel
   * @property {(number | null)[]} group
   * @property {string[][]} state dead, saturated or copy
   * @property {string[]} colour
   * @property {string[]} names of labels
   * @property {number[][]} labels places in `names`
   */

  /** The controls: their ids are the names of what stands in the address. */
  const FIELDS = ["find", "sort", "down", "from", "to", "state", "group", "colour"];

  const columns = /** @type {Columns & Record<string, (number | null)[]>} */ (
    JSON.parse(document.getElementById("data")?.textContent ?? "{}"));
  const list = /** @type {HTMLElement} */ (document.querySelector(".units"));
  const panel = /** @type {HTMLElement} */ (document.querySelector(".find"));
  const shown = /** @type {HTMLOutputElement} */ (panel.querySelector("output"));
  const tiles = /** @type {HTMLElement[]} */ ([...list.children]);
  const values = tiles.map(tile => /** @type {HTMLElement} */ (tile.querySelector("a > span:not(.blank)")));
  let standing = tiles;
  const words = values.map(value => value.textContent ?? "");
  const names = columns.names.map(name => name.toLocaleLowerCase());
  /** @type {Map<string, HTMLInputElement | HTMLSelectElement>} */
  const controls = new Map();
  for (const field of FIELDS) {
    const control = panel.querySelector(`#${field}`);
    if (control) controls.set(field, /** @type {HTMLInputElement | HTMLSelectElement} */ (control));
  }

  /** @param {string} field */
  const read = field => {
    const control = controls.get(field);
    if (!control) return "";
    if (control instanceof HTMLInputElement && control.type === "checkbox") return control.checked ? "1" : "";
    return control.value.trim();
  };

  /** @param {string} field @param {string} value */
  const write = (field, value) => {
    const control = controls.get(field);
    if (control instanceof HTMLInputElement && control.type === "checkbox") control.checked = value === "1";
    else if (control instanceof HTMLSelectElement) {
      control.value = value;
      if (control.selectedIndex < 0) control.selectedIndex = 0;
    } else if (control) control.value = value;
  };

  /** Which units a text asks for: a channel, a range of them, or part of a label. @param {string} text */
  const finder = text => {
    const asked = text.toLocaleLowerCase();
    const fitting = new Set(names.flatMap((name, place) => name.includes(asked) ? [place] : []));
    const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(asked);
    const [low, high] = range ? [Number(range[1]), Number(range[2])] : [Number(asked), Number(asked)];
    const numbers = range !== null || /^\d+$/.test(asked);
    return (/** @type {number} */ place) => asked === ""
      || (numbers && low <= columns.channel[place] && columns.channel[place] <= high)
      || (numbers ? columns.labels[place].some(label => names[label] === asked)
        : columns.labels[place].some(label => fitting.has(label)));
  };

  /** Whether a measured value is within what was asked for. Shares are asked for in percent. */
  const within = () => {
    const measure = columns[read("sort")];
    const scale = isShare() ? 0.01 : 1;
    const [low, high] = ["from", "to"].map(field => read(field).replace(",", "."));
    const atLeast = low === "" ? -Infinity : Number(low) * scale;
    const atMost = high === "" ? Infinity : Number(high) * scale;
    return (/** @type {number} */ place) => {
      const value = measure[place];
      return (low === "" && high === "") || (value !== null && atLeast <= value && value <= atMost);
    };
  };

  const isShare = () => {
    const control = controls.get("sort");
    return control instanceof HTMLSelectElement && "share" in (control.selectedOptions[0]?.dataset ?? {});
  };

  /** @param {number} place */
  const text = place => {
    const key = read("sort");
    const value = columns[key][place];
    if (key === "channel" || key === "group") return words[place];
    if (value === null) return "–";
    return isShare() ? `${key} ${(100 * value).toFixed(1)}%` : `${key} ${Number(value.toPrecision(3))}`.replace("-", "−");
  };

  const show = () => {
    const [state, group, colour] = ["state", "group", "colour"].map(read);
    const tests = [finder(read("find")), within()];
    if (state) tests.push(place => state === "alive" ? !columns.state[place].includes("dead") : columns.state[place].includes(state));
    if (group) tests.push(place => columns.group[place] === (group === "none" ? null : Number(group)));
    if (colour) tests.push(place => columns.colour[place] === colour);
    const measure = columns[read("sort")];
    const sign = read("down") ? -1 : 1;
    const places = tiles.map((_, place) => place).filter(place => tests.every(test => test(place)));
    places.sort((a, b) => {
      const [x, y] = [measure[a], measure[b]];
      if (x === null || y === null) return Number(x === null) - Number(y === null) || a - b;
      return sign * (x - y) || a - b;
    });
    for (const place of places) {
      const written = text(place);
      if (values[place].textContent !== written) values[place].textContent = written;
    }
    const asked = places.map(place => tiles[place]);
    if (asked.length !== standing.length || asked.some((tile, place) => tile !== standing[place])) list.replaceChildren(...asked);
    standing = asked;
    const all = tiles.length.toLocaleString("en");
    shown.textContent = places.length === tiles.length ? `all ${all}` : `${places.length.toLocaleString("en")} of ${all}`;
    for (const field of ["from", "to"]) {
      const label = controls.get(field)?.closest("label");
      label?.toggleAttribute("data-percent", isShare());
    }
  };

  /** What was asked for stands in the address, so that going back, or a link, shows it again. */
  const note = () => {
    const asked = new URLSearchParams();
    for (const field of controls.keys()) if (read(field) && !(field === "sort" && read(field) === "channel")) asked.set(field, read(field));
    history.replaceState(null, "", `#${asked}`);
  };

  const restore = () => {
    const address = location.hash.slice(1);
    if (address !== "" && !address.includes("=")) return false;
    const asked = new URLSearchParams(address);
    for (const field of controls.keys()) write(field, asked.get(field) ?? (field === "sort" ? "channel" : ""));
    show();
    return true;
  };

  panel.addEventListener("input", () => { show(); note(); });
  panel.querySelector("#clear")?.addEventListener("click", () => { history.replaceState(null, "", "#"); restore(); });
  addEventListener("hashchange", () => { if (restore() && location.hash.length > 1) panel.scrollIntoView(); });
  for (const only of document.querySelectorAll(".only")) only.removeAttribute("hidden");
  panel.hidden = false;
  if (!restore()) show();
}
