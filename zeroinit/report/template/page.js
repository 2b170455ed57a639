// The page of a sweep: maps, a sortable table, and of the cell that one chooses its curves, wave and histograms.
const packed = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), (c) => c.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const data = await new Response(unpacked).json();

const ONE = "#0072b2", OTHER = "#d55e00"; // of the cell and the one beside it
const LAYER_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a8f94"];
const NONE = "#f7dcd4"; // where every entry is exactly zero
const FULL = 250; // thousandths of the entries in one bin at which its colour is full

const varying = Object.keys(data.axes); // the keys that tell cells apart; of others another decides the value
const several = data.keys.filter((key) => !varying.length || new Set(data.cells.map((cell) => cell.params[key])).size > 1);
const state = { cell: null, against: null, quantity: "outcome", ...axes(), layer: null, series: null, sort: null, up: true };

function axes() {
  // the two keys with the most values; numbers run along, words down
  const numeric = (key) => data.axes[key].every((value) => value !== "" && !isNaN(value));
  const two = [...varying].sort((a, b) => data.axes[b].length - data.axes[a].length).slice(0, 2);
  two.sort((a, b) => numeric(b) - numeric(a));
  return { x: two[0] ?? "", y: two[1] ?? "" };
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const put = (id, ...children) => document.getElementById(id).replaceChildren(...children);
const label = (cell) => varying.filter((key) => key in cell.params).map((key) => `${key}=${cell.params[key]}`).join(", ");
const percent = (value) => (value === null ? "\u2013" : `${(100 * value).toFixed(1)}%`);
const declared = (name) => data.metrics[name] ?? { unit: "", description: name };
const isShare = (name) => declared(name).unit === "share";
const named = (name) => (/^(test|val)\//.test(name) ? declared(name).description : name);
const amount = (name, value) => (value === null ? "\u2013" : isShare(name) ? `${(100 * value).toFixed(1)}%` : short(value));
// `g` keeps zeros, which `~` takes away; an e makes more of 0.0000001 than a row of zeros
const short = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? d3.format(".2~e") : d3.format(".3~g"))(value);
const thousands = (step) => d3.format("~s")(step); // each by itself: given as a name, all would share a prefix
const last = (cell, name) => cell.last[name] ?? [null, 0, ""]; // mean, n, what is shown beside it
const unit = (name) => declared(name).unit || name.split("/").at(-1);

// ---- the head of the page

put("sweep", data.sweep);
put("question", data.question);
put("conditions", data.conditions);
put("commands", ...data.commands.map((command) => element("p", {}, element("code", {}, command))));
put("notes", ...data.notes.map((note) => element("p", {}, note)));
put("footer", data.omissions.length ? `To keep the page small: ${data.omissions.join(", ")}.` : "");

// ---- what the sweep claims

const MARKS = { supported: "\u2713", refuted: "\u2717", undetermined: "?" };

function claims() {
  const heads = ["claim", "verdict", "compared", "n", "finding", "what would decide it"];
  const groups = d3.groups(data.claims, (row) => row.claim);
  const lines = groups.flatMap(([, rows]) => rows.map((row, place) => element("tr", {},
    place ? null : element("td", { class: "statement", rowspan: rows.length }, row.statement, row.source ? element("span", { class: "source" }, row.source) : null),
    element("td", {}, element("span", { class: `judged ${row.verdict}` }, `${MARKS[row.verdict]} ${row.verdict}`)),
    element("td", {}, row.compared), element("td", { class: "number" }, String(row.n)), element("td", {}, row.finding || "\u2013"),
    element("td", {}, row.needed || "\u2013"))));
  put("judged", element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", class: text === "n" ? "number" : null }, text)))),
    element("tbody", {}, ...lines));
  document.getElementById("claims").hidden = !data.claims.length;
}

// ---- maps over any two axes, one for each combination of the other keys

function quantities() {
  const names = new Set(data.cells.flatMap((cell) => Object.keys(cell.last)));
  const first = ["outcome", ...["test/accuracy", "test/loss"].filter((name) => names.has(name))];
  return [...first, ...[...names].filter((name) => !first.includes(name))];
}

function options(id, values, chosen, change) {
  const select = document.getElementById(id);
  select.replaceChildren(...values.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  select.onchange = () => change(select.value);
}

function controls() {
  const keys = varying.map((key) => [key, key]);
  options("quantity", quantities().map((name) => [name, named(name)]), state.quantity, (value) => {
    state.quantity = value;
    maps();
  });
  for (const [id, other] of [["x", "y"], ["y", "x"]]) {
    options(id, [...keys, ["", "\u2013"]], state[id], (value) => {
      if (value && value === state[other]) state[other] = state[id];
      state[id] = value;
      controls();
      maps();
    });
  }
}

function scale() {
  const { quantity } = state;
  const found = data.cells.map((cell) => last(cell, quantity)[0]).filter((value) => value !== null);
  let [low, high] = d3.extent(found);
  if (isShare(quantity) && quantity.endsWith("accuracy")) [low, high] = [0, 1];
  // what spans more than a thousandfold is coloured by its logarithm
  const logarithmic = low > 0 && high / low > 1000;
  const made = (logarithmic ? d3.scaleSequentialLog : d3.scaleSequential)([low, high === low ? low + 1 : high], d3.interpolateCividis);
  return Object.assign(made, { logarithmic });
}

function dark(colour) {
  const { r, g, b } = d3.rgb(colour);
  return 0.3 * r + 0.59 * g + 0.11 * b < 140;
}

function maps() {
  const { x, y, quantity } = state;
  const others = varying.filter((key) => key !== x && key !== y);
  const groups = d3.group(data.cells, (cell) => others.filter((key) => key in cell.params).map((key) => `${key}=${cell.params[key]}`).join(", "));
  const colours = quantity === "outcome" ? null : scale();
  const drawn = [...groups].map(([name, cells]) => map(name, cells, colours));
  put("maps", ...drawn);
  const words = [...new Set(data.cells.map((cell) => cell.outcome))];
  if (colours === null) {
    put("legend", ...words.map((word) => element("span", { class: "key-of" }, swatch(word), word)), "(of a cell with several, the commonest)");
  } else {
    const type = colours.logarithmic ? "log" : "linear";
    const bar = Plot.legend({ color: { type, domain: colours.domain(), scheme: "cividis",
      label: `${named(quantity)}, mean over n`, tickFormat: isShare(quantity) ? "%" : undefined }, width: 320 });
    put("legend", bar);
  }
  mark();
}

const swatch = (word) => element("i", { class: word in data.outcome_colours ? null : "none", style: word in data.outcome_colours ? `background:${data.outcome_colours[word]}` : null });

function map(name, cells, colours) {
  const { x, y } = state;
  // a cell that lacks the key, as a net without hidden layers lacks their widths, has a line of its own
  const there = (key) => (key ? [...data.axes[key], ""].filter((value) => cells.some((cell) => (cell.params[key] ?? "") === value)) : [""]);
  const [across, down] = [there(x), there(y)];
  const at = d3.group(cells, (cell) => cell.params[y] ?? "", (cell) => cell.params[x] ?? "");
  const head = [element("th", { class: "key" }, `${y}${y && x ? " \\ " : ""}${x}`), ...across.map((value) => element("th", { scope: "col" }, value || (x ? "none" : "")))];
  const body = down.map((row) =>
    element("tr", {}, element("th", { scope: "row" }, row || (y ? "none" : "")), ...across.map((column) =>
      element("td", {}, ...(at.get(row)?.get(column) ?? [null]).map((cell) => tile(cell, colours))))));
  return element("div", { class: "wide" }, element("table", { class: "map" },
    name ? element("caption", {}, name) : null, element("thead", {}, element("tr", {}, ...head)), element("tbody", { onkeydown: arrows }, ...body)));
}

function tile(cell, colours) {
  if (cell === null) return element("button", { class: "none", disabled: "", "aria-label": "no such run" });
  const [value, n, spread] = colours ? last(cell, state.quantity) : [null, cell.n, ""];
  const known = colours ? value !== null : cell.outcome in data.outcome_colours;
  const colour = known ? (colours ? colours(value) : data.outcome_colours[cell.outcome]) : null;
  const words = colours ? amount(state.quantity, value) : cell.outcome;
  const more = colours ? (!spread || n < cell.n ? `n ${n === cell.n ? cell.marked_n : n}` : spread)
    : cell.agreeing === cell.runs_planned ? `n ${cell.marked_n}` : `${cell.agreeing} of ${cell.runs_planned}`;
  const style = known ? `background:${colour};color:${dark(colour) ? "#fff" : "#111"}` : null;
  const index = data.cells.indexOf(cell);
  return element("button", { class: known ? null : "none", style, "data-cell": index, title: `${label(cell)}: ${cell.outcomes}`,
    "aria-label": `${label(cell)}: ${words} ${more}`, onclick: () => choose(index) }, words, element("br"), more);
}

function arrows(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step || event.target.tagName !== "BUTTON") return;
  const [td, tr] = [event.target.closest("td"), event.target.closest("tr")];
  const row = tr.parentElement.rows[tr.sectionRowIndex + step[0]];
  row?.cells[td.cellIndex + step[1]]?.querySelector("button:not([disabled])")?.focus();
  event.preventDefault();
}

// ---- the table

const columns = [
  ...several.map((key) => ({ name: key, value: (cell) => cell.params[key] ?? "" })),
  { name: "n", number: true, value: (cell) => cell.n, shown: (cell) => cell.marked_n },
  { name: "test accuracy", number: true, value: (cell) => last(cell, "test/accuracy")[0], shown: (cell) => cell.accuracy },
  { name: "test loss", number: true, value: (cell) => last(cell, "test/loss")[0], shown: (cell) => amount("test/loss", last(cell, "test/loss")[0]) },
  { name: "outcome", value: (cell) => cell.outcomes },
];

function order(column) {
  const value = (cell) => {
    const found = column.value(cell);
    return typeof found === "string" && found !== "" && !isNaN(found) ? +found : found;
  };
  // what is not there comes last, whichever way; numbers are no words
  const rank = (one) => (one === null ? 2 : typeof one === "string" ? 1 : 0);
  return (a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === null || other === null) return rank(one) - rank(other);
    return (state.up ? 1 : -1) * (rank(one) - rank(other) || d3.ascending(one, other));
  };
}

