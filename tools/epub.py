"""Articles of the built book as one EPUB 3 file: XHTML with MathML and SVG, pictures beside it."""

import base64
import hashlib
import html
import io
import posixpath
import re
import zipfile
from pathlib import Path

CSS = """\
body { font-family: serif; line-height: 1.5; margin: 0 4%; }
h1, h2, h3, h4, figcaption, .option { font-family: sans-serif; }
figure { margin: 1em 0; } figcaption { font-size: .85em; color: #444; }
img, svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .85em; } th, td { padding: .2em .5em; border-bottom: 1px solid #ccc; text-align: left; }
.answer { border-left: 2px solid #ccc; padding-left: .8em; }
.mih-frames { display: flex; gap: 2%; } .mih-frame { flex: 1; font-size: .75em; }
"""
CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{title}</title><link rel="stylesheet" type="text/css" href="book.css"/></head>
<body>{body}</body></html>
"""
TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
DATED = "2026-01-01T00:00:00Z"  # no clock goes in: the same book gives the same file


def book(articles: list[tuple[str, str, str]], site: Path, *, title: str, subtitle: str) -> bytes:
    """The EPUB of articles, (name of the page, title, XHTML), whose pictures are below `site`."""
    files = {name: f"{name.replace('/', '-')}.xhtml" for name, _, _ in articles}
    pictures: dict[str, bytes] = {}
    pages = {}
    for name, heading, article in articles:
        body = pull_pictures(article, name, site, pictures)
        body = re.sub(r'href="([^"]*)"', lambda m, n=name: f'href="{link(m[1], n, files)}"', body)
        pages[files[name]] = PAGE.format(title=html.escape(heading), body=body)
    entries = "".join(
        f'<li><a href="{files[name]}">{html.escape(heading)}</a></li>'
        for name, heading, _ in articles
    )
    contents = f'<nav epub:type="toc"><h1>Contents</h1><ol>{entries}</ol></nav>'
    pages["nav.xhtml"] = PAGE.format(title="Contents", body=contents)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        put = lambda name, data: archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # noqa: E731
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)
        put("META-INF/container.xml", CONTAINER)
        put("book/content.opf", package(pages, pictures, f"{title}: {subtitle}"))
        put("book/book.css", CSS)
        for name, data in [*pages.items(), *pictures.items()]:
            put(f"book/{name}", data)
    return buffer.getvalue()


def pull_pictures(article: str, page: str, site: Path, pictures: dict[str, bytes]) -> str:
    """Collect the pictures of an article and let it name them as the EPUB does."""

    def rename(match: re.Match) -> str:
        source = html.unescape(match[1])
        if source.startswith("data:image/png;base64,"):
            data, ending = base64.b64decode(source.partition(",")[2]), ".png"
        else:
            path = site / posixpath.normpath(posixpath.join(posixpath.dirname(page), source))
            data, ending = path.read_bytes(), path.suffix
        name = f"{hashlib.sha256(data).hexdigest()[:16]}{ending}"
        pictures[name] = data
        return f'src="{name}"'

    return re.sub(r'src="([^"]*)"', rename, article)


def link(target: str, page: str, files: dict[str, str]) -> str:
    """Where a link of a page leads inside the EPUB; to other sites as before."""
    target = html.unescape(target)
    if target.startswith(("http:", "https:", "#", "mailto:")):
        return html.escape(target)
    path, _, fragment = target.partition("#")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)).removesuffix(".html")
    if name not in files:
        return "#"
    return files[name] + (f"#{fragment}" if fragment else "")


def package(pages: dict[str, str], pictures: dict[str, bytes], title: str) -> str:
    """The package document: what the EPUB holds and in which order it is read."""
    items, spine = ['<item id="css" href="book.css" media-type="text/css"/>'], []
    for number, (name, text) in enumerate(pages.items()):
        kinds = [kind for kind, mark in (("mathml", "<math"), ("svg", "<svg")) if mark in text]
        kinds += ["nav"] if name == "nav.xhtml" else []
        properties = f' properties="{" ".join(kinds)}"' if kinds else ""
        kind = "application/xhtml+xml"
        items.append(f'<item id="p{number}" href="{name}" media-type="{kind}"{properties}/>')
        if name != "nav.xhtml":
            spine.append(f'<itemref idref="p{number}"/>')
    for number, name in enumerate(pictures):
        kind = TYPES[name[name.rindex(".") :]]
        items.append(f'<item id="i{number}" href="{name}" media-type="{kind}"/>')
    digest = hashlib.sha256("".join(pages.values()).encode()).hexdigest()[:32]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:sha256:{digest}</dc:identifier>
<dc:title>{html.escape(title)}</dc:title><dc:language>en</dc:language>
<dc:creator>The Mode Interpolation authors</dc:creator><dc:rights>CC BY 4.0</dc:rights>
<meta property="dcterms:modified">{DATED}</meta></metadata>
<manifest>{"".join(items)}</manifest><spine>{"".join(spine)}</spine></package>
"""
