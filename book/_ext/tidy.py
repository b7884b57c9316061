"""Markup of the packages around, put right for screen readers and for narrow margins."""

import re

FIXES = [
    # myst-nb names every bar alike, whatever is written on it
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # a corner of a table is no header
    (r'<th class="([^"]*)"><p>\s*</p></th>', r'<td class="\1"></td>'),
    (r"<th([^>]*)>\s*</th>", r"<td\1></td>"),
    # a list of papers is no list of list items, and the role of its entries is out of use
    (r'(<div) role="list" (class="citation-list")', r"\1 \2"),
    (r' role="doc-biblioentry"', ""),
    # the theme makes room for a note in the margin while it is in sight
    (r'<aside class="mih-margin">', '<aside class="mih-margin margin" aria-label="Note">'),
]


def tidy(app, pagename, templatename, context, doctree):
    body = context.get("body")
    for pattern, better in FIXES if body else []:
        body = re.sub(pattern, better, body)
    if body:
        context["body"] = body


def setup(app):
    app.connect("html-page-context", tidy, priority=650)
