// The view of two cells' weight gradients in one layer, and of their difference, from the stored shares.
function sharesOf(cell, layer) {
  // a function from (index of a step, power of two, sign) to the share of the entries there
  const { low, layers } = cell.gradients, { shares } = layers[layer];
  const bins = shares.length ? shares[0].length / 2 : 0;
  return (index, power, sign) => (power < low || power >= low + bins ? 0 : shares[index][(sign > 0 ? bins : 0) + power - low] / 1000);
}

function readCell(cell, layer) {
  const shares = sharesOf(cell, layer), { steps, layers } = cell.gradients;
  const index = new Map(steps.map((step, position) => [step, position]));
  return { steps, zeros: (step) => layers[layer].zeros[index.get(step)], at: (step, power, sign) => shares(index.get(step), power, sign),
    isAbsent: (step) => layers[layer].median[index.get(step)] === null, isDifference: false };
}

function subtractCells(first, second) {
  return { steps: first.steps.filter((step) => second.steps.includes(step)), zeros: (step) => first.zeros(step) - second.zeros(step),
    at: (step, power, sign) => first.at(step, power, sign) - second.at(step, power, sign), isAbsent: () => false, isDifference: true };
}

function addRows(frame, part, column) {
  const { low, bins, band } = data.gradients;
  const add = (step, from, to, share, isBin, tip) => {
    const values = { step, low: from, high: to, middle: 0, share, tip, column, is_bin: isBin && !part.isDifference,
      is_zeros: !isBin && !part.isDifference, is_difference: part.isDifference, is_absent: !isBin && part.isAbsent(step) };
    for (const [name, value] of Object.entries(values)) (frame[name] ??= []).push(value);
  };
  const percent = (share) => `${formatNumber(100 * share)}%`;
  for (const step of part.steps) {
    const zeros = part.zeros(step);
    add(step, -band, band, zeros, false, `step ${step}: exact zeros ${percent(zeros)}`);
    for (const sign of [-1, 1]) {
      for (let bin = 0; bin < bins; bin++) {
        const share = part.at(step, low + bin, sign);
        if (!share) continue;
        const [near, far] = [band + bin, band + bin + 1], text = `${sign < 0 ? "\u2212" : ""}${formatPower(low + bin)}`;
        add(step, sign > 0 ? near : -far, sign > 0 ? far : -near, share, true, `step ${step}: ${text}: ${percent(share)}`);
      }
    }
  }
}

function gradientView(first, second, layer) {
  const has = (cell) => cell?.gradients?.layers[layer];
  const parts = [[first, "A"], [second, "B"]].filter(([cell]) => has(cell)).map(([cell, name]) => [`${name}: ${cell.label}`, readCell(cell, layer)]);
  if (!parts.length) return null;
  const { view, steps } = data.gradients;
  if (parts.length === 2) parts.push([view.columns.values[2], subtractCells(parts[0][1], parts[1][1])]);
  const frame = {}, observed = new Set(parts.flatMap(([, part]) => part.steps)), names = parts.map(([name]) => name);
  for (const [name, part] of parts) addRows(frame, part, name);
  return { ...view, title: `Weight gradients of ${layer}`, frame, rows: null, x: { ...view.x, domain: steps.filter((step) => observed.has(step)) },
    columns: { column: "column", values: names, headings: names } };
}