function table() {
  const sorted = state.sort === null ? data.cells : [...data.cells].sort(order(columns[state.sort]));
  const heads = columns.map((column, place) => {
    const direction = state.sort !== place ? "none" : state.up ? "ascending" : "descending";
    const sort = () => {
      [state.up, state.sort] = [state.sort === place ? !state.up : !column.number, place];
      table();
      document.querySelectorAll("#table th button")[place].focus();
    };
    const arrow = { none: "", ascending: " \u25b2", descending: " \u25bc" }[direction];
    return element("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": direction }, element("button", { onclick: sort, tabindex: 0, role: "button" }, column.name + arrow));
  });
  const lines = sorted.map((cell) => {
    const index = data.cells.indexOf(cell);
    const texts = columns.map((column) => String((column.shown ?? column.value)(cell)));
    return element("tr", { "data-cell": index, onclick: () => choose(index) }, ...texts.map((text, place) =>
      element("td", { class: columns[place].number ? "number" : null }, place ? text : element("button", { tabindex: 0, role: "button" }, text || "\u2013"))));
  });
  put("table", element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...lines));
  mark();
}

// ---- the cell that is chosen

function mark() {
  for (const button of document.querySelectorAll(".map button[data-cell]")) {
    button.setAttribute("aria-pressed", +button.dataset.cell === state.cell);
    button.classList.toggle("beside", +button.dataset.cell === state.against);
  }
  for (const line of document.querySelectorAll("#table tr[data-cell]")) line.setAttribute("aria-current", +line.dataset.cell === state.cell);
}

