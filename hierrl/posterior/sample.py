"""The hierarchical posterior as a fit."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas import Formula
from hierrl.models.given import whole_seed
from hierrl.models.model import Model
from hierrl.posterior.diagnostics import diagnose, warn_if_not_converged
from hierrl.posterior.layout import Layout, Parametrization, UserNumbers, lay_out
from hierrl.posterior.marginal_audit import add_audit, judged
from hierrl.posterior.marginal_sample import DEFAULT_TUNE as MARGINAL_TUNE
from hierrl.posterior.marginal_sample import check_marginal, sample_marginal
from hierrl.posterior.model import write_model
from hierrl.posterior.result import build_posterior
from hierrl.posterior.samplers import SAMPLERS, Run
from hierrl.prior import Prior
from hierrl.prior.empirical import FEWEST_SUBJECTS
from hierrl.prior.terms import LOG_SIGMA

FloatArray = npt.NDArray[np.float64]

INFORMED_TUNE, OTHER_TUNE = 200, 500
"""Warm-up draws per chain. Chains start near the posterior; informed coordinates have about unit scale already, and
the step size is all that there is to find.
"""

METHODS = ("nuts", "marginal")


def fit_posterior(
    model: Model,
    data: xr.Dataset,
    *,
    prior: Prior | UserNumbers | None = None,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    spread_by: str | None = None,
    correlated: bool = False,
    method: Literal["nuts", "marginal"] = "nuts",
    parametrization: Parametrization = "auto",
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    target_accept: float = 0.8,
    cores: int | None = None,
    random_seed: int = 0,
    progress: bool = True,
    log_likelihood: bool = False,
    sampler: Literal["nutpie", "pymc"] = "nutpie",
    points: int | None = None,
) -> xr.DataTree:
    r"""Sample the posterior of all subjects and of the population they come from.

    .. math:: y_s \sim \text{model}(\theta_s), \quad \text{link}(\theta_s) \sim N(x_s^\top \Gamma, \sigma^2), \quad
              \Gamma_k \sim N(m_k, c_k^2), \quad \log \sigma \sim N(l, d^2)

    with the link logit for rates and lapse, log for weights, identity for signed weights, biases and start values.

    Parameters
    ----------
    model : Model
        What each subject does.
    data : Dataset
        Behaviour from `behaviour`.
    prior : Prior or mapping, optional
        From `empirical_prior` or `weak_prior`; a mapping changes numbers of the weak prior, as `Prior.updated` does:
        ``{"alpha": {"Intercept": {"low": 0.1, "high": 0.7}}}``. If not given, the empirical prior of the same formula
        is made from the same data, and the fit's settings say so (``prior_given`` is False).
    start : DataTree, optional
        A point fit of the same subjects: where to look for each of them. if not given, `fit_convex`
        is run (`fit_mle` for a `Recursion`).
    formula : str or mapping of str to str, optional
        Population means by covariates, ``{"alpha": "1 + age_group"}``; that of `prior` if not given. A covariate that
        varies by session (``"1 + drug"``) gives each subject a slope of its own.
    spread_by : str, optional
        A categorical covariate of the subjects whose groups have spreads of their own; that of `prior` if not given.
    correlated : bool
        Let the parameters of a subject be correlated, with an LKJ prior of shape 2 (or that of `prior`).
    method : {"nuts", "marginal"}
        ``"nuts"``: the no-U-turn sampler on subjects and population together. ``"marginal"``: the same sampler on the
        population alone, the subjects integrated out by importance points, then subjects given the population: the
        same posterior, for up to 6 parameters per subject; fresh points check the result.
    parametrization : {"auto", "informed", "noncentered", "centered"}
        Coordinates of the subjects. All give the same posterior; ``"auto"`` chooses and the settings say why.
    draws, tune, chains : int
        Draws and warm-up draws per chain; 200 of these if not given, 500 in coordinates that are not informed.
    target_accept : float
        Between 0 and 1; nearer to 1 for smaller steps.
    cores : int, optional
        Chains at a time; all cores if not given.
    random_seed : int
        The same seed gives the same draws on the same machine.
    progress : bool
        Show progress bars with the time left on a terminal or in a notebook; elsewhere, of long work, a sentence a
        minute.
    log_likelihood : bool
        Store the log-likelihood of every scored trial at every draw (``log_likelihood`` group): 32 kB per trial.
    sampler : {"nutpie", "pymc"}
        Who runs NUTS. Both sample the same `pymc.Model`.
    points : int, optional
        For ``method="marginal"``: importance points per subject and chain in the first round (1024 if not given).

    Returns
    -------
    DataTree
        ``posterior``: each parameter, dims (chain, draw, subject[, arm]), raw reward units; with slopes within
        subjects, that of the reference session, and each slope (``"alpha:drug[on]"``) on the link scale; ``sessions``
        holds what slopes are multiplied by. ``population``: ``mu``
        (chain, draw, parameter, coefficient), ``sigma`` (chain, draw, parameter[, group]) and, if `correlated`,
        ``correlation`` (chain, draw, parameter, parameter_2) on the link scale; ``mean`` and ``median`` (chain, draw,
        parameter, cell) on the natural scale. ``prior`` (term): every number of the prior that was used, as
        `Prior.table` shows it. ``sample_stats``, ``fit_stats``, ``observed_data``, ``constant_data``. Settings hold
        prior, parametrization, diagnostics in words.

    Raises
    ------
    ValueError
        If an argument has no such value, or data, prior and formula do not fit together.

    Warns
    -----
    UserWarning
        If the chains did not converge, with what to do.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=10, random_seed=1)
    >>> fit = hr.fit_posterior(hr.model("rw"), data)  # doctest: +SKIP
    >>> fit["population"]["median"].mean(("chain", "draw"))  # doctest: +SKIP
    """
    marginal = method == "marginal"
    _check(method, sampler, draws, chains)
    if marginal:
        check_marginal(model, data, sampler=sampler, parametrization=parametrization, points=points)
    started, random_seed = perf_counter(), whole_seed(random_seed)
    layout = lay_out(
        model,
        data,
        prior=prior,
        start=start,
        formula=formula,
        spread_by=spread_by,
        correlated=correlated,
        # The marginal sampler has no coordinates of subjects: the cheapest will do.
        parametrization="noncentered" if marginal else parametrization,
        random_seed=random_seed,
        progress=progress,
    )
    own_tune = INFORMED_TUNE if layout.parametrization == "informed" else OTHER_TUNE
    default_tune = MARGINAL_TUNE if marginal else own_tune
    run = Run(
        draws, default_tune if tune is None else tune, chains, target_accept, cores, random_seed, progress
    )
    prepared = perf_counter() - started
    audited = sample_marginal(layout, run, points) if marginal else None
    found = audited.draws if audited else SAMPLERS[sampler](write_model(layout), layout, run)
    settings = {
        "estimator": "posterior",
        "method": method,
        "sampler": sampler,
        "log_likelihood": log_likelihood,
        **_recorded(run),
        **layout.record(),
        **(audited.record() if audited else {}),
        "seconds": {"prepare": prepared, **found.seconds},
        "notes": [note for note in (_on_prior(layout), found.note) if note],
    }
    values = found.values
    population = layout.population.to_dataset(values.effects, values.log_sigma, values.partial)
    diverging = found.stats["diverging"].values
    diagnosis = diagnose(population, values.eta, diverging, problem=layout.study)
    if audited:
        diagnosis = judged(diagnosis, audited.audits, layout.problem.subjects)
    fit = build_posterior(layout, data, found, population=population, diagnosis=diagnosis, settings=settings)
    if audited:
        add_audit(fit, audited.audits)
    if found.note:
        warnings.warn(found.note, UserWarning, stacklevel=2)
    warn_if_not_converged(diagnosis)
    return fit


def _check(method: str, sampler: str, draws: int, chains: int) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {METHODS}.")
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler={sampler!r} is not one of {tuple(SAMPLERS)}.")
    for name, value in (("draws", draws), ("chains", chains)):
        if value < 1:
            raise ValueError(f"{name}= must be at least 1; found {value}.")


def _recorded(run: Run) -> dict[str, Any]:
    names = ("draws", "tune", "chains", "target_accept", "random_seed")
    return {name: getattr(run, name) for name in names}


def _on_prior(layout: Layout) -> str:
    if layout.prior_given:
        return ""
    prior = layout.population.prior
    own = [term for term in prior.terms if term.role == LOG_SIGMA or term.is_level]
    weak = [term for term in own if term.source == "weak"]
    if len(weak) == len(own):
        return f"The prior is the weak one (weak_prior): {_why_weak(layout)}."
    told = (
        f"The prior was made from the same data: centred at their maximum marginal likelihood and "
        f"{prior.settings.get('widen'):g} standard errors wide (empirical_prior); slopes and contrasts have a weak "
        "prior centred at 0."
    )
    names = [f"{one.parameter} ({'spread' if one.role == LOG_SIGMA else one.coefficient})" for one in weak]
    return f"{told} Weak too, as the data say too little: {', '.join(names)}." if names else told


def _why_weak(layout: Layout) -> str:
    if layout.problem.n_subjects < FEWEST_SUBJECTS:
        return f"fewer than {FEWEST_SUBJECTS} subjects make no population to estimate one from"
    return "the data say too little of the population to make one of them"
