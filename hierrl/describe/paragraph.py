"""The methods paragraph of a fit, sentence by sentence, from what the fit has on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import xarray as xr

from hierrl.describe.equations import model_sentences
from hierrl.fits import VERSIONS, data_of, model_of, problem_of, settings_of
from hierrl.prior import Prior
from hierrl.summary.behaviour import counts, summarise
from hierrl.summary.verdicts import verdict_of

CAUTION = (
    "Values of single subjects under this posterior are shrunken toward the population: t-tests between groups and "
    "correlations of their means with other measures are biased and too sure of themselves. Questions about groups and "
    "covariates belong into the formula, and are answered by hr.contrast."
)
UNEQUAL = (
    "Estimates of single subjects are not shrunken, but differ in precision: in tests on them, subjects whose trials "
    "say little count as much as the others."
)
NOT_FOR_PAPERS = ("Time:", "What to do:")
"""What a remark begins with that is not for a paper."""


def paragraph(fit: xr.DataTree) -> dict[str, list[str]]:
    """Sentences on data, model, estimation, prior, checks and software."""
    settings = settings_of(fit)
    is_posterior = settings["estimator"] == "posterior"
    return {
        "data": list(_data(data_of(fit))),
        "model": list(model_sentences(model_of(fit))),
        "estimation": list(_sampling(fit, settings) if is_posterior else _points(fit, settings)),
        "prior": list(_prior(fit, settings)) if is_posterior else [],
        "checks": [text for _, text in verdict_of(fit).remarks if not text.startswith(NOT_FOR_PAPERS)],
        "caution": _caution(fit, is_posterior),
        "software": list(_software(fit, settings)),
    }


def _caution(fit: xr.DataTree, is_posterior: bool) -> list[str]:
    if fit["posterior"].sizes["subject"] < 2:
        return []
    return [CAUTION if is_posterior else UNEQUAL]


def _data(data: xr.Dataset) -> Iterator[str]:
    lines = dict(summarise(data).lines)
    each = counts(data)
    missed = int(each.missed.sum())
    number, _, rest = lines["Subjects"].partition(", ")
    noun = "subject" if number == "1" else "subjects"
    yield (
        f"The data are choices of {number} {noun} {rest} ({int(each.trials.sum()):,} trials in all"
        + (f", {missed:,} of them without a choice, which are not scored" if missed else "")
        + f"; {int(each.scored.sum()):,} choices are scored) between {data.sizes['arm']} arms."
    )
    outcomes = [
        f"{role} {lines[role.capitalize()]}"
        for role in ("reward", "gain", "loss")
        if role.capitalize() in lines
    ]
    yield f"Outcomes: {'; '.join(outcomes)}."


def _points(fit: xr.DataTree, settings: dict[str, Any]) -> Iterator[str]:
    problem = problem_of(fit)
    if settings["estimator"] == "mle":
        yield (
            "The parameters of each subject were estimated by maximum likelihood, with a box-constrained Newton method "
            "from the estimate of a convex relaxation and from further starts."
        )
        if settings["certify"] is not None:
            yield f"Branch and bound over the rates was to prove each optimum to {settings['certify']:g} nats."
    elif settings["estimator"] == "convex":
        which = {"hull": "hull of the model's paths", "monotone": "monotone kernels (Zhu et al. 2025)"}
        yield (
            f"The parameters of each subject were estimated by a convex relaxation ({which[settings['relaxation']]}), "
            "followed by the best weights at the rates that it gives."
        )
    bounds = [
        f"{label} [{low:g}, {high:g}]"
        for label, low, high in zip(problem.labels, problem.lower, problem.upper, strict=True)
    ]
    scaled = "" if problem.reward_scale == 1 else f", for rewards divided by {problem.reward_scale:g}"
    yield f"Bounds{scaled}: {', '.join(bounds)}."


def _sampling(fit: xr.DataTree, settings: dict[str, Any]) -> Iterator[str]:
    prior = Prior.from_json(settings["prior"])
    links = {parameter.name: parameter.link for parameter in model_of(fit).parameters}
    scales = {"logit": "log odds", "log": "logarithm", "identity": "value itself"}
    by_scale = {words: [name for name, link in links.items() if link == key] for key, words in scales.items()}
    told = "; ".join(f"{words} of {', '.join(names)}" for words, names in by_scale.items() if names)
    spread = f", with a spread for each level of {prior.spread_by}" if prior.spread_by else ""
    correlated = "correlated" if prior.lkj is not None else "independent"
    yield (
        "The parameters of all subjects were estimated together in a hierarchical model: on the link scale "
        f"({told}) they are normal around a population mean{spread}, {correlated} between parameters."
    )
    formulas = [f"{name} ~ {text}" for name, text in dict(prior.formula).items() if text.strip() != "1"]
    if formulas:
        yield f"The population mean depends on covariates: {', '.join(formulas)}."
    how = {
        "nuts": "the no-U-turn sampler",
        "marginal": "the no-U-turn sampler on the population, the subjects integrated out by importance points that "
        "are checked with fresh ones",
    }
    yield (
        f"Its posterior was sampled with {how[settings['method']]} ({settings['sampler']}): "
        f"{settings['chains']} chains of {settings['draws']:,} draws after {settings['tune']:,} warm-up draws, "
        f"target acceptance {settings['target_accept']:g}."
    )


def _prior(fit: xr.DataTree, settings: dict[str, Any]) -> Iterator[str]:
    prior = Prior.from_json(settings["prior"])
    if prior.reward_scale != 1:
        yield f"Priors are for rewards divided by {prior.reward_scale:g}."
    words = [f"{_term(term)} N({term.loc:.3g}, {term.scale:.3g})" for term in prior.terms]
    yield f"Priors of the population on the link scale (mean, standard deviation): {'; '.join(words)}."
    if prior.lkj is not None:
        yield f"Correlations have an LKJ prior of shape {prior.lkj:g}."


def _term(term: Any) -> str:
    if term.role == "mu":
        return (
            f"mean of {term.parameter}"
            if term.coefficient == "Intercept"
            else f"{term.coefficient} in {term.parameter}"
        )
    group = f" ({term.coefficient})" if term.coefficient else ""
    return f"log spread of {term.parameter}{group}"


def _software(fit: xr.DataTree, settings: dict[str, Any]) -> Iterator[str]:
    versions = json.loads(fit.attrs[VERSIONS])
    yield f"Software: {', '.join(f'{name} {number}' for name, number in versions.items())}."
    seed = settings.get("random_seed")
    if "random_seed" in settings:
        yield f"Random seed: {seed}." if seed is not None else "No random seed was given."