function choose(index) {
  state.cell = index;
  state.against = partner(index);
  mark();
  draw();
  location.hash = `cell=${index}`;
  const drawn = document.getElementById("cell");
  if (drawn.getBoundingClientRect().top > innerHeight * 0.8) drawn.scrollIntoView({ block: "start" });
}

function partner(index) {
  // the cell of the first init that is alike in all else
  const { params } = data.cells[index];
  const init = data.axes.init?.[0];
  const found = data.cells.findIndex((cell) => cell.params.init === init && data.keys.every((key) => key === "init" || cell.params[key] === params[key]));
  return found === index || found < 0 ? null : found;
}

function wide() {
  return Math.max(300, Math.min(760, document.getElementById("cell").clientWidth - 16));
}

function draw() {
  mark();
  const control = document.activeElement?.dataset?.control; // is made anew, and keeps the focus
  const cell = data.cells[state.cell];
  const other = state.against === null ? null : data.cells[state.against];
  const against = element("select", { "data-control": "against", onchange: (event) => { state.against = event.target.value === "" ? null : +event.target.value; draw(); } },
    element("option", { value: "" }, "nothing"),
    ...data.cells.map((one, index) => index === state.cell ? null : element("option", { value: index, selected: index === state.against }, label(one))));
  put("cell",
    element("h2", { id: "label" }, label(cell) || data.sweep),
    element("p", {}, element("span", { class: "word", style: chip(cell.outcome) }, cell.outcomes),
      ` test accuracy ${cell.accuracy} (n ${cell.marked_n}${cell.n > 2 ? ", 95% interval" : ""}), loss ${amount("test/loss", last(cell, "test/loss")[0])}`),
    runs(cell),
    element("div", { class: "controls" }, element("label", {}, "compare with ", against)),
    ...curves(cell, other),
    ...(cell.gradients ? [wave(cell), ...histograms(cell, other)] : []));
  put("said", label(cell));
  if (control) document.querySelector(`[data-control=${control}]`)?.focus();
}

