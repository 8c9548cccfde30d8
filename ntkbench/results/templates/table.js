// Headers become buttons, for the keyboard; rows are filtered by all words of the filter, in any order.
for (const header of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  header.append(button);
}
for (const filter of document.querySelectorAll("[data-filter]")) {
  const table = document.getElementById(filter.dataset.filter);
  const [input, status] = [filter.querySelector("input"), filter.querySelector("[role=status]")];
  filter.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const left = rows.filter((row) => !row.hidden).length;
    status.textContent = words.length ? `${left} of ${rows.length}` : "";
  });
}
