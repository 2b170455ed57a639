// Two cells compared: their configs, their wavefronts, their layers and their weight gradients. What depends on the pair
// is worked out here, as a page with all pairs of cells would be large.
function drawComparison() {
  const [first, second] = [chosenCell(), otherCell()];
  const names = cells.map(({ values }, index) => [String(index), values]);
  keepFocus("compare-controls", () => put("compare-controls",
    labelledSelect("A", names, state.cell, (cell) => changeState({ cell })),
    labelledSelect("B", [["none", "nothing"], ...names.filter(([index]) => +index !== first)], second === null ? "none" : String(second),
      (value) => changeState({ with: value })), element("span", { class: "quiet" }, data.label_keys)));
  const pair = [["A", cells[first]], ["B", cells[second]]].filter(([, cell]) => cell).map(([name, cell]) => ({ name, cell }));
  keepFocus("compare-parts", () => put("compare-parts", element("div", { class: "pair" }, compareConfigs(pair), compareDistinct(pair)),
    compareWavefronts(pair), compareLayers(pair), compareGradients(pair)));
}

function smallTable(name, heads, rows) {
  const table = element("div", { class: "wide" }, element("table", { class: "small" },
    element("thead", {}, element("tr", {}, heads.map((text) => element("th", { scope: "col" }, explain(text))))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((text, index) =>
      element(index ? "td" : "th", index ? {} : { scope: "row" }, explain(text || "\u2013"))))))));
  return element("div", {}, table, csvButton(name, () => [heads, ...rows]));
}

function pairTable(name, title, head, pair, rows) {
  // rows: [name, function from a cell to its text]
  return element("div", {}, element("h3", {}, explain(title)), smallTable(name, [head, ...pair.map(({ name }) => name)],
    rows.map(([name, textOf]) => [name, ...pair.map(({ cell }) => textOf(cell))])));
}

function compareConfigs(pair) {
  const keys = [...new Set(pair.flatMap(({ cell }) => Object.keys(cell.params)))];
  const differing = keys.filter((key) => pair.length < 2 || pair[0].cell.params[key] !== pair[1].cell.params[key]);
  const results = [["outcome", "outcomes"], ["{{score}}", "accuracy"], ["n", "marked_n"]];
  const part = pairTable("keys", pair.length > 1 ? "Keys that differ, and results" : "Keys and results", "key", pair,
    [...differing.map((key) => [key, (cell) => cell.params[key]]), ...results.map(([name, key]) => [name, (cell) => cell[key]])]);
  if (pair.length > 1) part.append(element("p", { class: "quiet" }, "All other keys of the two cells are equal."));
  return part;
}

function compareDistinct(pair) {
  const layers = [...new Set(pair.flatMap(({ cell }) => cell.distinct.map(([layer]) => layer)))];
  const textOf = (layer) => (cell) => cell.distinct.find(([name]) => name === layer)?.[1];
  if (!layers.length) return null;
  const rows = layers.map((layer) => [layer, textOf(layer)]);
  return pairTable("distinct neurons", "Distinct neurons, at the start and at the end", "layer", pair, rows);
}

function narrow(scale, spans, values) {
  // the scale of the sweep with what the chosen cells need of it: the range of their spans, or the values that they have
  if (!scale) return null;
  const isDiscrete = isBand(scale) || scale.kind === "category";
  const bounds = spans.length ? [d3.min(spans, ([low]) => low), d3.max(spans, ([, high]) => high)] : null;
  const has = (value) => (bounds ? bounds[0] <= value && value <= bounds[1] : !isDiscrete || values.has(value));
  const ticks = scale.ticks.filter(has);
  if (!isDiscrete) return { ...scale, ticks, labels: scale.labels.length ? scale.labels.filter((_, index) => has(scale.ticks[index])) : [],
    domain: !bounds ? scale.domain : scale.colours.length ? spread(bounds, scale.colours.length) : bounds };
  const pick = (items) => (items.length ? items.filter((_, index) => has(scale.domain[index])) : []);
  return { ...scale, ticks, domain: pick(scale.domain), labels: pick(scale.labels), colours: pick(scale.colours), dashes: pick(scale.dashes) };
}

