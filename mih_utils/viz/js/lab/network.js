// The small network of the paper's Gaussian experiments in one dimension, as ToyDenoiser in Python:
// the time embedding is added inside a residual block, and three blocks share one set of weights.
// Rows go through it in small groups, so that nothing takes long and everything stays in the cache.
//
// Functions that take long are generators: they stop at each `yield`, and go on when asked to.

const BLOCKS = 3, SLOPE = 0.02, EPS = 1e-5;

// Names and sizes of the weights, in the order of ToyDenoiser.state_dict().
export function layout(width) {
  const square = width * width;
  return {
    "time_in.weight": square, "time_in.bias": width, "time_out.weight": square, "time_out.bias": width,
    "x_in.weight": width, "x_in.bias": width, "norm_in.weight": width, "norm_in.bias": width,
    "linear_in.weight": square, "norm_out.weight": width, "norm_out.bias": width,
    "linear_out.weight": square, "linear_out.bias": width, "x_out.weight": width, "x_out.bias": 1,
  };
}

// Views of one flat array by the names of the weights.
function named(flat, width) {
  let at = 0;
  const views = {};
  for (const [name, size] of Object.entries(layout(width))) {
    views[name] = flat.subarray(at, at + size);
    at += size;
  }
  return views;
}

export class Network {
  // steps: length of the schedule; random: for the initial weights, or null for zeros.
  constructor(kernel, width, steps, random) {
    this.kernel = kernel;
    this.width = width;
    this.rows = 2048 / width;  // that go through together
    const size = Object.values(layout(width)).reduce((sum, n) => sum + n, 0);
    this.flat = kernel.array(size);
    this.flatGradient = kernel.array(size);
    this.weights = named(this.flat, width);
    this.gradient = named(this.flatGradient, width);
    this.turned = { time_in: null, time_out: null, linear_in: null, linear_out: null };
    for (const name in this.turned) this.turned[name] = kernel.array(width * width);
    const cell = () => kernel.array(this.rows * width);
    this.blocks = Array.from({ length: BLOCKS }, () => ({
      inNorm: cell(), inScale: new Float32Array(this.rows), inner: cell(),
      outNorm: cell(), outScale: new Float32Array(this.rows), outer: cell(),
    }));
    Object.assign(this, { h: cell(), mid: cell(), dh: cell(), dmid: cell(), dinner: cell() });
    const table = () => kernel.array(Math.ceil(steps / 4) * 4 * width);
    this.time = { count: 0, sines: table(), hidden: table(), out: table(), dout: table(), dhidden: table() };
    this.sinusoids = sinusoids(steps, width);
    if (random) this.initialise(random);
  }

  // Uniform up to one over the root of the number of inputs, as torch does.
  initialise(random) {
    for (const [name, view] of Object.entries(this.weights)) {
      if (name.startsWith("norm")) { view.fill(name.endsWith("weight") ? 1 : 0); continue; }
      const bound = name.startsWith("x_in") ? 1 : this.width ** -0.5;
      for (let i = 0; i < view.length; i++) view[i] = bound * (2 * random.uniform() - 1);
    }
    this.refresh();
  }

