// The marks of a view as marks of Observable Plot.
const formatNumber = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? d3.format(".2~e") : d3.format(".3~g"))(value);
const FORMATS = {
  percent: (value) => `${formatNumber(100 * value)}%`,
  points: (value) => `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${formatNumber(Math.abs(value))}`,
  count: (value) => (Math.abs(value) >= 1000 ? d3.format("~s")(value) : String(+value.toFixed(4))),
  number: formatNumber, text: String,
};
const formatValue = (value, format) => (value === null ? "" : typeof value === "string" ? value : FORMATS[format](value));

function colourFunction(scale) {
  if (scale.kind === "category") {
    const colours = new Map(scale.domain.map((value, index) => [value, scale.colours[index]]));
    return (value) => colours.get(value);
  }
  return d3.scaleLinear(scale.domain, coloursOf(scale)).clamp(true);
}

const coloursOf = (scale) => (isDark() && data.dark_scales[scale.colours.join()]) || scale.colours;

function adaptColour(view) {
  // lines and texts on a dark page are brighter; what is on tiles is not, and some tiles have a colour of their own
  const colours = hasTiles(view) ? data.dark_tiles : data.dark;
  return isDark() ? (colour) => colours[colour] ?? colour : (colour) => colour;
}

function readMark(view, mark, layout) {
  // the rows that have the mark, and functions from a row to the value of a channel
  const where = mark.where && columnOf(view.frame[mark.where]);
  const columns = Object.fromEntries(Object.entries(mark.channels).map(([name, column]) => [name, columnOf(view.frame[column])]));
  const length = Object.values(columns)[0]?.length ?? 0;
  const isHidden = hiddenRows(view, mark);
  const rows = d3.range(length).filter((row) => (!where || where[row]) && layout.locate(row) && !isHidden(row));
  const get = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, (row) => column[row]]));
  const adapt = adaptColour(view);
  const scale = mark.scale ?? view.colour;
  const scaled = columns.colour && scale ? colourFunction(scale) : null;
  const plain = mark.colour ? adapt(mark.colour) : "currentColor";
  const colour = scaled ? (row) => adapt(scaled(columns.colour[row])) : plain;
  const facet = { fx: (row) => layout.locate(row)[0], fy: (row) => layout.locate(row)[1] };
  return { rows, get, colour, facet, mark, view };
}

const numbersOnly = (get) => (row) => (get(row) === null ? NaN : get(row));

function drawLine({ rows, get, colour, facet, mark }) {
  // dashes and widths belong to a whole line, so lines that differ in them are different marks
  const style = (row) => `${get.dash?.(row) ?? (mark.dashed ? "5 3" : "")}|${get.width?.(row) ?? mark.width}`;
  return d3.groups(rows, style).map(([key, group]) => {
    const [dash, width] = key.split("|");
    const shape = { x: numbersOnly(get.x), y: numbersOnly(get.y), z: get.group, stroke: colour, strokeOpacity: mark.opacity, clip: true };
    return Plot.line(group, { ...shape, ...facet, strokeWidth: +width || 1.8, strokeDasharray: dash || null });
  });
}

function drawPoints({ rows, get, facet }) {
  // a tip for the nearest point of any line
  return get.tip ? [Plot.tip(rows, Plot.pointer({ x: get.x, y: get.y, title: get.tip, maxRadius: 40, ...facet }))] : [];
}

function drawTile({ rows, get, colour, facet, mark, view, index }) {
  const shared = { fill: colour, fillOpacity: get.opacity ?? mark.opacity, className: `rows-${index}`, ...facet };
  if (!get.low) return [Plot.cell(rows, { x: get.x, y: get.y, inset: 0.5, ...shared })];
  if (isBand(view.x)) return [Plot.barY(rows, { x: get.x, y1: get.low, y2: get.high, insetLeft: 0.25, insetRight: 0.25, ...shared })];
  return [Plot.barX(rows, { y: get.y, x1: get.low, x2: get.high, ...shared })];
}

function drawText({ rows, get, colour, facet, mark }) {
  return [Plot.text(rows, { x: get.x, y: get.y, text: get.text, fill: colour, textAnchor: mark.anchor, fontSize: mark.width || 11,
    dx: { start: 4, middle: 0, end: -4 }[mark.anchor] + 1.33 * mark.shift[0], dy: -1.33 * mark.shift[1], ...facet })];
}

function drawRule({ rows, get, colour, facet, mark }) {
  const shared = { stroke: colour, strokeWidth: mark.width || 1, strokeOpacity: mark.opacity, strokeDasharray: mark.dashed ? "2 3" : null, ...facet };
  const unique = get.low ? rows : d3.groups(rows, (row) => `${facet.fx(row)} ${facet.fy(row)} ${(get.x ?? get.y)(row)}`).map(([, [row]]) => row);
  if (get.x) return [Plot.ruleX(unique, { x: get.x, y1: get.low, y2: get.high, ...shared })];
  return [Plot.ruleY(unique, { y: get.y, x1: get.low, x2: get.high, ...shared })];
}

function drawBox({ rows, get, colour, facet, view }) {
  const [along, box, rule, tick] = isBand(view.x) ? ["x", Plot.barY, Plot.ruleX, Plot.tickY] : ["y", Plot.barX, Plot.ruleY, Plot.tickX];
  const value = along === "x" ? "y" : "x";
  const shared = { [along]: get[along], ...facet };
  return [rule(rows, { ...shared, [`${value}1`]: get.q05, [`${value}2`]: get.q95, stroke: colour }),
    box(rows, { ...shared, [`${value}1`]: get.q25, [`${value}2`]: get.q75, fill: colour, fillOpacity: 0.5 }),
    tick(rows, { ...shared, [value]: get.q50, stroke: colour })];
}

function drawDot({ rows, get, colour, facet, mark, view, index }) {
  const halo = hasTiles(view) ? { stroke: "#fff", strokeWidth: 1 } : {}; // a black dot would be lost on a dark tile
  const face = mark.hollow ? { fill: "var(--chart)", stroke: colour, strokeWidth: 1.6 } : { fill: colour, fillOpacity: mark.opacity, ...halo };
  return [Plot.dot(rows, { x: get.x, y: get.y, r: (mark.width || 6) / 2, className: `rows-${index}`, ...face, ...facet })];
}

const DRAW = {
  line: drawLine, tile: drawTile, text: drawText, rule: drawRule, box: drawBox, dot: drawDot,
  band: ({ rows, get, colour, facet, mark }) => [Plot.areaY(rows, { x: get.x, y1: get.low, y2: get.high, z: get.group, fill: colour,
    fillOpacity: mark.opacity, clip: true, ...facet })],
  interval: ({ rows, get, colour, facet, mark }) => {
    const shared = { stroke: colour, strokeWidth: mark.width || 2, strokeOpacity: mark.opacity, ...facet };
    if (get.y) return [Plot.ruleY(rows, { y: get.y, x1: get.low, x2: get.high, ...shared })];
    return [Plot.ruleX(rows, { x: get.x, y1: get.low, y2: get.high, ...shared })];
  },
  cross: ({ rows, get, colour, facet, mark }) => [Plot.dot(rows, { x: get.x, y: get.y, symbol: "times",
    r: (mark.width || 5) / 1.6, stroke: colour, strokeWidth: 1.2, ...facet })],
};

