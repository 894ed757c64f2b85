"""Formulas as MathML, which browsers show by themselves: no script, no network, and readable to screen readers."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from math_core import LatexToMathML

CONVERTER = LatexToMathML(fancy_error=False)
ROWS = re.compile(r"\\\\|&")


def mathml(latex: str, *, block: bool) -> str:
    r"""One formula. Rows that stand alone are lined up at their ``&``, as between ``\begin{aligned}`` and its end."""
    if ROWS.search(latex) and not latex.lstrip().startswith(r"\begin"):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return CONVERTER.convert_with_local_state(latex.strip(), displaystyle=block)


def inline(self: Any, node: nodes.math) -> None:
    """Within a sentence."""
    self.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """On lines of its own, scrolled where the page is too narrow; parts with an empty line between are formulas."""
    parts = re.split(r"\n\s*\n", node.astext().strip())
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.extend(mathml(part, block=True) for part in parts)
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Offer the renderer, and choose it."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
