// The laboratory's elements, built once. Nothing here knows what they do.

// An element with attributes and children; `on…` names listeners.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Jupyter takes some keys for itself unless told not to.
const KEYS = { "data-lm-suppress-shortcuts": "true" };

export const button = (label, onclick, attributes = {}) => make("button", { type: "button", ...KEYS, onclick, ...attributes }, label);

export function select(name, label, options, value, onchange) {
  const list = make("select", { ...KEYS, onchange: () => onchange(options[list.selectedIndex][0]) },
    ...options.map(([at, text]) => make("option", { value: at, selected: at === value }, text)));
  return make("label", { "data-name": name }, make("span", {}, label), list);
}

// A slider and what it says, side by side: {row, show(value, text)}.
export function slider(name, label, { low, high, step }, oninput) {
  const input = make("input", { type: "range", min: low, max: high, step, ...KEYS, "aria-label": label, oninput: () => oninput(+input.value) });
  const output = make("output", { "aria-hidden": "true" });
  const row = make("label", { class: "lab-slider", "data-name": name }, make("span", {}, label), input, output);
  const show = (value, text) => {
    input.value = value;
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  return { row, input, show };
}

const TABS = { chains: "Chains", gap: "The gap", staircase: "Staircase", history: "Over time" };
const TITLES = {
  gap: "What is generated", chains: "From noise to data", staircase: "The staircase", history: "While it learns",
};
const CAPTIONS = {
  chains: "Each line is one chain. Tap the noise end to drop points there.",
  gap: "How often a point is drawn; each line of the grid is 100 times the one below. Pink lies at least 6σ from every mode.",
  staircase: "With little noise left the best guess jumps from mode to mode. A network is too smooth for that, and sends points between.",
  history: "The loss comes close to its floor long before the mass between the modes is gone.",
};
const NOTES = {
  gap: [["exact", "exact answer"], ["learned", "network"], ["data", "data"], ["hallucination", "hallucinated"]],
  chains: [["hallucination", "ended between the modes"], ["learned", "on a mode, or beside"]],
  staircase: [["exact", "best possible guess"], ["learned", "network"]],
  history: [["learned", "network"], ["exact", "exact answer"]],
};

const legend = (notes) => make("ul", { class: "lab-legend" }, ...notes.map(([role, text]) => make("li", {}, make("i", { "data-role": role }), text)));

// A panel with its canvas, and below it a place for its controls.
function panel(name) {
  const canvas = make("canvas", { role: "img" });
  const section = make("section", { class: "lab-panel", "data-name": name, role: "group", "aria-label": TITLES[name] },
    make("header", {}, make("strong", {}, TITLES[name]), legend(NOTES[name])), canvas,
    make("p", { class: "lab-caption" }, CAPTIONS[name]));
  return { section, canvas, title: TITLES[name] };
}

// Builds everything into `root`; `on` holds what to do. Returns the parts that change.
export function build(root, on) {
  const parts = { panels: {}, tabs: {} };
  for (const name in TABS) parts.panels[name] = panel(name);
  parts.steps = ["This is the data", "Press Train", "Look at the gap"].map((text, i) =>
    make("li", {}, button(text, () => on.guide(i))));
  parts.hint = make("p", { class: "lab-hint" });
  parts.strip = make("canvas", { role: "img", "aria-label": "The data: how many points lie where" });
  parts.handles = make("div", { class: "lab-handles" });
  parts.fewer = button("−", () => on.modes(-1), { "aria-label": "One mode fewer" });
  parts.more = button("+", () => on.modes(1), { "aria-label": "One mode more" });
  parts.train = button("Train", on.train, { class: "lab-main" });
  parts.pause = button("Pause", on.pause);
  parts.step = button("Step", on.step, { title: "One training step" });
  parts.reset = button("Reset", on.reset, { title: "Back to an untrained network" });
  parts.progress = make("progress", { max: 1, value: 0, "aria-label": "Training steps done" });
  parts.progressText = make("span", { class: "lab-progress-text" });
  parts.settings = make("div", { class: "lab-fields", "data-name": "settings", hidden: true });
  parts.open = button("Settings", () => on.settings(), { "aria-expanded": "false", "data-name": "settings" });
  parts.readout = make("p", { class: "lab-readout" });
  parts.spoken = make("p", { class: "lab-spoken", "aria-live": "polite" });
  parts.told = make("span", { class: "lab-told", role: "status" });
  for (const name in TABS) {
    parts.tabs[name] = button(TABS[name], () => on.tab(name), { role: "tab", "aria-selected": "false", "data-name": name });
  }
  const menu = make("details", { class: "lab-menu", "data-name": "menu" }, make("summary", {}, "Share"),
    make("div", {}, button("Copy link", on.link), button("Picture (PNG)", on.png), button("Numbers (CSV)", on.csv), button("Full screen", on.screen)));
  parts.count = make("div", { class: "lab-count" }, make("span", {}, "Modes"), parts.fewer, parts.more);
  const strip = make("div", { class: "lab-data", "data-name": "modes" }, parts.strip, parts.handles, parts.count);
  const bar = make("div", { class: "lab-bar", "data-name": "buttons" }, parts.train, parts.pause, parts.step, parts.reset);
  const stage = make("div", { class: "lab-stage" }, ...Object.values(parts.panels).map(({ section }) => section));
  root.append(
    make("ol", { class: "lab-guide", "data-name": "guide" }, ...parts.steps), parts.hint, strip, bar,
    make("div", { class: "lab-progress" }, parts.progress, parts.progressText), parts.readout,
    make("div", { class: "lab-tabs", role: "tablist", "aria-label": "Panels" }, ...Object.values(parts.tabs)), stage,
    make("div", { class: "lab-row" }, parts.open, menu, parts.told), parts.settings, parts.spoken);
  return parts;
}
