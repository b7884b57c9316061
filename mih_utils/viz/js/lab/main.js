// The laboratory on a page: shows the stored training until something is pressed, then the
// reader's own.
import { connect } from "./connect.js";
import { between, unpackedRecording } from "./demo.js";
import { prepared } from "./axes.js";
import { dataBox, drawData, drawFlow, drawGap, drawHistory, drawStaircase, flowBox, flowRange, share, whole } from "./panels.js";
import { placeHandles } from "./handles.js";
import { build, button, make, select, slider } from "./page.js";
import { AXIS, CHOICES, WIDTH, defaults, fromHash, toHash } from "./settings.js";
import { asPicture, asTable, copied, download } from "./share.js";
import { Mixture } from "./mixture.js";
import { Random } from "./rng.js";

const FRAME = 600, HOLD = 5000;  // milliseconds of each frame of the stored training, and of its last
const FLOW = 2600;  // milliseconds that dropped points need
const DROP = { many: 100, few: 12, most: 600 };
const POINTS_KEPT = 100;  // of a curve over the steps
const TITLE = "A network that trains in this page";

const HINTS = [
  "This is the data: narrow heaps of points, its modes, and nothing between them. Drag a handle to move one.",
  "Press Train. A small network learns, here in the page, to turn noise into such points.",
  "Look at the gap: pink is what the network draws where no data is. It shrinks, and it stays. The exact answer, the best guess that can be computed, draws next to nothing there.",
];

// The curves over the steps: means over equally many steps each.
class Curves {
  constructor(steps) {
    this.every = Math.max(1, Math.round(steps / POINTS_KEPT));
    Object.assign(this, { count: 0, sums: [0, 0, 0], step: [], loss: [], floor: [], excess: [] });
  }

  add(step, values) {
    values.forEach((value, i) => { this.sums[i] += value; });
    if ((this.count += 1) < this.every) return;
    this.step.push(step);
    ["loss", "floor", "excess"].forEach((name, i) => this[name].push(this.sums[i] / this.every));
    Object.assign(this, { count: 0, sums: [0, 0, 0] });
  }
}

class Laboratory {
  constructor(root, stored, source) {
    this.root = root;
    this.source = source;
    this.recording = unpackedRecording(stored);
    const said = fromHash(location.hash);
    this.settings = said ? said.settings : defaults();
    this.hide = said ? said.hide : [];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.mark = this.builds = 0;
    this.drops = [];  // what was dropped on the network as it is: starts, or "many"
    this.parts = build(root, this.actions());
    this.controls();
    root.querySelectorAll("[data-name]").forEach((element) => { if (this.hide.includes(element.dataset.name)) element.remove(); });
    if (this.hide.includes(this.settings.tab)) this.settings.tab = Object.keys(this.parts.tabs).find((name) => !this.hide.includes(name)) ?? "gap";
    this.showDemo();
    this.watch();
    if (said && said.at !== null) this.replay(said.at, said.drops);
    else if (said && toHash(said.settings, 0) !== toHash(defaults(), 0)) this.begin();
  }

  actions() {
    const parts = () => this.parts;
    return {
      guide: (i) => this.guide(i),
      train: () => this.train(),
      pause: () => this.pause(),
      step: () => { this.begin(); this.engine.send({ type: "step" }); },
      settings: () => {
        const shut = (parts().settings.hidden = !parts().settings.hidden);
        parts().open.setAttribute("aria-expanded", String(!shut));
      },
      reset: () => { this.begin(); this.rebuild(); },
      modes: (by) => this.countModes(by),
      tab: (name) => this.tab(name),
      link: () => this.link(),
      png: () => this.png(),
      csv: () => download(new Blob([`# ${this.address()}\n${asTable(this.state)}`], { type: "text/csv" }), "laboratory.csv"),
      screen: () => (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.()),
    };
  }

