"""The built book as one PDF and as an EPUB, both printed by Chromium from the pages themselves.

    python tools/paper.py _build/html

Code stays hidden, folded answers are open, and an explorer becomes three frames of itself. The
files go to _static/ of the site, and every page gets a link to them.
"""

import functools
import io
import re
import shutil
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import epub
import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject

ROOT = Path(__file__).resolve().parents[1]
NAME = "mode-interpolation"
TITLE = "Mode Interpolation"
SUBTITLE = "Why diffusion models hallucinate"
READY = """
[...document.querySelectorAll('.math')].every(formula => formula.querySelector('mjx-container'))
"""
PREPARE = (Path(__file__).parent / "paper.js").read_text(encoding="utf8")
PAGE = {"format": "A4", "prefer_css_page_size": True, "print_background": True}


def toc_pages(node) -> list[str]:
    """The pages that a table of contents names, in order."""
    if isinstance(node, list):
        return [page for child in node for page in toc_pages(child)]
    here = [node[key] for key in ("root", "file") if key in node]
    below = (node.get(key, []) for key in ("parts", "chapters", "sections"))
    return here + [page for nodes in below for page in toc_pages(nodes)]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder: Path) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def chromium() -> str:
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    path = next(found, None)
    if path is None:
        sys.exit("no Chromium on this machine (on Debian and Ubuntu: apt-get install chromium)")
    return path


def print_pages(browser, origin: str, pages: list[str]):
    """Every page as (name, title, PDF, XHTML of its article)."""
    context = browser.new_context(viewport={"width": 700, "height": 1000}, device_scale_factor=2)
    for name in pages:
        page = context.new_page()
        page.goto(f"{origin}/{name}.html", wait_until="load")
        page.wait_for_function(READY, timeout=60_000)
        page.evaluate(PREPARE)
        page.wait_for_load_state("networkidle")
        title = page.evaluate("document.querySelector('h1').innerText.replace(/#$/, '').trim()")
        pdf = page.pdf(**PAGE, tagged=True, outline=True)
        yield name, title, pdf, page.evaluate("mihArticle()")
        page.close()
    context.close()


def front(chapters: list[tuple[str, int]]) -> str:
    """Title page and contents; a chapter is (title, number of its first page)."""
    lines = "".join(
        f"<li><span>{title}</span><span>{number}</span></li>" for title, number in chapters
    )
    return f"""<!DOCTYPE html><meta charset="utf-8"><title>{TITLE}</title><style>
      @page {{ size: A4; margin: 25mm 22mm }} body {{ font: 12pt system-ui, sans-serif; color: #1c2328 }}
      h1 {{ font-size: 34pt; margin: 70mm 0 4mm }} p {{ font-size: 15pt; color: #4a545c }}
      ol {{ break-before: page; list-style: none; padding: 0 }} h2 {{ break-before: page; font-size: 20pt }}
      li {{ display: flex; justify-content: space-between; gap: 1em; padding: 2mm 0; border-bottom: 1px solid #d9e0e5 }}
      h2 + ol {{ break-before: avoid }} small {{ color: #4a545c }}</style>
      <h1>{TITLE}</h1><p>{SUBTITLE}</p><p><small>Text and figures CC BY 4.0, code MIT</small></p>
      <h2>Contents</h2><ol>{lines}</ol>"""


def numbers(count: int) -> str:
    """As many pages as the book has, with nothing but their numbers."""
    sheets = "".join(f"<div>{number}</div>" for number in range(1, count + 1))
    return f"""<!DOCTYPE html><meta charset="utf-8"><style>@page {{ size: A4; margin: 0 }} body {{ margin: 0 }}
      div {{ height: 296mm; break-after: page; position: relative; font: 9pt system-ui, sans-serif;
      color: #4a545c; text-align: center; padding-top: 284mm; box-sizing: border-box }}</style>{sheets}"""


def pdf_of(browser, html: str) -> PdfReader:
    page = browser.new_page()
    page.set_content(html)
    data = page.pdf(**PAGE)
    page.close()
    return PdfReader(io.BytesIO(data))


def join(browser, origin: str, printed: list) -> bytes:
    """One PDF: title, contents, chapters, numbered pages, links that stay inside."""
    readers = [PdfReader(io.BytesIO(pdf)) for _, _, pdf, _ in printed]
    first, starts = len(pdf_of(browser, front([("", 0)] * len(printed))).pages), {}
    at = first
    for (name, *_), reader in zip(printed, readers, strict=True):
        starts[name] = at
        at += len(reader.pages)
    listed = [(title, starts[name] + 1) for name, title, _, _ in printed]
    writer = PdfWriter()
    writer.append(pdf_of(browser, front(listed)), outline_item="Contents")
    for (_, title, _, _), reader in zip(printed, readers, strict=True):
        writer.append(reader, outline_item=title, import_outline=False)
    sheets = pdf_of(browser, numbers(len(writer.pages)))
    for page, sheet in list(zip(writer.pages, sheets.pages, strict=True))[1:]:
        page.merge_page(sheet)
    keep_links_inside(writer, origin, starts)
    writer.add_metadata({"/Title": f"{TITLE}: {SUBTITLE}", "/Subject": "CC BY 4.0"})
    writer.compress_identical_objects()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def keep_links_inside(writer: PdfWriter, origin: str, starts: dict[str, int]) -> None:
    """Turn links to pages of the site into jumps to where these pages begin."""
    for page in writer.pages:
        for note in page.get("/Annots") or []:
            action = note.get_object().get("/A")
            target = str(action.get_object().get("/URI", "")) if action else ""
            if not target.startswith(origin):
                continue
            name = target.removeprefix(f"{origin}/").partition("#")[0].removesuffix(".html")
            place = writer.pages[starts.get(name, 0)].indirect_reference
            jump = {
                NameObject("/S"): NameObject("/GoTo"),
                NameObject("/D"): ArrayObject([place, NameObject("/Fit")]),
            }
            note.get_object()[NameObject("/A")] = DictionaryObject(jump)


def link_from_pages(site: Path, files: list[Path]) -> None:
    """Put links to the files where the pages have a place for them."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf8")
        up = "../" * (len(page.relative_to(site).parts) - 1)
        links = " or ".join(
            f'<a href="{up}_static/{f.name}" download>{f.suffix[1:].upper()}</a> '
            f"({f.stat().st_size / 1e6:.1f} MB)"
            for f in files
        )
        line = f'<p class="mih-paper">The whole book as {links}</p>'
        placed = re.sub(
            "<!--mih-paper-->.*?<!--/mih-paper-->",
            f"<!--mih-paper-->{line}<!--/mih-paper-->",
            text,
            flags=re.DOTALL,
        )
        if placed != text:
            page.write_text(placed, encoding="utf8")


def main(site: Path) -> None:
    pages = toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8")))
    server = serve(site)
    origin = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=args)
        printed = list(print_pages(browser, origin, pages))
        pdf = join(browser, origin, printed)
        browser.close()
    server.shutdown()
    server.server_close()
    files = [site / "_static" / f"{NAME}{ending}" for ending in (".pdf", ".epub")]
    files[0].write_bytes(pdf)
    articles = [(name, title, article) for name, title, _, article in printed]
    files[1].write_bytes(epub.book(articles, site, title=TITLE, subtitle=SUBTITLE))
    link_from_pages(site, files)
    for file in files:
        print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_build/html").resolve())
