"""Tables of a comparison, each a function of its Dataset (see `hierrl.compare.comparison.Comparison`)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

FloatArray = npt.NDArray[np.float64]

ALIKE = 1e-3
"""Nats by which the scores of a subject may differ and still be a tie: estimators that end at the same
point."""

PAIR = ["parameter", "first", "second", "scale"]


def subject_scores(data: xr.Dataset) -> pd.DataFrame:
    """Sums of the trials' scores, (subject, estimator); NaN where a subject has no scored trial or no estimate."""
    scored, owner = _scored(data)
    scores = data["log_score"].transpose("estimator", "trial").values[:, scored]
    sums = np.array([np.bincount(owner, score, minlength=data.sizes["subject"]) for score in scores])
    sums[:, scored_trials(data) == 0] = np.nan
    return _frame(sums.T, data)


def scored_trials(data: xr.Dataset) -> pd.Series:
    """Number of scored trials by subject."""
    counts = np.bincount(_scored(data)[1], minlength=data.sizes["subject"])
    return pd.Series(counts, index=pd.Index(data["subject"].values, name="subject"))


def _scored(data: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that are scored, and the index of their subject."""
    rows = np.flatnonzero(data["chance"].notnull().values)
    return rows, data.indexes["subject"].get_indexer(data["trial_subject"].values[rows]).astype(np.int64)


def _frame(values: npt.NDArray[Any], data: xr.Dataset) -> pd.DataFrame:
    """An array (subject, estimator) as a table."""
    columns = pd.Index(data["estimator"].values, name="estimator")
    return pd.DataFrame(values, index=pd.Index(data["subject"].values, name="subject"), columns=columns)


def comparable(data: xr.Dataset) -> pd.DataFrame:
    """Scores of the subjects that all estimators have one for."""
    return subject_scores(data).dropna()


def estimator_table(data: xr.Dataset) -> pd.DataFrame:
    """One row per estimator, the best first."""
    scores, held_out = comparable(data), bool(data.attrs["held_out"])
    n_trials = scored_trials(data).loc[scores.index].sum()
    total = scores.sum()
    behind = scores.sub(scores[total.idxmax()], axis=0) if len(scores) else scores
    columns = {
        "held_out" if held_out else "in_sample": total,
        "per_trial": total / n_trials,
        "probability": np.exp(total / n_trials),
        "difference": behind.sum(),
        "difference_se": np.sqrt(len(scores) * behind.var(ddof=1)),
        "best_share": best_shares(scores),
    }
    if held_out:
        columns["in_sample"] = in_sample(data).sum()
    columns["seconds"] = data["seconds"].to_series()
    if held_out:
        columns["refit_seconds"] = data["refit_seconds"].sum("refit").to_series()
    table = pd.DataFrame(columns).rename_axis("estimator")
    return table.sort_values(str(table.columns[0]), ascending=False, kind="stable")


def best_shares(scores: pd.DataFrame) -> pd.Series:
    """Share of subjects for whom an estimator scores best; k that tie get 1/k each."""
    best = scores.ge(scores.max(axis=1) - ALIKE, axis=0)
    return best.div(best.sum(axis=1), axis=0).mean()


def in_sample(data: xr.Dataset) -> pd.DataFrame:
    """Log scores of the trials that the given fits were fitted to, (subject, estimator)."""
    return _frame(data["in_sample"].transpose("subject", "estimator").values, data)


def subject_table(data: xr.Dataset) -> pd.DataFrame:
    """One row per subject and estimator."""
    scores, n_trials = subject_scores(data), scored_trials(data)
    wide = {
        "trials": pd.DataFrame(dict.fromkeys(scores, n_trials)),
        "held_out" if data.attrs["held_out"] else "in_sample": scores,
        "per_trial": scores.div(n_trials.where(n_trials > 0), axis=0),
        "is_best": scores.ge(scores.max(axis=1) - ALIKE, axis=0),
        "in_sample": in_sample(data),
    }
    order = ("subject", "estimator")
    columns = {name: xr.DataArray(frame.to_numpy(), dims=order) for name, frame in wide.items()}
    for label in data["parameter"].values:
        columns[label] = data["estimate"].sel(parameter=label, drop=True)
        if data["estimate_sd"].notnull().any():
            columns[f"{label}_sd"] = data["estimate_sd"].sel(parameter=label, drop=True)
    coords = {dim: data[dim].values for dim in order}
    values = {name: array.transpose(*order).values for name, array in columns.items()}
    labels = [name for name in values if name not in wide]
    index = pd.MultiIndex.from_product(list(coords.values()), names=order)
    return pd.DataFrame({name: values[name].ravel() for name in [*labels, *wide]}, index=index)


def population_table(data: xr.Dataset) -> pd.DataFrame:
    """Moments of the estimates across subjects, and what posteriors say about the population."""
    sides = {"subjects": _across_subjects(data), "population": _of_population(data)}
    both = xr.concat(
        list(sides.values()), dim=pd.Index(list(sides), name="of"), join="outer", data_vars="all"
    )
    both = both.reindex(
        cell=data["cell"].values, parameter=data["parameter"].values, estimator=data["estimator"].values
    )
    table = both.to_dataframe(dim_order=["parameter", "cell", "estimator", "of"])
    return table.dropna(how="all").dropna(axis=1, how="all")


def _across_subjects(data: xr.Dataset) -> xr.Dataset:
    estimate = data["estimate"].where(data["member"])
    link = data["link_estimate"].where(data["member"])
    return xr.Dataset(
        {
            "mean": estimate.mean("subject"),
            "sd": _sd(estimate),
            "median": estimate.median("subject"),
            "link_mean": link.mean("subject"),
            "link_sd": _sd(link),
        }
    )


def _of_population(data: xr.Dataset) -> xr.Dataset:
    names = [str(name) for name in data.data_vars if str(name).startswith("population_")]
    return data[names].rename({name: name.removeprefix("population_") for name in names})


def _sd(values: xr.DataArray) -> xr.DataArray:
    """Standard deviation over subjects, NaN for fewer than two."""
    several = values.notnull().sum("subject") > 1
    return values.where(several).std("subject", ddof=1)


def difference_table(data: xr.Dataset) -> pd.DataFrame:
    """Pairs of estimators by parameter and scale."""
    rows = []
    for label in data["parameter"].values:
        for first, second in combinations(data["estimator"].values, 2):
            for scale, variable in (("natural", "estimate"), ("link", "link_estimate")):
                pair = (
                    data[variable]
                    .sel(parameter=label, estimator=[first, second])
                    .transpose("estimator", "subject")
                )
                place = dict(zip(PAIR, (label, first, second, scale), strict=True))
                rows.append(place | relation(*pair.values))
    return pd.DataFrame(rows, columns=[*PAIR, *relation(np.zeros(0), np.zeros(0))]).set_index(PAIR)


def relation(first: FloatArray, second: FloatArray) -> dict[str, float]:
    """How the second estimates (S,) of the same subjects relate to the first."""
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    difference = second - first
    n = max(len(first) - 1, 1)
    centred, other = (values - values.mean() if len(values) else values for values in (first, second))
    variance, other_variance = (centred**2).sum() / n, (other**2).sum() / n
    covariance = (centred * other).sum() / n
    return {
        "mean_difference": difference.mean() if len(difference) else np.nan,
        "sd_difference": difference.std(ddof=1) if len(difference) > 1 else np.nan,
        "correlation": _ratio(covariance, np.sqrt(variance * other_variance)),
        "spread_ratio": _ratio(np.sqrt(other_variance), np.sqrt(variance)),
        "shrinkage": 1.0 - _ratio(covariance, variance),
    }


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else np.nan
