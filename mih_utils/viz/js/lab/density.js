// The density a chain generates, computed without sampling: as `exact_density` in Python.
//
// A step moves a point to a mean and spreads it by a Gaussian, so a density can be pushed through
// the chain whole. What comes out is `nodes` and the mass between each two neighbours.

const TAIL = 8;  // the start is followed to so many standard deviations
const RESOLVED = 1.5;  // least noise of a step, in spacings of the points
const REACH = 8.3;  // of a Gaussian, in its standard deviations
const FINER = 8;  // points per point in the last step, which adds no noise
const NEGLIGIBLE = 1e-11;

// low, high: a range that holds all the data. points: at least so many at each step.
export function* generatedMass(denoiser, chain, low, high, points) {
  if (chain[0].std > 0) return yield* push(denoiser, chain, low, high, points);
  return yield* transport(denoiser, chain, low, high, points);
}

function* push(denoiser, chain, low, high, points) {
  // before each step, the noised range of the data with its noise around it
  const windows = chain.map(({ signal, sigma }) => [signal * low - TAIL * sigma, signal * high + TAIL * sigma]);
  const need = chain.map(({ std }, i) => (std ? (RESOLVED * (windows[i + 1][1] - windows[i + 1][0])) / std : 0));
  const n = Math.max(points, 64 * Math.ceil(Math.max(...need) / 64));
  let x = spaced(...windows[0], n);
  let p = x.map((at) => Math.exp((-at * at) / 2) / Math.sqrt(2 * Math.PI));
  const guess = new Float64Array(FINER * n);
  for (let i = 0; i < chain.length - 1; i++) {
    const step = chain[i], spacing = x[1] - x[0];
    yield* denoiser(step, x, guess);
    const finer = i === chain.length - 2 ? FINER : 1;
    const next = spaced(...windows[i + 1], finer * n), density = new Float64Array(finer * n);
    for (let j = 0; j < x.length; j++) {
      deposit(density, next[0], next[1] - next[0], step.x * x[j] + step.noise * guess[j], step.std, p[j] * spacing);
      if (j % 64 === 63) yield;
    }
    x = next;
    p = density;
  }
  const last = chain[chain.length - 1], nodes = new Float64Array(x.length), mass = new Float64Array(x.length - 1);
  yield* denoiser(last, x, guess);
  for (let j = 0; j < x.length; j++) nodes[j] = last.x * x[j] + last.noise * guess[j];
  for (let j = 0; j < mass.length; j++) mass[j] = ((p[j] + p[j + 1]) / 2) * (x[1] - x[0]);
  return { nodes, mass };
}

export function spaced(low, high, n) {
  return Float64Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
}

// Adds a Gaussian of this mass to a density on points `start + i * spacing`. From one point to the
// next its value changes by a factor that itself changes by a constant one: no exponential is needed.
function deposit(density, start, spacing, mean, std, mass) {
  if (mass < 1e-30) return;
  const at = (mean - start) / spacing, width = std / spacing;
  const centre = Math.min(Math.max(Math.round(at), 0), density.length - 1);
  const reach = REACH * width, away = centre - at;
  if (Math.abs(away) > reach) return;
  const top = (mass / (std * Math.sqrt(2 * Math.PI))) * Math.exp(-0.5 * (away / width) ** 2);
  const curve = Math.exp(-1 / (width * width));
  const stop = Math.min(density.length - 1, Math.floor(at + reach)), begin = Math.max(0, Math.ceil(at - reach));
  let value = top, factor = Math.exp((-away - 0.5) / (width * width));
  for (let i = centre; i <= stop; i++) { density[i] += value; value *= factor; factor *= curve; }
  value = top;
  factor = Math.exp((away - 0.5) / (width * width));
  for (let i = centre - 1; i >= begin; i--) { value *= factor; factor *= curve; density[i] += value; }
}

// Without noise, points move and the mass between them stays. Where the chain tears neighbours
// apart, more points are put between them, the heaviest stretches first.
function* transport(denoiser, chain, low, high, points) {
  let x = spaced(-TAIL, TAIL, points), landed = yield* through(denoiser, chain, x);
  const most = 8 * points, torn = (high - low) / 512;
  for (let round = 0; round < 12 && x.length < most; round++) {
    const mass = normalMass(x), wide = [];
    const inside = landed.map((at) => Math.min(Math.max(at, low), high));
    for (let j = 0; j < mass.length; j++) {
      if (mass[j] > NEGLIGIBLE && Math.abs(inside[j + 1] - inside[j]) > torn) wide.push(j);
    }
    const few = wide.sort((a, b) => mass[b] - mass[a]).slice(0, Math.floor((most - x.length) / 3));
    if (!few.length) break;
    const added = few.flatMap((j) => [1, 2, 3].map((k) => x[j] + ((x[j + 1] - x[j]) * k) / 4));
    const moved = yield* through(denoiser, chain, added);
    const all = [...x, ...added], ends = [...landed, ...moved];
    const order = all.map((_, i) => i).sort((a, b) => all[a] - all[b]);
    x = Float64Array.from(order, (i) => all[i]);
    landed = Float64Array.from(order, (i) => ends[i]);
  }
  return { nodes: landed, mass: normalMass(x) };
}

function* through(denoiser, chain, starts) {
  const x = Float64Array.from(starts), guess = new Float64Array(x.length);
  for (const step of chain) {
    yield* denoiser(step, x, guess);
    for (let i = 0; i < x.length; i++) x[i] = step.x * x[i] + step.noise * guess[i];
  }
  return x;
}

// Mass of a standard normal between neighbouring points: Simpson's rule on its density.
function normalMass(x) {
  const phi = (at) => Math.exp((-at * at) / 2) / Math.sqrt(2 * Math.PI);
  const mass = new Float64Array(x.length - 1);
  for (let j = 0; j < mass.length; j++) {
    mass[j] = ((x[j + 1] - x[j]) / 6) * (phi(x[j]) + 4 * phi((x[j] + x[j + 1]) / 2) + phi(x[j + 1]));
  }
  return mass;
}

// Mass in an interval.
export function massBetween({ nodes, mass }, low, high) {
  let sum = 0;
  for (let j = 0; j < mass.length; j++) {
    const start = Math.min(nodes[j], nodes[j + 1]), stop = Math.max(nodes[j], nodes[j + 1]);
    if (stop > start) sum += (mass[j] * Math.max(0, Math.min(stop, high) - Math.max(start, low))) / (stop - start);
    else if (low <= start && start < high) sum += mass[j];
  }
  return sum;
}

export function massInGaps(generated, gaps) {
  return gaps.reduce((sum, [low, high]) => sum + massBetween(generated, low, high), 0);
}

// Mean density in each of n cells from low to high.
export function binned({ nodes, mass }, low, high, n) {
  const cells = new Float64Array(n), size = (high - low) / n;
  for (let j = 0; j < mass.length; j++) {
    const start = (Math.min(nodes[j], nodes[j + 1]) - low) / size, stop = (Math.max(nodes[j], nodes[j + 1]) - low) / size;
    const first = Math.max(0, Math.floor(start)), last = Math.min(n - 1, Math.floor(stop));
    for (let i = first; i <= last; i++) {
      const share = stop > start ? (Math.min(stop, i + 1) - Math.max(start, i)) / (stop - start) : 1;
      if (share > 0) cells[i] += (mass[j] * share) / size;
    }
  }
  return cells;
}
