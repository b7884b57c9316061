// Training: guess the noise in noised data, least squares, Adam with a cosine learning rate, as
// `train` in Python (Ho et al. 2020, algorithm 1).
import { Random } from "./rng.js";

const BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;

export class Adam {
  constructor(size) {
    this.first = new Float32Array(size);
    this.second = new Float32Array(size);
    this.steps = 0;
  }

  // Moves the weights one step of size lr along the gradient (Kingma & Ba 2015).
  move(weights, gradient, lr) {
    this.steps += 1;
    const { first, second } = this, size = lr / (1 - BETA1 ** this.steps);
    const root = Math.sqrt(1 - BETA2 ** this.steps);
    for (let i = 0; i < weights.length; i++) {
      const g = gradient[i];
      const m = BETA1 * first[i] + (1 - BETA1) * g, v = BETA2 * second[i] + (1 - BETA2) * g * g;
      first[i] = m;
      second[i] = v;
      weights[i] -= (size * m) / (Math.sqrt(v) / root + EPSILON);
    }
  }
}

export class Training {
  // steps: how many there will be in all, over which the learning rate falls to zero.
  constructor(network, data, mixture, schedule, { steps, lr, seed, batch = 256 }) {
    Object.assign(this, { network, data, mixture, schedule, steps, lr, batch });
    this.random = new Random(seed, "batches");
    this.adam = new Adam(network.flat.length);
    this.done = 0;
    this.loss = new Float32Array(steps);  // of each step: of the network,
    this.floor = new Float32Array(steps);  // of the exact denoiser on the same batch,
    this.excess = new Float32Array(steps);  // and the squared distance between the two
    for (const name of ["x", "noise", "guess", "slope"]) this[name] = new Float32Array(batch);
    this.t = new Int32Array(batch);
    this.row = new Int32Array(batch);
  }

  draw() {
    const { random, schedule, t, noise, x, data } = this;
    for (let i = 0; i < this.batch; i++) {
      t[i] = random.below(schedule.steps);
      noise[i] = random.normal();
      x[i] = schedule.signal[t[i]] * data[random.below(data.length)] + schedule.sigma[t[i]] * noise[i];
    }
  }

  // One step: the loss is the mean squared error of the guessed noise.
  *step() {
    this.draw();
    yield* this.differentiate();
    const { loss, floor, excess } = this.compare();
    const lr = (this.lr * (1 + Math.cos((Math.PI * this.done) / this.steps))) / 2;
    this.adam.move(this.network.flat, this.network.flatGradient, lr);
    this.network.refresh();
    this.loss[this.done] = loss;
    this.floor[this.done] = floor;
    this.excess[this.done] = excess;
    this.done += 1;
  }

  // Fills the network's gradient from the batch in x, t and noise.
  *differentiate() {
    const { network, batch, x, noise, guess, slope } = this;
    const times = [...new Set(this.t)], row = (i) => this.row[i];
    const place = new Map(times.map((t, r) => [t, r]));
    for (let i = 0; i < batch; i++) this.row[i] = place.get(this.t[i]);
    network.flatGradient.fill(0);
    network.time.dout.fill(0);
    yield* network.embed(times);
    for (let from = 0; from < batch; from += network.rows) {
      const count = Math.min(network.rows, batch - from);
      network.forward(x, from, count, row, guess);
      for (let i = from; i < from + count; i++) slope[i] = (2 * (guess[i] - noise[i])) / batch;
      network.backward(x, from, count, row, slope);
      yield;
    }
    yield* network.backwardEmbedding();
  }

  // What the batch says about the network and about the best possible answer.
  compare() {
    let loss = 0, floor = 0, excess = 0;
    for (let i = 0; i < this.batch; i++) {
      const { signal, sigma } = this.schedule;
      const best = this.mixture.noise(this.x[i], signal[this.t[i]], sigma[this.t[i]]);
      loss += (this.guess[i] - this.noise[i]) ** 2;
      floor += (best - this.noise[i]) ** 2;
      excess += (this.guess[i] - best) ** 2;
    }
    return { loss: loss / this.batch, floor: floor / this.batch, excess: excess / this.batch };
  }
}
