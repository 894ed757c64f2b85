"""`compare_models`: different models of the same choices."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal

import xarray as xr

from hierrl.compare.checks import checked_models
from hierrl.compare.criteria import are_posteriors, assembled, by_refits, future, scores_of
from hierrl.compare.model_comparison import ModelComparison
from hierrl.compare.point_evidence import PriorChoice
from hierrl.compare.refit import Resources
from hierrl.compare.units import By, units_of
from hierrl.fits import data_of, settings_of
from hierrl.models.given import whole_seed

Fits = dict[str, xr.DataTree]
Method = Literal["auto", "loo", "lfo", "held_out", "evidence", "laplace", "aic", "bic"]

METHODS = ("loo", "lfo", "held_out", "evidence", "laplace", "aic", "bic")
OF_POINTS = ("laplace", "aic", "bic")
BY_SUBJECT = ("evidence", "laplace", "aic", "bic")
"""Criteria that say something of whole subjects only."""


def compare_models(
    fits: Mapping[str, xr.DataTree],
    *,
    by: By | None = None,
    method: Method = "auto",
    last: float | None = None,
    sessions: int | Hashable | Iterable[Hashable] | None = None,
    folds: int | None = None,
    first: float = 0.25,
    prior: PriorChoice = "empirical",
    refit: bool = False,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> ModelComparison:
    r"""Compare models of the same choices by how well they predict what they have not seen.

    All scores are in nats, higher is better, and differences are paired over the units (trials, sessions, subjects).

    * ``"loo"`` (posteriors): leave one unit out, by Pareto-smoothed importance sampling over the draws. By trial it is
      :math:`\log p(y_t | y_{-t})` with the subject's parameters known from its other trials. By session and by
      subject the subject's parameters are *integrated out* over the population,
      :math:`p(y_s | y_{-s}) = 1 / E_{\phi | y} [1 / \int p(y_s | \theta) p(\theta | \phi) d\theta]`, by importance
      points: weights from a subject's own draws, which have seen it, would reward flexibility.
    * ``"lfo"``: leave the future out. Posteriors predict each trial from the subject's earlier ones and the other
      subjects; point fits are refitted at ten times to all that came before.
    * ``"held_out"``: refits without held-out trials (`last`, `sessions`, `folds`), as in `compare`; for any fits.
    * ``"evidence"``: log marginal likelihood of each subject, for posteriors averaged over the group posterior (which
      has seen the subject), for point fits under `prior`.
    * ``"laplace"``: the same for point fits by Laplace's approximation; ``"aic"``, ``"bic"``: log-likelihood of the
      point fit minus P or :math:`P/2 \log n` of each subject, that is minus half the criterion.

    Parameters
    ----------
    fits : mapping of str to DataTree
        A fit of each model to the same data, under names of your choice.
    by : {"trial", "session", "subject"}, optional
        What is left out, or summed over. If not given, trials for ``"loo"``, subjects else.
    method : str
        See above. ``"auto"`` takes ``"held_out"`` if a split is given, else ``"loo"`` for posteriors and ``"bic"`` for
        point fits.
    last, sessions, folds
        As in `split`; at most one of them, for ``"held_out"``.
    first : float
        For ``"lfo"``: the share of each subject's trials that is only learned from, in [0, 1).
    prior : {"empirical", "weak"}, Prior or mapping of str to Prior
        For evidence of point fits, on the link scale: the population at its maximum marginal likelihood, the weak
        prior, or your own (by model).
    refit : bool
        For ``"loo"`` and ``"lfo"``: where the importance weights fail (Pareto k above 0.7), fit the model again
        without the unit. Each takes as long as the fit.
    random_seed : int, optional
        Of importance points, folds and refits; the fits' own seeds if not given.
    cores : int, optional
        Threads of refits; all cores if not given.
    progress : bool
        Show progress bars of refits on a terminal.

    Returns
    -------
    ModelComparison
        Prints as a table with notes. ``.table`` has a row per model, the best first; ``.scores`` (model, unit) the
        units; ``.differences`` all pairs; ``.random_effects`` model frequencies, exceedance probabilities and
        attribution of subjects; ``.arviz`` and ``.elpd`` what ArviZ's ``plot_compare`` and ``compare`` take.

    Raises
    ------
    TypeError
        If `fits` is not a mapping of fits.
    ValueError
        If the fits are of different choices, the method does not suit them, or a split holds out nothing.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=150)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> fits = {name: hr.fit_mle(hr.model(name), data) for name in ("rw", "subvalue")}
    >>> comparison = hr.compare_models(fits, method="bic")
    >>> comparison.table.index[0]
    'rw'
    """
    fits = checked_models(fits)
    how = {k: v for k, v in (("last", last), ("sessions", sessions), ("folds", folds)) if v is not None}
    criterion = _method(fits, method, how)
    by = _by(by, criterion)
    random_seed = None if random_seed is None else whole_seed(random_seed)
    resources, data = Resources(random_seed, cores, progress), data_of(next(iter(fits.values())))
    if criterion == "lfo":
        how = {"first": _share(first)}
    if criterion == "held_out" or (criterion == "lfo" and not are_posteriors(fits)):
        units, scores = by_refits(fits, data, by, resources=resources, how=how)
    elif criterion == "lfo":
        units, scores = future(fits, data, by, resources=resources, first=first, refit=refit)
    else:
        units, scores = units_of(data, by), {}
        for name, fit in fits.items():
            options: dict[str, Any] = {"prior": prior, "refit": refit, "resources": resources}
            scores[name] = scores_of(fit, name, criterion, units=units, **options)
    return assembled(fits, criterion, units, scores, how=how)


def _method(fits: Fits, method: str, how: dict[str, Any]) -> str:
    posteriors = are_posteriors(fits)
    if method == "auto":
        method = "held_out" if how else "loo" if posteriors else "bic"
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {('auto', *METHODS)}.")
    if how and method != "held_out":
        raise ValueError(
            f"{next(iter(how))}= splits the data for method='held_out'; method={method!r} takes no split."
        )
    if method == "held_out" and len(how) != 1:
        raise ValueError(
            "method='held_out' needs exactly one of last=, sessions= and folds=, such as last=0.25."
        )
    kinds = {name: settings_of(fit)["estimator"] for name, fit in fits.items()}
    draws = [name for name, kind in kinds.items() if kind == "posterior"]
    points = [name for name in kinds if name not in draws]
    if method == "loo" and points:
        raise ValueError(
            f"method='loo' needs posterior draws; {points[0]!r} is a point fit ({kinds[points[0]]}). Use folds= or "
            "last= (held-out trials, any fit), or method='bic'."
        )
    if method in OF_POINTS and draws:
        raise ValueError(
            f"method={method!r} is for point fits; {draws[0]!r} is a posterior. Use method='loo', or 'evidence' for "
            "log evidence by subject."
        )
    if method != "held_out" and draws and points:
        raise ValueError(
            f"{draws[0]!r} is a posterior and {points[0]!r} a point fit: method={method!r} would give them numbers of "
            "different kinds. Fit all models alike, or compare them on held-out trials (last=, folds=)."
        )
    return method


def _by(by: str | None, method: str) -> By:
    by = by or ("trial" if method == "loo" else "subject")
    if by not in ("trial", "session", "subject"):
        raise ValueError(f"by={by!r} is not one of ('trial', 'session', 'subject').")
    if method in BY_SUBJECT and by != "subject":
        raise ValueError(
            f"method={method!r} says something of whole subjects: by='subject'. By {by}, use method='loo' (posteriors) "
            "or held-out trials (last=, folds=)."
        )
    return by  # type: ignore[return-value]


def _share(first: float) -> float:
    if not 0 <= first < 1:
        raise ValueError(
            f"first= is a share of each subject's trials, at least 0 and below 1; found {first!r}."
        )
    return first
