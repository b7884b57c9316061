// The laboratory's numbers, checked against Python's, which tests/viz/test_laboratory_numbers.py
// writes to the file that MIH_REFERENCE names.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const lab = new URL("../../mih_utils/viz/js/lab/", import.meta.url);
const { Kernel } = await import(new URL("kernel.js", lab));
const { Mixture, exactDenoiser } = await import(new URL("mixture.js", lab));
const { Schedule } = await import(new URL("chain.js", lab));
const { Network } = await import(new URL("network.js", lab));
const { Adam, Training } = await import(new URL("training.js", lab));
const { generatedMass, massInGaps } = await import(new URL("density.js", lab));

const path = process.env.MIH_REFERENCE;
const reference = path ? JSON.parse(readFileSync(path, "utf8")) : { networks: [], densities: [] };
const skip = path ? false : "MIH_REFERENCE names no file: run the Python test";

const run = (work) => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
const distance = (a, b) => Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));
const norm = (a) => Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
const farthest = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

function loaded({ width, steps, weights }, wasm = true) {
  const network = new Network(new Kernel({ wasm }), width, steps, null);
  assert.deepEqual(Object.keys(network.weights), Object.keys(weights));
  for (const [name, view] of Object.entries(network.weights)) view.set(weights[name]);
  network.refresh();
  return network;
}

function atBatch(network, { x, t, noise, steps }) {
  const schedule = new Schedule(steps), mixture = new Mixture([1, 2, 3], 0.05);
  const training = new Training(network, [], mixture, schedule, { steps: 1, lr: 1e-3, seed: 0, batch: x.length });
  training.x.set(x);
  training.t.set(t);
  training.noise.set(noise);
  run(training.differentiate());
  return training;
}

for (const wasm of [true, false]) {
  for (const given of reference.networks) {
    test(`width ${given.width}, ${wasm ? "WebAssembly" : "plain"}: guesses, gradients, one step of Adam`, { skip }, (t) => {
      const network = loaded(given, wasm), training = atBatch(network, given);
      const off = farthest(Array.from(training.guess), given.guess);
      assert.ok(off < 1e-5, `guesses differ by ${off}`);
      let worst = 0;
      for (const [name, gradient] of Object.entries(network.gradient)) {
        const relative = distance(Array.from(gradient), given.gradient[name]) / norm(given.gradient[name]);
        worst = Math.max(worst, relative);
        assert.ok(relative < 1e-4, `gradient of ${name} differs by ${relative}`);
      }
      const adam = new Adam(network.flat.length);
      for (const step of given.adam) {
        // the same gradient on both sides, or Adam would turn the last digit of a tiny one into a step
        for (const [name, gradient] of Object.entries(network.gradient)) gradient.set(step.gradient[name]);
        adam.move(network.flat, network.flatGradient, step.lr);
        for (const [name, view] of Object.entries(network.weights)) {
          const moved = farthest(Array.from(view), step.weights[name]);
          assert.ok(moved < 1e-5, `${name} after a step of Adam differs by ${moved}`);
        }
      }
      t.diagnostic(`guesses ${off.toExponential(1)}, gradients ${worst.toExponential(1)}`);
    });
  }
}

test("cosine learning rate", { skip }, () => {
  const { lr, steps, rates } = reference.cosine;
  rates.forEach((rate, k) => assert.ok(Math.abs((lr * (1 + Math.cos((Math.PI * k) / steps))) / 2 - rate) < 1e-9));
});

test("schedule and chains", { skip }, () => {
  for (const { steps, alphaBar, chains } of reference.schedules) {
    const schedule = new Schedule(steps);
    assert.ok(farthest(schedule.alphaBar, alphaBar) < 1e-12);
    for (const [sampler, rows] of Object.entries(chains)) {
      schedule.chain(sampler).forEach((step, i) => {
        for (const [name, value] of Object.entries(rows[i])) {
          assert.ok(Math.abs(step[name] - value) < 1e-9 * Math.max(1, Math.abs(value)), `${sampler} ${steps}: ${name} of step ${i}: ${step[name]}, not ${value}`);
        }
      });
    }
  }
});

test("the exact guess of the noise", { skip }, () => {
  const { means, std, steps, x, t, noise } = reference.exact;
  const mixture = new Mixture(means, std), schedule = new Schedule(steps);
  const found = x.map((at, i) => mixture.noise(at, schedule.signal[t[i]], schedule.sigma[t[i]]));
  assert.ok(farthest(found, noise) < 1e-9);
});

for (const [i, given] of reference.densities.entries()) {
  test(`generated mass ${i}: ${given.name}`, { skip }, (t) => {
    const mixture = new Mixture(given.means, given.std), schedule = new Schedule(given.steps);
    const denoiser = given.weights ? run(loaded(given).predictor(given.steps)) : exactDenoiser(mixture);
    const points = given.weights ? 256 : 1024;  // as in engine.js
    const [low, high] = [given.means[0] - 1, given.means.at(-1) + 1];
    const found = massInGaps(run(generatedMass(denoiser, schedule.chain(given.sampler), low, high, points)), mixture.gaps());
    const off = found / given.mass - 1;
    t.diagnostic(`mass ${found.toExponential(4)}, ${(100 * off).toFixed(3)}% off`);
    assert.ok(Math.abs(off) < 0.02, `${found}, not ${given.mass}`);
  });
}