  // To be called when weights have changed: their transposes are what the forward pass needs.
  refresh() {
    const n = this.width;
    for (const [name, turned] of Object.entries(this.turned)) {
      const weight = this.weights[name + ".weight"];
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) turned[j * n + i] = weight[i * n + j];
    }
  }

  // Embeds the steps of the chain in `ts`: row r of this.time.out belongs to ts[r].
  *embed(ts) {
    const { time, width, rows, weights } = this;
    time.count = ts.length;
    for (let r = 0; r < ts.length; r++) time.sines.set(this.sinusoids.subarray(ts[r] * width, (ts[r] + 1) * width), r * width);
    for (let from = 0; from < ts.length; from += rows) {
      const part = (table) => table.subarray(from * width);
      const m = Math.min(rows, Math.ceil((ts.length - from) / 4) * 4);
      this.linear(part(time.sines), "time_in", part(time.hidden), m);
      activate(part(time.hidden), m * width, weights["time_in.bias"]);
      this.linear(part(time.hidden), "time_out", part(time.out), m);
      for (let r = 0; r < m; r++) addInto(time.out, (from + r) * width, weights["time_out.bias"]);
      yield;
    }
  }

  linear(x, name, y, m, add = 0) {
    const n = this.width;
    this.kernel.multiply(x, n, 1, this.turned[name], y, m, n, n, add);
  }

  // Guesses the noise in `count` points from x[from] on, into out[from …]; row[i] says which row of
  // the embedding belongs to point i. Keeps what `backward` needs.
  forward(x, from, count, row, out) {
    const { width: n, weights: w, h, mid, time } = this;
    const m = Math.ceil(count / 4) * 4;
    for (let r = 0; r < m; r++) {
      const at = x[from + Math.min(r, count - 1)];
      for (let j = 0; j < n; j++) h[r * n + j] = at * w["x_in.weight"][j] + w["x_in.bias"][j];
    }
    for (const block of this.blocks) {
      normalise(h, m, n, w["norm_in.weight"], w["norm_in.bias"], block.inNorm, block.inScale, block.inner);
      for (let r = 0; r < m; r++) {
        const start = row(from + Math.min(r, count - 1)) * n;
        mid.set(time.out.subarray(start, start + n), r * n);
      }
      this.linear(block.inner, "linear_in", mid, m, 1);
      normalise(mid, m, n, w["norm_out.weight"], w["norm_out.bias"], block.outNorm, block.outScale, block.outer);
      this.linear(block.outer, "linear_out", h, m, 1);
      for (let r = 0; r < m; r++) addInto(h, r * n, w["linear_out.bias"]);
    }
    for (let r = 0; r < count; r++) {
      let sum = w["x_out.bias"][0];
      for (let j = 0; j < n; j++) sum += h[r * n + j] * w["x_out.weight"][j];
      out[from + r] = sum;
    }
  }

  // Adds to the gradient what the points of the last `forward` contribute, if dout is the
  // derivative of the loss with respect to each guess.
  backward(x, from, count, row, dout) {
    const { width: n, weights: w, gradient: g, h, dh, dmid, dinner, time, kernel } = this;
    const m = Math.ceil(count / 4) * 4;
    dh.fill(0);
    for (let r = 0; r < count; r++) {
      const d = dout[from + r];
      g["x_out.bias"][0] += d;
      for (let j = 0; j < n; j++) {
        g["x_out.weight"][j] += d * h[r * n + j];
        dh[r * n + j] = d * w["x_out.weight"][j];
      }
    }
    for (const block of [...this.blocks].reverse()) {
      for (let r = 0; r < count; r++) addFrom(g["linear_out.bias"], dh, r * n);
      kernel.multiply(dh, 1, n, block.outer, g["linear_out.weight"], n, m, n, 1);
      kernel.multiply(dh, n, 1, w["linear_out.weight"], dmid, m, n, n, 0);
      denormalise(dmid, m, n, w["norm_out.weight"], block.outNorm, block.outScale, block.outer, g["norm_out.weight"], g["norm_out.bias"], dmid, false);
      for (let r = 0; r < count; r++) addAt(time.dout, row(from + r) * n, dmid, r * n, n);
      kernel.multiply(dmid, 1, n, block.inner, g["linear_in.weight"], n, m, n, 1);
      kernel.multiply(dmid, n, 1, w["linear_in.weight"], dinner, m, n, n, 0);
      denormalise(dinner, m, n, w["norm_in.weight"], block.inNorm, block.inScale, block.inner, g["norm_in.weight"], g["norm_in.bias"], dh, true);
    }
    for (let r = 0; r < count; r++) {
      for (let j = 0; j < n; j++) {
        g["x_in.weight"][j] += dh[r * n + j] * x[from + r];
        g["x_in.bias"][j] += dh[r * n + j];
      }
    }
  }

  // The part of the gradient that goes through the embedding, after all points have gone back.
  *backwardEmbedding() {
    const { width: n, rows, weights: w, gradient: g, time, kernel } = this;
    for (let from = 0; from < time.count; from += rows) {
      const part = (table) => table.subarray(from * n);
      const count = Math.min(rows, time.count - from), m = Math.ceil(count / 4) * 4;
      for (let r = from; r < from + count; r++) addFrom(g["time_out.bias"], time.dout, r * n);
      kernel.multiply(part(time.dout), 1, n, part(time.hidden), g["time_out.weight"], n, m, n, 1);
      kernel.multiply(part(time.dout), n, 1, w["time_out.weight"], part(time.dhidden), m, n, n, 0);
      for (let i = from * n; i < (from + m) * n; i++) if (time.hidden[i] <= 0) time.dhidden[i] *= SLOPE;
      for (let r = from; r < from + count; r++) addFrom(g["time_in.bias"], time.dhidden, r * n);
      kernel.multiply(part(time.dhidden), 1, n, part(time.sines), g["time_in.weight"], n, m, n, 1);
      yield;
    }
  }

  // A denoiser for chains: (step, x, out), the guessed noise in all points x at one step. All steps
  // are embedded once, so it is good only as long as the weights stay as they are.
  *predictor(steps) {
    yield* this.embed(Array.from({ length: steps }, (_, t) => t));
    const { rows } = this, network = this;
    return function* (step, x, out) {
      const row = () => step.t;
      for (let from = 0; from < x.length; from += rows) {
        network.forward(x, from, Math.min(rows, x.length - from), row, out);
        yield;
      }
    };
  }
}

