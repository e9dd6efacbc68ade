// Sorts the layers by a column. Without it the table stands as the model is built.
for (const table of document.querySelectorAll(".layers")) {
  const body = /** @type {HTMLElement} */ (table.querySelector(".tree"));
  const flat = document.createElement("div");
  const rows = /** @type {Element[]} */ ([...body.querySelectorAll("div.row")].map(row => row.cloneNode(true)));
  for (const row of rows) row.removeAttribute("id");
  flat.hidden = true;
  flat.className = "flat";
  flat.append(...rows);
  body.after(flat);
  const heads = /** @type {HTMLElement[]} */ ([...table.querySelectorAll(".head > span")]);
  const value = (/** @type {Element} */ row, /** @type {number} */ place) => {
    const cell = /** @type {HTMLElement} */ (row.children[place]);
    const number = cell.dataset.v;
    return number === undefined ? cell.textContent || "" : number === "" ? -1 : Number(number);
  };
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.dataset.sorted !== "down";
      for (const one of heads) delete one.dataset.sorted;
      body.hidden = place > 0;
      flat.hidden = place === 0;
      if (place === 0) return;
      head.dataset.sorted = down ? "down" : "up";
      rows.sort((a, b) => {
        const [x, y] = [value(a, place), value(b, place)];
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(y).localeCompare(String(x));
        return down ? -order : order;
      });
      flat.append(...rows);
    });
  });
}
