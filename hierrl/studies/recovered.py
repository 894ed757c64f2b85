"""What a parameter recovery says: tables, and sentences on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.replications.shares import interval_name, share_of
from hierrl.studies.estimates import INTERVALS

FloatArray = npt.NDArray[np.float64]

NATURAL, LINK = "natural", "link"
MOST_UNINFORMATIVE = 0.05
"""Share of uninformative subjects from which on a sentence says that they are there."""
Z95 = 1.959964


@dataclass(frozen=True, repr=False)
class Recovery:
    """Parameter recovery; `recovery` makes it.

    Attributes
    ----------
    table : DataFrame
        By ``data_set``, ``subject`` and ``parameter``: ``truth``, ``estimate``, ``low`` and ``high`` (ends of the 95 %
        interval, see ``interval``), in raw reward units; ``link_truth``, ``link_estimate``, ``link_se``;
        ``link_se_true`` (standard error at the true values; NaN where the data say nothing); ``at_bound``,
        ``converged``, ``informative``.
    summary : DataFrame
        By ``parameter`` and ``scale`` ("natural", "link"): ``correlation`` with ``correlation_low`` and ``_high``
        (95 %, Fisher's z), ``bias`` with its standard error ``bias_se``, ``rmse``, ``coverage`` with
        ``coverage_low`` and ``_high`` (95 %, exact binomial, corrected for data sets that
        differ), ``n``, ``n_interval`` (estimates that have an interval), ``n_informative``,
        ``correlation_informative``, ``correlation_weighted``, ``n_at_bound``.
    settings : dict
        What it was made with.
    interval : str
        Which intervals these are.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def interval(self) -> str:
        """Name of the intervals."""
        return INTERVALS[self.settings["estimator"]]

    @property
    def text(self) -> str:
        """What the summary says, in sentences."""
        return "\n".join(_sentences(self))

    def __repr__(self) -> str:
        return self.text


def recovered(table: pd.DataFrame, settings: Mapping[str, Any], *, links: Mapping[str, str]) -> Recovery:
    """The result from the figures of all subjects; `links` by parameter."""
    table = table.assign(informative=False)
    rows = []
    for label in dict.fromkeys(table["parameter"]):
        mine = table["parameter"] == label
        spread = float(table.loc[mine, "link_truth"].std())
        table.loc[mine, "informative"] = table.loc[mine, "link_se_true"] <= (spread or np.inf)
        one = table.loc[mine]
        scales = (NATURAL,) if links[label] == "identity" else (NATURAL, LINK)
        how = {"spread": spread, "clusters": settings["clusters"]}
        rows += [_figures(one, label, scale, **how) for scale in scales]
    return Recovery(table, pd.DataFrame(rows), settings)


def _figures(one: pd.DataFrame, label: str, scale: str, *, spread: float, clusters: bool) -> dict[str, Any]:
    prefix = "link_" if scale == LINK else ""
    truth, estimate = (one[f"{prefix}{name}"].to_numpy(float) for name in ("truth", "estimate"))
    good = np.isfinite(estimate)
    error, informative = (estimate - truth)[good], one["informative"].to_numpy() & good
    r = correlation(truth[good], estimate[good])
    low, high = _fisher(r, int(good.sum()))
    with_interval = np.isfinite(one["low"].to_numpy(float))
    se = one["link_se_true"].to_numpy(float)
    weight = np.where(np.isfinite(se), 1.0 / (spread**2 + np.where(np.isfinite(se), se, 0.0) ** 2), 0.0)
    return {
        "parameter": label,
        "scale": scale,
        "n": int(good.sum()),
        "correlation": r,
        "correlation_low": low,
        "correlation_high": high,
        "bias": float(error.mean()),
        "bias_se": float(error.std(ddof=1) / np.sqrt(error.size)) if error.size > 1 else np.nan,
        "rmse": float(np.sqrt((error**2).mean())),
        **_coverage(one.loc[with_interval], clusters),
        "n_interval": int(with_interval.sum()),
        "n_informative": int(informative.sum()),
        "correlation_informative": correlation(truth[informative], estimate[informative]),
        "correlation_weighted": correlation(truth[good], estimate[good], weight[good]),
        "n_at_bound": int(np.count_nonzero(one["at_bound"])),
    }


def _coverage(one: pd.DataFrame, clusters: bool) -> dict[str, float]:
    inside = (one["low"] <= one["truth"]) & (one["truth"] <= one["high"])
    by_set = [inside[one["data_set"] == k] for k in one["data_set"].unique()]
    found = share_of([s.sum() for s in by_set], [s.size for s in by_set], clusters=clusters)
    return {"coverage": found.share, "coverage_low": found.low, "coverage_high": found.high}


def correlation(x: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> float:
    """Pearson's correlation, weighted if weights are given; NaN where one of them doesn't vary."""
    w = np.ones(x.size) if weight is None else weight
    if (w > 0).sum() < 3:
        return float("nan")
    dx, dy = x - np.average(x, weights=w), y - np.average(y, weights=w)
    scale = np.sqrt((w * dx**2).sum() * (w * dy**2).sum())
    # Equal numbers leave rounding errors that must not be divided by each other.
    tiny = 1e-12 * w.sum() * (1 + np.abs(x).max() * np.abs(y).max())
    return float((w * dx * dy).sum() / scale) if scale > tiny else float("nan")


def _fisher(r: float, n: int) -> tuple[float, float]:
    if n < 4 or not abs(r) < 1:
        return np.nan, np.nan
    half = Z95 / np.sqrt(n - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def _sentences(found: Recovery) -> Iterator[str]:
    n_sets = len(np.unique(found.table["data_set"]))
    everybody = found.table[["data_set", "subject", "converged"]].drop_duplicates()
    n_subjects, failed = len(everybody), int(np.count_nonzero(~everybody["converged"]))
    yield (
        f"Parameter recovery of {found.settings['model']['name'] or 'a model'} by {found.settings['estimator']}: "
        f"{n_sets:,} data set{'s' if n_sets > 1 else ''}, {n_subjects:,} subjects"
        + (f", {failed:,} of them without convergence." if failed else ".")
    )
    rows = found.summary.to_dict("records")
    for label in dict.fromkeys(row["parameter"] for row in rows):
        yield _on_parameter(label, {row["scale"]: row for row in rows if row["parameter"] == label})
    if np.any(found.summary["n_informative"] < (1 - MOST_UNINFORMATIVE) * found.summary["n"]):
        yield (
            "Informative are subjects whose own trials determine the parameter to better than the spread of the true "
            "values (standard error at the true values, link scale). For the others, such as a rate whose weight is "
            "near 0, no estimator could find it. Weighted: by what their trials can tell."
        )
    yield f"Intervals: {found.interval}. In brackets: {interval_name(found.settings['clusters'])}."


def _on_parameter(label: str, scales: Mapping[str, Mapping[str, Any]]) -> str:
    row = scales[NATURAL]
    link = scales.get(LINK)
    also = f" ({_number(link['correlation'])} on the link scale)" if link else ""
    parts = [f"{label}: correlation of truth and estimate {_number(row['correlation'])}{also}"]
    if row["n_informative"] < (1 - MOST_UNINFORMATIVE) * row["n"]:
        also = f" ({_number(link['correlation_informative'])})" if link else ""
        parts.append(
            f"{_number(row['correlation_informative'])}{also} over the {row['n_informative']:,} of {row['n']:,} "
            f"subjects who are informative, {_number(row['correlation_weighted'])} weighted"
        )
    parts.append(f"bias {row['bias']:+.3g} ± {row['bias_se']:.1g}, root mean square error {row['rmse']:.3g}")
    if row["n_interval"]:
        parts.append(
            f"95 % intervals hold the truth in {row['coverage']:.1%} ({row['coverage_low']:.1%} to "
            f"{row['coverage_high']:.1%}; {row['n_interval']:,} estimates have one)"
        )
    if row["n_at_bound"]:
        parts.append(f"{row['n_at_bound']:,} estimates on a bound")
    return "; ".join(parts) + "."


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.2f}"
