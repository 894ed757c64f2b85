"""Equations as MathML, which browsers show by themselves: from the LaTeX that models write of themselves.

Only the LaTeX of `hierrl.models.equations` and of the learners is read: letters, numbers, sub- and superscripts,
fractions, upright words, arrows and a few signs.
"""

from __future__ import annotations

import re
from html import escape

from hierrl.models.equations import GREEK
from hierrl.models.model import Model
from hierrl.models.recursion.model import Recursion

LETTERS = dict(zip(GREEK, "αβγηκλφρθξ", strict=True))
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
BEFORE_SIGNS = ('<mo stretchy="false">(</mo>', "<mo>=</mo>", "<mo>←</mo>")
"""A minus after these is a sign, not a difference."""
BREAK = re.compile(r"\\q?quad")


def equations_of(model: Model) -> list[str]:
    """The lines of a model's equations; of the user's own model only how values become choices."""
    lines = model.latex.split(" \\\\\n")
    if isinstance(model, Recursion):
        lines = lines[:1]
    # Rules in one line would not fit a narrow screen.
    parts = [part.strip().rstrip(",;") for line in lines for part in BREAK.split(line)]
    return [mathml(part) for part in dict.fromkeys(parts) if part]


def mathml(latex: str) -> str:
    """One equation."""
    reader = _Reader(TOKEN.findall(latex))
    body = "".join(reader.until(None))
    return f'<math display="block"><mrow>{body}</mrow></math>'


class _Reader:
    """Reads tokens from left to right; each part of an equation becomes one element."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def until(self, end: str | None) -> list[str]:
        """Elements up to a token, which is taken too."""
        found: list[str] = []
        while self._tokens:
            token = self._tokens.pop()
            if token == end:
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
            return '<mo stretchy="false" lspace="0" rspace="0">|</mo>'
        return (
            f"<mo{' stretchy="false"' if token in '()[]' else ''}>{escape(_SPELLED.get(token, token))}</mo>"
        )

    def _command(self, name: str) -> str:
        if name == "frac":
            return f"<mfrac>{self._argument()}{self._argument()}</mfrac>"
        if name in WORDS:
            return self._word(name)
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
