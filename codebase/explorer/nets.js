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

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const each = (f) => (h) => h.map(f);
// What stands between and behind linear layers; networks.py lists the same.
const FUNCTIONS = {
  elu: each((a) => (a > 0 ? a : Math.expm1(a))),
  relu: each((a) => Math.max(a, 0)),
  silu: each((a) => a * sigmoid(a)),
  sigmoid: each(sigmoid),
  softmax: (h) => {
    const top = Math.max(...h), e = h.map((a) => Math.exp(a - top)), sum = e.reduce((a, b) => a + b);
    return e.map((a) => a / sum);
  },
  softplus: each((a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))),
  tanh: each(Math.tanh),
};

// x → W x + b, with W (outputs × inputs) row by row.
function linear(weight, bias, x) {
  const out = new Float32Array(bias.length);
  for (let i = 0, k = 0; i < out.length; i++) {
    let sum = bias[i];
    for (let j = 0; j < x.length; j++, k++) sum += weight[k] * x[j];
    out[i] = sum;
  }
  return out;
}

// The function of an MLP that networks.py has written.
function perceptron({ layers, weights }) {
  const values = decodeHalves(weights);
  let at = 0;
  const steps = layers.map((layer) => {
    if (typeof layer === "string") return FUNCTIONS[layer];
    const [inputs, outputs] = layer;
    const weight = values.subarray(at, (at += inputs * outputs)), bias = values.subarray(at, (at += outputs));
    return (x) => linear(weight, bias, x);
  });
  return (x) => steps.reduce((h, step) => step(h), x);
}

// The model: decode, encode and classify, as far as it has the nets. Labels are 0, 1, …, or null.
function model({ nets, labels, order }) {
  const { encoder, decoder, classifier } =
    Object.fromEntries(Object.entries(nets).map(([role, net]) => [role, perceptron(net)]));
  const joined = (a, label) => {
    const out = new Float32Array(a.length + labels);
    out.set(a);
    if (labels) out[a.length + label] = 1;
    return out;
  };
  return {
    // The mean of p(x | z, y), of binary pixels their probabilities.
    decode: decoder && ((z, label = null) => decoder(joined(z, label))),
    // The code of x, the mean of q(z | x, y).
    encode: encoder && ((x, label = null) => encoder(joined(x, label)).subarray(0, order.length)),
    // q(y | x), one probability for each label.
    classify: classifier,
  };
}
