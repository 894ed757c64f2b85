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
NO_PROOF = "Prove the optimum by branch and bound: hr.fit_mle(..., certify=1e-3)."
LARGE_GAP = 1.92
"""Nats by which a point fit may miss its optimum before one has to mind: a likelihood-ratio test with one degree of
freedom would not tell such values apart."""
NOT_SAMPLED = "Do not report these numbers. "


def light_of(name: str, fit: xr.DataTree) -> Light:
    """The judgement of a fit."""
    verdict = verdict_of(fit)
    sentences = [text for _, text in verdict.remarks if not text.startswith((TIME, TO_DO))]
    advice = [text.removeprefix(TO_DO) for _, text in verdict.remarks if text.startswith(TO_DO)]
    kind = settings_of(fit)["estimator"]
    levels: list[Level] = [verdict.level]
    if kind != "posterior":
        for level, text in _of_points(fit):
            levels.append(level)
            advice.append(text)
    elif verdict.level == "bad":
        advice.insert(0, NOT_SAMPLED)
    told = " ".join(text[:1].upper() + text[1:] for text in map(str.strip, advice))
    return Light(worst(levels), f"{name} ({KINDS[kind]})", tuple(sentences), told, "subjects")


def _of_points(fit: xr.DataTree) -> Iterator[tuple[Level, str]]:
    stats = fit.children["fit_stats"].dataset
    if not stats["converged"].values.all():
        yield "mind", FAILED
    held = stats["at_bound"].values
    if settings_of(fit)["estimator"] == "mle" and _many(held):
        yield "mind", HELD
    gap = stats["gap"].values
    if np.nanmax(gap, initial=0.0) > LARGE_GAP:
        yield "mind", NO_PROOF


def _many(held: np.ndarray) -> bool:
    return len(held) >= SEVERAL and bool((held.mean(axis=0) > MANY_HELD).any())


def in_a_word(lights: list[Light]) -> str:
    """One sentence over all judgements."""
    bad = [one.what for one in lights if one.level == "bad"]
    mind = [one.what for one in lights if one.level == "mind"]
    if bad:
        return f"Not to be used as it is: {'; '.join(bad)}. The table below says why and what to do."
    if mind:
        return f"Usable, with {count(len(mind), 'point')} to mind: {'; '.join(mind)}."
    return "Nothing was found that speaks against using these results."
