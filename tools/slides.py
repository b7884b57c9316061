"""The figures of the built book as slides, and as files to put into slides of one's own.

    python tools/slides.py _build/html

dist/slides/slides.html       one file: arrow keys turn the pages
dist/slides/slides.pdf        the same, printed
dist/slides/figures/*.png     every figure, and captions.md with caption, description and licence
"""

import base64
import html
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

from paper import PREPARE, READY, ROOT, TITLE, chromium, serve, toc_pages

OUT = ROOT / "dist/slides"
LICENCE = "Text and figures: CC BY 4.0"
READ = """
() => {
  const plain = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".headerlink, .section-number, script").forEach((e) => e.remove());
    copy.querySelectorAll("mjx-container").forEach((e) => {
      const math = e.querySelector("math");
      if (math) e.replaceWith(math);
    });
    copy.querySelectorAll("*").forEach((e) => {
      for (const { name } of [...e.attributes]) if (!/^(display|mathvariant)$/.test(name)) e.removeAttribute(name);
    });
    copy.querySelectorAll("a, span, button").forEach((e) => e.replaceWith(...e.childNodes));
    return copy.innerHTML.trim();
  };
  const article = document.querySelector(".bd-article");
  const asked = [...article.querySelectorAll("p")].find((p) => p.textContent.startsWith("The question."));
  return {
    title: plain(article.querySelector("h1")),
    question: asked ? plain(asked).replace(/^<strong>The question.<\\/strong>\\s*/, "") : "",
    remember: [...article.querySelectorAll("#what-to-remember > ol > li")].map(plain),
    figures: [...article.querySelectorAll("figure:has(svg.mih-figure)")].map((figure) => ({
      number: figure.querySelector(".caption-number")?.textContent.trim() || "",
      caption: plain(figure.querySelector(".caption-text") || document.createElement("i")),
      words: figure.querySelector(".caption-text")?.innerText.trim() || "",
      alt: figure.querySelector("svg").getAttribute("aria-label"),
    })),
  };
}
"""
STYLE = """
@page { size: 1280px 720px; margin: 0 }
* { box-sizing: border-box }
html { scroll-snap-type: y mandatory }
body { margin: 0; font: 22px/1.4 system-ui, sans-serif; color: #1c2328; background: #fff }
section { width: 100%; min-height: 100vh; padding: 48px 72px 56px; position: relative; display: flex;
  flex-direction: column; justify-content: center; gap: 20px; scroll-snap-align: start; break-after: page }
@media print { section { width: 1280px; height: 720px; min-height: 0; overflow: hidden } }
h1 { font-size: 54px; line-height: 1.1; margin: 0 } h2 { font-size: 30px; line-height: 1.2; margin: 0 }
p { margin: 0 } .question { font-size: 32px; max-width: 30em; color: #4a545c }
img { max-width: 100%; max-height: 410px; object-fit: contain; align-self: center }
.more { font-size: 18px; color: #4a545c } li { margin-bottom: 18px; font-size: 27px }
footer { position: absolute; left: 72px; right: 72px; bottom: 18px; font-size: 14px; color: #5a646c;
  display: flex; justify-content: space-between }
"""
KEYS = """
const slides = [...document.querySelectorAll("section")];
addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const now = Math.round(scrollY / innerHeight);
  slides[Math.max(0, Math.min(slides.length - 1, now + by))].scrollIntoView();
});
"""


@dataclass
class Chapter:
    """What the slides take from one chapter; each figure has its picture in `png`."""

    number: int
    title: str
    question: str
    remember: list[str]
    figures: list[dict] = field(default_factory=list)


def read_chapter(context, number: int, address: str) -> Chapter:
    """Open a chapter as it is printed, and take its figures and its main sentences."""
    page = context.new_page()
    page.goto(address, wait_until="load", timeout=180_000)
    page.wait_for_function(READY, timeout=180_000)
    page.evaluate(PREPARE)
    found = page.evaluate(READ)
    drawn = page.locator(".bd-article figure:has(svg.mih-figure) svg.mih-figure").all()
    for figure, picture in zip(found["figures"], drawn, strict=True):
        figure["png"] = picture.screenshot()
    page.close()
    return Chapter(number, **found)