// Layer normalisation, then a leaky ReLU: what comes out, and the normalised rows on the way.
function normalise(x, m, n, gain, shift, normed, scale, out) {
  for (let r = 0, at = 0; r < m; r++, at += n) {
    let sum = 0, squares = 0;
    for (let j = 0; j < n; j++) sum += x[at + j];
    const mean = sum / n;
    for (let j = 0; j < n; j++) { const d = x[at + j] - mean; squares += d * d; }
    const factor = 1 / Math.sqrt(squares / n + EPS);
    scale[r] = factor;
    for (let j = 0; j < n; j++) {
      const z = (x[at + j] - mean) * factor;
      const y = z * gain[j] + shift[j];
      normed[at + j] = z;
      out[at + j] = y > 0 ? y : SLOPE * y;
    }
  }
}

// The way back through `normalise`: dout in, the derivative with respect to x out into (or added
// to) dx, and that with respect to gain and shift added to theirs.
function denormalise(dout, m, n, gain, normed, scale, out, dgain, dshift, dx, add) {
  for (let r = 0, at = 0; r < m; r++, at += n) {
    let mean = 0, along = 0;
    for (let j = 0; j < n; j++) {
      const d = out[at + j] > 0 ? dout[at + j] : SLOPE * dout[at + j];
      const z = normed[at + j], dz = d * gain[j];
      dgain[j] += d * z;
      dshift[j] += d;
      dout[at + j] = dz;
      mean += dz;
      along += dz * z;
    }
    mean /= n;
    along /= n;
    const factor = scale[r];
    for (let j = 0; j < n; j++) {
      const d = factor * (dout[at + j] - mean - normed[at + j] * along);
      dx[at + j] = add ? dx[at + j] + d : d;
    }
  }
}

// A leaky ReLU of the first `length` numbers, after adding a bias to each row.
function activate(x, length, bias) {
  const n = bias.length;
  for (let i = 0; i < length; i++) {
    const y = x[i] + bias[i % n];
    x[i] = y > 0 ? y : SLOPE * y;
  }
}

function addAt(sum, at, x, from, n) {
  for (let j = 0; j < n; j++) sum[at + j] += x[from + j];
}

function addInto(sum, at, x) {
  addAt(sum, at, x, 0, x.length);
}

function addFrom(sum, x, from) {
  addAt(sum, 0, x, from, sum.length);
}

// Sine and cosine of each step at width / 2 geometric frequencies (Vaswani et al. 2017).
function sinusoids(steps, width) {
  const half = width / 2, table = new Float32Array(steps * width);
  for (let t = 0; t < steps; t++) {
    for (let j = 0; j < half; j++) {
      const angle = Math.fround(t * Math.fround(Math.exp((-Math.log(10000) * j) / half)));
      table[t * width + j] = Math.sin(angle);
      table[t * width + half + j] = Math.cos(angle);
    }
  }
  return table;
}
