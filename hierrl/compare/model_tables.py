"""Tables and sentences of a comparison of models, each a function of its Dataset (see `ModelComparison`)."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.compare.tables import best_shares

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData

FEW = 4.0
"""Nats: below that differences are small, and their standard errors not to be trusted (Sivula et al. 2020)."""

FEW_SUBJECTS = 10

SAYS = {
    ("loo", "trial"): (
        "Trials depend on each other: a choice that is left out still shapes the values on later trials, and the "
        "subject's other trials tell its parameters. difference_se takes trials for independent; read subjects_se. How "
        "well a new subject is predicted is what by='subject' says."
    ),
    ("loo", "session"): (
        "Each session is predicted from the subject's other sessions and the population, the subject's parameters "
        "integrated out. A subject with one session is predicted from the population alone."
    ),
    ("loo", "subject"): (
        "Each subject is predicted from the others: its parameters are integrated out over the population."
    ),
    (
        "aic",
        "subject",
    ): "AIC counts all parameters of a subject, also those on a bound, and knows no population.",
    (
        "bic",
        "subject",
    ): "BIC counts all parameters of a subject, also those on a bound, and knows no population.",
}
LFO = {
    True: "Each trial is predicted from the subject's earlier ones and from the other subjects.",
    False: "Trials are predicted by fits to all that came before, made anew ten times along each subject's trials.",
}
EVIDENCE = {
    True: "The population has seen the subjects whose evidence this is; method='loo', by='subject' has not.",
    False: "Each subject's parameters are integrated out under the prior by importance points.",
}


def comparable(data: xr.Dataset) -> xr.Dataset:
    """The units that all models have a score for."""
    return data.isel({data.attrs["by"]: np.flatnonzero(data["score"].notnull().all("model").values)})


def _frame(data: xr.Dataset, name: str = "score") -> pd.DataFrame:
    """A variable (model, unit) as a table (unit, model)."""
    used = comparable(data)
    values = used[name].transpose(data.attrs["by"], "model").values
    return pd.DataFrame(values, columns=pd.Index(data["model"].values, name="model"))


def subject_scores(data: xr.Dataset) -> pd.DataFrame:
    """Sums over the units of each subject, (subject, model)."""
    owner = pd.Index(comparable(data)["unit_subject"].values, name="subject")
    return pd.DataFrame(_frame(data).set_axis(owner).groupby(level="subject", sort=False).sum())


def model_table(data: xr.Dataset) -> pd.DataFrame:
    """One row per model, the best first."""
    units, subjects, used = _frame(data), subject_scores(data), comparable(data)
    total, by_unit = units.sum(), data.attrs["by"] != "subject"
    best = total.idxmax()
    behind, behind_subjects = units.sub(units[best], axis=0), subjects.sub(subjects[best], axis=0)
    columns: dict[str, Any] = {
        "score": total,
        "per_trial": total / int(used["n_trials"].sum()),
        "difference": behind.sum(),
        "difference_se": _error(behind),
    }
    if by_unit:
        columns["subjects_se"] = _error(behind_subjects)
    columns["best_share"] = best_shares(subjects)
    columns["parameters"] = data["n_parameters"].to_series()
    if "effective" in data:
        columns["effective"] = _frame(data, "effective").sum()
    if "pareto_k" in data:
        columns["unsure"] = _unsure(data)
    if data.attrs["method"] in ("aic", "bic"):
        columns["criterion"] = -2.0 * total
    table = pd.DataFrame(columns).rename_axis("model")
    return table.sort_values("score", ascending=False, kind="stable")


def _unsure(data: xr.Dataset) -> pd.Series:
    """Units with a Pareto k that is too high; those that were refitted have none."""
    return (comparable(data)["pareto_k"] > data.attrs["good_k"]).sum(data.attrs["by"]).to_series()


def _error(differences: pd.DataFrame | pd.Series) -> Any:
    """Standard error of the sum of differences (U,)."""
    return np.sqrt(len(differences) * differences.var(ddof=1))


def pair_table(data: xr.Dataset) -> pd.DataFrame:
    """Each pair of models, the better one first."""
    units, subjects = _frame(data), subject_scores(data)
    rows = []
    for first, second in combinations(model_table(data).index, 2):
        difference, of_subjects = units[first] - units[second], subjects[first] - subjects[second]
        rows.append(
            {
                "first": first,
                "second": second,
                "difference": difference.sum(),
                "se": _error(difference),
                "subjects_se": _error(of_subjects),
                "subjects_for_first": (of_subjects > 0).mean(),
            }
        )
    names = ["first", "second", "difference", "se", "subjects_se", "subjects_for_first"]
    return pd.DataFrame(rows, columns=names).set_index(["first", "second"])


def notes(data: xr.Dataset) -> tuple[str, ...]:
    """What must be said with the numbers."""
    method, by, posteriors = data.attrs["method"], data.attrs["by"], bool(data.attrs["posteriors"])
    found = ["Scores in nats, higher is better; standard errors are of paired differences to the best model."]
    if (method, by) in SAYS:
        found.append(SAYS[method, by])
    if method in ("lfo", "evidence"):
        found.append((LFO if method == "lfo" else EVIDENCE)[posteriors])
    found += json.loads(data.attrs["notes"])
    lacking = data.sizes[by] - comparable(data).sizes[by]
    if lacking:
        found.append(f"Left out for want of a score under some model: {lacking} of {data.sizes[by]} {by}s.")
    if "pareto_k" in data and (unsure := _unsure(data)).any():
        which = ", ".join(f"{n} under {name!r}" for name, n in unsure.items() if n)
        found.append(
            f"Importance weights fail (Pareto k above {data.attrs['good_k']}) for {by}s: {which}. Their scores may be "
            "too high; refit=True fits the model again without each of them."
        )
    table = model_table(data)
    if len(table) > 1 and abs(table["difference"].iloc[1]) < FEW:
        found.append(
            f"{table.index[0]!r} and {table.index[1]!r} differ by less than {FEW:g} nats, which is little."
        )
    if len(subject_scores(data)) < FEW_SUBJECTS:
        found.append(f"Fewer than {FEW_SUBJECTS} subjects: standard errors over them are rough.")
    return tuple(found)


def elpd_data(data: xr.Dataset) -> dict[str, ELPDData]:
    """The scores in ArviZ's containers: leave-one-out as that, held-out and leave-future-out as k-fold results."""
    from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOKFold

    method, used = data.attrs["method"], comparable(data)
    if method not in ("loo", "lfo", "held_out"):
        raise ValueError(
            f"method={method!r} gives no expected log predictive density, which is what ArviZ compares. Use "
            "method='loo', 'lfo' or held-out trials."
        )
    found: dict[str, ELPDData] = {}
    for name in data["model"].values:
        one = used.sel(model=name, drop=True)
        score = one["score"]
        general: dict[str, Any] = {
            "elpd": float(score.sum()),
            "se": float(np.sqrt(score.size * score.var())),
            "n_samples": int(one["draws"]),
            "n_data_points": score.size,
            "scale": "log",
            "elpd_i": score,
        }
        if method == "loo":
            k, p = one["pareto_k"], float(one["effective"].sum())
            own = {"p": p, "warning": bool((k > data.attrs["good_k"]).any()), "good_k": data.attrs["good_k"]}
            found[str(name)] = ELPDDataLOO(**general, **own, pareto_k=k)
        else:
            unknown: dict[str, Any] = {"p": np.nan, "warning": False, "good_k": None}
            found[str(name)] = ELPDDataLOOKFold(**general, **unknown, n_folds=_folds(data))
    return found


def _folds(data: xr.Dataset) -> int:
    return int(json.loads(data.attrs["how"]).get("folds", 1))
