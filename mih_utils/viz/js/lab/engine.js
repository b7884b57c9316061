// The laboratory without its looks: takes messages, trains, measures, and posts what it finds.
// All work is one generator that stops often; whoever drives it decides for how long it may run.
import { Kernel } from "./kernel.js";
import { Random } from "./rng.js";
import { Mixture, exactDenoiser, isBetween } from "./mixture.js";
import { Schedule, follow } from "./chain.js";
import { Network } from "./network.js";
import { Training } from "./training.js";
import { binned, generatedMass, massInGaps, spaced } from "./density.js";

const POINTS = { learned: 256, exact: 1024 };  // of the push-forward
const CELLS = 240;  // of the shown density
const STAIRS = 160;  // points of the shown staircase
const PAUSE = 80;  // milliseconds between reports of progress
const REST = 3;  // training gets so many times the time that measuring gets
const CHAINS = 64;  // shown of the network as it is

export class Engine {
  constructor(post, { wasm = true } = {}) {
    this.post = (message) => post({ ...message, build: this.built });
    this.kernel = new Kernel({ wasm });
    this.work = null;
  }

  // {type: build, settings, build} | {sampler} | {level} | {train, until} | {pause} | {step} | {drop, who, number, starts | n}
  receive(message) {
    if (message.type === "build") return this.build(message.settings, message.build);
    if (!this.training) return;
    const { type } = message;
    if (type === "train") { this.until = message.until ?? this.training.steps; this.running = true; }
    if (type === "pause" && this.running) this.pause();
    if (type === "step" && !this.running) { this.until = this.training.done + 1; this.running = true; }
    if (type === "level") { this.level = message.level; this.stale.staircase = true; }
    if (type === "drop") this.drops.push(message);
    if (type === "sampler") {
      this.chain = this.schedule.chain(message.sampler);
      Object.assign(this.stale, { exact: true, density: true, chains: true });
    }
  }

  // build: a number that comes back with all that is posted of this network
  build(settings, build) {
    this.built = build;
    const { modes, width, points, net, rate, steps, chain, sampler, seed, level } = settings;
    this.kernel.clear();
    this.seed = seed;
    this.mixture = new Mixture(modes, width);
    this.gaps = this.mixture.gaps();
    this.range = [this.mixture.means[0] - 1, this.mixture.means[modes.length - 1] + 1];
    this.schedule = new Schedule(chain);
    this.chain = this.schedule.chain(sampler);
    this.network = new Network(this.kernel, net, chain, new Random(seed, "weights"));
    this.data = this.mixture.sample(points, new Random(seed, "data"));
    this.training = new Training(this.network, this.data, this.mixture, this.schedule, { steps, lr: rate, seed });
    Object.assign(this, { level, running: false, stepping: false, until: 0, reported: 0, drops: [], lastReport: 0, nextMeasure: 0 });
    this.stale = { exact: true, density: true, chains: true, staircase: true };
    this.work = this.life();
    this.post({ type: "built", data: this.data, range: this.range, gaps: this.gaps, wasm: this.kernel.wasm });
  }

  // Everything there is to do, most urgent first; yields "idle" when there is nothing.
  *life() {
    for (;;) {
      const { stale, training } = this;
      if (this.running && training.done >= this.until) this.stop();
      const measuring = !this.running || performance.now() > this.nextMeasure;
      if (stale.staircase) yield* this.staircase();
      else if (stale.exact) yield* this.exact();
      else if (this.drops.length) yield* this.drop(this.drops.shift());
      else if (measuring && stale.density) yield* this.density();
      else if (measuring && stale.chains) yield* this.chains();
      else if (this.running) yield* this.train();
      else yield "idle";
    }
  }

  *train() {
    this.stepping = true;
    yield* this.training.step();
    this.stepping = false;
    this.stale.density = this.stale.chains = true;
    if (performance.now() - this.lastReport < PAUSE && this.training.done < this.until) return;
    this.report();
    yield* this.staircase();
  }

  // A step that has begun is finished first: what is reported is what the weights are.
  pause() {
    if (this.stepping) this.until = this.training.done + 1;
    else this.stop();
  }

  stop() {
    this.running = false;
    this.report();
    this.stale.staircase = true;
    this.post({ type: "stopped", step: this.training.done });
  }

