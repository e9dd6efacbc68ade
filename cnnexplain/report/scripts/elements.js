// Elements of the page, made without a word of HTML: texts from strangers stay texts.

/**
 * An element with properties and children; `aria-` and `data-` ones are attributes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} properties
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/**
 * A name with its control below or beside it.
 * @param {string} name
 * @param {HTMLElement} control
 * @param {string} className
 */
export function labelled(name, control, className = "control") {
  return element("label", { className }, element("span", {}, name), control);
}

/**
 * A choice among texts; hidden with its name where there is nothing to choose.
 * @param {string} name
 * @param {[string, string][]} choices value and text
 * @param {(value: string) => void} choose
 */
export function choice(name, choices, choose) {
  const select = element("select", { name });
  fillChoices(select, choices);
  select.addEventListener("change", () => choose(select.value));
  const label = labelled(name, select);
  label.hidden = choices.length < 2;
  return { label, select };
}

/**
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} choices
 */
export function fillChoices(select, choices) {
  select.replaceChildren(...choices.map(([value, text]) => element("option", { value }, text)));
}

/**
 * @param {string} name
 * @param {number} min
 * @param {number} max
 * @param {(value: number) => void} change
 */
export function slider(name, min, max, change) {
  const input = element("input", { type: "range", min, max, step: 1, name });
  const output = element("output");
  const label = labelled(name, input, "control slider");
  label.append(output);
  input.addEventListener("input", () => change(Number(input.value)));
  return { label, input, output };
}

/**
 * @param {string} name
 * @param {boolean} checked
 * @param {(checked: boolean) => void} change
 */
export function toggle(name, checked, change) {
  const input = element("input", { type: "checkbox", checked, name });
  input.addEventListener("change", () => change(input.checked));
  return { label: labelled(name, input, "control toggle"), input };
}

/**
 * @param {string} text
 * @param {string} title
 * @param {() => void} press
 */
export function button(text, title, press) {
  const made = element("button", { type: "button", title, "aria-label": title }, text);
  made.addEventListener("click", press);
  return made;
}