const spread = ([low, high], count) => d3.range(count).map((index) => low + ((high - low) * index) / (count - 1));

function joinParts(view, parts) {
  // a view with a panel for each part {head, frame, spans}, on shared scales
  const names = [...new Set(parts.flatMap(({ frame }) => Object.keys(frame)))], size = ({ frame }) => columnOf(frame[names[0]]).length;
  const frame = Object.fromEntries(names.map((name) => [name, parts.flatMap((part) => columnOf(part.frame[name]))]));
  frame.panel = parts.flatMap((part) => Array(size(part)).fill(part.head));
  const used = (channel) => new Set(view.marks.flatMap((mark) => (mark.channels[channel] ? frame[mark.channels[channel]] : [])));
  const scales = Object.fromEntries(["x", "y", "colour"].map((name) =>
    [name, narrow(view[name], parts.flatMap(({ spans }) => (spans?.[name] ? [spans[name]] : [])), used(name))]));
  const heads = parts.map(({ head }) => head);
  return { ...view, ...scales, frame, rows: null, columns: { column: "panel", values: heads, headings: heads } };
}

function pairFigure(view, pair, partOf, headOf, isTitled = true) {
  // the chart of both cells, with the captions of both
  const parts = pair.filter(({ cell }) => partOf(cell)).map((item) => ({ ...partOf(item.cell), head: headOf(item), name: item.name }));
  const title = isTitled ? view.title : parts.map(({ head }) => head).join("; ");
  return chartFigure({ ...joinParts(view, parts), title, caption: joinCaptions(parts) }, { level: "h4", isTitled });
}

function joinCaptions(parts) {
  const captions = new Set(parts.map(({ caption }) => caption));
  return captions.size === 1 ? [...captions][0] : parts.map(({ name, caption }) => `${name}: ${caption}`).join(" ");
}

function compareWavefronts(pair) {
  if (!pair.some(({ cell }) => cell.wavefront)) return null;
  return element("div", {}, element("h3", {}, explain("Wavefront")),
    pairFigure(data.wavefront, pair, (cell) => cell.wavefront, ({ name, cell }) => `${name}: ${cell.wavefront.title}`, false));
}

function chooseKind(pair, kinds) {
  // the metric whose lines differ most between the cells, on the axes of the sweep; else the first that is not constant
  const heights = ({ cell }, kind) => cell.layers[kind]?.heights ?? {};
  const lines = (kind) => pair.flatMap((item) => Object.values(heights(item, kind)));
  const distance = (kind) => d3.max(Object.entries(heights(pair[0], kind)), ([layer, line]) =>
    d3.max(line, (height, index) => Math.abs(height - (heights(pair.at(-1), kind)[layer] ?? line)[index])));
  const furthest = d3.greatest(kinds, distance);
  return distance(furthest) > 0 ? furthest : kinds.find((kind) => lines(kind).some((line) => new Set(line).size > 1)) ?? kinds[0];
}

function compareLayers(pair) {
  const kinds = Object.keys(data.layers).filter((kind) => pair.some(({ cell }) => cell.layers[kind]));
  if (!kinds.length) return null;
  const kind = kinds.includes(state.kind) ? state.kind : chooseKind(pair, kinds);
  const names = kinds.map((name) => [name, data.layers[name].title]);
  return element("div", {}, element("h3", {}, "Layers over training"),
    element("div", { class: "controls" }, labelledSelect("metric of each layer", names, kind, (value) => changeState({ kind: value }))),
    pairFigure(data.layers[kind], pair, (cell) => cell.layers[kind], ({ name, cell }) => `${name}: ${cell.label}`));
}

function compareGradients(pair) {
  const layers = [...new Set(pair.flatMap(({ cell }) => Object.keys(cell.gradients?.layers ?? {})))];
  if (!layers.length || !data.gradients) return null;
  const layer = layers.includes(state.layer) ? state.layer : layers[0];
  return element("div", {}, element("h3", {}, "Weight gradients"),
    element("div", { class: "controls" }, labelledSelect("layer", layers.map((name) => [name, name]), layer, (value) => changeState({ layer: value }))),
    chartFigure(gradientView(pair, layer), { level: "h4" }));
}

