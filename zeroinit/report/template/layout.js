// Where the panels of a view are, and how large they are.
const LETTER = 6.4; // pixels of a letter of an axis
const GAP = 18, LINE = 14; // pixels between panels, and of a line of a heading
const MAX_PANELS = 12; // of a view, until the reader asks for all

const widest = (texts) => Math.max(0, ...texts.map((text) => String(text).length)) * LETTER;
const isBand = (scale) => scale.kind === "band";
const hasTiles = (view) => view.marks.some((mark) => mark.kind === "tile");
const hasTextsInTiles = (view) => hasTiles(view) && view.marks.some((mark) => mark.kind === "text" && mark.anchor === "middle");
const axisTitle = (scale) => (isBand(scale) ? scale.label : `\u2191 ${scale.label}`);

function panelSize(view) {
  // width and height that a panel needs at least, and the width that it needs at most
  const { x, y } = view;
  const isMap = isBand(x) && isBand(y);
  const tile = isMap && hasTextsInTiles(view) ? [56, 110, 42] : [7, 34, 24];
  const labels = tile[0] > 7 ? Math.min(tile[1], widest(tickTexts(x)) + 10) : 0;
  const width = isBand(x) ? x.domain.length * Math.max(tile[0], labels) : 210;
  const height = isBand(y) ? y.domain.length * tile[2] : countPanels(view) === 1 ? 300 : hasTiles(view) ? 230 : 190;
  return { width: Math.max(isMap ? 40 : 160, width), height, most: isMap ? x.domain.length * tile[1] : 900 };
}

const countPanels = (view) => (view.rows?.values.length ?? 1) * (view.columns?.values.length ?? 1);

function tickTexts(scale) {
  if (scale.labels.length) return scale.labels;
  return (isBand(scale) ? scale.domain : scale.ticks.length ? scale.ticks : scale.domain).map((value) => formatValue(value, scale.format));
}

function layOut(view, width) {
  const size = panelSize(view);
  const left = Math.min(isBand(view.y) ? widest(tickTexts(view.y)) + 22 : 56, 0.42 * width);
  const room = width - left - 12, least = Math.min(size.width, room);
  const [down, columns] = [view.rows?.values.length ?? 1, view.columns?.values.length ?? 1];
  const fits = columns * least + (columns - 1) * GAP <= room;
  // panels that do not fit beside each other, and those without rows, are in lines as long as there is room
  const wraps = columns > 1 && (!view.rows || !fits);
  const across = wraps ? Math.max(1, Math.min(columns, Math.floor((room + GAP) / (least + GAP)))) : columns;
  const panels = listPanels(view, across, wraps);
  const panel = Math.max(size.width, Math.min(size.most, (room - GAP * (across - 1)) / across));
  const headings = view.rows || view.columns ? panels : [];
  const lines = Math.max(0, ...headings.map(({ text }) => Math.ceil((text.length * LETTER * 1.25) / panel)));
  const positions = new Map(panels.map(({ key, fx, fy }) => [key, [fx, fy]]));
  return { left, across, down: wraps ? Math.ceil(panels.length / across) : down, panel, height: size.height,
    above: headings.length ? lines * LINE + 10 : 0, headings, width: left + 12 + across * panel + (across - 1) * GAP,
    locate: locatePanels(view, positions) };
}

function listPanels(view, across, wraps) {
  // the position and the heading of each panel
  const [rows, columns] = [view.rows, view.columns].map((facet) => facet ?? { values: [""], headings: [""] });
  const pairs = rows.values.flatMap((row, down) => columns.values.map((column, index) => ({ key: `${row}\n${column}`, down, index })));
  return pairs.map(({ key, down, index }, number) => ({
    key, fx: wraps ? number % across : index, fy: wraps ? Math.floor(number / across) : down,
    text: [rows.headings[down], columns.headings[index]].filter((text) => text).join(", "),
  }));
}

function locatePanels(view, positions) {
  // a function from a row of the frame to the position of its panel
  const [rows, columns] = [view.rows, view.columns].map((facet) => (facet ? columnOf(view.frame[facet.column]) : null));
  return (row) => positions.get(`${rows ? rows[row] : ""}\n${columns ? columns[row] : ""}`);
}

function limitPanels(view) {
  // the view with its first panels alone
  if (countPanels(view) <= MAX_PANELS) return view;
  const key = view.rows ? "rows" : "columns", others = view.rows && view.columns ? view.columns.values.length : 1;
  const most = Math.max(1, Math.floor(MAX_PANELS / others));
  const facet = { ...view[key], values: view[key].values.slice(0, most), headings: view[key].headings.slice(0, most) };
  return { ...view, [key]: facet };
}

