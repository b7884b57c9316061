// Draws one explorer: panels of lines that follow sliders. Needs no network, no library, no kernel.
// Everything shown was computed in Python; this file only decodes and draws it.
(function () {
  "use strict";

  const GAP = { left: 50, right: 12, top: 26, bottom: 40 }, FRAMES_A_SECOND = 12;

  // int16 numbers with a scale, -32768 is a gap in the line; or a sheet of pictures
  function decode(packed) {
    if (packed.png) {
      const sheet = new Image();
      sheet.src = "data:image/png;base64," + packed.png;
      return { shape: packed.shape, sheet };
    }
    const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
    const quantised = new Int16Array(bytes.buffer);
    const values = Float32Array.from(quantised, (q) => (q === -32768 ? NaN : packed.offset + packed.scale * q));
    return { shape: packed.shape, values };
  }

  // Which row of an array the sliders' positions mean; `by` says which slider each axis follows.
  function rowAt(array, by, at, shift) {
    return by.reduce((row, slider, axis) => {
      const moved = at[slider] + (axis === 0 ? shift : 0);
      return row * array.shape[axis] + Math.min(Math.max(moved, 0), array.shape[axis] - 1);
    }, 0);
  }

  // The last axis of an array at the sliders' positions.
  function pick(array, by, at, shift) {
    const length = array.shape[array.shape.length - 1], row = rowAt(array, by, at, shift);
    return array.values.subarray(row * length, (row + 1) * length);
  }

  function ticks(start, stop, wanted) {
    const low = Math.min(start, stop), high = Math.max(start, stop);
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(+(i * step).toPrecision(6));
    return found;
  }

  const text = (v) => String(v).replace("-", "\u2212");

  // Where in its canvas a panel is drawn: {left, top, w, h}; a square one is as large as fits, centred.
  function box(canvas, panel) {
    const room = { w: canvas.clientWidth - GAP.left - GAP.right, h: canvas.clientHeight - GAP.top - GAP.bottom };
    if (!panel.square) return { left: GAP.left, top: GAP.top, ...room };
    const side = Math.min(room.w, room.h);
    return { left: GAP.left + (room.w - side) / 2, top: GAP.top, w: side, h: side };
  }

  function drawPanel(canvas, panel, arrays, at) {
    if (panel.yby !== null) panel = { ...panel, y: panel.y[at[panel.yby]], ylabel: panel.ylabel[at[panel.yby]] };
    const style = getComputedStyle(canvas);
    const colour = (role) => style.getPropertyValue("--mih-" + role).trim();
    const ink = style.color, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.clearRect(0, 0, width, height);
    g.font = "13px " + style.fontFamily;
    const { left, top, w, h } = box(canvas, panel);
    const X = (v) => left + ((v - panel.x[0]) / (panel.x[1] - panel.x[0])) * w;
    const Y = (v) => top + ((panel.y[1] - v) / (panel.y[1] - panel.y[0])) * h;

    // axes
    g.fillStyle = g.strokeStyle = ink;
    g.lineWidth = 1;
    g.textAlign = "center";
    g.textBaseline = "top";
    for (const v of ticks(panel.x[0], panel.x[1], Math.max(3, w / 70))) {
      g.globalAlpha = 0.12; g.beginPath(); g.moveTo(X(v), top); g.lineTo(X(v), top + h); g.stroke();
      g.globalAlpha = 0.85; g.fillText(text(v), X(v), top + h + 5);
    }
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const v of ticks(panel.y[0], panel.y[1], 5)) {
      g.globalAlpha = 0.12; g.beginPath(); g.moveTo(left, Y(v)); g.lineTo(left + w, Y(v)); g.stroke();
      g.globalAlpha = 0.85; g.fillText(text(v), left - 6, Y(v));
    }
    g.globalAlpha = 0.85;
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    g.fillText(panel.xlabel, left + w / 2, top + h + 35);
    g.save(); g.translate(left - 37, top + h / 2); g.rotate(-Math.PI / 2); g.fillText(panel.ylabel, 0, 0); g.restore();
    g.globalAlpha = 1;
    g.textAlign = "left";
    g.font = "600 13px " + style.fontFamily;
    g.fillText(panel.title, left, 15);

    g.save();
    g.beginPath(); g.rect(left, top, w, h); g.clip();
    for (const mark of panel.marks || []) {  // where the modes are
      g.fillStyle = g.strokeStyle = colour("data"); g.globalAlpha = 0.28;
      if (mark.radius) {
        g.beginPath(); g.arc(X(mark.x), Y(mark.y), Math.max(2.5, Math.abs(X(mark.radius) - X(0))), 0, 7);
        g.globalAlpha = 0.7; g.stroke();
      } else if (mark.axis === "y") g.fillRect(left, Y(mark.high), w, Math.max(1.5, Y(mark.low) - Y(mark.high)));
      else g.fillRect(X(mark.low), top, Math.max(1.5, X(mark.high) - X(mark.low)), h);
    }
    g.globalAlpha = 1;
    for (const line of panel.lines) {
      for (const shift of line.rows || [0]) {
        let x = pick(arrays[line.x], line.xby, at, shift), y = pick(arrays[line.y], line.by, at, shift);
        if (line.span) {
          const [from, to] = pick(arrays[line.span], [0], at, 0).map(Math.round);
          x = x.subarray(from, to); y = y.subarray(from, to);
        }
        if (line.bells) [x, y] = bells(x, y);
        const flagged = line.flag && pick(arrays[line.flag], [line.by[0]], at, shift)[0] > 0.5;
        g.strokeStyle = g.fillStyle = colour(flagged ? "hallucination" : Array.isArray(line.role) ? line.role[at[line.by[0]]] : line.role);
        if (line.points) { dots(g, line, x, y, X, Y); continue; }
        g.lineWidth = line.width || 2;
        g.setLineDash(line.dash ? [6, 4] : []);
        g.beginPath();
        let pen = false;
        for (let i = 0; i < x.length; i++) {
          if (Number.isNaN(y[i])) { pen = false; continue; }
          if (pen) g.lineTo(X(x[i]), Y(y[i])); else g.moveTo(X(x[i]), Y(y[i]));
          pen = true;
        }
        if (line.fill) { g.lineTo(X(x[x.length - 1]), Y(0)); g.lineTo(X(x[0]), Y(0)); g.globalAlpha = 0.3; g.fill(); g.globalAlpha = 1; }
        g.stroke();
        if (line.ends) {
          const last = x.length - 1;
          g.beginPath(); g.arc(X(x[last]), Y(y[last]), flagged ? 5 : 3.5, 0, 7); g.fill();
        }
      }
    }
    g.restore();
  }

  // A picture out of its sheet; the page shows each of its pixels as a whole number of the screen's,
  // or, of a picture too large for three of them, smoothly at the width there is.
  function drawPicture(canvas, picture, arrays, at) {
    const array = arrays[picture.name], [h, w] = array.shape.slice(-2), frame = canvas.parentElement;
    const ratio = window.devicePixelRatio || 1, fit = (frame.clientWidth * ratio) / w, scale = fit < 3 ? fit : Math.floor(fit);
    canvas.style.imageRendering = fit < 3 ? "auto" : "pixelated";
    frame.style.setProperty("--mih-side", (w * scale) / ratio + "px");
    canvas.width = w;
    canvas.height = h;
    const left = w * rowAt(array, picture.by, at, 0), row = array.sheet.naturalWidth;
    if (row) canvas.getContext("2d").drawImage(array.sheet, left % row, h * Math.floor(left / row), w, h, 0, 0, w, h);
  }

  // The curves of normal densities, one after the other, with a gap after each.
  function bells(means, stds) {
    const x = [], y = [];
    means.forEach((mean, i) => {
      for (let j = -50; j <= 50; j++) { x.push(mean + (j / 10) * stds[i]); y.push(Math.exp((-j * j) / 200) / (2.5066 * stds[i])); }
      x.push(NaN); y.push(NaN);
    });
    return [x, y];
  }

  // Dots, or rings: tiny ones as squares, the others as one path, so that thousands take no time.
  function dots(g, line, x, y, X, Y) {
    const r = line.width, tiny = r < 2 && !line.hollow;
    g.globalAlpha = 0.8;
    g.lineWidth = 1.5;
    g.setLineDash([]);
    g.beginPath();
    for (let i = 0; i < x.length; i++) {
      const a = X(x[i]), b = Y(y[i]);
      if (Number.isNaN(a + b)) continue;
      if (tiny) g.fillRect(a - r, b - r, 2 * r, 2 * r);
      else { g.moveTo(a + r, b); g.arc(a, b, r, 0, 7); }
    }
    if (line.hollow) g.stroke(); else g.fill();
    g.globalAlpha = 1;
  }

  function legend(spec) {
    const seen = new Map();
    for (const panel of spec.panels) for (const line of panel.lines || []) if (line.label) seen.set(line.label, line);
    for (const entry of spec.legend || []) seen.set(entry.label, entry);
    const list = document.createElement("ul");
    list.className = "mih-legend";
    for (const [label, line] of seen) {
      const item = document.createElement("li"), key = document.createElement("span");
      key.dataset.role = line.role;
      if (line.points) key.className = line.hollow ? "mih-ring" : "mih-dot";
      else key.style.borderTopStyle = line.dash ? "dashed" : "solid";
      item.append(key, label);
      list.append(item);
    }
    return list;
  }

  // A picture's title above it, its columns' colours below.
  function framed(canvas, picture) {
    const frame = document.createElement("div"), title = document.createElement("strong"), columns = document.createElement("div");
    frame.className = "mih-picture";
    title.textContent = picture.title;
    for (const role of picture.columns) columns.appendChild(document.createElement("span")).dataset.role = role;
    frame.append(title, canvas, columns);
    return frame;
  }

  function start(root) {
    if (root.dataset.ready) return;
    root.dataset.ready = "1";
    const spec = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const arrays = Object.fromEntries(Object.entries(spec.arrays).map(([name, packed]) => [name, decode(packed)]));
    const at = spec.sliders.map((slider) => slider.start);
    let playing = null;

    const inputs = spec.sliders.map((slider, index) => {
      const label = document.createElement("label"), input = document.createElement("input"), value = document.createElement("output");
      label.className = "mih-slider";
      input.type = "range";
      Object.assign(input, { min: 0, max: slider.ticks.length - 1, step: 1, value: slider.start });
      input.setAttribute("data-lm-suppress-shortcuts", "true");
      input.setAttribute("aria-label", slider.label);
      value.setAttribute("aria-hidden", "true");  // said by aria-valuetext
      input.addEventListener("input", () => move(index, +input.value));
      const name = document.createElement("span");
      name.textContent = slider.label;
      label.append(name, input, value);
      return { row: slider.play ? player(slider, index, label) : label, input, value };
    });
    const stage = document.createElement("div");
    stage.className = "mih-stage";
    const canvases = spec.panels.map((panel) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", panel.alt);
      canvas.className = (panel.square ? "mih-square " : "") + (panel.wide ? "mih-wide" : "");
      stage.append(panel.name ? framed(canvas, panel) : canvas);
      if (panel.drag) drag(canvas, panel);
      return canvas;
    });
    const readout = document.createElement("p");
    readout.className = "mih-readout";
    readout.setAttribute("aria-live", "polite");
    const controls = document.createElement("div");
    controls.className = "mih-controls";
    const words = spec.sliders.flatMap((slider) => slider.ticks.map((tick) => tick.length));
    controls.style.setProperty("--mih-longest", Math.max(...words) + "ch");  // no slider moves under the finger
    controls.append(...inputs.map((input) => input.row));
    root.append(controls, stage, legend(spec), readout);

    // what a reader does by hand stops what is playing
    function move(index, position) {
      pause();
      at[index] = position;
      draw();
    }

    // a slider with a button that steps through its positions
    function player(slider, index, label) {
      const row = document.createElement("div"), button = document.createElement("button"), last = slider.ticks.length - 1;
      row.className = "mih-player";
      button.type = "button";
      button.setAttribute("aria-label", "Play");
      button.setAttribute("data-lm-suppress-shortcuts", "true");
      button.addEventListener("click", () => {
        if (playing && playing.button === button) return pause();
        pause();
        if (at[index] === last || at[index] === slider.start) at[index] = 0;
        button.setAttribute("aria-label", "Pause");
        readout.setAttribute("aria-live", "off");  // not twelve sentences a second
        const step = () => { at[index]++; if (at[index] >= last) pause(); draw(); };
        playing = { button, timer: setInterval(step, 1000 / FRAMES_A_SECOND) };
        draw();
      });
      row.append(button, label);
      return row;
    }
    function pause() {
      if (!playing) return;
      clearInterval(playing.timer);
      playing.button.setAttribute("aria-label", "Play");
      readout.setAttribute("aria-live", "polite");
      playing = null;
    }

    // dragging over a panel moves the first slider along one of the panel's axes
    function drag(canvas, panel) {
      const values = spec.sliders[0].values;
      const follow = (event) => {
        const outer = canvas.getBoundingClientRect(), inner = box(canvas, panel);
        const share = panel.drag === "x" ? (event.clientX - outer.left - inner.left) / inner.w : 1 - (event.clientY - outer.top - inner.top) / inner.h;
        const [low, high] = panel[panel.drag], wanted = low + share * (high - low);
        let best = 0;
        values.forEach((v, i) => { if (Math.abs(v - wanted) < Math.abs(values[best] - wanted)) best = i; });
        move(0, best);
      };
      canvas.style.cursor = panel.drag === "x" ? "ew-resize" : "ns-resize";
      canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" || event.button) return;  // a finger scrolls the page
        canvas.setPointerCapture(event.pointerId);
        follow(event);
      });
      canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) follow(event); });
    }

    function draw() {
      // light ink means a dark page, whatever the page's way to say so
      const [red, green, blue] = getComputedStyle(root).color.match(/[\d.]+/g).map(Number);
      root.classList.toggle("mih-dark", 0.3 * red + 0.6 * green + 0.1 * blue > 140);
      inputs.forEach(({ input, value }, i) => {
        input.value = at[i];
        value.textContent = spec.sliders[i].ticks[at[i]];
        input.setAttribute("aria-valuetext", value.textContent);
      });
      spec.panels.forEach((panel, i) => (panel.name ? drawPicture : drawPanel)(canvases[i], panel, arrays, at));
      const index = at.reduce((sum, position, i) => sum * spec.sliders[i].ticks.length + position, 0);
      if (readout.textContent !== spec.readout[index]) readout.textContent = spec.readout[index];
    }
    new ResizeObserver(draw).observe(stage);
    const themes = new MutationObserver(draw);
    for (const element of [document.documentElement, document.body]) themes.observe(element, { attributes: true });
    for (const { sheet } of Object.values(arrays)) if (sheet) sheet.onload = draw;
    draw();
    root.querySelector(".mih-fallback").remove();
  }

  document.querySelectorAll("div.mih-explorer").forEach(start);
})();