  // Settings, and the controls of the staircase and of the chains.
  controls() {
    const { parts, settings } = this;
    const set = (name) => (value) => this.set(name, value);
    const choices = {
      net: ["Network width", (v) => `${v}`], rate: ["Learning rate", (v) => `${v}`], steps: ["Training steps", whole],
      points: ["Data points", whole], chain: ["Chain length", (v) => `${whole(v)} steps`], sampler: ["Sampler", (v) => v.toUpperCase()],
    };
    this.width = slider("width", "Width", WIDTH, (value) => {
      this.settings.width = value;
      this.showData();
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.set("width", value), 250);
    });
    this.seed = make("input", { type: "number", min: 0, max: 99999, step: 1, value: settings.seed, "data-lm-suppress-shortcuts": "true",
      onchange: () => this.set("seed", Math.min(99999, Math.max(0, Math.round(+this.seed.value) || 0))) });
    parts.count.append(this.width.row);
    parts.settings.append(...Object.entries(choices).map(([name, [label, text]]) => select(name, label, CHOICES[name].map((v) => [v, text(v)]), settings[name], set(name))),
      make("label", { "data-name": "seed" }, make("span", {}, "Seed"), this.seed));
    this.level = slider("level", "Noise left", { low: 0, high: 1, step: 0.01 }, (value) => {
      this.settings.level = 1 - value;
      this.engine?.send({ type: "level", level: this.settings.level });
      this.showLevel();
    });
    parts.panels.staircase.section.append(this.level.row);
    this.who = select("who", "Denoiser", [["learned", "network"], ["exact", "exact answer"]], settings.who, (who) => {
      settings.who = who;
      this.drop("many");
    });
    this.dropper = button(`Drop ${DROP.many} points`, () => this.drop("many"));
    parts.panels.chains.section.append(make("div", { class: "lab-row" }, this.dropper, this.who));
    this.noiseEnd(parts.panels.chains.canvas);
  }

  // The noise end can be tapped, and reached with the arrow keys: points are dropped there.
  noiseEnd(canvas) {
    canvas.setAttribute("tabindex", "0");
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("data-lm-suppress-shortcuts", "true");
    Object.entries({ min: -3, max: 3, now: 0 }).forEach(([name, value]) => canvas.setAttribute(`aria-value${name}`, value));
    const here = () => this.drop(this.mark);
    canvas.addEventListener("click", (event) => {
      const pen = { width: canvas.clientWidth, height: canvas.clientHeight }, box = flowBox(pen), [low, high] = flowRange(this.state);
      if (event.offsetX > box.left + box.w) return;
      this.mark = Math.min(3, Math.max(-3, high - ((event.offsetY - box.top) / box.h) * (high - low)));
      here();
    });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
      if (event.key === "Enter" || event.key === " ") here();
      else if (by) this.mark = Math.min(3, Math.max(-3, +(this.mark + by).toFixed(2)));
      else return;
      event.preventDefault();
      canvas.setAttribute("aria-valuenow", this.mark.toFixed(1));
      this.draw();
    });
  }

  // The stored training, until something is pressed

  showDemo() {
    const mixture = new Mixture(this.settings.modes, this.settings.width);
    this.base = { mixture, gaps: mixture.gaps(), range: this.recording.range, data: this.sampled() };
    this.demo = { start: performance.now(), playing: !this.calm };
    this.guide(0);
    this.demoFrame(this.calm ? Infinity : 0);
    this.showControls();
  }

  demoFrame(elapsed) {
    const { frames } = this.recording, at = Math.min(elapsed / FRAME, frames.length - 1), i = Math.min(Math.floor(at), frames.length - 2);
    this.state = { ...this.base, ...between(frames[i], frames[i + 1], at - i) };
    if (at >= frames.length - 1) this.state = { ...this.base, ...frames[frames.length - 1] };
    if (elapsed > 3000 && this.guideAt === 0 && !this.guided) this.guide(1, true);
  }

  // The end of the stored training, as it stands on paper.
  still() {
    if (!this.demo) return;
    this.demo.playing = false;
    this.demoFrame(Infinity);
    this.showControls();
    this.paint(performance.now());
  }

  // The reader's own training

  begin() {
    if (!this.demo) return;
    this.demo = null;
    this.engine = connect(this.source, (message) => this.hear(message));
    this.rebuild();
  }

  rebuild() {
    const { settings } = this;
    settings.modes.sort((a, b) => a - b);
    const mixture = new Mixture(settings.modes, settings.width);
    this.state = {
      mixture, gaps: mixture.gaps(), range: [mixture.means[0] - 1, mixture.means[settings.modes.length - 1] + 1], data: this.sampled(),
      step: 0, exact: null, learned: null, stairs: null, flow: null, history: new Curves(settings.steps), masses: [],
    };
    this.running = this.replaying = false;
    this.flowStart = null;
    this.engine.send({ type: "build", settings, build: (this.builds += 1) });
    this.showControls();
    this.draw();
  }

  sampled() {
    const { modes, width, points, seed } = this.settings;
    return new Mixture(modes, width).sample(points, new Random(seed, "data"));
  }

  hear(message) {
    if (message.build !== this.builds) return;  // posted before the last reset
    const { state } = this;
    if (message.type === "progress") {
      message.loss.forEach((loss, i) => state.history.add(message.from + i + 1, [loss, message.floor[i], message.excess[i]]));
      state.step = message.step;
    } else if (message.type === "exact") state.exact = message;
    else if (message.type === "staircase") state.stairs = message;
    else if (message.type === "density") {
      state.learned = message;
      if (message.step) state.masses.push({ step: message.step, mass: message.mass });
      if (this.announce) this.speak();
    } else if (message.type === "chains") this.takeChains(message);
    else if (message.type === "stopped") {
      this.running = this.replaying = false;
      this.announce = true;
      this.dropAgain();
    }
    if (state.step > 100 && this.guideAt < 2) this.guide(2, true);
    this.showControls();
    this.draw();
  }

  // Dropped points join those that lie there already, unless the network has changed.
  takeChains({ who, dropped, columns, between: found, step }) {
    const { flow } = this.state, old = flow && dropped && flow.dropped && flow.who === who && flow.step === step && flow.between.length < DROP.most;
    const joined = (a, b) => { const both = new b.constructor(a.length + b.length); both.set(a); both.set(b, a.length); return both; };
    this.state.flow = {
      who, dropped, step, old: old ? flow.between.length : 0,
      between: old ? joined(flow.between, found) : found,
      columns: old ? columns.map((column, k) => ({ ...column, x: joined(flow.columns[k].x, column.x) })) : columns,
    };
    if (dropped || !this.running) this.flowStart = this.calm ? null : performance.now();
  }

  train() {
    if (!this.demo && this.state.step >= this.settings.steps) {
      const longer = CHOICES.steps.find((steps) => steps > this.settings.steps);
      if (!longer) return;
      this.set("steps", longer);
    }
    this.begin();
    this.running = true;
    this.flowStart = null;
    this.engine.send({ type: "train" });
    if (this.guideAt < 1) this.guide(1, true);
    this.parts.spoken.textContent = "Training has begun.";
    this.showControls();
  }

  pause() {
    if (this.demo) this.demo.playing = false;
    else this.engine.send({ type: "pause" });
    this.showControls();
  }

  // To the state a link was made from: the same settings, the same seed, so many steps.
  replay(at, drops) {
    this.begin();
    this.tab(this.settings.tab);
    this.replaying = this.running = at > 0;
    this.waiting = drops;
    if (at) this.engine.send({ type: "train", until: at });
    else this.dropAgain();
    this.guide(2, true);
    this.root.scrollIntoView({ block: "start" });
  }

  // What the link dropped, once the network is what it was.
  dropAgain() {
    this.waiting?.forEach((start) => this.drop(start));
    this.waiting = null;
  }

  // Points that start all together, or "many" from all over the noise.
  drop(start) {
    this.begin();
    const { who, sampler } = this.settings, on = `${this.builds} ${this.state.step} ${who} ${sampler}`, many = start === "many";
    const lying = this.drops.reduce((sum, one) => sum + (one === "many" ? DROP.many : DROP.few), 0);
    if (this.droppedOn !== on || lying >= DROP.most) this.drops = [];
    this.droppedOn = on;
    this.drops.push(start);
    this.engine.send({ type: "drop", who, number: this.drops.length, ...(many ? { n: DROP.many } : { starts: Array(DROP.few).fill(start) }) });
  }

  set(name, value) {
    this.settings[name] = value;
    const field = this.parts.settings.querySelector(`[data-name="${name}"] select`);
    if (field) field.selectedIndex = CHOICES[name].indexOf(value);
    if (this.demo) this.begin();
    else if (name !== "sampler") this.rebuild();
    if (name === "sampler") this.engine.send({ type: "sampler", sampler: value });
    this.showData();
  }

  countModes(by) {
    const { modes } = this.settings;
    if (by < 0) modes.pop();
    else {
      const last = modes[modes.length - 1];
      modes.push(last + 1 <= AXIS.high ? last + 1 : Math.max(AXIS.low, modes[0] - 1));
    }
    this.set("modes", modes);
  }

  // Showing

  guide(i, byItself = false) {
    if (!byItself) this.guided = true;
    this.guideAt = i;
    this.parts.steps.forEach((step, k) => step.firstChild.setAttribute("aria-current", k === i ? "step" : "false"));
    this.parts.hint.textContent = HINTS[i];
    if (!byItself && i === 2) this.tab("gap");
  }

  tab(name) {
    this.settings.tab = name;
    for (const [key, tab] of Object.entries(this.parts.tabs)) {
      tab.setAttribute("aria-selected", String(key === name));
      this.parts.panels[key].section.classList.toggle("lab-shown", key === name);
    }
    this.draw();
  }

  showControls() {
    const { parts, settings, state, demo, running } = this, done = state.step >= settings.steps && !demo;
    const longer = settings.steps < CHOICES.steps[CHOICES.steps.length - 1];
    parts.train.textContent = done ? (longer ? "Train longer" : "Done") : state.step && !demo ? "Train on" : "Train";
    parts.train.disabled = running || (done && !longer);
    parts.pause.disabled = demo ? !demo.playing : !running;
    parts.step.disabled = running || done;
    parts.reset.disabled = !demo && !state.step && !running;
    parts.fewer.disabled = settings.modes.length < 2;
    parts.more.disabled = settings.modes.length >= AXIS.most;
    this.dropper.disabled = this.level.input.disabled = Boolean(demo);
    this.who.querySelector("select").disabled = Boolean(demo);
    const total = demo ? this.recording.settings.steps : settings.steps;
    parts.progress.value = state.step / total;
    const kind = demo ? "recorded training: step" : this.replaying ? "training to the linked state: step" : "step";
    parts.progressText.textContent = `${kind} ${whole(state.step)} of ${whole(total)}`;
    parts.readout.textContent = this.sentence();
    this.showLevel();
  }

  showLevel() {
    const { settings, state } = this, t = state.stairs ? ` (t = ${state.stairs.t})` : "";
    this.level.show(1 - settings.level, `${Math.round(100 * settings.level)}%${t}`);
    this.width.show(settings.width, `σ = ${settings.width}`);
  }

  sentence() {
    const { exact, learned, gaps, step } = this.state;
    if (!gaps.length) return "There is no gap here: the modes are so wide, or so near each other, that every place lies within 6σ of one.";
    const control = exact ? `The exact answer in its place: ${share(exact.mass)}.` : "The exact answer is being computed.";
    if (!learned || !step) return `The network has learned nothing yet. ${control.replace("in its place", "draws between the modes")}`;
    return `After ${whole(learned.step)} steps the network draws ${share(learned.mass)} of its points between the modes, where no data is. ${control}`;
  }

  speak() {
    this.announce = false;
    this.parts.spoken.textContent = this.sentence();
  }

  showData() {
    this.state.data = this.sampled();
    this.draw();
  }

  draw() {
    if (!this.asked) { this.asked = true; requestAnimationFrame((now) => { this.asked = false; this.paint(now); }); }
  }

  paint(now) {
    const { root, parts, state } = this;
    if (!root.clientWidth) return;
    const [red, green, blue] = getComputedStyle(root).color.match(/[\d.]+/g).map(Number);
    root.classList.toggle("lab-dark", 0.3 * red + 0.6 * green + 0.1 * blue > 140);  // light ink: a dark page
    root.classList.toggle("lab-tabbed", root.clientWidth < 640 || (window.innerHeight < 640 && !document.fullscreenElement));
    const flowing = this.flowStart === null || this.flowStart === undefined ? null : (now - this.flowStart) / FLOW;
    const come = flowing !== null && flowing < 1 ? Math.max(0, flowing) : null;
    if (come === null) this.flowStart = null;
    this.paintStrip();
    const drawings = {
      gap: (pen) => drawGap(pen, state),
      chains: (pen) => drawFlow(pen, state, { now: come, mark: this.demo ? null : this.mark }),
      staircase: (pen) => drawStaircase(pen, state),
      history: (pen) => drawHistory(pen, state),
    };
    for (const [name, { canvas, title }] of Object.entries(parts.panels)) {
      if (!canvas.clientWidth) continue;
      drawings[name](prepared(canvas));
      canvas.setAttribute("aria-label", name === "chains" ? "Starting noise: arrow keys move it, Enter drops points there" : `${title}. ${parts.readout.textContent}`);
    }
    if (come !== null) this.draw();
  }

  paintStrip() {
    const { parts, state, settings } = this, pen = prepared(parts.strip), box = dataBox(pen), [low, high] = [AXIS.low, AXIS.high];
    drawData(pen, state);
    const toPixel = (value) => box.left + ((value - low) / (high - low)) * box.w;
    const toValue = (clientX) => low + ((clientX - parts.strip.getBoundingClientRect().left - box.left) / box.w) * (high - low);
    placeHandles(parts.handles, settings.modes, { toPixel, toValue }, {
      move: (i, value) => { settings.modes[i] = value; this.showData(); },
      done: () => this.set("modes", settings.modes),
    });
  }

  // Redraws when the page changes its size or its theme, and plays the stored training while it is in sight.
  watch() {
    new ResizeObserver(() => this.draw()).observe(this.root);
    addEventListener("beforeprint", () => this.still());
    const themes = new MutationObserver(() => this.draw());
    for (const element of [document.documentElement, document.body]) themes.observe(element, { attributes: true });
    let seen = false;
    new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; }).observe(this.root);
    let last = 0, elapsed = 0;
    const play = (now) => {
      if (!this.demo) return;
      if (seen && this.demo.playing && now - last > 40) {
        elapsed += Math.min(100, now - last);
        if (elapsed > this.recording.frames.length * FRAME + HOLD) elapsed = 0;
        last = now;
        this.demoFrame(elapsed);
        this.showControls();
        this.draw();
      } else if (!seen) last = now;
      requestAnimationFrame(play);
    };
    requestAnimationFrame(play);
    this.tab(this.settings.tab);
  }

  // Taking along

  address() {
    const { flow, step } = this.state, drops = flow?.dropped && flow.step === step ? this.drops : [];
    return location.href.replace(/#.*/, "") + toHash(this.settings, this.demo ? 0 : step, { hide: this.hide, drops });
  }

  async link() {
    const address = this.address();
    try { history.replaceState(null, "", address); } catch { /* a sandboxed output has no address of its own */ }
    const ok = await copied(address);
    this.tell(ok ? "Link copied: it opens exactly this state." : "The link is in the address bar.");
  }

  png() {
    const { parts, root } = this, style = getComputedStyle(root);
    const named = Object.values(parts.panels).filter(({ canvas }) => canvas.clientWidth).map(({ canvas, title }) => ({ canvas, name: title }));
    const sheet = asPicture([{ canvas: parts.strip, name: "The data" }, ...named], parts.readout.textContent, toHash(this.settings, this.state.step),
      { paper: style.getPropertyValue("--lab-paper"), ink: style.color, family: style.fontFamily });
    sheet.toBlob((blob) => download(blob, "laboratory.png"));
  }

  tell(text) {
    this.parts.told.textContent = text;
    setTimeout(() => { this.parts.told.textContent = ""; }, 4000);
  }
}

// Starts every laboratory on the page that has not been started.
export function startLaboratories(source) {
  for (const root of document.querySelectorAll("div.mih-lab:not([data-started])")) {
    root.setAttribute("data-started", "");
    const stored = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    root.querySelector(".lab-fallback")?.remove();
    root.laboratory = new Laboratory(root, stored, source);
    root.setAttribute("aria-label", TITLE);
  }
}
