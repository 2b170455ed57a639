// The table of cells or of runs: filter, order, columns, and the card of the row that is open.
const MAX_ROWS = 300; // that are shown before the reader asks for all
const MAX_LETTERS = 50; // in a line of a table
const narrowScreen = matchMedia("(max-width: 700px)");
const hasRuns = () => state.rows === "runs";

function tableColumns() {
  const { cells: ofCells, runs } = data.table;
  if (hasRuns()) return runs.columns;
  const metrics = Object.entries(data.map.paints).filter(([name, { means }]) => means !== undefined && !data.table.metrics.includes(name));
  return [...ofCells, ...metrics.map(([, paint]) => ({ name: paint.label, is_number: true, texts: paint.estimates, order: paint.means,
    interval: columnOf(paint.halves).some((half) => half !== null) ? paint.halves : undefined, is_extra: true }))];
}

function shownColumns() {
  const names = state.columns ? new Set(state.columns.split("|")) : null;
  return tableColumns().filter(({ name, is_extra: isExtra }) => (names ? names.has(name) : !isExtra));
}

const cellOfRow = (row) => (hasRuns() ? columnOf(data.table.runs.cell)[row] : row);

function tableRows() {
  const columns = tableColumns(), words = state.filter.toLowerCase().split(/\s+/).filter((word) => word);
  const rows = d3.range(columnOf(columns[0].texts).length);
  const searched = columns.filter(({ is_extra: isExtra, is_key: isKey }) => isKey || !isExtra);
  const texts = (row) => [cells[cellOfRow(row)].label, ...searched.map((column) => columnOf(column.texts)[row])].join(" ").toLowerCase();
  // `init=zero` is that init alone, as long as a row has it; any other word may be a part
  const parts = (row) => cells[cellOfRow(row)].label.toLowerCase().split(/,?\s+/);
  const exact = new Set(words.filter((word) => word.includes("=") && rows.some((row) => parts(row).includes(word))));
  const hasWord = (row, word) => (exact.has(word) ? parts(row).includes(word) : texts(row).includes(word));
  const matching = words.length ? rows.filter((row) => words.every((word) => hasWord(row, word))) : rows;
  const column = columns.find(({ name }) => name === state.sort);
  if (!column) return matching;
  const order = columnOf(column.order), sign = state.up === "yes" ? 1 : -1;
  // what has no value is last, whichever way
  return matching.sort((a, b) => (order[a] === null) - (order[b] === null) || sign * (order[a] - order[b]) || a - b);
}

function drawTableControls() {
  const columns = tableColumns(), shown = new Set(shownColumns().map(({ name }) => name));
  const toggle = (name) => {
    const names = columns.map((column) => column.name).filter((other) => (other === name ? !shown.has(other) : shown.has(other)));
    changeState({ columns: names.join("|") || columns[0].name });
  };
  const boxes = columns.map(({ name }) => element("label", {}, element("input", { type: "checkbox", checked: shown.has(name),
    "data-control": `column ${name}`, onchange: () => toggle(name) }), ` ${name}`));
  const isOpen = byId("table-controls").querySelector("details")?.open;
  const filter = element("input", { type: "search", value: state.filter, "data-control": "filter", placeholder: "init=zero",
    oninput: (event) => changeState({ filter: event.target.value }, true) });
  keepFocus("table-controls", () => put("table-controls", element("label", {}, "filter ", filter),
    choiceButtons("rows", [["cells", "a row per cell"], ["runs", "a row per seed"]], state.rows,
      (rows) => changeState({ rows, columns: "", sort: "", row: "" })),
    element("details", { open: isOpen }, element("summary", {}, "columns"), element("div", { class: "boxes" }, boxes)),
    csvButton(state.rows, tableFile)));
}

function tableFile() {
  // numbers as plain ASCII, with the half width of each interval in a column of its own
  const columns = shownColumns().flatMap(({ name, is_number: isNumber, texts, order, interval }) => [[name, columnOf(isNumber ? order : texts)],
    ...(interval === undefined ? [] : [[`${name} interval`, columnOf(interval)]])]);
  return [columns.map(([name]) => name), ...tableRows().map((row) => columns.map(([, values]) => values[row]))];
}

const classOf = ({ is_key: isKey, is_number: isNumber }, text = "") =>
  [isKey && "key", isNumber && "number", text.length > MAX_LETTERS && "long"].filter((part) => part).join(" ");