const chip = (word) => (word in data.outcome_colours ? `background:${data.outcome_colours[word]};color:${dark(data.outcome_colours[word]) ? "#fff" : "#111"}` : "background:#e3e6e9");

function runs(cell) {
  // those of which the same is said share a line
  const alike = d3.groups(cell.runs, ([, , word, why]) => `${word}\n${why}`).map(([, members]) => members);
  const lines = alike.map((members) => {
    const [, , word, why] = members[0];
    const accuracies = [...new Set(d3.extent(members, (one) => one[1]).map((value) => percent(value ?? null)))];
    return element("tr", {}, element("td", {}, members.map(([seed]) => seed).join(", ")), element("td", {}, accuracies.join(" to ")),
      element("td", {}, element("span", { class: "word", style: chip(word) }, word)), element("td", {}, why));
  });
  const heads = ["seed", "accuracy", "outcome", "reason"].map((text) => element("th", { scope: "col" }, text));
  const more = cell.runs_planned - cell.runs.length;
  return element("div", { class: "wide" }, element("table", { class: "runs" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...lines)),
    more > 0 ? element("p", { class: "quiet" }, `${cell.runs.length ? "and " : ""}${more} more ${more > 1 ? "runs" : "run"}, not run yet or not shown`) : null);
}

function figure(title, control, note, ...drawn) {
  return element("figure", {}, element("h3", {}, title), control, element("div", { class: "panels" }, ...drawn), element("figcaption", {}, note));
}

const points = (cell, name, of) => {
  const [steps, means, lows, highs] = cell.curves[name] ?? [[], [], [], []];
  return steps.map((step, place) => ({ step, mean: means[place], low: lows[place] ?? means[place], high: highs[place] ?? means[place], of }))
    .filter((point) => point.mean !== null);
};