def first_sentence(text: str) -> tuple[str, str]:
    """The caption's first sentence, for a headline, and the rest of it."""
    for end in re.finditer(r"[.?:] ", text):
        head, rest = text[: end.start() + 1], text[end.end() :]
        if head.count("<math") == head.count("</math>"):
            return head, rest
    return text, ""


def slides_of(chapter: Chapter) -> list[str]:
    """The slides of one chapter: its question, its figures, what to remember."""
    made = [f'<h1>{chapter.title}</h1><p class="question">{chapter.question}</p>']
    for figure in chapter.figures:
        picture = base64.b64encode(figure["png"]).decode()
        head, rest = first_sentence(figure["caption"])
        made.append(
            f'<h2>{head}</h2><img alt="{html.escape(figure["alt"])}" '
            f'src="data:image/png;base64,{picture}"><p class="more">{rest}</p>'
        )
    if chapter.remember:
        items = "".join(f"<li>{item}</li>" for item in chapter.remember)
        made.append(f"<h2>What to remember</h2><ol>{items}</ol>")
    names = ["", *(figure["number"] for figure in chapter.figures), ""]
    return [
        f"<section>{text}<footer><span>{TITLE}, chapter {chapter.number}: {chapter.title}</span>"
        f"<span>{name}</span><span>CC BY 4.0</span></footer></section>"
        for text, name in zip(made, names, strict=False)
    ]


def deck(chapters: list[Chapter]) -> str:
    """All slides as one page that needs no other file."""
    opening = f'<section><h1>{TITLE}</h1><p class="question">Why diffusion models hallucinate</p>'
    opening += f"<footer><span>{LICENCE}. Arrow keys turn the pages.</span></footer></section>"
    body = "\n".join([opening, *(slide for c in chapters for slide in slides_of(c))])
    head = f'<meta charset="utf-8"><title>{TITLE}: slides</title><style>{STYLE}</style>'
    return (
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}<script>{KEYS}</script>'
        "</body></html>\n"
    )


def write_figures(chapters: list[Chapter], folder: Path) -> None:
    """Each figure as a PNG, and a list of what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# Figures of “{TITLE}”\n\n{LICENCE}. Say where they are from, and what you changed."]
    for chapter in chapters:
        lines.append(f"## Chapter {chapter.number}: {chapter.title}")
        for i, figure in enumerate(chapter.figures, 1):
            name = f"{chapter.number:02}-{i:02}.png"
            (folder / name).write_bytes(figure["png"])
            lines.append(
                f"**{name}** ({figure['number']}). {figure['words']}\n\n*Shown:* {figure['alt']}"
            )
    (folder / "captions.md").write_text("\n\n".join(lines) + "\n", encoding="utf8")


def main(site: Path, out: Path = OUT) -> None:
    """Read the built book's chapters, and write slides and figures."""
    pages = toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8")))
    names = [page for page in pages if page.startswith("notebooks/")]
    server = serve(site)
    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=args)
        context = browser.new_context(
            viewport={"width": 1000, "height": 1000}, device_scale_factor=2, color_scheme="light"
        )
        origin = f"http://127.0.0.1:{server.server_port}"
        chapters = [
            read_chapter(context, number, f"{origin}/{name}.html")
            for number, name in enumerate(names, 1)
        ]
        write_figures(chapters, out / "figures")
        (out / "slides.html").write_text(deck(chapters), encoding="utf8")
        page = context.new_page()
        page.goto((out / "slides.html").as_uri())
        page.pdf(path=out / "slides.pdf", prefer_css_page_size=True, print_background=True)
        browser.close()
    server.shutdown()
    server.server_close()
    figures = sum(len(chapter.figures) for chapter in chapters)
    print(f"{out}: slides.html, slides.pdf, {figures} figures with captions")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_build/html").resolve())
