// Makes a page of the book ready for paper: light, everything open, explorers as three frames.
(async () => {
  const root = document.documentElement;
  root.dataset.theme = "light";
  root.dataset.code = "hidden";
  document.querySelectorAll(".bd-article details:not(.above-input)").forEach((d) => { d.open = true; });
  document.querySelectorAll(".mih-covered").forEach((e) => e.classList.remove("mih-covered"));
  document.querySelectorAll("img").forEach((i) => { i.loading = "eager"; });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  await pause(300);

  const pictureOf = (canvas, alt) => Object.assign(new Image(), { src: canvas.toDataURL("image/png"), alt });
  const made = (tag, className, ...inside) => {
    const e = Object.assign(document.createElement(tag), { className });
    e.append(...inside);
    return e;
  };
  const instead = (element, kind, ...inside) => {
    element.after(made("div", `mih-frames ${kind}`, ...inside));
    element.classList.add("mih-framed");
  };

  // The laboratory: the end of its stored training, panel by panel.
  for (const root of document.querySelectorAll(".mih-lab")) {
    root.laboratory.still();
    const panels = Object.values(root.laboratory.parts.panels).map(({ canvas, title, section }) => made("div", "mih-frame",
      made("p", "", made("strong", "", title), `. ${[...section.querySelectorAll(".lab-legend li")].map((e) => e.textContent).join(" · ")}`),
      pictureOf(canvas, title), made("p", "", section.querySelector(".lab-caption").textContent)));
    instead(root, "mih-two", made("p", "", "A network that trains in the page. On paper: the end of the training that is stored there."),
      ...panels, made("p", "", root.querySelector(".lab-readout").textContent));
  }

  // The game: its images, and its verdicts as a list.
  for (const game of document.querySelectorAll(".mih-explorer[data-kind=game]")) {
    const tiles = [...game.querySelectorAll(".mih-tile")];
    const pictures = tiles.map((tile, i) => made("div", "mih-frame", pictureOf(tile.querySelector("canvas"), tile.getAttribute("aria-label")), made("p", "", `${i + 1}`)));
    [...game.querySelectorAll("button")].find((b) => /verdict/i.test(b.textContent))?.click();
    await pause(120);
    const verdicts = tiles.map((tile, i) => `${i + 1} ${tile.querySelector(".mih-verdict").textContent}`).join(", ");
    instead(game, "mih-six", made("p", "", game.querySelector(".mih-title").textContent), ...pictures, made("p", "", `Verdicts: ${verdicts}.`));
  }

  for (const explorer of document.querySelectorAll(".mih-explorer:not([data-kind=game])")) {
    const slider = explorer.querySelector("input[type=range]"), frames = [];
    if (!explorer.querySelector("canvas")) continue;
    const places = slider ? [0.08, 0.5, 0.92] : [null];
    for (const place of places) {
      if (place !== null) {
        slider.value = +slider.min + Math.round((slider.max - slider.min) * place);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await pause(120);
      }
      const frame = document.createElement("div");
      frame.className = "mih-frame";
      for (const canvas of explorer.querySelectorAll("canvas")) {
        if (!canvas.offsetParent || canvas.closest("label, button")) continue;
        const picture = new Image();
        picture.src = canvas.toDataURL("image/png");
        picture.alt = canvas.getAttribute("aria-label") || explorer.getAttribute("aria-label") || "";
        frame.append(picture);
      }
      const words = document.createElement("p");
      words.textContent = explorer.querySelector(".mih-readout")?.innerText || "";
      frame.append(words);
      frames.push(frame);
    }
    const row = document.createElement("div");
    row.className = "mih-frames";
    const title = explorer.querySelector(".mih-title")?.textContent;
    if (title) row.append(Object.assign(document.createElement("p"), { textContent: title }));
    row.append(...frames);
    explorer.after(row);
    explorer.classList.add("mih-framed");
  }

  // The article as XHTML: formulas as MathML, figures with their printed colours, nothing to press.
  window.mihArticle = () => {
    const article = document.querySelector(".bd-article").cloneNode(true);
    const drop = ".mih-explorer, .mih-lab, .mih-coder, .cell_input, .above-input, .mih-enlarge, .headerlink, .mih-run, .mih-cite, .mih-score, .mih-see, .mih-said, .mih-guess, .mih-hint, .copybtn, script, style, template, select, label";
    article.querySelectorAll(drop).forEach((e) => e.remove());
    article.querySelectorAll(".cell:not(:has(.cell_output))").forEach((e) => e.remove());
    article.querySelectorAll("mjx-container").forEach((e) => {
      const math = e.querySelector("math");
      if (math) e.replaceWith(math);
    });
    article.querySelectorAll("details").forEach((e) => {
      const box = document.createElement("div"), head = e.querySelector("summary");
      box.className = "answer";
      if (head) { const b = document.createElement("p"); b.innerHTML = `<strong>${head.querySelector(".collapsed")?.textContent.replace("Show s", "S") || head.innerHTML}</strong>`; head.replaceWith(b); }
      box.append(...e.childNodes);
      e.replaceWith(box);
    });
    article.querySelectorAll("button").forEach((e) => {
      const p = document.createElement("p");
      p.className = "option";
      p.append(...e.childNodes, e.dataset.right === "" ? " ✓" : "");
      e.replaceWith(p);
    });
    article.querySelectorAll("[hidden]").forEach((e) => e.removeAttribute("hidden"));
    article.querySelectorAll("*").forEach((e) => [...e.attributes].forEach((a) => {
      if (/^(data-|aria-|tabindex|role$|loading|target)/.test(a.name)) e.removeAttribute(a.name);
    }));
    const text = new XMLSerializer().serializeToString(article);
    return text.replace(/var\(--[\w-]+,\s*(#[0-9a-fA-F]+)\)/g, "$1");
  };
})()
