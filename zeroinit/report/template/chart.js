// Charts: a view in, a figure out. Nothing is computed, sorted or named here.
function axisOptions(scale, isVertical) {
  // the first value of a vertical band is on top in Plot, and at the bottom in a view, unless it is reversed
  const reverse = isVertical && isBand(scale) ? !scale.reverse : scale.reverse;
  const options = { type: scale.kind, domain: scale.domain, label: null, axis: null, reverse };
  if (isBand(scale)) options.padding = 0.04;
  if (scale.kind === "symlog") options.constant = 1;
  return options;
}

function axisTicks(scale, room) {
  // where ticks are, and their texts; a channel of texts, as Plot would leave out some of a logarithmic axis
  const values = scale.ticks.length ? scale.ticks : isBand(scale) ? scale.domain : null;
  const known = new Map((isBand(scale) ? scale.domain : scale.ticks).map((value, index) => [value, scale.labels[index]]));
  const text = (value) => known.get(value) ?? formatValue(value, scale.format);
  if (!values) return { ticks: Math.max(2, Math.min(6, Math.floor(room / 1.6))), text };
  const stride = Math.max(1, Math.ceil(values.length / Math.max(2, room)));
  return { ticks: values.filter((_, index) => index % stride === 0), text };
}

const shorten = (text, width) => (textWidth(text, 11) <= width ? text : `${text.slice(0, Math.floor(width / LETTER) - 1)}\u2026`);

function drawAxes(view, layout) {
  const { x, y } = view;
  const widthOfTick = isBand(x) ? Math.max(30, Math.max(0, ...tickTexts(x).map((text) => text.length)) * 6.2) : 44;
  const horizontal = axisTicks(x, hasTextsInTiles(view) ? Infinity : Math.floor(layout.panel / widthOfTick) || 1);
  const vertical = axisTicks(y, isBand(y) ? Infinity : Math.floor(layout.height / 26));
  const grid = { stroke: "currentColor", strokeOpacity: 0.12 };
  return [
    ...(isBand(x) ? [] : [Plot.gridX({ ticks: horizontal.ticks, ...grid })]),
    ...(isBand(y) ? [] : [Plot.gridY({ ticks: vertical.ticks, ...grid })]),
    Plot.axisX({ ...horizontal, label: null, anchor: "bottom", tickSize: isBand(x) ? 0 : 4,
      ...(hasTextsInTiles(view) ? { text: (value) => shorten(horizontal.text(value), layout.panel / x.domain.length - 4) } : {}) }),
    Plot.axisY({ ...vertical, label: null, anchor: "left", tickSize: isBand(y) ? 0 : 4,
      ...(isBand(y) ? { text: (value) => shorten(vertical.text(value), layout.left - 12) } : {}) }),
  ];
}

function drawChart(view, width) {
  const layout = layOut(view, width);
  const marks = view.marks.map((mark, index) => ({ ...readMark(view, mark, layout), index }));
  const gapX = GAP / (layout.panel + GAP), stepY = layout.height + layout.above + GAP;
  const headings = Plot.text(layout.headings, { text: "text", fx: "fx", fy: "fy", frameAnchor: "top-left", lineAnchor: "bottom",
    dy: -6, lineWidth: layout.panel / 13.5, fontWeight: 600, fontSize: 11, fill: "currentColor" });
  const label = wrapText(view.x.label, Math.max(layout.panel, layout.width - layout.left - 12), 11);
  const marginTop = Math.max(layout.above, 8), marginBottom = 26 + 14 * label.length;
  const svg = Plot.plot({
    width: layout.width, height: marginTop + marginBottom + layout.down * layout.height + (layout.down - 1) * (layout.above + GAP),
    marginLeft: layout.left, marginRight: 12, marginTop, marginBottom, ariaLabel: view.title, ariaDescription: view.caption,
    style: { fontSize: "11px", fontFamily: "system-ui, sans-serif", overflow: "visible", background: "none", color: "inherit" },
    x: axisOptions(view.x, false), y: axisOptions(view.y, true), color: { type: "identity" },
    r: { type: "identity" }, opacity: { type: "identity" }, symbol: { type: "identity" },
    fx: { domain: d3.range(layout.across), axis: null, padding: 0, paddingInner: gapX, round: false },
    fy: { domain: d3.range(layout.down), axis: null, padding: 0, paddingInner: (layout.above + GAP) / stepY, round: false },
    marks: [...(hasTiles(view) ? [] : [Plot.frame({ stroke: "currentColor", strokeOpacity: 0.25 })]), ...drawAxes(view, layout), headings,
      ...marks.flatMap((part) => DRAW[part.mark.kind](part)),
      ...marks.filter(({ mark }) => mark.kind === "line").flatMap(drawPoints),
      Plot.text([label.join("\n")], { text: (text) => text, fx: () => 0, fy: () => layout.down - 1, frameAnchor: "bottom-left",
        lineAnchor: "top", dy: 24, fill: "currentColor", textAnchor: "start" })],
  });
  svg.setAttribute("role", "img");
  for (const group of svg.querySelectorAll("g[aria-label]")) group.removeAttribute("aria-label"); // groups have no names
  for (const name of ["pointerover", "focusin"]) svg.addEventListener(name, (event) => showTipOf(event.target, marks));
  for (const name of ["pointerout", "focusout"]) svg.addEventListener(name, hideDefinition);
  return { svg, marks };
}

