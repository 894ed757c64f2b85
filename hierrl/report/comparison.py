"""Fits side by side: models against each other, and estimators of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from hierrl.compare import ModelComparison, compare, compare_models
from hierrl.fits import settings_of
from hierrl.report.parts import KINDS, Cell, Table, certainty, fixed, joined, number, records, table

IN_SAMPLE = (
    "These are scores of the very choices that were fitted, which rewards flexible estimates; "
    "hierrl fit --last 0.25, or hr.compare(fits, last=0.25), fits again without the last quarter of each session "
    "and scores that."
)
PROBABILITY = "Probability is the geometric mean of the probabilities that a fit gave to what was chosen."
UNLIKE = (
    "The models were not fitted by the same kind of estimator, so that their scores can't be compared. Fit each of "
    "them by hr.fit_posterior, or each by hr.fit_mle."
)
KINDS_BY_TRUST = ("posterior", "mle", "convex")
LITTLE, CLEAR = 4.0, 2.0
"""A difference is one from so many nats on (Sivula et al. 2020), and clear from so many standard errors on."""

Fits = Mapping[str, xr.DataTree]


@dataclass(frozen=True)
class Compared:
    """One comparison as it is told."""

    title: str
    lead: str
    table: Table
    notes: tuple[str, ...]
    models: ModelComparison | None = None
    effects: Table | None = None
    sentence: str = ""


def model_comparison(by_model: Mapping[str, Fits], random_seed: int) -> tuple[Compared | None, str]:
    """Models by the kind of estimate that most of them have, a posterior if in doubt; and who is left out, and why."""
    alike = {
        kind: {model: fits[0] for model, those in by_model.items() if (fits := _of_kind(those, kind))}
        for kind in KINDS_BY_TRUST
    }
    kind = max(alike, key=lambda one: len(alike[one]))  # the first of several
    fits = alike[kind]
    lacking = [model for model in by_model if model not in fits]
    if len(by_model) < 2 or len(fits) < 2:
        return None, "" if len(by_model) < 2 else UNLIKE
    excuse = "" if not lacking else f"Not compared, for want of a fit by {KINDS[kind]}: {joined(lacking)}."
    return _models(fits, kind, random_seed), excuse


def _of_kind(fits: Fits, kind: str) -> list[xr.DataTree]:
    return [fit for fit in fits.values() if settings_of(fit)["estimator"] == kind]


def _models(fits: Fits, kind: str, random_seed: int) -> Compared:
    comparison = compare_models(fits, by="subject", random_seed=random_seed, progress=False)
    rows = [
        [
            str(row["model"]),
            Cell(fixed(row["score"], 1)),
            Cell(fixed(row["difference"], 1)),
            Cell(fixed(row["difference_se"], 1)),
            Cell(f"{row['best_share']:.0%}"),
            int(row["parameters"]),
        ]
        for row in records(comparison.table)
    ]
    heads = ("model", "score", "difference", "standard error", "best for", "parameters")
    return Compared(
        title=f"Models, by {KINDS[kind]}",
        lead=comparison._heading,
        table=table("Models, the best first", heads, rows),
        notes=comparison.notes,
        models=comparison,
        effects=_effects(comparison),
        sentence=_verdict(comparison),
    )


def _effects(comparison: ModelComparison) -> Table:
    rows = [
        [
            str(row["model"]),
            Cell(f"{row['frequency']:.2f}"),
            Cell(f"{row['frequency_sd']:.2f}"),
            Cell(certainty(row["protected_exceedance"])),
            Cell(fixed(row["attributed"], 0)),
        ]
        for row in records(comparison.random_effects.table)
    ]
    heads = ("model", "frequency", "sd", "protected exceedance", "subjects")
    return table("How frequent each model is among subjects", heads, rows)


def _verdict(comparison: ModelComparison) -> str:
    """The two best models in a sentence."""
    first, second = comparison.table.index[:2]
    behind = comparison.table.loc[second]
    apart, error = -float(behind["difference"]), float(behind["difference_se"])
    if apart < LITTLE:
        word = "about as well as"
    else:
        word = "better than" if apart > CLEAR * error else "better than, but not clearly so,"
    risk = comparison.random_effects.omnibus_risk
    return (
        f"{first} predicts choices {word} {second}: by {number(apart)} nats (standard error {number(error)}). The "
        f"probability that all models are equally frequent among subjects is {number(risk)}."
    )


def estimator_comparison(model: str, fits: Fits) -> Compared | None:
    """Estimators of one model, in-sample: nothing is fitted again for a report."""
    if len(fits) < 2:
        return None
    comparison = compare(fits, progress=False)
    rows = [
        [
            str(row["estimator"]),
            Cell(fixed(row["in_sample"], 1)),
            Cell(fixed(row["probability"], 3)),
            Cell(fixed(row["difference"], 1)),
            Cell(fixed(row["difference_se"], 1)),
            Cell(fixed(row["seconds"], 1)),
        ]
        for row in records(comparison.table)
    ]
    heads = ("fit", "log score", "probability", "difference", "standard error", "seconds")
    return Compared(
        title=f"Fits of {model}: {joined(list(fits))}",
        lead=comparison._heading,
        table=table("Log scores in nats, the best first", heads, rows),
        notes=(PROBABILITY, IN_SAMPLE),
    )
