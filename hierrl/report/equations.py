"""Equations as MathML, which browsers show by themselves: from the LaTeX that models write of themselves.

Only the LaTeX of `hierrl.models.equations` and of the learners is read: letters, numbers, sub- and superscripts,
fractions, upright words, arrows and a few signs.
"""

from __future__ import annotations

import re
from html import escape

from hierrl.models.model import Model
from hierrl.models.notation import GREEK, LATEX

LETTERS = dict(zip(GREEK, "αβγδεζηθικλμνξπρστφχψω", strict=True)) | {"ell": "ℓ"}
SIGNS = {
    "leftarrow": "←",
    "ge": "≥",
    "le": "≤",
    "pm": "±",
    "mp": "∓",
    "sum": "∑",
    "cdot": "·",
    "min": "min",
    "max": "max",
}
SPACES = {",": "0.17em", "quad": "1em", "qquad": "2em"}
WORDS = ("mathrm", "text", "operatorname")
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[0-9]+(?:\.[0-9]+)?|\s+|.", re.DOTALL)
BAR = '<mo stretchy="false" lspace="0" rspace="0">|</mo>'
BEFORE_SIGNS = ('<mo stretchy="false">(</mo>', "<mo>=</mo>", "<mo>←</mo>")
"""A minus after these is a sign, not a difference."""


def equations_of(model: Model) -> list[str]:
    """The lines of a model's equations."""
    return [mathml(line) for line in model.equations(LATEX)]


def mathml(latex: str) -> str:
    """One equation."""
    reader = _Reader(TOKEN.findall(latex))
    body = "".join(reader.until(None))
    return f'<math display="block"><mrow>{body}</mrow></math>'


def inline(latex: str) -> str:
    """As `mathml`, within a sentence."""
    return mathml(latex).replace(' display="block"', "")


class _Reader:
    """Reads tokens from left to right; each part of an equation becomes one element."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def until(self, end: str | None, *others: str) -> list[str]:
        """Elements up to a token, which is taken too and kept as `ended`."""
        found: list[str] = []
        while self._tokens:
            token = self._tokens.pop()
            if token == end or token in others:
                self.ended = token
                return found
            if token.isspace():
                continue
            if token in "_^":
                found.append(self._script(found.pop(), token))
            elif token == "-" and (not found or found[-1] in BEFORE_SIGNS):
                found.append('<mo form="prefix">−</mo>')
            else:
                found.append(self._element(token))
        if end is not None:
            raise ValueError(f"An equation ends before {end!r}.")
        return found

    def _element(self, token: str) -> str:
        if token == "{":
            return f"<mrow>{''.join(self.until('}'))}</mrow>"
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token == "|":
            return BAR
        return (
            f"<mo{' stretchy="false"' if token in '()[]' else ''}>{escape(_SPELLED.get(token, token))}</mo>"
        )

    def _command(self, name: str) -> str:
        if name == "frac":
            return f"<mfrac>{self._argument()}{self._argument()}</mfrac>"
        if name in WORDS:
            return self._word(name)
        if name == "begin":
            return self._cases()
        if name in ("left", "right"):  # brackets grow by themselves
            return self._argument()
        if name in ("lvert", "rvert"):
            return BAR
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in SIGNS:
            return (
                f'<mo movablelimits="false">{SIGNS[name]}</mo>'
                if name == "sum"
                else f"<mo>{SIGNS[name]}</mo>"
            )
        if name == "_":
            return "<mo>_</mo>"
        raise ValueError(f"No MathML is known for the LaTeX command \\{name}.")

    def _cases(self) -> str:
        """Rows of a value and when it holds, behind a brace."""
        self._word("begin")
        rows, ended = [], ""
        while ended != "\\end":
            cells, ended = [], "&"
            while ended == "&":
                cells.append("".join(self.until("&", "\\\\", "\\end")))
                ended = self.ended
            rows.append("".join(f"<mtd>{cell}</mtd>" for cell in cells))
        self._word("end")
        table = "".join(f"<mtr>{row}</mtr>" for row in rows)
        return f'<mo>{{</mo><mtable columnalign="left">{table}</mtable>'

    def _word(self, name: str) -> str:
        assert self._tokens.pop() == "{"
        letters: list[str] = []
        while (token := self._tokens.pop()) != "}":
            letters.append("_" if token == r"\_" else token)
        text = escape("".join(letters))
        if name == "text":  # its spaces part it from its neighbours
            return f"<mtext>{text.replace(' ', '&#160;')}</mtext>"
        return f'<mi mathvariant="normal">{text}</mi>'

    def _argument(self) -> str:
        while self._tokens[-1].isspace():
            self._tokens.pop()
        return self._element(self._tokens.pop())

    def _script(self, base: str, which: str) -> str:
        first = self._argument()
        if self._tokens and self._tokens[-1] in "_^" and self._tokens[-1] != which:
            self._tokens.pop()
            second = self._argument()
            below, above = (first, second) if which == "_" else (second, first)
            return f"<msubsup>{base}{below}{above}</msubsup>"
        return f"<{'msub' if which == '_' else 'msup'}>{base}{first}</{'msub' if which == '_' else 'msup'}>"


_SPELLED = {"-": "−", "'": "′"}
