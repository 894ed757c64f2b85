r"""Learners whose rate is itself a state: Kalman filter, Pearce-Hall, experience-weighted attraction.

This file is all there is to a learner. `LEARNERS` says what its parameters are; `begin`, `learn` and `drift` are its
equations, for one arm: q is its value, v the second state. They are written for numbers of any kind, with ``+ - * /``
and ``abs`` alone: compiled code runs them on floats, on eight subjects at once, and on numbers that carry their exact
first and second derivatives. So a learner needs no derivatives of its own; what it returns must be made of its
arguments (``0.0 * v + 1.0`` rather than ``1.0``).

Another learner is an entry of `LEARNERS` and a branch in each of the three functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DELTA, KALMAN, PEARCE_HALL, EWA = range(4)
"""Codes; the first stands for the rules of `hierrl.kernels.rule`, which need no second state."""


@dataclass(frozen=True)
class Role:
    """A shape parameter of a learner: ``rate`` and ``start`` are the channel's own, others stand in its ``shape``.

    ``kind`` and ``unit`` as in `hierrl.models.model.Parameter`; ``default`` is a parameter name or a number.
    """

    name: str
    kind: Literal["rate", "start", "noise"]
    meaning: str
    default: str | float | None = None
    unit: int = 0


@dataclass(frozen=True)
class Learner:
    """What a learner is made of: its roles in the order in which the functions below take them."""

    code: int
    title: str
    roles: tuple[Role, ...]
    drifts: bool
    """Whether `drift` changes arms that are not chosen."""
    linear: bool
    """Whether rewards in another unit give the same values in that unit."""
    text: str
    """The equations, with the roles in braces and "; " between them; what the chosen arm c pays is u."""
    latex: str
    r"""The same in LaTeX, with `` \\\\ `` between them."""
    symbols: tuple[tuple[str, str], ...]
    """What stands for something in the equations besides Q, c, u and the roles, and its meaning."""
    source: str


LEARNERS = {
    "kalman": Learner(
        KALMAN,
        "Kalman filter",
        (
            Role("start", "start", "expected reward before the first trial", unit=1),
            Role(
                "decay", "rate", "share by which every expectation returns to the centre on each trial", 0.0
            ),
            Role("centre", "start", "what expectations return to", 0.0, unit=1),
            Role(
                "sd_start",
                "noise",
                "standard deviation of the first expectation",
                "sd_start",
            ),
            Role(
                "sd_drift",
                "noise",
                "standard deviation of the drift from trial to trial",
                "sd_drift",
            ),
        ),
        True,
        True,
        "K = v[c] / (v[c] + 1); Q[c] = Q[c] + K (u - Q[c]); v[c] = K; then for every arm Q[i] = Q[i] + {decay} "
        "({centre} - Q[i]); v[i] = (1 - {decay})^2 v[i] + {sd_drift}^2; v[i] = {sd_start}^2 at the start of a session",
        r"K = \frac{v_c}{v_c + 1} \\ Q_c \leftarrow Q_c + K\, (u - Q_c), \quad v_c \leftarrow K \\ "
        r"Q_i \leftarrow Q_i + {decay}\, ({centre} - Q_i) \quad\text{then, for every arm} \\ "
        r"v_i \leftarrow (1 - {decay})^2\, v_i + {sd_drift}^2 \\ "
        r"v_i = {sd_start}^2 \quad\text{at the start of a session}",
        (
            ("K", "the rate of this trial (Kalman gain)"),
            ("v", "the variance of an arm's expectation, in variances of a reward around its mean"),
        ),
        "Kalman (1960); Daw, O'Doherty, Dayan, Seymour & Dolan (2006)",
    ),
    "pearce_hall": Learner(
        PEARCE_HALL,
        "Pearce-Hall",
        (
            Role("rate", "rate", "share of the associability that is the learning rate"),
            Role("start", "start", "value before the first trial", unit=1),
            Role(
                "eta", "rate", "rate at which the associability follows the size of prediction errors", "eta"
            ),
            Role("associability", "rate", "associability before the first trial", 1.0),
        ),
        False,
        False,
        "Q[c] = Q[c] + {rate} a[c] (u - Q[c]); a[c] = a[c] + {eta} (|u - Q[c]| / s - a[c]), with Q[c] from before; "
        "a[i] = {associability} at the start of a session",
        r"Q_c \leftarrow Q_c + {rate}\, a_c\, (u - Q_c) \\ "
        r"a_c \leftarrow a_c + {eta} \left( \lvert u - Q_c \rvert / s - a_c \right) \quad\text{(} Q_c "
        r"\text{ from before)} \\ a_i = {associability} \quad\text{at the start of a session}",
        (("a", "the associability, which follows the size of prediction errors"),),
        "Pearce & Hall (1980); Li, Schiller, Schoenbaum, Phelps & Daw (2011)",
    ),
    "ewa": Learner(
        EWA,
        "experience-weighted attraction",
        (
            Role("start", "start", "value before the first choice", unit=1),
            Role("phi", "rate", "what remains of the value's past at each choice of the arm", "phi"),
            Role("rho", "rate", "what remains of the experience at each choice of the arm", "rho"),
        ),
        False,
        True,
        "n' = {rho} n[c] + 1; Q[c] = ({phi} n[c] Q[c] + u) / n'; n[c] = n'; n[i] = 0 at the start of a session",
        r"n' = {rho}\, n_c + 1 \\ Q_c \leftarrow \frac{{phi}\, n_c\, Q_c + u}{n'}, \quad n_c \leftarrow n' \\ "
        r"n_i = 0 \quad\text{at the start of a session}",
        (("n", "the experience with an arm: a count of its choices that forgets"),),
        "Camerer & Ho (1999); den Ouden et al. (2013)",
    ),
}


def begin(learner, a, b, c, d, e):
    """Value and second state of an arm at the start of a session; a to e are the learner's parameters."""
    if learner == KALMAN:
        return a, d * d
    if learner == PEARCE_HALL:
        return b, 1.0 * d
    return a, 0.0 * b


def learn(learner, q, v, u, a, b, c, d, e):
    """The same after the arm was chosen and paid u."""
    if learner == KALMAN:
        gain = v / (v + 1.0)
        return q + gain * (u - q), gain
    if learner == PEARCE_HALL:
        error = u - q
        return q + a * v * error, v + c * (abs(error) - v)
    n = c * v + 1.0
    return (b * v * q + u) / n, n


def drift(learner, q, v, a, b, c, d, e):
    """The same for every arm, chosen or not, at the end of the trial."""
    if learner == KALMAN:
        keep = 1.0 - b
        return q + b * (c - q), keep * keep * v + e * e
    return q, v
