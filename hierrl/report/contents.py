"""What a report says, section by section, before it is set as a page."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from hierrl.fits import data_of, model_of, settings_of
from hierrl.report import methods
from hierrl.report.checked import Checked, checked
from hierrl.report.comparison import Compared, estimator_comparison, model_comparison
from hierrl.report.figures import (
    Pictures,
    comparison_gallery,
    estimates_gallery,
    population_gallery,
    subject_gallery,
)
from hierrl.report.grouping import best_of, by_model_of, typical_subject
from hierrl.report.models import ModelPart, model_part
from hierrl.report.parts import Gallery, Light, Table, count, joined
from hierrl.report.population import PopulationPart, group_of, population_part
from hierrl.report.study import Study, headline, study_of
from hierrl.report.subjects import FitPart, fit_part
from hierrl.report.trust import in_a_word, light_of

Fits = Mapping[str, xr.DataTree]


@dataclass(frozen=True)
class Contents:
    """Everything that stands in a report."""

    title: str
    date: str
    headline: tuple[tuple[str, str], ...]
    word: str
    findings: tuple[tuple[str, str], ...]
    lights: tuple[Light, ...]
    study: Study
    models: tuple[ModelPart, ...]
    populations: tuple[tuple[PopulationPart, Gallery], ...]
    estimates: tuple[tuple[str, Gallery], ...]
    fits: tuple[FitPart, ...]
    subject: Gallery
    checks: tuple[Checked, ...]
    comparisons: tuple[tuple[Compared, Gallery | None], ...]
    excuse: str
    methods: tuple[tuple[str, str], ...]
    """Paragraphs of the fits that speak for their models, by name."""
    further_methods: tuple[tuple[str, str], ...]
    provenance: Table
    versions: tuple[str, ...]
    made_with: str
    seed: int


def contents_of(fits: Fits, *, title: str | None, checks: bool, random_seed: int) -> Contents:
    """Put a report of fits to the same choices together."""
    data = data_of(next(iter(fits.values())))
    by_model = by_model_of(fits)
    title_of = {name: title for title, those in by_model.items() for name in those}
    draw = Pictures()
    study = study_of(data)
    populations = [
        (population_part(name, fit, title_of[name]), population_gallery(fit, draw))
        for name, fit in fits.items()
        if "population" in fit.children
    ]
    judged = [checked(model, those, draw, random_seed) for model, those in by_model.items()] if checks else []
    compared, excuse = model_comparison(by_model, random_seed)
    of_estimators = [estimator_comparison(model, those) for model, those in by_model.items()]
    comparisons: list[tuple[Compared, Gallery | None]] = []
    if compared:
        comparisons.append((compared, comparison_gallery(compared.models, draw)))
    comparisons += [(one, None) for one in of_estimators if one is not None]
    lights = [
        study.light,
        *(light_of(name, fit) for name, fit in fits.items()),
        *(one.light for one in judged),
    ]
    findings = [
        (f"{_whose(part, len(populations))}{head}", text)
        for part, _ in populations
        for head, text in part.findings
    ]
    findings += [("Models:", compared.sentence)] if compared else []
    shown, best = best_of(fits), [best_of(those) for those in by_model.values()]
    return Contents(
        title=title or f"{joined(list(by_model))}: {count(data.sizes['subject'], 'subject')}",
        date=f"{datetime.date.today():%-d %B %Y}",
        headline=headline(data),
        word=in_a_word(lights),
        findings=tuple(findings),
        lights=tuple(lights),
        study=study,
        models=tuple(_model(those) for those in by_model.values()),
        populations=tuple(populations),
        estimates=tuple((name, _estimates(those, draw)) for name, those in by_model.items()),
        fits=tuple(fit_part(name, fit, title_of[name]) for name, fit in fits.items()),
        subject=subject_gallery(fits[shown], shown, typical_subject(fits[shown]), draw),
        checks=tuple(judged),
        comparisons=tuple(comparisons),
        excuse=excuse,
        methods=methods.paragraphs(fits, best),
        further_methods=methods.paragraphs(fits, (name for name in fits if name not in best)),
        provenance=methods.provenance(fits),
        versions=methods.versions(fits),
        made_with=methods.made_with(),
        seed=random_seed,
    )


def _whose(part: PopulationPart, n: int) -> str:
    """Whose finding it is, where there are several posteriors."""
    return "" if n == 1 else f"{part.name}: "


def _model(fits: Fits) -> ModelPart:
    first = next(iter(fits.values()))
    return model_part(model_of(first), list(fits), reward_scale=settings_of(first)["reward_scale"])


def _estimates(fits: Fits, draw: Pictures) -> Gallery:
    """Coloured by the group of the formulas, where there is one."""
    groups = (group_of(fit) for fit in fits.values())
    return estimates_gallery(fits, next((one for one in groups if one), None), draw)