function lines(title, series, colours, y) {
  const all = series.flat();
  if (!all.length) return null;
  const shown = [...colours.keys()].filter((one) => all.some((point) => point.of === one));
  const steps = d3.extent(all, (point) => point.step);
  return Plot.plot({
    width: Math.min(wide(), 560), height: 250, marginLeft: 55, marginBottom: 42, clip: true, ariaLabel: title,
    x: { type: "symlog", domain: steps, label: "step (logarithmic) \u2192", ticks: tens(steps[1]).filter((step) => step >= steps[0]), tickFormat: thousands },
    y: { grid: true, ...y }, color: { domain: shown, range: shown.map((one) => colours.get(one)), legend: shown.length > 1 && shown.length <= 12 },
    marks: [
      Plot.areaY(all, { x: "step", y1: "low", y2: "high", fill: "of", fillOpacity: 0.18 }),
      Plot.line(all, { x: "step", y: "mean", stroke: "of", strokeWidth: 1.8, tip: { format: { x: "d", y: y.tickFormat ?? ".3~g" } } }),
    ],
  });
}

const tens = (most) => [0, ...d3.range(0, Math.floor(Math.log10(Math.max(1, most))) + 1).map((power) => 10 ** power)];

function curves(cell, other) {
  const [own, its] = ["this cell", `beside it: ${other && label(other)}`];
  const two = (name) => [points(cell, name, own), ...(other ? [points(other, name, its)] : [])];
  const colours = new Map([[own, ONE], ...(other ? [[its, OTHER]] : [])]);
  const drawn = [
    ["test/accuracy", { label: declared("test/accuracy").description, domain: [0, 1], tickFormat: "%" }],
    ["train/loss", { label: `${declared("train/loss").description}, ${unit("train/loss")}`, zero: true, nice: true, ticks: 5, tickFormat: short }],
  ].map(([name, y]) => lines(y.label, two(name), colours, y)).filter((one) => one);
  const kinds = d3.group(Object.keys(cell.curves).filter((name) => name.split("/").length > 2), (name) => name.split("/")[0] + "/" + name.split("/").at(-1));
  const found = drawn.length ? [figure("Curves", null, "Mean over n, with a band: Student's 95% interval within the limits of the metric, or from one value to the other with n = 2.", ...drawn)] : [];
  if (kinds.size) {
    const kind = [state.series, "symmetry/distinct", ...kinds.keys()].find((one) => kinds.has(one));
    const select = element("select", { "data-control": "series", onchange: (event) => { state.series = event.target.value; draw(); } },
      ...[...kinds.keys()].map((one) => element("option", { value: one, selected: one === kind }, one)));
    const order = Object.keys(cell.gradients?.layers ?? {});
    const layerOf = (name) => name.slice(name.indexOf("/") + 1, name.lastIndexOf("/"));
    const metrics = [...kinds.get(kind)].sort((a, b) => order.indexOf(layerOf(a)) - order.indexOf(layerOf(b)));
    const layers = metrics.map(layerOf);
    const shade = (place) => (layers.length > LAYER_COLOURS.length ? d3.interpolateViridis(place / (layers.length - 1)) : LAYER_COLOURS[place]);
    const shades = new Map(layers.map((layer, place) => [layer, shade(place)]));
    const series = metrics.map((name, place) => points(cell, name, layers[place]));
    const { unit: counts, description } = declared(metrics[0]);
    const counted = ["neurons", "clusters", "dimensions"].includes(counts);
    const most = d3.max(series.flat(), (point) => point.mean);
    const y = { label: unit(metrics[0]), ...(isShare(metrics[0]) ? { domain: [0, 1], tickFormat: "%" } : {}),
      ...(counted ? { type: "log", domain: [1, Math.max(10, most)], ticks: [...new Set([...tens(most / 2).slice(1), most])], tickFormat: thousands } : {}) };
    found.push(figure(description[0].toUpperCase() + description.slice(1), element("label", {}, "of each layer ", select), "A line a layer, after so many updates.",
      lines(kind, series.map((one) => (counted ? one.filter((point) => point.mean > 0).map((point) => ({ ...point, low: Math.max(point.low, 0.5) })) : one)), shades, y)));
  }
  return found;
}

// ---- the wave and the histograms: observed steps along, not to scale

const ticks = (steps, width) => steps.filter((_, place) => place % Math.ceil(steps.length / Math.max(4, Math.floor(width / 45))) === 0);

