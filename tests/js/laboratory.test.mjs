// The laboratory's numbers, checked against themselves: node --test tests/js/laboratory.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

const lab = new URL("../../mih_utils/viz/js/lab/", import.meta.url);
const { Kernel } = await import(new URL("kernel.js", lab));
const { Random } = await import(new URL("rng.js", lab));
const { Mixture, exactDenoiser, isBetween } = await import(new URL("mixture.js", lab));
const { Schedule, follow } = await import(new URL("chain.js", lab));
const { generatedMass, massBetween, massInGaps, binned } = await import(new URL("density.js", lab));
const { Engine, drive } = await import(new URL("engine.js", lab));
const { defaults, fromHash, toHash, CONTROLS } = await import(new URL("settings.js", lab));
const { between, unpackedRecording, packed } = await import(new URL("demo.js", lab));
const { share } = await import(new URL("panels.js", lab));

const run = (work) => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
const close = (found, wanted, tolerance) => assert.ok(Math.abs(found - wanted) <= tolerance, `${found}, not ${wanted}`);

test("WebAssembly and plain JavaScript multiply alike", () => {
  const random = new Random(1, "test");
  for (const [m, k, n, add] of [[4, 7, 8, 0], [32, 64, 64, 1], [64, 32, 32, 0]]) {
    const results = [true, false].map((wasm) => {
      const kernel = new Kernel({ wasm });
      assert.equal(kernel.wasm, wasm);
      const fresh = new Random(2, "test"), fill = (x) => x.map(() => fresh.normal());
      const [a, b, c] = [m * k, k * n, m * n].map((size) => { const x = kernel.array(size); x.set(fill(x)); return x; });
      kernel.multiply(a, 1, m, b, c, m, k, n, add);  // a stands transposed
      return { a, b, c, start: fill };
    });
    results[0].c.forEach((value, i) => close(results[1].c[i], value, 1e-5 * k));
    const [{ a, b, c }] = results, i = 3, j = 5;
    let sum = 0;
    for (let p = 0; p < k; p++) sum += a[i + p * m] * b[p * n + j];
    if (!add) close(c[i * n + j], sum, 1e-5 * k);
  }
  assert.notEqual(random.bits(), random.bits());
});

test("a kernel gives its memory back empty", () => {
  const kernel = new Kernel();
  kernel.array(100).fill(3);
  kernel.clear();
  assert.ok(kernel.array(100).every((value) => value === 0));
});

test("random numbers: mean, variance, tails, and streams that differ", () => {
  const random = new Random(3, "test"), n = 100000;
  let sum = 0, squares = 0, far = 0;
  for (let i = 0; i < n; i++) {
    const z = random.normal();
    sum += z;
    squares += z * z;
    far += Math.abs(z) > 1.959964;
  }
  close(sum / n, 0, 4 / Math.sqrt(n));
  close(squares / n, 1, 4 * Math.sqrt(2 / n));
  close(far / n, 0.05, 4 * Math.sqrt((0.05 * 0.95) / n));
  const first = (seed, purpose) => new Random(seed, purpose).bits();
  assert.equal(first(1, "data"), first(1, "data"));
  assert.equal(new Set([first(1, "data"), first(2, "data"), first(1, "weights"), first(1, "batches")]).size, 4);
});

test("the pushed density is what samples have", () => {
  const mixture = new Mixture([1, 2], 0.1), schedule = new Schedule(100);
  for (const sampler of ["ddpm", "ddim"]) {
    const chain = schedule.chain(sampler), random = new Random(4, sampler), n = 20000;
    const generated = run(generatedMass(exactDenoiser(mixture), chain, 0, 3, 512));
    const { ends } = run(follow(exactDenoiser(mixture), chain, Array.from({ length: n }, () => random.normal()), random));
    for (const [low, high] of [[0.5, 0.95], [1.2, 1.8], [1.9, 2.1]]) {
      const p = massBetween(generated, low, high);
      const found = ends.filter((x) => low <= x && x <= high).length / n;
      close(found, p, 4 * Math.sqrt((p * (1 - p)) / n) + 1e-3);
    }
    const cells = binned(generated, 0, 3, 300);
    close(cells.reduce((a, b) => a + b) / 100, massBetween(generated, 0, 3), 1e-6);
  }
});

function trained(settings, until, wasm = true) {
  const posts = [], engine = new Engine((message) => posts.push(message), { wasm });
  engine.receive({ type: "build", settings });
  const finish = () => { while (engine.work.next().value !== "idle"); };
  finish();
  engine.receive({ type: "train", until });
  finish();
  return { engine, posts, last: (type) => posts.filter((post) => post.type === type).at(-1) };
}

test("the same seed and settings give the same numbers, another seed gives others", () => {
  const settings = { ...defaults(), net: 32, seed: 7 };
  const [one, two, three] = [settings, settings, { ...settings, seed: 8 }].map((s) => trained(s, 5));
  assert.deepEqual(one.engine.network.flat, two.engine.network.flat);
  for (const name of ["p", "mass"]) assert.deepEqual(one.last("density")[name], two.last("density")[name]);
  assert.deepEqual(one.last("chains").columns, two.last("chains").columns);
  assert.notDeepEqual(one.engine.network.flat, three.engine.network.flat);
});

