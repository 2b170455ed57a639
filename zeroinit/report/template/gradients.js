// The rows of the chart of weight gradients, for the two cells that a reader chooses. They are made and subtracted here,
// as the rows of all pairs of cells would make the page large.
function readGradients(cell, layer) {
  // {step: {zeros, isAbsent, bins: {number of the bin, negative for negative entries: share}}}
  const { steps, low, layers } = cell.gradients, { zeros, shares, median } = layers[layer];
  return new Map(steps.map((step, position) => {
    const half = shares[position].length / 2, offset = low - data.gradients.low + 1;
    const all = shares[position].map((share, index) => [index < half ? -(offset + index) : offset + index - half, share / 1000]);
    const bins = all.filter(([, share]) => share);
    return [step, { zeros: zeros[position], isAbsent: median[position] === null, bins: new Map(bins) }];
  }));
}

function subtractGradients(first, second) {
  const common = [...first.keys()].filter((step) => second.has(step));
  return new Map(common.map((step) => {
    const [a, b] = [first.get(step), second.get(step)];
    const bins = [...new Set([...a.bins.keys(), ...b.bins.keys()])].map((bin) => [bin, (a.bins.get(bin) ?? 0) - (b.bins.get(bin) ?? 0)]);
    return [step, { zeros: a.zeros - b.zeros, isAbsent: false, bins: new Map(bins) }];
  }));
}

function listTiles(part, isDifference) {
  const { edges, names, band } = data.gradients, rows = [];
  const add = (step, [low, high], share, name, isZeros, isAbsent) => rows.push({ step, low, high, share, middle: 0,
    tip: `step ${step}: ${name}: ${FORMATS.percent(share)}`, is_bin: !isZeros && !isDifference, is_zeros: isZeros && !isDifference,
    is_difference: isDifference, is_absent: isAbsent });
  for (const [step, { zeros, isAbsent, bins }] of part) {
    add(step, [-band, band], zeros, "exact zeros", true, isAbsent);
    for (const [bin, share] of bins) {
      const [near, far] = edges[Math.abs(bin) - 1], name = names[Math.abs(bin) - 1];
      add(step, bin > 0 ? [near, far] : [-far, -near], share, bin > 0 ? name : `\u2212${name}`, false, false);
    }
  }
  return Object.fromEntries(Object.keys(rows[0] ?? {}).map((name) => [name, rows.map((row) => row[name])]));
}

function gradientView(pair, layer) {
  const known = pair.filter(({ cell }) => cell.gradients?.layers[layer]).map(({ name, cell }) => [`${name}: ${cell.label}`, readGradients(cell, layer)]);
  const parts = known.map(([head, part]) => ({ head, frame: listTiles(part, false) }));
  const { view, titles } = data.gradients;
  if (known.length === 2) parts.push({ head: view.columns.values[2], frame: listTiles(subtractGradients(known[0][1], known[1][1]), true) });
  return joinParts({ ...view, title: titles[layer] }, parts);
}

