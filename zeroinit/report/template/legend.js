// The legend of a view as SVG, which is on the page and in exported charts. Its entries hide and show what they name.
const BAR_WIDTH = 240, BAR_LEFT = 16; // pixels
const MAX_TICKS = 8; // of a bar of colours
const measure = document.createElement("canvas").getContext("2d");

function textWidth(text, size = 12) {
  measure.font = `${size}px system-ui, sans-serif`;
  return measure.measureText(text).width;
}

const hasRows = ({ frame }, { where }) => !where || columnOf(frame[where]).includes(true);
// the state holds [name of a chart, what is hidden in it], encoded like an address, as both may have any character
const hiddenIn = (name) => new Set(new URLSearchParams(state.hidden).getAll(name));

function toggleHidden(name, value) {
  const pairs = [...new URLSearchParams(state.hidden)], others = pairs.filter((pair) => pair[0] !== name || pair[1] !== value);
  changeState({ hidden: String(new URLSearchParams(others.length < pairs.length ? others : [...pairs, [name, value]])) });
}

function hiddenRows({ hidden, marks, frame, colour }, mark) {
  // a function that says whether a row of a mark is hidden, as the legend's entry of its colour or of its mark is off
  if (!hidden?.size) return () => false;
  if (hidden.has(mark.label)) return () => true;
  const coloured = colour?.kind === "category" && marks.find(({ scale, channels }) => channels.colour && !scale);
  const values = coloured ? columnOf(frame[coloured.channels.colour]) : [];
  return (row) => hidden.has(values[row]);
}

function legendEntries(view) {
  // a value or the name of a mark, its text, and a drawing of its sign
  const adapt = (colour) => (isDark() ? data.dark[colour] ?? colour : colour), entries = [];
  const { colour } = view;
  if (colour?.kind === "category" && colour.label) {
    const hasLines = view.marks.some((mark) => mark.kind === "line" && mark.channels.colour);
    colour.domain.forEach((value, index) => {
      const stroke = adapt(colour.colours[index]);
      const sign = hasLines
        ? svgElement("line", { x1: 0, x2: 22, y1: 8, y2: 8, stroke, "stroke-width": 2.4, "stroke-dasharray": colour.dashes[index] || null })
        : svgElement("rect", { x: 4, y: 1, width: 14, height: 14, rx: 2, fill: stroke });
      entries.push({ value, text: colour.labels[index] ?? value, sign, term: `${colour.label}=${value}` });
    });
  }
  for (const mark of view.marks.filter((part) => part.label && hasRows(view, part))) {
    const paint = mark.colour ? adapt(mark.colour) : "currentColor";
    const cross = svgElement("path", { d: "M7 4l8 8M15 4l-8 8", stroke: paint, "stroke-width": 1.4 });
    const hollow = { fill: "none", stroke: paint, "stroke-width": 1.6 };
    const dot = svgElement("circle", { cx: 11, cy: 8, r: (mark.width || 6) / 2, ...(mark.hollow ? hollow : { fill: paint }) });
    const stroke = { stroke: paint, "stroke-width": mark.width || 1.8, "stroke-dasharray": mark.dashed ? "5 3" : null };
    const line = svgElement("line", { x1: 0, x2: 22, y1: 8, y2: 8, ...stroke });
    entries.push({ value: mark.label, text: mark.label, sign: { cross, line }[mark.kind] ?? dot });
  }
  return entries;
}

function legendButton({ value, text, sign, term }, { hidden }, name) {
  const toggle = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggleHidden(name, value);
  };
  const isShown = !hidden.has(value), width = 32 + textWidth(text);
  return svgElement("g", { class: "entry", role: "button", "aria-pressed": String(isShown), "aria-label": `show ${text}`, "data-control": `show ${value}`,
    "data-term": term in data.glossary ? term : null, opacity: isShown ? null : 0.45, onclick: toggle, onkeydown: toggle },
  svgElement("rect", { x: -3, y: -3, width: width + 3, height: 23, rx: 4, fill: "transparent" }), sign,
  svgElement("text", { x: 28, y: 12, "text-decoration": isShown ? null : "line-through" }, text));
}

function colourBar(scale) {
  // a bar of colours with ticks at the values of the scale
  const width = BAR_WIDTH, name = `bar${Math.random().toString(36).slice(2)}`;
  const last = scale.domain.length - 1;
  const position = d3.scaleLinear(scale.domain, scale.domain.map((_, index) => (index / last) * width)).clamp(true);
  const stops = coloursOf(scale).map((colour, index) => svgElement("stop", { offset: index / last, "stop-color": colour }));
  const all = scale.ticks.length ? scale.ticks : [scale.domain[0], scale.domain[last]], stride = Math.ceil(all.length / MAX_TICKS);
  const ticks = all.filter((_, index) => index % stride === 0);
  const texts = ticks.map((tick) => svgElement("text", { x: BAR_LEFT + position(tick), y: 40, "text-anchor": "middle" },
    scale.labels[all.indexOf(tick)] ?? formatValue(tick, scale.format)));
  return svgElement("g", {}, svgElement("defs", {}, svgElement("linearGradient", { id: name }, stops)),
    svgElement("text", { x: 0, y: 11 }, scale.label), svgElement("rect", { x: BAR_LEFT, y: 16, width, height: 10, fill: `url(#${name})` }), ...texts);
}

function drawLegend(view, width, name) {
  const group = svgElement("g", { fill: "currentColor", "font-size": 12, "font-family": "system-ui, sans-serif" });
  const scales = [view.colour, ...view.marks.map((mark) => mark.scale)].filter((scale) => scale?.label && scale.kind !== "category" && scale.colours.length);
  const items = [...legendEntries(view).map((entry) => ({ width: 48 + textWidth(entry.text), height: 24, node: legendButton(entry, view, name) })),
    ...scales.map((scale) => ({ width: Math.max(BAR_WIDTH, textWidth(scale.label)) + 52, height: 48, node: colourBar(scale) }))];
  let x = 4, y = 6, height = 0;
  for (const item of items) {
    if (x > 4 && (x + item.width > width || item.height !== height)) [x, y] = [4, y + height];
    height = item.height;
    group.append(svgElement("g", { transform: `translate(${x},${y})` }, item.node));
    x += item.width;
  }
  if (!items.length) return null;
  const whole = { width, height: y + height, viewBox: `0 0 ${width} ${y + height}` };
  const svg = svgElement("svg", { ...whole, class: "legend", overflow: "visible", role: "group", "aria-label": "legend" }, group);
  setRovingStop(svg, ".entry", svg.querySelector(".entry"));
  rove(svg, ".entry", (item, key, entries) => entries[entries.indexOf(item) + ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key] ?? NaN)]);
  return svg;
}