test("a training that was stopped on the way ends where one that was not does", () => {
  const settings = { ...defaults(), net: 32 }, whole = trained(settings, 6), halves = trained(settings, 3);
  halves.engine.receive({ type: "drop", who: "learned", n: 5 });
  halves.engine.receive({ type: "train", until: 6 });
  while (halves.engine.work.next().value !== "idle");
  assert.deepEqual(whole.engine.network.flat, halves.engine.network.flat);
});

test("plain JavaScript trains as WebAssembly does", () => {
  const settings = { ...defaults(), net: 32 };
  const [fast, plain] = [true, false].map((wasm) => trained(settings, 3, wasm));
  fast.engine.training.loss.forEach((loss, i) => close(plain.engine.training.loss[i], loss, 1e-4));
});

test("training lowers the excess loss", () => {
  const { excess } = trained({ ...defaults(), net: 32 }, 60).engine.training;
  const mean = (from, to) => excess.slice(from, to).reduce((a, b) => a + b) / (to - from);
  assert.ok(mean(50, 60) < 0.5 * mean(0, 5), `${mean(0, 5)} to ${mean(50, 60)}`);
});

test("dropped points between the modes are told from the others", () => {
  const { engine, last } = trained({ ...defaults(), net: 32 }, 2), n = 50;
  engine.receive({ type: "drop", who: "exact", starts: Array(n).fill(0.3) });
  while (engine.work.next().value !== "idle");
  const { who, columns, between: found } = last("chains");
  assert.equal(who, "exact");
  assert.ok(columns[0].x.every((x) => x === Math.fround(0.3)));
  assert.equal(columns[0].noise, 1);
  assert.equal(columns.at(-1).noise, 0);
  columns.at(-1).x.forEach((x, i) => assert.equal(found[i], +isBetween(x, engine.gaps)));
});

test("in slices, a message is heard between two of them", async () => {
  const heard = [];
  await new Promise((done) => {
    const engine = new Engine((message) => { heard.push(message.type); if (message.type === "stopped") done(); });
    const send = drive(engine, 5, (f) => setTimeout(f, 0));
    send({ type: "build", settings: { ...defaults(), net: 32 } });
    send({ type: "train" });
    const wait = () => (engine.training.done > 3 ? send({ type: "pause" }) : setTimeout(wait, 5));
    wait();
  });
  assert.ok(heard.includes("density") || heard.includes("progress"));
});

test("a link says all settings, and what it cannot mean is passed over", () => {
  const settings = { ...defaults(), modes: [0.5, 2, 4.25], net: 128, seed: 42, sampler: "ddim", level: 0.3 };
  const taken = { drops: ["many", 0.5, -1], hide: ["seed", "menu"] };
  assert.deepEqual(fromHash(toHash(settings, 700, taken)), { settings, at: 700, ...taken });
  for (const hash of ["", "#", "#the-question", "#other=1"]) assert.equal(fromHash(hash), null);
  const damaged = "#lab=modes:1,x;net:65;seed:-1;rate:nan;chain;at:1e9;drop:9,x;who:me;__proto__:1;%zz&hide=everything,seed";
  assert.deepEqual(fromHash(damaged).settings, defaults());
  assert.deepEqual(fromHash("#lab=modes:1,x;net:65;seed:-1;at:1000000000&hide=everything,seed"), { settings: defaults(), at: defaults().steps, drops: [], hide: ["seed"] });
  assert.deepEqual(fromHash("#lab=modes:3,1,2").settings.modes, [1, 2, 3]);
  assert.deepEqual(fromHash("#lab=modes:1,2,3,4,5,6").settings.modes, defaults().modes);
  for (const name of CONTROLS) assert.deepEqual(fromHash(`#hide=${name}`).hide, [name]);
});

test("shares are said in words that fit them", () => {
  assert.equal(share(0.1666), "17%");
  assert.equal(share(0.0168), "1.7%");
  assert.equal(share(1.601e-5), "1 in 62,000");
  assert.equal(share(0), "practically none");
  assert.equal(share(NaN), "practically none");
});

test("the stored training is that of the default settings, and comes back", async () => {
  const { readFileSync } = await import("node:fs");
  const stored = JSON.parse(readFileSync(new URL("recorded.json", lab), "utf8"));
  assert.deepEqual(stored.settings, defaults());
  const { frames } = unpackedRecording(stored), last = frames.at(-1);
  assert.equal(last.step, defaults().steps);
  const [low, high] = stored.range, cell = (high - low) / last.exact.p.length;
  for (const { p } of [last.exact, last.learned]) close(p.reduce((a, b) => a + b) * cell, 1, 0.03);
  // read off the shown curve, the mass between the modes is the stated one
  const gaps = new Mixture(stored.settings.modes, stored.settings.width).gaps();
  const seen = last.learned.p.reduce((sum, p, i) => sum + (isBetween(low + (i + 0.5) * cell, gaps) ? p * cell : 0), 0);
  close(seen, last.learned.mass, 0.15 * last.learned.mass);
  const half = between(frames[3], frames[4], 0.5);
  assert.ok(frames[3].step < half.step && half.step < frames[4].step);
  assert.equal(packed([0, 1], 0, 1), "AP8=");
  const first = trained(stored.settings, 20).last("density");
  close(first.mass, frames[1].learned.mass, 0.02 * first.mass);
});