function headerCell(column) {
  const isSorted = state.sort === column.name;
  const direction = !isSorted ? "none" : state.up === "yes" ? "ascending" : "descending";
  const arrow = { none: "", ascending: " \u25b2", descending: " \u25bc" }[direction];
  const sort = () => changeState({ sort: column.name, up: isSorted ? (state.up === "yes" ? "no" : "yes") : column.is_number ? "no" : "yes" });
  return element("th", { scope: "col", class: classOf(column), "aria-sort": direction },
    button(column.name + arrow, sort, { "data-control": `sort ${column.name}`, "data-term": firstTerm(column.name) }));
}

function tableRow(row, columns) {
  const cell = cellOfRow(row), link = hasRuns() && runLink(columnOf(data.table.runs.run_id)[row]);
  const name = narrowScreen.matches ? cells[cell].values : cells[cell].label;
  const open = (text, term) => button(text, () => {}, { class: "link row", "aria-label": `show ${name}`, "aria-expanded": "false", "data-term": term });
  const termOf = (key, text) => (`${key}=${text}` in data.glossary ? `${key}=${text}` : null);
  const parts = columns.map((column, index) => {
    const text = columnOf(column.texts)[row] || "\u2013", term = termOf(column.name, text);
    const content = index || narrowScreen.matches ? element("span", { "data-term": term }, text) : open(text, term);
    return element("td", { class: classOf(column, text) }, content);
  });
  return element("tr", { "data-cell": cell, "data-row": row, onclick: (event) => event.target.closest("a") || toggleRow(row) },
    narrowScreen.matches ? element("th", { scope: "row", class: "key" }, open(cells[cell].values)) : null, parts,
    link ? element("td", {}, element("a", { href: link }, "MLflow")) : null);
}

function toggleRow(row) {
  const isOpen = state.row === String(row);
  changeState({ cell: String(cellOfRow(row)), row: isOpen ? "" : String(row), sheet: isOpen ? "closed" : "open" });
}

function drawTable() {
  drawTableControls();
  drawTableRows();
}

function drawTableRows() {
  const isNarrow = narrowScreen.matches, rows = tableRows();
  // on a narrow screen the values of all keys are in one column, which stays where it is
  const columns = shownColumns().filter(({ is_key: isKey }) => !isNarrow || !isKey);
  const shown = state.all.split(",").includes("table") ? rows : rows.slice(0, MAX_ROWS);
  const hasLinks = hasRuns() && data.links;
  const heads = [isNarrow ? element("th", { scope: "col", class: "key" }, data.label_keys) : null, ...columns.map(headerCell),
    hasLinks ? element("th", { scope: "col" }, "run") : null];
  keepFocus("table-rows", () => put("table-rows", element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, heads)), element("tbody", {}, shown.map((row) => tableRow(row, columns))))));
  const missing = hasRuns() ? data.table.runs.left_out : 0, box = byId("table-rows");
  put("table-note", hasRuns() ? `${rows.length} runs. ` : `${rows.length} cells. ${data.marks} `,
    missing ? `${missing} more are not run yet or not shown. ` : "",
    box.scrollWidth > box.clientWidth + 1 ? "Scroll the table sideways for more columns. " : "",
    shown.length < rows.length ? button(`show all ${rows.length} rows`, () => toggleAll("table")) : "", hasLinks ? linkControls() : "");
  const body = box.querySelector("tbody");
  setRovingStop(body, "button.row", body.querySelector("button.row"));
  rove(body, "button.row", (item, key, items) => items[items.indexOf(item) + ({ ArrowDown: 1, ArrowUp: -1 }[key] ?? NaN)]);
  fixKeys(box);
  markRows();
}

function fixKeys(box) {
  // the columns of the keys stay at the left
  let left = 0;
  for (const head of box.querySelectorAll("thead .key")) {
    for (const { cells: parts } of box.querySelectorAll("tr")) parts[head.cellIndex].style.left = `${left}px`;
    left += head.offsetWidth;
  }
}

function markRows() {
  // the row of the chosen cell, and below the open row its card
  byId("table-rows").querySelector("tr.detail")?.remove();
  for (const row of document.querySelectorAll("#table-rows tr[data-cell]")) {
    const isOpen = row.dataset.row === state.row;
    row.setAttribute("aria-current", +row.dataset.cell === chosenCell());
    row.querySelector("button.row").setAttribute("aria-expanded", isOpen);
    if (!isOpen) continue;
    const detail = element("div", {}, cardParts(cellOfRow(+state.row)));
    row.after(element("tr", { class: "detail" }, element("td", { colspan: row.cells.length }, detail)));
  }
}

