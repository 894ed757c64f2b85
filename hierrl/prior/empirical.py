"""Empirical priors: centred where the population's marginal likelihood is largest, widened, never fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.table import listed
from hierrl.fits import model_of, theta_of
from hierrl.formulas import Formula, design_matrices
from hierrl.formulas.design import slopes_of
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.sessions import study_of
from hierrl.models.given import whole_seed
from hierrl.models.model import Model
from hierrl.prior.estimate import Estimate, estimate_population
from hierrl.prior.population import Layout
from hierrl.prior.terms import LOG_SIGMA, Prior, PriorTerm
from hierrl.prior.weak import weak_prior

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

KNOWN_FROM_BELOW = 3.0
"""Nats that a quarter of the spread must lose. If it loses less, the likelihood has no optimum to speak of: it only
bounds the spread from above, and a wide prior in place of the weak one would let it go to zero."""

FEWEST_SUBJECTS = 3

ROOM = 0.5
"""Weak scales of a group's mean or spread that are its own where groups share a centre."""

SHARED = "one centre for all groups; the scale leaves their differences a weak prior"

# Where a point fit may sit at a bound, which has no place on the link scale.
LOGIT_LIMIT, WEIGHT_SHARE = 6.0, 1e-3


def empirical_prior(
    model: Model,
    data: xr.Dataset,
    *,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    spread_by: str | None = None,
    widen: float = 5.0,
    random_seed: int = 0,
    progress: bool = False,
) -> Prior:
    r"""A prior of the population that is centred at its maximum marginal likelihood.

    The parameters of the subjects are integrated out with importance points, and

    .. math::

        \sum_s \log \int p(y_s | \theta) N(\theta | x_s^\top \Gamma, \sigma^2) \, d\theta
        + \log \text{weak prior}

    is maximised over :math:`(\Gamma, \log \sigma)`. Its curvature gives standard errors; the prior of each
    number is a normal distribution around the optimum with `widen` standard errors. The same data are thus
    used twice: where the posterior is nearly normal its standard deviations shrink by :math:`w / \sqrt{1 + w^2}`,
    .98 for `widen` = 5. What each width costs in coverage is counted in the documentation ("Calibration"): about
    a point of 95 % intervals for 5.

    A weak prior stays in place (and a note says why) for slopes and contrasts of a formula, always, and for
    numbers about which the data say too little: `widen` standard errors are more than the weak prior's scale, the
    data bound a spread from above only (a quarter of it loses fewer than 3 nats), or there are fewer than three
    subjects. Without an intercept (``"0 + group"``) all groups get the same centre, and scales that leave their
    differences a weak prior; so do the spreads of groups that have their own (`spread_by`).

    Parameters
    ----------
    model : Model
    data : Dataset
        Behaviour.
    start : DataTree, optional
        A fit of the same subjects, such as that of `fit_convex`: where the search starts.
    formula : str or mapping of str to str, optional
        Parameter name -> right-hand side (``{"alpha": "1 + age_group"}``); a bare string holds for all.
    spread_by : str, optional
        A categorical covariate of the subjects whose groups have spreads of their own.
    widen : float
        Standard errors in a scale of the prior, above 0.
    random_seed : int
    progress : bool
        Show progress bars.

    Returns
    -------
    Prior
        ``prior.table`` lists every number, ``prior.notes`` what was left out or replaced.

    Raises
    ------
    ValueError
        If the formula asks for what the behaviour doesn't have, `start` is another model's fit or has other
        subjects, or `widen` isn't positive.

    Examples
    --------
    >>> import hierrl as hr, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> choice = rng.integers(0, 2, 400)
    >>> reward = rng.random(400) < np.where(choice == 1, 0.8, 0.2)
    >>> df = pd.DataFrame({"subject": np.repeat(range(8), 50), "choice": choice, "reward": 1.0 * reward})
    >>> prior = hr.empirical_prior(hr.model("rw", bias=True), hr.behaviour(df))
    >>> prior.labels
    ('alpha', 'beta', 'bias[1]')
    """
    return empirical_priors(
        model,
        data,
        start=start,
        formula=formula,
        spread_by=spread_by,
        widens=(widen,),
        random_seed=random_seed,
        progress=progress,
    )[0]


