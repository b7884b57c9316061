// What a reader can set, and how a link says it: #lab=modes:1,2,3;net:64;at:800;drop:many,0.5&hide=seed,menu

export const CHOICES = {
  points: [20, 50, 100, 500, 2000, 20000],
  net: [32, 64, 128],
  rate: [0.001, 0.002, 0.005, 0.01],
  steps: [500, 1000, 2000, 5000, 10000, 20000],
  chain: [100, 200, 500, 1000],
  sampler: ["ddpm", "ddim"],
};

export const AXIS = { low: 0, high: 6, step: 0.05, most: 5 };  // where modes can be put
export const WIDTH = { low: 0.02, high: 0.2, step: 0.01 };

// What can be hidden from a class, by these names in the link
export const CONTROLS = [
  "guide", "modes", "buttons", "settings", "menu", "width", ...Object.keys(CHOICES), "seed",
  "gap", "chains", "staircase", "history",
];

export function defaults() {
  return {
    modes: [1, 2, 3], width: 0.05, points: 2000, net: 64, rate: 0.005, steps: 2000, chain: 100,
    sampler: "ddpm", seed: 1, level: 0.15, tab: "gap", who: "learned",
  };
}

const numeric = (text) => (text.trim() === "" ? NaN : Number(text));
const inside = (value, low, high) => Number.isFinite(value) && value >= low && value <= high;

// What each name may say; undefined for anything else.
function read(name, text) {
  const number = numeric(text);
  if (name in CHOICES) return CHOICES[name].find((choice) => String(choice) === text);
  if (name === "modes") {
    const modes = text.split(",").map(numeric);
    const ok = modes.length <= AXIS.most && modes.every((mode) => inside(mode, AXIS.low, AXIS.high));
    return ok ? modes.sort((a, b) => a - b) : undefined;
  }
  if (name === "width") return inside(number, WIDTH.low, WIDTH.high) ? number : undefined;
  if (name === "seed") return Number.isInteger(number) && inside(number, 0, 99999) ? number : undefined;
  if (name === "level") return inside(number, 0, 1) ? number : undefined;
  if (name === "at") return Number.isInteger(number) && number >= 0 ? number : undefined;
  if (name === "who") return ["learned", "exact"].find((who) => who === text);
  if (name === "drop") {
    const drops = text.split(",").map((drop) => (drop === "many" ? drop : numeric(drop)));
    return drops.length <= 50 && drops.every((drop) => drop === "many" || inside(drop, -3, 3)) ? drops : undefined;
  }
  if (name === "tab") return ["gap", "chains", "staircase", "history"].find((tab) => tab === text);
  return undefined;
}

// {settings, at, drops, hide} of a link's hash, or null if it says nothing of the laboratory. `at` is
// null, or how far the training is to go; drops: the starts of dropped points, or "many" for points
// from all over the noise. What cannot be understood is passed over.
export function fromHash(hash) {
  const parts = hash.replace(/^#/, "").split("&").map((part) => part.split("="));
  const values = Object.fromEntries(parts.filter((part) => part.length === 2));
  if (values.lab === undefined && values.hide === undefined) return null;
  const settings = defaults();
  let at = null, drops = [];
  for (const item of plain(values.lab ?? "").split(";")) {
    const [name, text] = item.split(":");
    const value = text === undefined ? undefined : read(name, text);
    if (value === undefined) continue;
    if (name === "at") at = value;
    else if (name === "drop") drops = value;
    else settings[name] = value;
  }
  const hide = plain(values.hide ?? "").split(",").filter((name) => CONTROLS.includes(name));
  return { settings, at: at === null ? null : Math.min(at, settings.steps), drops, hide };
}

function plain(text) {
  try { return decodeURIComponent(text); } catch { return ""; }
}

export function toHash(settings, at, { hide = [], drops = [] } = {}) {
  const items = Object.entries({ ...settings, at }).map(([name, value]) => `${name}:${value}`);
  if (drops.length) items.push(`drop:${drops}`);
  return `#lab=${items.join(";")}${hide.length ? `&hide=${hide}` : ""}`;
}
