// A stored training, to be shown before the reader presses anything (recorded by record.mjs).

// Numbers from 0 to 255 in base64, and what they stand for.
export const LOWEST_EXPONENT = -9, EXPONENTS = 11;
// values as such text
export const packed = (values, low, high) =>
  btoa(String.fromCharCode(...Array.from(values, (v) => Math.round((255 * (Math.min(Math.max(v, low), high) - low)) / (high - low)))));
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const unpacked = (text, low, high) => Float64Array.from(bytes(text), (b) => low + ((high - low) * b) / 255);
const powers = (text) => unpacked(text, LOWEST_EXPONENT, LOWEST_EXPONENT + EXPONENTS).map((e) => 10 ** e);

// The recorded training as states of the laboratory (see panels.js).
export function unpackedRecording(stored) {
  const { range, flowRange, stairs } = stored;
  const x = Float64Array.from({ length: stored.stairPoints }, (_, i) => range[0] + ((range[1] - range[0]) * i) / (stored.stairPoints - 1));
  const [loss, floor, excess] = ["loss", "floor", "excess"].map((name) => powers(stored.history[name]));
  const step = Array.from(loss, (_, i) => (i + 1) * stored.history.every);
  const exact = { p: powers(stored.exact.p), mass: stored.exact.mass };
  const exactStairs = unpacked(stairs.exact, ...range);
  const masses = stored.frames.map((frame) => ({ step: frame.step, mass: frame.mass }));
  const frames = stored.frames.map((frame) => {
    const past = step.filter((s) => s <= frame.step).length, way = unpacked(frame.chains, ...flowRange);
    const n = way.length / stored.noise.length;
    return {
      step: frame.step, exact,
      learned: { p: powers(frame.p), mass: frame.mass, step: frame.step },
      stairs: { t: stairs.t, x, exact: exactStairs, learned: unpacked(frame.stairs, ...range) },
      flow: {
        who: "learned", between: bytes(frame.between),
        columns: stored.noise.map((noise, k) => ({ noise, x: way.subarray(k * n, (k + 1) * n) })),
      },
      history: { step: step.slice(0, past), loss: loss.slice(0, past), floor: floor.slice(0, past), excess: excess.slice(0, past) },
      masses: masses.filter((m) => m.step <= frame.step),
    };
  });
  return { range, settings: stored.settings, frames };
}

const mix = (a, b, share) => a.map((v, i) => v + share * (b[i] - v));

// The state `share` of the way from one frame to the next.
export function between(a, b, share) {
  const logs = (p) => p.map(Math.log);
  return {
    ...a,
    step: Math.round(a.step + share * (b.step - a.step)),
    learned: { step: Math.round(a.step + share * (b.step - a.step)), mass: Math.exp(mix([Math.log(a.learned.mass)], [Math.log(b.learned.mass)], share)[0]), p: mix(logs(a.learned.p), logs(b.learned.p), share).map(Math.exp) },
    stairs: { ...a.stairs, learned: mix(a.stairs.learned, b.stairs.learned, share) },
    flow: { ...a.flow, between: share < 0.5 ? a.flow.between : b.flow.between, columns: a.flow.columns.map(({ noise, x }, k) => ({ noise, x: mix(x, b.flow.columns[k].x, share) })) },
  };
}