def empirical_priors(
    model: Model,
    data: xr.Dataset,
    *,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    spread_by: str | None = None,
    widens: Sequence[float],
    random_seed: int = 0,
    progress: bool = False,
) -> list[Prior]:
    """As `empirical_prior`, one for each of several widths: the population is estimated once."""
    if wrong := [widen for widen in widens if not widen > 0]:
        raise ValueError(f"widen= must be a positive number of standard errors; found {wrong[0]!r}.")
    random_seed = whole_seed(random_seed)
    weak = weak_prior(model, data, formula=formula, spread_by=spread_by)
    # Groups share a centre, so that of their spreads is estimated as if they had one.
    pooled = weak_prior(model, data, formula=formula) if spread_by else weak
    problem = prepare(model, data)
    designs = design_matrices(model, data, formula)
    slopes = slopes_of(designs)
    study = study_of(problem, slopes)
    layout = Layout.of(designs, pooled)
    begin = None if start is None else starts(problem, start, n_slopes=len(slopes))
    check_defined(problem, pooled.centre(designs)[0] if begin is None else begin)
    settings = [{"widen": float(widen), "random_seed": int(random_seed)} for widen in widens]
    if problem.n_subjects < FEWEST_SUBJECTS:
        note = (
            f"Fewer than {FEWEST_SUBJECTS} subjects make no population to estimate: this is the weak prior."
        )
        return [replace(weak, kind="empirical", notes=(note,), settings=one) for one in settings]
    estimate = estimate_population(study, layout, begin, random_seed=random_seed, progress=progress)
    made = []
    for one in settings:
        terms, notes = _terms(pooled, layout, estimate, one["widen"])
        terms = _by_group(terms, weak) if spread_by else terms
        made.append(
            replace(weak, kind="empirical", terms=terms, notes=(*estimate.notes, *notes), settings=one)
        )
    return made


def starts(problem: Problem, fit: xr.DataTree, *, n_slopes: int = 0) -> FloatArray:
    """Parameters (S, P) of a fit on the link scale, those at a bound moved inside, and slopes of 0."""
    missing = set(problem.model.names) - set(model_of(fit).names)
    if missing:
        raise ValueError(
            f"start= is a fit without the parameter {sorted(missing)[0]!r}. Fit this model first."
        )
    subjects = fit["posterior"].to_dataset()["subject"].values
    if not np.array_equal(subjects, problem.subjects):
        raise ValueError(
            f"start= was fitted to other subjects ({listed(subjects[:3])}, ...) than those of the behaviour "
            f"({listed(problem.subjects[:3])}, ...). Fit this behaviour first, or leave start= out."
        )
    eta = problem.to_link(theta_of(fit, problem).mean(axis=(0, 1)))
    for k, link in enumerate(problem.links):
        if link == "logit":
            eta[:, k] = np.clip(eta[:, k], -LOGIT_LIMIT, LOGIT_LIMIT)
        elif link == "log":
            eta[:, k] = np.maximum(eta[:, k], np.log(WEIGHT_SHARE * problem.upper[k]))
    # Subjects whom an interrupted fit left out begin where the others are.
    known = eta[~np.isnan(eta).any(axis=1)]
    eta = np.where(np.isnan(eta), np.median(known, axis=0) if len(known) else 0.0, eta)
    return np.hstack([eta, np.zeros((problem.n_subjects, n_slopes))])


def check_defined(problem: Problem, eta: FloatArray) -> None:
    """Raise a ValueError if a subject has no log-likelihood at its `starts`: samplers stop there and don't say why."""
    theta = problem.from_link(eta[:, : problem.n_parameters])
    value = problem.loglik(theta)
    undefined = np.flatnonzero(~np.isfinite(value))
    if undefined.size:
        first = undefined[0]
        there = ", ".join(f"{label}={x:.3g}" for label, x in zip(problem.labels, theta[first], strict=True))
        raise ValueError(
            f"The log-likelihood of {undefined.size} of {problem.n_subjects} subjects is not a finite number (the "
            f"first: {problem.subjects[first]}, {value[first]} at {there}). Look in the recursion's update and logits "
            "or probabilities for what these subjects' trials make of them: a division by 0, the root or logarithm "
            "of a negative number, or the probability 0 of a choice that was made."
        )


