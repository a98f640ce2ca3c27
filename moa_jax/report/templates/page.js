"use strict";
(() => {
  // Text as people count: "fold 10" after "fold 9".
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  function sortBy(table, header) {
    const column = header.cellIndex;
    const isNumeric = header.classList.contains("number");
    // The first click shows the largest number, or the first name, on top.
    const first = isNumeric ? "descending" : "ascending";
    const second = isNumeric ? "ascending" : "descending";
    const direction = header.getAttribute("aria-sort") === first ? second : first;
    const sign = direction === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => {
      const cell = row.cells[column];
      const key = isNumeric ? cell.dataset.sort : cell.textContent.trim();
      return { row, isMissing: key === "", key: isNumeric ? Number(key) : key };
    });
    keyed.sort((a, b) => {
      // What is missing comes last in both directions.
      if (a.isMissing || b.isMissing) return a.isMissing - b.isMissing;
      if (!isNumeric) return sign * collator.compare(a.key, b.key);
      return a.key === b.key ? 0 : sign * (a.key < b.key ? -1 : 1);
    });
    for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", direction);
    body.append(...keyed.map((entry) => entry.row));
  }

  function filterRows(table, words, status) {
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      // Names are looked for, not digits of numbers.
      const names = Array.from(row.cells).filter(
        (cell) => cell.tagName === "TH" || cell.dataset.sort === undefined,
      );
      const text = names.map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    status.textContent = words.length ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  }

  document.documentElement.classList.add("scripted");
  for (const figure of document.querySelectorAll("figure.rows")) {
    const table = figure.querySelector("table");
    for (const header of table.tHead.rows[0].cells) {
      header.querySelector("button").addEventListener("click", () => sortBy(table, header));
    }
    const input = figure.querySelector("input");
    if (!input) continue;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      filterRows(table, words, figure.querySelector(".count"));
    });
  }

  // The section being read is marked in the navigation.
  const links = new Map();
  for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );
  for (const id of links.keys()) observer.observe(document.getElementById(id));
})();
