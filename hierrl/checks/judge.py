"""Observed statistics against those of the model: intervals, posterior predictive p-values, sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.formulas.cells import EVERYBODY
from hierrl.summary.intervals import NAME, TAIL

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]

ALARM = 0.05
"""A statistic is passed above this p-value."""
TINY = 1e-9
"""Spread of replicates below which they are taken as all the same."""
SMALL_P = 0.01
"""P-values below are not told apart: they rest on a handful of replicates."""
NAMED = 6
"""So many points of a statistic are called by their class; more are counted."""


def group_means(values: xr.DataArray, member: npt.NDArray[np.bool_]) -> FloatArray:
    """Means (..., levels, classes) over the subjects of each group who have the statistic; NaN if nobody has."""
    lead = [dim for dim in values.dims if dim == "replicate"]
    array = values.transpose(*lead, "subject", ...).values
    array = array.reshape(*array.shape[: len(lead)], values.sizes["subject"], -1)
    known = np.isfinite(array)
    total = np.einsum("gs,...sk->...gk", member.astype(np.float64), np.where(known, array, 0.0))
    count = np.einsum("gs,...sk->...gk", member.astype(np.float64), known.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return total / np.where(count > 0, count, np.nan)


def class_labels(values: xr.DataArray) -> list[str]:
    """One for each class of a statistic; an empty one if it is a single number."""
    dims = [dim for dim in values.dims if dim not in ("replicate", "subject")]
    labels = [""]
    for dim in dims:
        steps = (
            [str(one) for one in values[dim].values]
            if dim in values.coords
            else map(str, range(values.sizes[dim]))
        )
        steps = list(steps)
        labels = [f"{left}, {right}" if left else right for left in labels for right in steps]
    return labels


def p_values(observed: FloatArray, simulated: FloatArray) -> FloatArray:
    """Two-sided shares of replicates, over the first dim of `simulated`.

    NaN where nothing was observed or no replicate has the statistic.
    """
    known = np.isfinite(simulated)
    n = known.sum(axis=0)
    below = (known & (simulated <= observed)).sum(axis=0)
    above = (known & (simulated >= observed)).sum(axis=0)
    p = np.minimum(1.0, 2.0 * np.minimum(below, above) / np.maximum(n, 1))
    return np.where(np.isfinite(observed) & (n > 0), p, np.nan)


def predictive_interval(values: FloatArray) -> tuple[float, float]:
    """95 % equal-tailed interval of replicates (R,): order statistics, so that outside means p <= .05, and no more."""
    cut = int(values.size * TAIL)
    ordered = np.sort(values)
    return float(ordered[cut]), float(ordered[values.size - 1 - cut])


def joint_p(observed: FloatArray, simulated: FloatArray) -> float:
    r"""All classes (K) of a statistic at once, simulated (R, K).

    .. math:: T = \sum_k (x_k - m_k)^2 / s_k^2, \qquad p = (1 + \#\{T_r \ge T\}) / (1 + R)

    with mean m and standard deviation s over what was observed and all replicates, which makes the p-value exact if
    the observed values come from the same distribution (Besag & Clifford 1989).
    """
    together = np.concatenate([observed[None], simulated])
    usable = np.isfinite(together).all(axis=0)
    if not usable.any():
        return float("nan")
    values = together[:, usable]
    away = (((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), TINY)) ** 2).sum(axis=1)
    return float((away >= away[0] - TINY).mean())


def judged(
    observed: xr.Dataset, simulated: xr.Dataset, *, levels: tuple[str, ...], member: npt.NDArray[np.bool_]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each statistic, group and class; and a row for each statistic and group."""
    points, verdicts = [], []
    for name in map(str, observed.data_vars):
        seen, made = group_means(observed[name], member), group_means(simulated[name], member)
        own = p_values(_flat(observed[name]), _flat(simulated[name]))
        labels = class_labels(observed[name])
        for g, level in enumerate(levels):
            rows = _points(seen[g], made[:, g], own[member[g]])
            head = {"statistic": name, "group": level}
            points += [{**head, "class": label, **row} for label, row in zip(labels, rows, strict=True)]
            known = [row for row in rows if np.isfinite(row["p"])]
            verdicts.append(
                {
                    **head,
                    "points": len(known),
                    "outside": sum(row["outside"] for row in known),
                    "joint_p": (p := known[0]["p"] if len(known) == 1 else joint_p(seen[g], made[:, g])),
                    "passed": bool(p > ALARM) if np.isfinite(p) else None,
                }
            )
    return pd.DataFrame(points), pd.DataFrame(verdicts)


def _flat(values: xr.DataArray) -> FloatArray:
    """(replicate, subject, K) or (subject, K)"""
    lead = 2 if "replicate" in values.dims else 1
    return values.values.reshape(*values.shape[:lead], -1)


def _points(observed: FloatArray, simulated: FloatArray, own: FloatArray) -> list[Row]:
    """Observed (K,), simulated (R, K), and p-values of the group's subjects (s, K)."""
    p = p_values(observed, simulated)
    rows = []
    for k in range(observed.size):
        values = simulated[np.isfinite(simulated[:, k]), k]
        low, high = predictive_interval(values) if values.size else (np.nan, np.nan)
        known = np.isfinite(own[:, k])
        rows.append(
            {
                "subjects": int(known.sum()),
                "observed": observed[k],
                "predicted": values.mean() if values.size else np.nan,
                "eti95_low": low,
                "eti95_high": high,
                "p": p[k],
                "outside": bool(observed[k] < low or observed[k] > high),
                "subjects_outside": (own[known, k] <= ALARM).mean() if known.any() else np.nan,
            }
        )
    return rows


def sentences(points: pd.DataFrame, verdicts: pd.DataFrame) -> Iterator[str]:
    """One for each statistic and group: where what was observed lies outside, or that it doesn't."""
    rows: list[Row] = points.to_dict("records")
    for verdict in verdicts.to_dict("records"):
        mine = [
            row
            for row in rows
            if (row["statistic"], row["group"]) == (verdict["statistic"], verdict["group"])
        ]
        known = [row for row in mine if np.isfinite(row["p"])]
        where = "" if verdict["group"] == EVERYBODY else f" ({verdict['group']})"
        head = f"{verdict['statistic']}{where}"
        if not known:
            yield f"{head}: nobody has it, in the data or in the replicates."
        elif len(known) == 1:
            yield f"{head}: {_single(known[0])}"
        else:
            yield f"{head}: {_several(known, verdict['joint_p'])}"


def _single(row: Row) -> str:
    side = "within" if not row["outside"] else "above" if row["observed"] > row["eti95_high"] else "below"
    return (
        f"observed {row['observed']:.3f}, {side} the 95 % predictive interval {_ends(row)}, p {_p(row['p'])}."
    )


def _several(rows: list[Row], joint: float) -> str:
    outside = [row for row in rows if row["outside"]]
    if not outside:
        return f"all {len(rows)} points lie within their 95 % predictive intervals, joint p {_p(joint)}."
    worst = max(outside, key=_distance)
    named = f" ({'; '.join(row['class'] for row in outside)})" if len(outside) <= NAMED else ""
    verb = "lies outside its 95 % predictive interval"
    if len(outside) > 1:
        verb = "lie outside their 95 % predictive intervals"
    chance = "" if joint <= ALARM else ", as chance alone may do"
    return (
        f"{len(outside)} of {len(rows)} points {verb}{named}, joint p {_p(joint)}{chance}; "
        f"farthest at {worst['class']}: observed {worst['observed']:.3f}, interval {_ends(worst)}."
    )


def _distance(row: Row) -> float:
    """From what is predicted, in widths of the interval."""
    return abs(row["observed"] - row["predicted"]) / max(row["eti95_high"] - row["eti95_low"], TINY)


def _ends(row: Row) -> str:
    return f"({NAME} {row['eti95_low']:.3f} to {row['eti95_high']:.3f})"


def _p(value: float) -> str:
    return "< .01" if value < SMALL_P else f"= {value:.2f}"
