"""Formulas as MathML, which browsers show by themselves: no script, no network, and readable to screen readers.

The font of the formulas comes along: browsers choose poor ones where no mathematical font is installed.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import ziamath
from docutils import nodes
from fontTools import subset
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

CONVERTER = LatexToMathML(fancy_error=False)
LOGGER = logging.getLogger(__name__)
ROWS = re.compile(r"\\\\|&")
FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
"""By the STIX Fonts Project, SIL Open Font License 1.1."""
CHARACTERS = [
    *range(0x20, 0x180),  # Latin
    *range(0x2B0, 0x400),  # accents, Greek
    *range(0x2000, 0x2300),  # punctuation, arrows, operators
    *(0x27E8, 0x27E9),  # angle brackets
    *range(0x1D400, 0x1D800),  # italic and other letters of formulas
]
"""All that formulas of the site may need; the whole font has three times as many bytes."""


def mathml(latex: str, *, block: bool) -> str:
    r"""One formula. Rows that stand alone are lined up at their ``&``, as between ``\begin{aligned}`` and its end."""
    if ROWS.search(latex) and not latex.lstrip().startswith(r"\begin"):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return CONVERTER.convert_with_local_state(latex.strip(), displaystyle=block)


def shown(node: nodes.Node, latex: str, *, block: bool) -> str:
    """A formula, or its source and a warning if it can't be read."""
    try:
        return mathml(latex, block=block)
    except LatexError as error:
        LOGGER.warning("A formula can't be read: %s\n%s", error, latex, location=node)
        return f"<code>{escape(latex)}</code>"


def visit_inline(self: Any, node: nodes.math) -> None:
    """Within a sentence."""
    self.body.append(shown(node, node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """On lines of its own, scrolled where the page is too narrow; parts with an empty line between are formulas."""
    parts = re.split(r"\n\s*\n", node.astext().strip())
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.extend(shown(node, part, block=True) for part in parts)
    self.body.append("</div>\n")
    raise nodes.SkipNode


def write_font(app: Any, exception: Exception | None) -> None:
    """Put the part of the font that is needed beside the style sheets, which name it."""
    if exception is not None or app.builder.format != "html":
        return
    options = subset.Options(flavor="woff", layout_features=["*"])
    font = subset.load_font(str(FONT), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    subset.save_font(font, str(app.outdir / "_static" / "stix-two-math.woff"), options)


def setup(app: Any) -> dict[str, bool]:
    """Offer the renderer; `conf.py` chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", write_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
