"""Formulas: `$...$` and blocks of `math` become MathML while the site is made; readers load nothing."""

import re
from html import unescape

from latex2mathml.converter import convert

#: What `pymdownx.arithmatex` makes of a formula, in the line and on its own.
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\s*(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])\s*</\1>', re.S
)
NAME = r"<mi>(?:cos|log|max|min|sin|tanh)</mi>"
#: What the converter makes of some commands, and what spaces them as TeX does.
SPACING = (
    ("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>"),  # \sim is a relation
    ("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>"),  # \infty is a number
    ("<mo>&#x0002F;</mo>", '<mo lspace="0" rspace="0">/</mo>'),
    (r"<mo>(max|min)</mo>", r"<mi>\1</mi>"),
    (rf"(?<=</mi>)(?={NAME})", '<mspace width="0.17em" />'),
    (rf"({NAME})(?=<m[in]>)", r'\1<mspace width="0.17em" />'),
)


def on_page_content(html, **_):
    return FORMULA.sub(_typeset, html)


def _typeset(match):
    tag, source = match.groups()
    formula = convert(unescape(source).strip(), display="block" if tag == "div" else "inline")
    for pattern, text in SPACING:
        formula = re.sub(pattern, text, formula)
    return f'<{tag} class="arithmatex">{formula}</{tag}>'