function wave(cell) {
  const { steps, layers, observed, runs, layer_count } = cell.gradients;
  const names = Object.keys(layers);
  const all = names.flatMap((layer) => steps.map((step, place) => ({ layer, step, median: layers[layer].median[place], zeros: layers[layer].zeros[place] })));
  const there = all.filter((one) => one.median !== null);
  const seen = (step) => steps.find((one) => one >= step);
  const first = names.filter((layer) => cell.first_gradients[layer]).map((layer) => {
    const [low, high, count] = cell.first_gradients[layer];
    const some = count < runs ? ` (${count} of ${runs})` : "";
    return { layer, step: seen(low), text: (low === high ? `${low}` : `${low}\u2013${high}`) + some };
  }).filter((one) => one.step !== undefined);
  const front = names.filter((layer) => cell.first_gradients_predicted[layer]).map((layer) => ({ layer, step: seen(cell.first_gradients_predicted[layer]) })).filter((one) => one.step !== undefined);
  const width = wide();
  return figure("The wave", null, "Median |gradient| of the entries that are not zero; \u00d7: every entry is exactly zero. White number: the layer's first gradient in the runs; orange frame: where theory has it." + (steps.length < observed ? ` ${steps.length} of ${observed} observed steps are shown.` : "") + (names.length < layer_count ? ` ${names.length} of ${layer_count} layers are shown.` : ""),
    Plot.plot({
      width, height: 60 + 34 * names.length, marginLeft: 110, marginBottom: 40, ariaLabel: "first gradients of the layers over steps",
      x: { type: "band", domain: steps, ticks: ticks(steps, width - 110), tickFormat: thousands, label: "observed step, not to scale \u2192", padding: 0.04 },
      y: { type: "band", domain: names, label: null, padding: 0.06 },
      color: { scheme: "cividis", label: "median |gradient|, log\u2082", legend: there.length > 0 },
      marks: [
        Plot.cell(there, { x: "step", y: "layer", fill: "median", tip: true, title: (one) => `${one.layer}, step ${one.step}\nmedian |g| ${short(2 ** one.median)}\nexact zeros ${percent(one.zeros)}` }),
        Plot.cell(all.filter((one) => one.median === null), { x: "step", y: "layer", fill: NONE }),
        Plot.text(all.filter((one) => one.median === null), { x: "step", y: "layer", text: () => "\u00d7", fill: "#a33c1f" }),
        Plot.cell(front, { x: "step", y: "layer", fill: "none", stroke: OTHER, strokeWidth: 2.5, inset: 0.5 }),
        Plot.text(first, { x: "step", y: "layer", text: "text", fill: "#fff", stroke: "#222", strokeWidth: 3, fontWeight: "bold" }),
      ],
    }));
}

function histograms(cell, other) {
  const names = Object.keys(cell.gradients.layers);
  const layer = names.includes(state.layer) ? state.layer : names[0];
  const select = element("select", { "data-control": "layer", onchange: (event) => { state.layer = event.target.value; draw(); } },
    ...names.map((name) => element("option", { value: name, selected: name === layer }, name)));
  const own = histogram(cell, layer);
  const its = other?.gradients && layer in other.gradients.layers ? histogram(other, layer) : null;
  const least = Math.min(own.low, its?.low ?? Infinity), most = Math.max(own.high, its?.high ?? -Infinity);
  const [low, high] = least < most ? [least, most] : [-20, 0]; // nothing but zeros: an empty frame
  const panels = [image(its ? `this cell: ${label(cell)}` : layer, own, low, high)];
  if (its) panels.push(image(`compared with: ${label(other)}`, its, low, high), image("this cell minus the other cell", minus(own, its), low, high));
  return [figure("Weight gradients over time", element("label", {}, "layer ", select), "By sign and power of two, coloured by share of the entries (full colour: a quarter); between them, in red, the share of exact zeros, with \u00d7 where all are." + (its ? " The difference: violet where this cell has more, orange where the other has; at steps that both saw." : ""), ...panels)];
}

const two = (exponent) => "2" + String(exponent).replace(/./g, (sign) => (sign === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[sign]));

