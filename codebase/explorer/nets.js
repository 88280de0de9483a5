// The models' arithmetic: multilayer perceptrons with float16 weights, computed in float32.

const decodeBytes = (base64) => {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
};

// Every float16 there is, by its 16 bits: sign, 5 of exponent, 10 of fraction.
const HALF = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  const size = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
  return bits >> 15 ? -size : size;
});

const decodeHalves = (base64) => {
  const bytes = decodeBytes(base64), values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = HALF[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return values;
};

const ACTIVATIONS = {
  elu: (a) => (a > 0 ? a : Math.expm1(a)),
  relu: (a) => Math.max(a, 0),
};
const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));

// x → W x + b, with W (outputs × inputs) row by row.
function linear({ weight, bias }, x) {
  const out = new Float32Array(bias.length);
  for (let i = 0, k = 0; i < out.length; i++) {
    let sum = bias[i];
    for (let j = 0; j < x.length; j++, k++) sum += weight[k] * x[j];
    out[i] = sum;
  }
  return out;
}

// A function x → logits from what __init__.py's _net wrote.
function perceptron({ widths, activation, weights }) {
  const values = decodeHalves(weights), layers = [], f = ACTIVATIONS[activation];
  for (let l = 1, at = 0; l < widths.length; l++) {
    const weight = values.subarray(at, (at += widths[l] * widths[l - 1]));
    layers.push({ weight, bias: values.subarray(at, (at += widths[l])) });
  }
  return (x) => layers.reduce((h, layer, l) => linear(layer, l ? h.map(f) : h), x);
}

// The model: decode, encode and classify, as far as it has the nets. Labels are 0, 1, …, or null.
function model({ nets, labels }) {
  const net = Object.fromEntries(Object.entries(nets).map(([name, n]) => [name, perceptron(n)]));
  const joined = (a, label) => {
    const out = new Float32Array(a.length + labels);
    out.set(a);
    if (labels) out[a.length + label] = 1;
    return out;
  };
  return {
    // Pixel probabilities p(x_j = 1 | z, y), 784.
    decode: net.dec && ((z, label = null) => net.dec(joined(z, label)).map(sigmoid)),
    // Mean m and variance v of q(z | x, y).
    encode: net.enc && ((x, label = null) => {
      const h = net.enc(joined(x, label)), half = h.length / 2;
      return { m: h.slice(0, half), v: h.slice(half).map((a) => softplus(a) + 1e-8) };
    }),
    // q(y | x), one probability for each label.
    classify: net.cls && ((x) => {
      const logits = net.cls(x), top = Math.max(...logits);
      const e = logits.map((a) => Math.exp(a - top)), sum = e.reduce((a, b) => a + b);
      return e.map((a) => a / sum);
    }),
  };
}
