"""Coverage, width and error of the intervals of `widths.py`, by prior and number of the population."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t
from widths import PROBABILITIES, WIDTHS

from hierrl.importance.pareto import GOOD_K
from hierrl.replications.store import NUMBER, Row

FloatArray = npt.NDArray[np.float64]

PRIORS = (*(f"{width:g}" for width in WIDTHS), "weak")
TAILS = {"95": (PROBABILITIES.index(0.025), PROBABILITIES.index(0.975)), "80": (1, 5), "50": (2, 4)}
MIDDLE = PROBABILITIES.index(0.5)
KINDS = {"mu": "population means", "sigma": "spreads"}


def not_converged(rows: Iterable[Row]) -> list[int]:
    """Numbers of the studies with a posterior that did not converge under some prior. They count like all others."""
    return [row[NUMBER] for row in rows if not all(found["converged"] for found in row["priors"].values())]


def sampled_again(rows: Iterable[Row]) -> int:
    """How many posteriors were sampled under their own prior since weights failed."""
    return sum(found.get("k_hat", -1.0) > GOOD_K for row in rows for found in row["priors"].values())


def cells(rows: list[Row], truth: Mapping[str, float], place: Mapping[str, Any]) -> list[Row]:
    """A row for each prior and kind of number, the numbers of a kind (one for each parameter) together.

    ``coverage_95`` and so on with ``_low`` and ``_high``, their 95 % confidence interval (Student's t over studies);
    ``more_95``, coverage minus that under the weak prior in the same studies, likewise; ``width_95``, mean ratio of
    the interval's width to that under the weak prior; ``bias`` and ``rmse`` of the posterior median (of the logarithm
    of spreads); ``weak_share``, of terms that kept the weak prior.
    """
    table = []
    for kind in KINDS:
        names = [name for name in truth if name.startswith(kind)]
        weak = _inside(rows, "weak", names, truth)
        for prior in PRIORS:
            row: Row = {**place, "prior": prior, "kind": kind, "n": len(rows)}
            inside = _inside(rows, prior, names, truth)
            for level in TAILS:
                row |= _with_limits(f"coverage_{level}", inside[level].mean(axis=1))
                row |= _with_limits(f"more_{level}", (inside[level] * 1.0 - weak[level]).mean(axis=1))
                ratio = _widths(rows, prior, names, level) / _widths(rows, "weak", names, level)
                row[f"width_{level}"] = round(float(ratio.mean()), 4)
            table.append(row | _errors(rows, prior, names, truth) | _sources(rows, prior, names))
    return table


def _quantiles(rows: list[Row], prior: str, names: list[str]) -> FloatArray:
    """(R, names, probabilities)"""
    return np.array([[row["priors"][prior][name]["quantiles"] for name in names] for row in rows])


def _inside(
    rows: list[Row], prior: str, names: list[str], truth: Mapping[str, float]
) -> dict[str, npt.NDArray[np.bool_]]:
    q, true = _quantiles(rows, prior, names), np.array([truth[name] for name in names])
    return {level: (q[..., low] <= true) & (true <= q[..., high]) for level, (low, high) in TAILS.items()}


def _widths(rows: list[Row], prior: str, names: list[str], level: str) -> FloatArray:
    q, (low, high) = _quantiles(rows, prior, names), TAILS[level]
    return q[..., high] - q[..., low]


def _errors(rows: list[Row], prior: str, names: list[str], truth: Mapping[str, float]) -> Row:
    error = []
    for i, name in enumerate(names):
        middle = _quantiles(rows, prior, names)[:, i, MIDDLE]
        error.append(np.log(middle / truth[name]) if name.startswith("sigma") else middle - truth[name])
    both = np.stack(error, axis=1)
    return {
        **_with_limits("bias", both.mean(axis=1)),
        "rmse": round(float(np.sqrt((both**2).mean())), 4),
        "bias_each": {name: round(float(x.mean()), 4) for name, x in zip(names, error, strict=True)},
    }


def _sources(rows: list[Row], prior: str, names: list[str]) -> Row:
    if prior == "weak":
        return {"weak_share": 1.0}
    return {
        "weak_share": round(float(np.mean([row["sources"][n] == "weak" for row in rows for n in names])), 4)
    }


def _with_limits(name: str, each: FloatArray) -> Row:
    """A mean over studies with its confidence interval."""
    half = (
        float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0
    )
    mean = float(each.mean())
    return {name: round(mean, 4), f"{name}_low": round(mean - half, 4), f"{name}_high": round(mean + half, 4)}