function histogram(cell, layer) {
  const { steps, low, layers } = cell.gradients;
  const { shares, zeros, median } = layers[layer];
  const bins = shares.length ? shares[0].length / 2 : 0;
  const at = shares.map((row) => (power, sign) => (power < low || power >= low + bins ? 0 : row[(sign > 0 ? bins : 0) + power - low]));
  const whole = median.map((value) => value === null);
  return { steps, low: bins ? low : Infinity, high: bins ? low + bins : -Infinity, zeros, whole, at };
}

function minus(one, two) {
  const steps = one.steps.filter((step) => two.steps.includes(step));
  const [of, from] = [one, two].map(({ steps: own }) => steps.map((step) => own.indexOf(step)));
  return { steps, zeros: steps.map((_, place) => one.zeros[of[place]] - two.zeros[from[place]]), signed: true,
    at: steps.map((_, place) => (power, sign) => one.at[of[place]](power, sign) - two.at[from[place]](power, sign)) };
}

function image(title, found, low, high) {
  const bins = Math.max(1, high - low), band = Math.max(3, Math.round(bins / 6)), rows = 2 * bins + band;
  const { steps } = found;
  const diverging = (share) => (share ? d3.interpolatePuOr(0.5 - 0.5 * Math.sign(share) * Math.min(1, Math.abs(share)) ** 0.6) : "#fff");
  const colour = (row, place) => {
    if (row >= bins && row < bins + band) return found.signed ? diverging(found.zeros[place]) : d3.interpolateReds(found.zeros[place]);
    const [power, sign] = row < bins ? [high - 1 - row, 1] : [low + row - bins - band, -1];
    const share = found.at[place](power, sign);
    return found.signed ? diverging(share / FULL) : share ? d3.interpolateViridis(Math.min(1, share / FULL)) : "#fff";
  };
  // row 0 of a raster is its first value on y, so rows go with y reversed
  const pixels = d3.range(rows).flatMap((row) => steps.map((_, place) => colour(row, place)));
  const power = (row) => (row < bins ? two(high - 1 - row) : row < bins + band ? "0" : `\u2212${two(low + row - bins - band)}`);
  const every = Math.max(1, Math.round(bins / 3));
  const marks = [...d3.range(0, bins, every), bins + band / 2 - 0.5, ...d3.range(0, bins, every).map((row) => rows - 1 - row)];
  const width = Math.min(wide(), 350);
  const whole = found.signed ? [] : steps.map((_, place) => place).filter((place) => found.whole[place]);
  return element("div", {}, element("p", { class: "quiet" }, title), Plot.plot({
    width, height: 250, marginLeft: 52, marginTop: 24, marginBottom: 36, ariaLabel: `gradients over time, ${title}`,
    x: { domain: [-0.5, steps.length - 0.5], ticks: ticks(steps, width - 60).map((step) => steps.indexOf(step)), tickFormat: (place) => thousands(steps[place]), label: "step \u2192" },
    y: { domain: [rows - 0.5, -0.5], ticks: marks, tickFormat: (row) => power(Math.round(row)), label: "gradient", labelArrow: "none" },
    color: { type: "identity" },
    marks: [
      Plot.raster(pixels, { width: steps.length, height: rows, x1: -0.5, x2: steps.length - 0.5, y1: -0.5, y2: rows - 0.5, imageRendering: "pixelated" }),
      Plot.text(whole, { x: (place) => place, y: bins + band / 2 - 0.5, text: () => "\u00d7", fill: "#fff" }),
      Plot.frame({ stroke: "#d5d8dc" }),
    ],
  }));
}

// ---- begin

claims();
controls();
maps();
table();
const asked = /^#cell=(\d+)$/.exec(location.hash);
const begin = asked && data.cells[+asked[1]] ? +asked[1] : 0;
state.cell = begin;
state.against = partner(begin);
mark();
draw();
addEventListener("hashchange", () => {
  const found = /^#cell=(\d+)$/.exec(location.hash);
  if (found && data.cells[+found[1]] && +found[1] !== state.cell) choose(+found[1]);
});
let resized, drawn = wide();
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    if (wide() !== drawn) draw();
    drawn = wide();
  }, 150);
});
