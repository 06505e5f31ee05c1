"""Formulas: `$...$` and blocks of `math` become MathML while the site is made; readers load nothing."""

import re
from html import unescape

from latex2mathml.converter import convert

#: What `pymdownx.arithmatex` makes of a formula, in the line and on its own.
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\s*(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])\s*</\1>', re.S
)


def on_page_content(html, **_):
    return FORMULA.sub(_typeset, html)


def _typeset(found):
    tag, source = found.groups()
    display = "block" if tag == "div" else "inline"
    return f'<{tag} class="arithmatex">{convert(unescape(source).strip(), display=display)}</{tag}>'
