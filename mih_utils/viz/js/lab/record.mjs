// Records the training that the laboratory shows before the reader presses anything:
//   node mih_utils/viz/js/lab/record.mjs > mih_utils/viz/js/lab/recorded.json
// It is this same laboratory with its default settings, run here from its seed.
import { Engine } from "./engine.js";
import { defaults } from "./settings.js";
import { EXPONENTS, LOWEST_EXPONENT, packed } from "./demo.js";
import { flowRange } from "./panels.js";

const FRAMES = [0, 20, 50, 100, 160, 240, 350, 500, 650, 800, 1000, 1200, 1400, 1600, 1800, 2000];
const CHAINS = 28, COLUMNS = 22, DENSITY = 120, STAIRS = 80, HISTORY = 80;

const settings = defaults(), posts = [];
const engine = new Engine((message) => posts.push(message));
engine.receive({ type: "build", settings });
const finish = () => { while (engine.work.next().value !== "idle"); };
const last = (type) => posts.filter((post) => post.type === type).at(-1);
const exponents = (values) => packed(Array.from(values, (v) => Math.log10(Math.max(v, 1e-12))), LOWEST_EXPONENT, LOWEST_EXPONENT + EXPONENTS);
// every so many of the numbers; of a density the mean over neighbours
const thinned = (values, n) => Array.from({ length: n }, (_, i) => values[Math.round((i * (values.length - 1)) / (n - 1))]);
const averaged = (values, n) => Array.from({ length: n }, (_, i) => {
  const part = Array.from(values.slice((i * values.length) / n, ((i + 1) * values.length) / n));
  return part.reduce((a, b) => a + b) / part.length;
});

finish();
const { range } = posts[0], flow = flowRange({ range });
const kept = new Set(thinned(last("chains").columns.map((_, k) => k), COLUMNS));
const frames = [];
for (const step of FRAMES) {
  if (step) { engine.receive({ type: "train", until: step }); finish(); }
  const density = last("density"), chains = last("chains"), columns = chains.columns.filter((_, k) => kept.has(k));
  frames.push({
    step, mass: +density.mass.toPrecision(4),
    p: exponents(averaged(density.p, DENSITY)),
    stairs: packed(thinned(last("staircase").learned, STAIRS), ...range),
    chains: packed(columns.flatMap(({ x }) => Array.from(x.slice(0, CHAINS))), ...flow),
    between: btoa(String.fromCharCode(...chains.between.slice(0, CHAINS))),
  });
}
const { training } = engine, binned = (values) => exponents(averaged(values, HISTORY));
console.log(JSON.stringify({
  settings, range, flowRange: flow, stairPoints: STAIRS,
  noise: last("chains").columns.filter((_, k) => kept.has(k)).map(({ noise }) => +noise.toPrecision(4)),
  exact: { p: exponents(averaged(last("exact").p, DENSITY)), mass: +last("exact").mass.toPrecision(4) },
  stairs: { t: last("staircase").t, exact: packed(thinned(last("staircase").exact, STAIRS), ...range) },
  history: { every: settings.steps / HISTORY, loss: binned(training.loss), floor: binned(training.floor), excess: binned(training.excess) },
  frames,
}));
