// A click on a heading sorts its table by that column, a second one the other way round.
const numberOf = (text) => parseFloat(text.replace(/−/g, "-").replace(/,/g, ""));
const compare = (a, b) => {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.localeCompare(b);
  return x - y;
};
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => {
    head.tabIndex = 0;
    head.style.cursor = "pointer";
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[i].textContent;
      const missing = (row) => text(row) === "missing" || text(row) === "";
      const rows = [...table.tBodies[0].rows].sort((a, b) =>
        missing(a) - missing(b) || (down ? -1 : 1) * compare(text(a), text(b)));
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