function showTipOf(target, marks) {
  // of a tile or a dot; beside the panel of tiles, so that it hides none, unless the panel is high
  const group = target.closest("[class^=rows-]"), part = marks.find(({ index }) => group?.classList.contains(`rows-${index}`));
  if (!part?.get.tip || target.__data__ === undefined) return;
  const { left, top, bottom } = target.getBoundingClientRect(), panel = target.parentElement.getBoundingClientRect();
  const isLow = part.mark.kind === "tile" && panel.height < 0.6 * innerHeight;
  showTip(part.get.tip(part.rows[target.__data__]), isLow ? { left, top: panel.top, bottom: panel.bottom } : { left, top, bottom }, true);
}

function chartFigure(view, { level = "h3", onDraw = null, isTitled = true, name = view.name } = {}) {
  // the figure of a view, which follows the width of the page
  const limited = state.all.split(",").includes(name) ? view : limitPanels(view);
  const holder = element("div", { class: "drawing" });
  const more = countPanels(view) > MAX_PANELS ? button(limited === view ? "show fewer panels" : `show all ${countPanels(view)} panels`,
    () => toggleAll(name), { "data-control": `all ${name}` }) : null;
  const figure = element("figure", {}, isTitled ? element(level, {}, explain(view.title)) : null,
    view.y.label ? element("p", { class: "axis" }, axisTitle(view.y)) : null, holder,
    element("figcaption", {}, explain([view.caption, ...view.notes].join(" "))),
    element("p", { class: "exports" }, more, exportButtons(limited, () => holder)));
  holder.draw = () => {
    const width = Math.max(280, holder.clientWidth || figure.clientWidth || 600);
    const shown = { ...limited, hidden: hiddenIn(name) };
    const { svg, marks } = drawChart(shown, width);
    const control = holder.contains(document.activeElement) && document.activeElement.dataset.control;
    holder.replaceChildren(...[drawLegend(shown, Math.min(width, 900), name), svg].filter((part) => part));
    const again = control && [...holder.querySelectorAll(".entry")].find((node) => node.dataset.control === control);
    if (again) {
      setRovingStop(holder, ".entry", again);
      again.focus();
    }
    onDraw?.(svg, marks);
    const scrolls = holder.scrollWidth > holder.clientWidth; // then the keyboard must reach it
    fill(holder, scrolls ? { tabindex: 0, role: "group", "aria-label": limited.title } : {}, []);
  };
  requestDrawing(holder);
  return figure;
}

function toggleAll(name) {
  const names = state.all.split(",").filter((part) => part);
  changeState({ all: (names.includes(name) ? names.filter((part) => part !== name) : [...names, name]).join(",") });
}

// A chart is drawn when it comes near the part of the page that is visible, and again when the width changes.
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting && !target.isDrawn) drawHolder(target);
}, { rootMargin: "600px" });

const whenIdle = window.requestIdleCallback ?? ((draw) => setTimeout(draw, 200));

function requestDrawing(holder) {
  nearby.observe(holder);
  whenIdle(() => holder.isConnected && !holder.isDrawn && drawHolder(holder));
}

function drawHolder(holder) {
  holder.isDrawn = true;
  holder.drawnWidth = holder.clientWidth;
  holder.drawnHidden = state.hidden;
  holder.draw();
}

function redrawAll(isForced) {
  for (const holder of document.querySelectorAll(".drawing")) {
    if (isForced || (holder.isDrawn && (holder.clientWidth !== holder.drawnWidth || holder.drawnHidden !== state.hidden))) drawHolder(holder);
  }
}