  report() {
    const { done, loss, floor, excess } = this.training, from = this.reported;
    this.lastReport = performance.now();
    this.reported = done;
    const part = (values) => values.slice(from, done);
    this.post({ type: "progress", step: done, from, loss: part(loss), floor: part(floor), excess: part(excess) });
  }

  *exact() {
    this.stale.exact = false;
    const found = yield* this.generated(exactDenoiser(this.mixture), POINTS.exact);
    this.post({ type: "exact", ...found });
  }

  *density() {
    this.stale.density = false;
    const start = performance.now(), step = this.training.done;
    const denoiser = yield* this.network.predictor(this.schedule.steps);
    const found = yield* this.generated(denoiser, POINTS.learned);
    this.nextMeasure = performance.now() + REST * (performance.now() - start);
    this.post({ type: "density", step, milliseconds: performance.now() - start, ...found });
  }

  *generated(denoiser, points) {
    const [low, high] = this.range;
    const generated = yield* generatedMass(denoiser, this.chain, low, high, points);
    return { p: binned(generated, low, high, CELLS), mass: massInGaps(generated, this.gaps) };
  }

  // The same starting points and the same noise every time: what changes is the network.
  *chains() {
    this.stale.chains = false;
    const random = new Random(this.seed, "chains");
    const starts = Array.from({ length: CHAINS }, () => random.normal());
    yield* this.ways("learned", starts, random, false);
  }

  *drop({ who, number, starts, n }) {
    this.stale.chains = false;  // what is dropped by hand is not replaced by what lies there by default
    const random = new Random(this.seed, `drop ${number}`);
    yield* this.ways(who, starts ?? Array.from({ length: n }, () => random.normal()), random, true);
  }

  *ways(who, starts, random, dropped) {
    const step = this.training.done;
    const denoiser = who === "exact" ? exactDenoiser(this.mixture) : yield* this.network.predictor(this.schedule.steps);
    const { columns, ends } = yield* follow(denoiser, this.chain, starts, random);
    const between = Uint8Array.from(ends, (x) => isBetween(x, this.gaps));
    this.post({ type: "chains", step, who, dropped, columns, between });
  }

  // x0_hat over x_t at the step whose share of noise is nearest to the level.
  *staircase() {
    this.stale.staircase = false;
    const { sigma, signal } = this.schedule;
    let t = 0;
    sigma.forEach((s, i) => { if (Math.abs(s - this.level) < Math.abs(sigma[t] - this.level)) t = i; });
    const step = { t, signal: signal[t], sigma: sigma[t] };
    const seen = spaced(...this.range, STAIRS), x = seen.map((at) => at * step.signal);
    const guess = new Float64Array(STAIRS);
    const clean = () => guess.map((noise, i) => (x[i] - step.sigma * noise) / step.signal);
    yield* exactDenoiser(this.mixture)(step, x, guess);
    const exact = clean();
    yield* this.network.embed([t]);
    for (let from = 0; from < STAIRS; from += this.network.rows) {
      this.network.forward(x, from, Math.min(this.network.rows, STAIRS - from), () => 0, guess);
      yield;
    }
    this.post({ type: "staircase", step: this.training.done, t, x: seen, exact, learned: clean() });
  }
}

// Runs an engine in slices of at most `slice` milliseconds; `later(f)` calls f as soon as messages
// have had their turn. Returns what messages are to be sent to.
export function drive(engine, slice, later) {
  let awake = false;
  const turn = () => {
    const until = performance.now() + slice;
    while (performance.now() < until) {
      if (engine.work.next().value === "idle") { awake = false; return; }
    }
    later(turn);
  };
  return (message) => {
    engine.receive(message);
    if (engine.work && !awake) { awake = true; later(turn); }
  };
}

// The other side of a worker: `self` is its global scope.
export function serve(self) {
  const channel = new MessageChannel();
  let next = null;
  channel.port1.onmessage = () => next();
  const later = (f) => { next = f; channel.port2.postMessage(0); };
  const send = drive(new Engine((message) => self.postMessage(message)), 30, later);
  self.onmessage = (event) => send(event.data);
  self.postMessage({ type: "ready" });
}