def _terms(
    weak: Prior, layout: Layout, estimate: Estimate, widen: float
) -> tuple[tuple[PriorTerm, ...], tuple[str, ...]]:
    """The weak prior's terms with an empirical centre and scale where that may be, and remarks."""
    error = np.sqrt(np.diag(estimate.covariance))
    place, slopes = _places(weak, layout), slopes_of(layout.designs)
    terms, notes = [], []
    for term, k in zip(weak.terms, place, strict=True):
        if term.parameter in slopes or (term.role != LOG_SIGMA and not term.is_level):
            terms.append(replace(term, note="slopes and contrasts are never centred at the data"))
            continue
        # Spreads stand last in phi.
        lost = estimate.lost_without_spread[k - layout.loc.size] if term.role == LOG_SIGMA else np.inf
        if lost < KNOWN_FROM_BELOW:
            spread = np.exp(estimate.phi[k])
            change = f"gains {-lost:.1f}" if lost < 0 else f"loses {lost:.1f}"
            note = f"the data bound it from above only (a quarter of {spread:.2f} {change} nats)"
            new = replace(term, note=note)
        else:
            new = _centred(term, estimate.phi[k], error[k], widen)
        if new.source == "weak":
            what = "spread" if term.role == LOG_SIGMA else term.coefficient
            notes.append(f"Weak prior for {term.parameter} ({what}): {new.note}.")
        terms.append(new)
    return tuple(_with_common_level(terms, weak, layout)), tuple(notes)


def _places(weak: Prior, layout: Layout) -> list[int]:
    """Where each term of the prior stands in ``phi``."""
    labels, p = list(layout.designs), layout.n_parameters
    taken = {label: where.start for label, where in layout.slices.items()}
    places = []
    for term in weak.terms:
        if term.role == LOG_SIGMA:
            places.append(layout.loc.size - p + labels.index(term.parameter))
        else:
            places.append(taken[term.parameter])
            taken[term.parameter] += 1
    return places


def _centred(weak: PriorTerm, centre: float, error: float, widen: float) -> PriorTerm:
    """Never flatter than the weak prior: around an estimate so uncertain, intervals would be too wide and wrong."""
    scale = widen * error
    if not (np.isfinite(centre) and scale <= weak.scale):
        note = f"the data say too little (estimate {centre:.2f}, {widen:g} standard errors are {scale:.2f})"
        return replace(weak, note=note)
    return replace(weak, loc=float(centre), scale=float(scale), source="empirical", note="")


def _with_common_level(terms: list[PriorTerm], weak: Prior, layout: Layout) -> list[PriorTerm]:
    """Where a parameter has several levels (no intercept), one centre for all and room for differences."""
    done = list(terms)
    for label in layout.designs:
        levels = [k for k, term in enumerate(terms) if term.parameter == label and term.is_level]
        known = [k for k in levels if terms[k].source == "empirical"]
        if len(levels) < 2 or not known:
            continue
        precision = [terms[k].scale ** -2 for k in known]
        centre = float(np.average([terms[k].loc for k in known], weights=precision))
        for k in levels:
            room = float(np.hypot(max(terms[i].scale for i in known), ROOM * weak.terms[k].scale))
            done[k] = replace(terms[k], loc=centre, scale=room, source="empirical", note=SHARED)
    return done


def _by_group(terms: tuple[PriorTerm, ...], weak: Prior) -> tuple[PriorTerm, ...]:
    """Terms with a spread for each group: one centre for all, and room for differences."""
    done: list[PriorTerm] = []
    for term in terms:
        if term.role != LOG_SIGMA:
            done.append(term)
            continue
        of_groups = [t for t in weak.terms if (t.parameter, t.role) == (term.parameter, LOG_SIGMA)]
        if term.source == "empirical":
            room = float(np.hypot(term.scale, ROOM * of_groups[0].scale))
            of_groups = [
                replace(t, loc=term.loc, scale=room, source="empirical", note=SHARED) for t in of_groups
            ]
        done += of_groups
    return tuple(done)
