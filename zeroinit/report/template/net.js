// A net of dense layers, from its stored weights.
const erf = (x) => {
  // Abramowitz and Stegun, 7.1.26
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  return Math.sign(x) * (1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x));
};
const elu = (x) => (x > 0 ? x : Math.expm1(x));
const ACTIVATIONS = {
  elu, relu: (x) => Math.max(0, x), leaky_relu: (x) => (x > 0 ? x : 0.01 * x), tanh: Math.tanh, sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)), gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

function netAt(plane, index) {
  // a function from two inputs to the logits after the step with this index
  const activation = ACTIVATIONS[plane.activation];
  const layers = plane.layers.map(({ weight, bias }) => [weight[index], bias?.[index]]);
  return (inputs) => layers.reduce((values, [weight, bias], depth) => {
    const sums = weight.map((row, unit) => row.reduce((sum, entry, input) => sum + entry * values[input], bias?.[unit] ?? 0));
    return depth < layers.length - 1 ? sums.map(activation) : sums;
  }, inputs);
}

