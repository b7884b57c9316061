// Figures on the page: on a narrow screen the panels of a matplotlib figure stand below one another
// and each is re-laid so that its text keeps its size; a click enlarges; a copy can be taken along.
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg", LARGEST = 1.35, PAD = 3;
  const make = (name, attributes = {}, ...inside) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...inside);
    return e;
  };
  const part = (e, name) => (e.id || "").replace(/^f\d+-/, "").startsWith(name);
  const TEXTS = "g[id*='-text_']"; // each text of matplotlib is in a group of its own
  const parts = (e, name) => [...e.children].filter((child) => part(child, name));

  // Boxes in the figure's own units: {x0, x1, y0, y1}
  const union = (boxes) => boxes.length && {
    x0: Math.min(...boxes.map((b) => b.x0)), x1: Math.max(...boxes.map((b) => b.x1)),
    y0: Math.min(...boxes.map((b) => b.y0)), y1: Math.max(...boxes.map((b) => b.y1)),
  };
  function measure(svg) {
    const view = svg.viewBox.baseVal, seen = svg.getBoundingClientRect(), unit = view.width / seen.width;
    return (e) => {
      const r = e.getBoundingClientRect();
      return { x0: (r.left - seen.left) * unit + view.x, x1: (r.right - seen.left) * unit + view.x,
        y0: (r.top - seen.top) * unit + view.y, y1: (r.bottom - seen.top) * unit + view.y };
    };
  }
  const wide = (b) => b.x1 - b.x0, tall = (b) => b.y1 - b.y0, middle = (b) => (b.x0 + b.x1) / 2;
  const near = (a, b) => Math.abs(a - b) < 2;

  // The axes of a figure as panels, each with its colour bar and its twins: {axes, rect, box}
  function panelsOf(svg, box) {
    const figure = svg.querySelector("g"), found = [];
    const whole = svg.viewBox.baseVal;
    for (const axes of parts(figure, "axes_")) {
      const patch = parts(axes, "patch_").map((p) => p.querySelector("path")).find(Boolean);
      const ticks = parts(axes, "matplotlib.axis").length > 0;
      const rect = patch && ticks ? box(patch) : null;
      const texts = [...axes.querySelectorAll(`${TEXTS}, image`), ...parts(axes, "legend_")].map(box);
      const all = union([...(rect ? [rect] : []), ...texts]) || box(axes);
      const bar = rect && Math.min(wide(rect) / whole.width, tall(rect) / whole.height) < 0.09;
      const host = rect && found.find((p) => p.rect && (bar
        ? Math.min(p.rect.y1, rect.y1) - Math.max(p.rect.y0, rect.y0) > tall(rect) / 2
          && rect.x0 >= p.rect.x1 && rect.x0 - p.rect.x1 < 60
        : near(p.rect.x0, rect.x0) && near(p.rect.y0, rect.y0) && near(p.rect.x1, rect.x1)));
      if (host) { host.axes.push(axes); host.box = union([host.box, all]); }
      else if (all) found.push({ axes: [axes], rect, box: all });
    }
    found.sort((a, b) => (Math.abs(a.box.y0 - b.box.y0) > 30 ? a.box.y0 - b.box.y0 : a.box.x0 - b.box.x0));
    for (const extra of [...parts(figure, "text_"), ...parts(figure, "legend_")]) {
      const at = box(extra), panel = { axes: [extra], rect: null, box: at };
      if (wide(at)) at.y0 < whole.height / 2 ? found.unshift(panel) : found.push(panel);
    }
    return found;
  }

  // Panels that shared the tick labels of a neighbour get a copy of them: {clone, shift}
  function borrowed(panel, all, box) {
    if (!panel.rect) return [];
    return [1, 0].flatMap((isY) => {
      const axis = axisOf(panel, isY);
      if (!axis || axis.querySelector(TEXTS)) return [];
      const lender = all.find((p) => p !== panel && p.rect && axisOf(p, isY)?.querySelector(TEXTS) && (isY
        ? near(p.rect.y0, panel.rect.y0) && near(p.rect.y1, panel.rect.y1)
        : near(p.rect.x0, panel.rect.x0) && near(p.rect.x1, panel.rect.x1)));
      if (!lender) return [];
      const dx = isY ? panel.rect.x0 - lender.rect.x0 : 0, dy = isY ? 0 : panel.rect.y1 - lender.rect.y1;
      const labels = axisOf(lender, isY), at = union([...labels.querySelectorAll(TEXTS)].map(box));
      panel.box = union([panel.box, { x0: at.x0 + dx, x1: at.x1 + dx, y0: at.y0 + dy, y1: at.y1 + dy }]);
      return [{ labels, dx, dy }];
    });
  }
  const axisOf = (panel, isY) => parts(panel.axes[0], "matplotlib.axis")[isY];

  function draw(panel, lent) {
    const svg = document.createElementNS(SVG, "svg");
    for (const axes of panel.axes) svg.append(axes.cloneNode(true));
    for (const { labels, dx, dy } of lent) {
      const g = document.createElementNS(SVG, "g");
      g.setAttribute("transform", `translate(${dx} ${dy})`);
      for (const text of labels.querySelectorAll(TEXTS)) g.append(text.cloneNode(true));
      svg.append(g);
    }
    svg.setAttribute("class", "mih-figure");
    svg.setAttribute("aria-hidden", "true");
    return svg;
  }

  const frame = (svg, b) => svg.setAttribute("viewBox",
    [b.x0 - PAD, b.y0 - PAD, wide(b) + 2 * PAD, tall(b) + 2 * PAD].map((v) => v.toFixed(1)).join(" "));

  // Make the plot itself narrower, by `less` units, and leave text, marks and line widths as they are.
  function squeeze(svg, panel, less) {
    const { x0, x1 } = panel.rect, factor = (x1 - x0 - less) / (x1 - x0), box = measure(svg);
    const moved = (x) => (x <= x0 ? 0 : x >= x1 ? -less : (x - x0) * (factor - 1));
    const transforms = [];
    const visit = (e) => {
      const b = box(e), before = e.getAttribute("transform") || "";
      if (part(e, "legend_")) {
        transforms.push([e, `translate(${middle(b) > (x0 + x1) / 2 ? moved(b.x1) : moved(b.x0)} 0) ${before}`]);
      } else if (e.localName === "use") {
        transforms.push([e, `translate(${moved(+e.getAttribute("x"))} 0) ${before}`]);
      } else if (e.matches(TEXTS) || (e.localName === "g" && before)) {
        const how = e.querySelector("text")?.style.textAnchor || "middle";
        const anchor = how === "start" ? b.x0 : how === "end" ? b.x1 : middle(b);
        transforms.push([e, `translate(${moved(anchor)} 0) ${before}`]);
      } else if (e.localName === "path" || e.localName === "image") {
        const beside = b.x0 >= x1 - 0.5 || b.x1 <= x0 + 0.5;
        transforms.push([e, beside ? `translate(${moved(b.x0)} 0) ${before}`
          : `matrix(${factor} 0 0 1 ${x0 * (1 - factor)} 0) ${before}`]);
        e.style.vectorEffect = "non-scaling-stroke";
      } else if (e.localName !== "defs" && e.localName !== "clipPath") [...e.children].forEach(visit);
    };
    [...svg.children].forEach(visit);
    for (const [e, transform] of transforms) e.setAttribute("transform", transform);
  }

  // Tick labels that have come to overlap: numbers are left out, words go one line down in turn.
  function thin(svg, panel) {
    const box = measure(svg);
    for (const axis of svg.querySelectorAll("g[id*='matplotlib.axis_']")) {
      const labels = [...axis.querySelectorAll(`g[id*='tick_'] ${TEXTS}`)].map((e) => ({ e, at: box(e) }));
      if (!labels.length || !labels.every((l) => l.at.y0 >= panel.rect.y1 - 2)) continue;
      labels.sort((a, b) => a.at.x0 - b.at.x0);
      const crowded = labels.some((l, i) => i && l.at.x0 < labels[i - 1].at.x1 + 3);
      if (!crowded) continue;
      const words = labels.some((l) => /[a-z]{3}/i.test(l.e.textContent));
      let end = -Infinity;
      labels.forEach((l, i) => {
        if (words) {
          if (i % 2) lower(l.e, tall(l.at));
        } else if (l.at.x0 < end + 4) l.e.style.display = "none";
        else end = l.at.x1;
      });
      const name = words && [...axis.children].at(-1);
      if (name && part(name, "text_")) lower(name, tall(labels[0].at));
    }
  }

  const lower = (e, by) => e.setAttribute("transform", `translate(0 ${by}) ${e.getAttribute("transform") || ""}`);

  // A title that is wider than its panel goes on two lines.
  function wrapTitles(svg, panel, room) {
    const box = measure(svg);
    for (const text of svg.querySelectorAll("text")) {
      const at = box(text), words = text.textContent.trim().split(" ");
      if (text.children.length || at.y1 > panel.rect.y0 || wide(at) <= room || words.length < 2) continue;
      let cut = 1;
      while (cut < words.length - 1 && words.slice(0, cut).join(" ").length < text.textContent.length / 2) cut++;
      const lines = [words.slice(0, cut), words.slice(cut)];
      text.textContent = "";
      lines.forEach((line, i) => {
        const span = document.createElementNS(SVG, "tspan");
        span.setAttribute("x", text.getAttribute("x") || 0);
        span.setAttribute("dy", i ? "1.2em" : "-1.2em");
        span.textContent = line.join(" ");
        text.append(span);
      });
    }
  }

  function boxNow(svg, panel) {
    const box = measure(svg), seen = [...svg.querySelectorAll(TEXTS)].filter((t) => t.style.display !== "none");
    const rects = [...svg.querySelectorAll("g[id*='patch_'] > path, g[id*='legend_'], image")];
    return union([...seen, ...rects].map(box)) || panel.box;
  }

  // Lay a figure out for this many pixels.
  function restack(sheet, original, room) {
    sheet.replaceChildren(original);
    const box = measure(original), panels = panelsOf(original, box);
    const lent = panels.map((panel) => borrowed(panel, panels, box));
    const defs = original.cloneNode(false);
    defs.setAttribute("class", "mih-defs");
    defs.removeAttribute("role");
    defs.removeAttribute("aria-label");
    defs.setAttribute("aria-hidden", "true");
    for (const d of original.querySelectorAll("defs")) defs.append(d.cloneNode(true));
    const legends = panels.map((panel) => (panel.rect && wide(panel.box) + 2 * PAD > room ? legendsOf(panel, box) : []));
    const drawn = panels.map((panel, i) => draw(panel, lent[i]));
    for (let i = panels.length - 1; i >= 0; i--) {
      for (const legend of legends[i]) drawn[i].querySelector(`[id="${legend.axes[0].id}"]`)?.remove();
      panels.splice(i + 1, 0, ...legends[i]);
      drawn.splice(i + 1, 0, ...legends[i].map((legend) => draw(legend, [])));
    }
    sheet.replaceChildren(defs, ...drawn);
    sheet.setAttribute("role", "img");
    sheet.setAttribute("aria-label", original.getAttribute("aria-label"));
    drawn.forEach((svg, i) => {
      const panel = panels[i];
      svg.querySelectorAll("defs").forEach((d) => d.remove());
      frame(svg, panel.box);
      let natural = wide(panel.box) + 2 * PAD;
      svg.style.width = `${natural}px`;
      if (natural > room && panel.rect) {
        squeeze(svg, panel, Math.min(natural - room, wide(panel.rect) * 0.6));
        panel.rect.x1 -= Math.min(natural - room, wide(panel.rect) * 0.6);
        wrapTitles(svg, panel, room);
        thin(svg, panel);
        const now = boxNow(svg, panel);
        frame(svg, now);
        natural = wide(now) + 2 * PAD;
      }
      if (natural > room && part(panel.axes[0], "legend_")) natural = stackLegend(svg, panel);
      svg.style.width = `${Math.min(room, natural * (panel.rect ? LARGEST : 1))}px`;
      if (!panel.rect && natural > room) spread(sheet, svg, natural);
    });
  }

  // In a panel that becomes narrower its legend would lie on the data: it gets a place below.
  const legendsOf = (panel, box) => panel.axes.flatMap((axes) =>
    parts(axes, "legend_").map((legend) => ({ axes: [legend], rect: null, box: box(legend) })));

  // A legend that is too wide gets one line for each of its entries.
  function stackLegend(svg, panel) {
    const box = measure(svg), legend = svg.firstElementChild, rows = [[]];
    for (const e of legend.children) {
      if (part(e, "patch_") && wide(box(e)) > wide(panel.box) * 0.9) continue; // its frame
      rows.at(-1).push(e);
      if (e.matches(TEXTS)) rows.push([]);
    }
    const boxes = rows.filter((row) => row.length).map((row) => ({ row, at: union(row.map(box)) }));
    boxes.forEach(({ row, at }, i) => {
      const dx = panel.box.x0 - at.x0, dy = panel.box.y0 + i * 17 - at.y0;
      row.forEach((e) => e.setAttribute("transform", `translate(${dx} ${dy}) ${e.getAttribute("transform") || ""}`));
    });
    const { x0, y0 } = panel.box;
    panel.box = { x0, y0, x1: x0 + Math.max(...boxes.map((b) => wide(b.at))), y1: y0 + boxes.length * 17 };
    frame(svg, panel.box);
    return wide(panel.box) + 2 * PAD;
  }

  // What cannot be made narrower, a sheet of photographs with words, scrolls in its own box.
  function spread(sheet, svg, natural) {
    const sizes = [...svg.querySelectorAll("text")].map((t) => parseFloat(getComputedStyle(t).fontSize));
    svg.style.width = `${natural * (sizes.length ? Math.max(1, 11 / Math.min(...sizes)) : 1)}px`;
    const scroller = make("div", { class: "mih-scroller", tabindex: "0", role: "region", "aria-label": `${sheet.dataset.name}, scrolls sideways` });
    svg.replaceWith(scroller);
    scroller.append(svg);
    scroller.after(make("p", { class: "mih-hint" }, "Scroll sideways →"));
  }

  function follow(sheet) {
    const original = sheet.querySelector("svg"), natural = original.viewBox.baseVal.width;
    const smallest = 11; // what the book's style writes its smallest words in
    original.style.maxWidth = `${natural * LARGEST}px`;
    let last = 0;
    const fit = () => {
      const room = sheet.clientWidth;
      if (!room || room === last) return;
      last = room;
      sheet.removeAttribute("role");
      sheet.removeAttribute("aria-label");
      if (room >= natural * (10 / smallest)) sheet.replaceChildren(original);
      else restack(sheet, original, room);
    };
    new ResizeObserver(fit).observe(sheet);
    return original;
  }

  // Taking a figure along: an SVG or PNG that says where it is from and on what terms.
  const about = () => {
    const book = document.querySelector("meta[property='og:site_name']")?.content || document.title;
    return { book, licence: "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/" };
  };
  function alone(original, name) {
    const svg = original.cloneNode(true), view = original.viewBox.baseVal, { book, licence } = about();
    const height = view.height + 18, chapter = document.querySelector("h1")?.firstChild?.parentNode.innerText.replace("#", "").trim();
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${height}`);
    svg.setAttribute("width", view.width);
    svg.setAttribute("height", height);
    svg.removeAttribute("class");
    svg.style.cssText = "background: #fff; font-family: sans-serif; stroke-linejoin: round";
    const add = (tag, text, attributes = {}) => {
      const e = document.createElementNS(SVG, tag);
      for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
      e.textContent = text;
      svg.append(e);
    };
    const credit = `${name}, ${chapter}. ${book}. ${licence}`;
    add("metadata", credit);
    add("text", `${name} · ${chapter} · ${book.split(":")[0]} · CC BY 4.0`,
      { x: view.x + 6, y: view.y + view.height + 11, style: "font: 8px sans-serif; fill: #555555" });
    svg.prepend(Object.assign(document.createElementNS(SVG, "title"), { textContent: credit }));
    const text = new XMLSerializer().serializeToString(svg);
    return text.replace(/var\(--[\w-]+,\s*(#[0-9a-f]+)\)/g, "$1");
  }
  function save(url, file) {
    const link = make("a", { href: url, download: file });
    document.body.append(link);
    link.click();
    link.remove();
  }
  const address = (svg) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  function savePng(svg, file) {
    const picture = new Image();
    picture.onload = () => {
      const canvas = make("canvas", { width: picture.width * 3, height: picture.height * 3 });
      const g = canvas.getContext("2d");
      g.fillStyle = "#fff";
      g.fillRect(0, 0, canvas.width, canvas.height);
      g.drawImage(picture, 0, 0, canvas.width, canvas.height);
      save(canvas.toDataURL("image/png"), file);
    };
    picture.src = address(svg);
  }

  function enlarge(original, caption, name) {
    const file = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/-$/, "");
    const button = (label, act) => {
      const b = make("button", { type: "button", class: "mih-button" }, label);
      b.addEventListener("click", act);
      return b;
    };
    const large = original.cloneNode(true);
    large.style.cssText = `width: max(100%, ${original.viewBox.baseVal.width}px); max-width: none`;
    const dialog = make("dialog", { class: "mih-dialog", "aria-label": name },
      make("div", { class: "mih-dialog-bar" }, make("strong", {}, name),
        button("SVG", () => save(address(alone(original, name)), `${file}.svg`)),
        button("PNG", () => savePng(alone(original, name), `${file}.png`)),
        button("Close", () => dialog.close())),
      make("div", { class: "mih-dialog-figure", tabindex: "0", role: "region", "aria-label": "The figure, enlarged" }, large));
    if (caption) dialog.append(make("p", {}, caption));
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    document.body.append(dialog);
    dialog.showModal();
  }

  document.querySelectorAll(".mih-sheet").forEach((sheet, i) => {
    const figure = sheet.closest("figure");
    const name = figure?.querySelector(".caption-number")?.textContent.trim() || `Figure ${i + 1}`;
    sheet.dataset.name = name;
    const original = follow(sheet);
    const caption = figure?.querySelector(".caption-text")?.textContent;
    const open = () => enlarge(original, caption, name);
    const button = make("button", { type: "button", class: "mih-enlarge", title: "Enlarge, or take along" }, `Enlarge ${name}`);
    button.addEventListener("click", open);
    sheet.after(button);
    sheet.addEventListener("click", (event) => !event.target.closest("button, a, .mih-scroller") && open());
  });
})();
