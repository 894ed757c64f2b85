"""Predictive checks of a report: does each model do what the subjects do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from hierrl.checks import PredictiveCheck, predictive_check
from hierrl.report.figures import Pictures, check_gallery
from hierrl.report.grouping import best_of
from hierrl.report.parts import Gallery, Light, count, joined
from hierrl.report.population import group_of
from hierrl.summary.verdicts import Level

REPLICATES = 200
WHAT_TO_DO = (
    "Look at the pictures of the check: they show where subjects do something that the model can't. Find a model that "
    "can (hierrl models lists them; choices that repeat whatever they paid ask for a choice trace, as in "
    "--model rw+choice_trace) and compare the two."
)


@dataclass(frozen=True)
class Checked:
    """A predictive check as it is told."""

    title: str
    lead: str
    lines: tuple[tuple[Level, str], ...]
    gallery: Gallery
    light: Light


def checked(model: str, fits: Mapping[str, xr.DataTree], draw: Pictures, random_seed: int) -> Checked:
    """Check a model by the best of its fits, one step ahead on the subjects' own histories."""
    name = best_of(fits)
    fit = fits[name]
    check = predictive_check(
        fit, by=group_of(fit), replicates=REPLICATES, random_seed=random_seed, progress=False
    )
    passed = check.verdicts["passed"].tolist()
    levels: list[Level] = ["mind" if one is False else "good" for one in passed]
    return Checked(
        title=f"{model}, by {name}",
        lead=check._heading,
        lines=tuple(zip(levels, (_spoken(check, text) for text in check.sentences), strict=True)),
        gallery=check_gallery(check, draw),
        light=_light(model, [check.title(one) or one for one in check.failed], len(check.observed)),
    )


def _spoken(check: PredictiveCheck, sentence: str) -> str:
    """A sentence on a statistic, which is called by what it is."""
    name = next(
        name for name in map(str, check.observed.data_vars) if sentence.startswith((f"{name}:", f"{name} ("))
    )
    return (check.title(name) or name) + sentence.removeprefix(name)


def _light(model: str, failed: list[str], n: int) -> Light:
    what = f"Check of {model}"
    if not failed:
        return Light(
            "good",
            what,
            (f"The model does what the subjects do in all {count(n, 'respect')} checked.",),
            link="checks",
        )
    missed = f"The model misses {len(failed)} of {count(n, 'respect')} checked: {joined(failed)}."
    return Light("mind", what, (missed,), WHAT_TO_DO, link="checks")
