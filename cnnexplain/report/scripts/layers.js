// Sorts the layers by a column. Without it the table stands as the model is built.
for (const table of document.querySelectorAll(".layers")) {
  const body = table.querySelector(".tree");
  const flat = document.createElement("div");
  const rows = [...body.querySelectorAll("div.row")].map(row => row.cloneNode(true));
  flat.hidden = true;
  flat.className = "flat";
  flat.append(...rows);
  body.after(flat);
  const heads = [...table.querySelectorAll(".head > span")];
  const value = (row, place) => {
    const cell = row.children[place];
    return "v" in cell.dataset ? (cell.dataset.v === "" ? -1 : Number(cell.dataset.v)) : cell.textContent;
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
        const order = typeof x === "number" ? x - y : y.localeCompare(x);
        return down ? -order : order;
      });
      flat.append(...rows);
    });
  });
}
