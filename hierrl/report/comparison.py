"""Fits side by side: models against each other, and estimators of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from hierrl.compare import Comparison, ModelComparison, compare, compare_models
from hierrl.fits import settings_of
from hierrl.report.parts import KINDS, MINUS, Table, certainty, fixed, joined, number, table

IN_SAMPLE = (
    "These are scores of the very choices that were fitted, which rewards flexible estimates; hr.compare(fits, last=0.25) "
    "fits again without the last quarter of each session and scores that."
)
CLEAR, UNCLEAR = 4.0, 2.0
"""A difference is called clear above so many nats and so many standard errors."""


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


def model_comparisons(
    by_model: Mapping[str, Mapping[str, xr.DataTree]], random_seed: int
) -> tuple[list[Compared], list[str]]:
    """Models by every kind of estimate that two of them have, posteriors first; and what could not be compared."""
    if len(by_model) < 2:
        return [], []
    found, excuses = [], []
    for kind in ("posterior", "mle", "convex"):
        fits = {
            model: fit
            for model, those in by_model.items()
            for fit in those.values()
            if settings_of(fit)["estimator"] == kind
        }
        lacking = [model for model in by_model if model not in fits]
        if len(fits) < 2:
            continue
        if found and lacking == []:
            continue  # the better kind has told it already
        found.append(_models(fits, kind, random_seed))
        break
    if not found:
        excuses.append(
            "The models were not fitted by the same kind of estimator, so that their scores can't be compared. Fit each of "
            "them by hr.fit_posterior, or each by hr.fit_mle."
        )
    return found, excuses


def _models(fits: Mapping[str, xr.DataTree], kind: str, random_seed: int) -> Compared:
    comparison = compare_models(fits, by="subject", random_seed=random_seed, progress=False)
    shown = comparison.table
    heads = ["model", "score", "difference", "standard error", "best for", "parameters"]
    rows = [
        [
            str(model),
            fixed(float(row["score"]), 1),
            fixed(float(row["difference"]), 1),
            fixed(float(row["difference_se"]), 1),
            f"{float(row['best_share']):.0%}",
            fixed(float(row["parameters"]), 0),
        ]
        for model, row in shown.iterrows()
    ]
    effects = comparison.random_effects
    return Compared(
        title=f"Models, by {KINDS[kind]}",
        lead=comparison._heading,
        table=_right(table("Models, the best first", heads, rows)),
        notes=comparison.notes,
        models=comparison,
        effects=_effects(comparison),
        sentence=_verdict(comparison, float(effects.omnibus_risk)),
    )


def _right(made: Table) -> Table:
    """Numbers that were written already stand to the right too."""
    return Table(made.caption, made.heads, made.rows, (False, *(True for _ in made.heads[1:])))


def _effects(comparison: ModelComparison) -> Table:
    rows = [
        [
            str(model),
            f"{float(row['frequency']):.2f}",
            f"{float(row['frequency_sd']):.2f}",
            certainty(float(row["protected_exceedance"])),
            fixed(float(row["attributed"]), 0),
        ]
        for model, row in comparison.random_effects.table.iterrows()
    ]
    heads = ("model", "frequency", "sd", "protected exceedance", "subjects")
    return _right(table("How frequent each model is among subjects", heads, rows))


def _verdict(comparison: ModelComparison, risk: float) -> str:
    first, second = comparison.table.index[:2]
    behind = comparison.table.loc[second]
    apart, error = -float(behind["difference"]), float(behind["difference_se"])
    if np.isfinite(error) and apart > max(CLEAR, UNCLEAR * error):
        word = "clearly better than"
    elif apart > CLEAR:
        word = "better, but within two standard errors, than"
    else:
        word = "about as well as"
    return (
        f"{first} predicts choices {word} {second}: by {fixed(apart, 1)} nats (standard error {fixed(error, 1)}); the "
        f"probability that all models are equally frequent is {number(risk)}."
    ).replace("better, but within two standard errors, than", "better than")


def estimator_comparison(model: str, fits: Mapping[str, xr.DataTree]) -> Compared | None:
    """Estimators of one model, in-sample: nothing is fitted again for a report."""
    if len(fits) < 2:
        return None
    comparison: Comparison = compare(fits, progress=False)
    heads = ["fit", "log score", "per trial", "probability", "difference", "standard error", "seconds"]
    rows = [
        [
            str(name),
            fixed(float(row["in_sample"]), 1),
            fixed(float(row["per_trial"]), 4),
            fixed(float(row["probability"]), 3),
            fixed(float(row["difference"]), 1),
            fixed(float(row["difference_se"]), 1),
            fixed(float(row["seconds"]), 1),
        ]
        for name, row in comparison.table.iterrows()
    ]
    return Compared(
        title=f"Estimates of {model}: {joined(list(fits))}",
        lead=comparison._heading,
        table=_right(table(f"Fits of {model}", heads, rows)),
        notes=(IN_SAMPLE,),
    )


__all__ = ["MINUS", "Compared", "estimator_comparison", "model_comparisons"]
