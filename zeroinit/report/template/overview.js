// The head of the page, the chart of all inits, and the differences from the baseline.
function drawHead() {
  put("sweep", data.sweep);
  put("question", data.question);
  const [first, ...rest] = data.answer, known = new Set();
  put("answer", element("p", { class: "first" }, explain(first, known)),
    rest.length ? element("ul", {}, rest.map((line) => element("li", {}, explain(line, known)))) : null,
    data.notes.length ? element("p", {}, button("Caveats, and how to repeat it",
      () => byId("about").scrollIntoView(), { class: "link" })) : null);
  put("conditions", ...explain(data.conditions));
}

function drawThemeButton() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  const other = isDark() ? "light" : "dark";
  put("theme", `${other} mode`);
  byId("theme").onclick = () => changeState({ theme: other });
}

function drawCurves() {
  if (!data.curves) return;
  byId("curves").hidden = false;
  const controls = data.curves.controls.filter(({ options }) => options.length > 1).map(({ name, options }) => {
    const pairs = options.map(({ value, label }) => [value, label]);
    const change = (value) => changeState({ [name]: value });
    return name === "metric" ? labelledSelect(name, pairs, state[name], change) : choiceButtons(name, pairs, state[name], change);
  });
  keepFocus("curves-controls", () => put("curves-controls", controls));
  const view = data.curves.views[`${state.metric} ${state.along} ${state.axis} ${state.lines}`];
  put("curves-chart", chartFigure(view ?? Object.values(data.curves.views)[0], { name: "curves" }));
}

function drawDifferences() {
  if (!data.differences) return;
  byId("differences").hidden = false;
  put("differences-chart", chartFigure(data.differences));
}

