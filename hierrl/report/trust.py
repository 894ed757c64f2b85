"""Can this be believed? Fits, checks and data judged in plain words, with what to do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from hierrl.fits import settings_of
from hierrl.report.parts import KINDS, Light, count, worst
from hierrl.summary import verdict_of
from hierrl.summary.verdicts import MANY_HELD, SEVERAL, Level

TIME = "Time:"
"""What a remark begins with that says nothing of trust."""
TO_DO = "What to do: "

FAILED = (
    "Read their status in the table of subjects and look at their trials (hr.plot_subject). Priors and population "
    "leave them out by themselves."
)
HELD = (
    "Do not test or average these estimates: the data don't tell them apart from the bound. A posterior "
    "(hr.fit_posterior) shares strength between subjects; a model with fewer parameters may do."
)
PROVE = "Search and prove it by branch and bound: hierrl fit --certify, or hr.fit_mle(..., certify=1e-3)."
CLIMB = (
    "Take the maximum likelihood fit that starts from these: hierrl fit --certify, or "
    "hr.fit_mle(model, data, start=..., certify=1e-3)."
)
LARGE_GAP = 1.92
"""Nats by which a point fit may miss its optimum before one has to mind: a likelihood-ratio test with one degree of
freedom would not tell such values apart."""
NOT_SAMPLED = "Do not report these numbers."


def light_of(name: str, fit: xr.DataTree) -> Light:
    """The judgement of a fit: what asks for care is told first."""
    verdict, kind = verdict_of(fit), settings_of(fit)["estimator"]
    remarks = [(level, text) for level, text in verdict.remarks if not text.startswith((TIME, TO_DO))]
    advice = [text.removeprefix(TO_DO) for _, text in verdict.remarks if text.startswith(TO_DO)]
    (_, first), *rest = remarks
    levels: list[Level] = [verdict.level]
    if kind != "posterior":
        for text in _advice(fit):
            levels.append("mind")
            advice.append(text)
    elif verdict.level == "bad":
        advice.insert(0, NOT_SAMPLED)
    return Light(
        worst(levels),
        f"{name} ({KINDS[kind]})",
        (first, *(text for level, text in rest if level != "good")),
        " ".join(text[:1].upper() + text[1:] for text in advice),
        tuple(text for level, text in rest if level == "good"),
        "population" if kind == "posterior" else "subjects",
    )


def _advice(fit: xr.DataTree) -> Iterator[str]:
    """What to do about point fits."""
    stats, kind = fit.children["fit_stats"].dataset, settings_of(fit)["estimator"]
    if not stats["converged"].values.all():
        yield FAILED
    if kind == "mle" and _many(stats["at_bound"].values):
        yield HELD
    gap = float(np.nanmax(stats["gap"].values, initial=0.0))
    if gap > LARGE_GAP:
        yield f"Some fits may miss their optimum by up to {gap:.2g} nats. {PROVE if kind == 'mle' else CLIMB}"


def _many(held: np.ndarray) -> bool:
    return len(held) >= SEVERAL and bool((held.mean(axis=0) > MANY_HELD).any())


def in_a_word(lights: list[Light]) -> str:
    """One sentence over all judgements."""
    bad = [one.what for one in lights if one.level == "bad"]
    mind = [one.what for one in lights if one.level == "mind"]
    if bad:
        return f"Not to be used as it is: {'; '.join(bad)}. What follows says why, and what to do."
    if mind:
        return f"Usable, with {count(len(mind), 'point')} to mind: {'; '.join(mind)}."
    return "Nothing was found that speaks against using these results."
