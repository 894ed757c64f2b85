"""How equations are written: in text for a terminal, in LaTeX for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
).split()
LETTERS = {"bias": "b", "lapse": r"\xi", "sd": r"\sigma", "weight": "w"}
"""Names that papers write as a letter; their endings become an index."""
PLACES = {"start": "q", "centre": "q"}
"""Names of values, which are an index of that letter."""

SIGNALS = {
    "reward": ("r", "r"),
    "gain": ("g", "g"),
    "loss": ("l", r"\ell"),
    "choice": ("1", "1"),
    "forgone": ("f[j]", "f_j"),
    "reward+": ("max(r, 0)", r"\max(r, 0)"),
    "reward-": ("min(r, 0)", r"\min(r, 0)"),
    "sign(reward)": ("sign(r)", r"\operatorname{sign}(r)"),
    "reward>=0": ("[r >= 0]", r"[r \ge 0]"),
    "reward<0": ("[r < 0]", "[r < 0]"),
}
"""Signal -> how it is written in text and in LaTeX."""


class Text:
    """For a terminal: ``Q[c] += alpha (r - Q[c])``."""

    times, at_least, becomes, otherwise = " ", ">=", "=", "else"

    def parameter(self, name: str | float, arm: str = "") -> str:
        """A parameter or number, of one arm if it has a value for each."""
        return f"{name:g}" if not isinstance(name, str) else f"{name}[{arm}]" if arm else name

    def value(self, letter: str, number: int, arm: str) -> str:
        """What is numbered (0: there is one only) and belongs to an arm (empty: to none)."""
        return f"{letter}{number or ''}" + (f"[{arm}]" if arm else "")

    def signal(self, name: str, arm: str = "") -> str:
        """What a channel remembers, or the column of a regressor."""
        return SIGNALS[name][0] if name in SIGNALS else f"{name}[{arm}]" if arm else name

    def power(self, base: str, exponent: str) -> str:
        """A size relative to the largest reward, bent."""
        return f"|{base} / s|^{exponent}"

    def sign(self, of: str) -> str:
        """The sign of something, as a factor."""
        return f"sign({of}) "

    def over(self, what: str, by: str) -> str:
        """A fraction."""
        return f"{what} / ({by})" if " " in by else f"{what} / {by}"

    def cases(self, first: str, condition: str, second: str) -> str:
        """One thing under a condition, another one otherwise."""
        return f"{{{first} if {condition}, else {second}}}"

    def words(self, text: str) -> str:
        """Words beside an equation."""
        return f" {text}"

    def learner(self, text: str, latex: str) -> list[str]:
        """The equations that a learner states of itself."""
        return text.split("; ")


class Latex(Text):
    r"""For a paper: ``Q_c \leftarrow Q_c + \alpha\, (r - Q_c)``."""

    times, at_least, becomes = r"\,", r"\ge", r"\leftarrow"

    def parameter(self, name: str | float, arm: str = "") -> str:
        r"""``alpha_pos`` is :math:`\alpha_{\mathrm{pos}}`."""
        if not isinstance(name, str):
            return f"{name:g}"
        head, _, tail = name.partition("_")
        if head in PLACES:
            head, tail = PLACES[head], f"{head} {tail}".strip()
        stem, digits = re.fullmatch(r"(.*?)(\d*)", head).groups()  # type: ignore[union-attr]
        words = tail.replace("_", " ")
        index = [digits, rf"\mathrm{{{words}}}" if words and not words.isdigit() else words, arm]
        return self._indexed(self._letter(stem or head), [part for part in index if part])

    def _letter(self, stem: str) -> str:
        if stem in GREEK:
            return f"\\{stem}"
        return LETTERS.get(stem) or (stem if len(stem) == 1 else rf"\mathrm{{{stem}}}")

    def _indexed(self, letter: str, index: Sequence[str]) -> str:
        joined = ", ".join(index)
        return letter + (f"_{joined}" if len(joined) == 1 else f"_{{{joined}}}" if joined else "")

    def value(self, letter: str, number: int, arm: str) -> str:
        """As in text, with the number above and the arm below."""
        return letter + (f"^{{({number})}}" if number else "") + (f"_{arm}" if arm else "")

    def signal(self, name: str, arm: str = "") -> str:
        """As in text; a column upright."""
        if name in SIGNALS:
            return SIGNALS[name][1]
        safe = name.replace("_", r"\_")
        return rf"\mathrm{{{safe}}}" + (f"_{arm}" if arm else "")

    def power(self, base: str, exponent: str) -> str:
        """As in text."""
        return rf"\lvert {base} / s \rvert^{{{exponent}}}"

    def sign(self, of: str) -> str:
        """As in text."""
        return rf"\operatorname{{sign}}({of})\,"

    def over(self, what: str, by: str) -> str:
        """As in text."""
        return rf"\frac{{{what}}}{{{by}}}"

    def cases(self, first: str, condition: str, second: str) -> str:
        """As in text."""
        return rf"\begin{{cases}} {first} & \text{{if }} {condition} \\ {second} & \text{{otherwise}} \end{{cases}}"

    def words(self, text: str) -> str:
        """As in text."""
        plain = text.replace("_", " ")
        return rf"\quad\text{{{plain}}}"

    def learner(self, text: str, latex: str) -> list[str]:
        """As in text."""
        return latex.split(r" \\ ")


TEXT, LATEX = Text(), Latex()
