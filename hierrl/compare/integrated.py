r"""Likelihoods of a subject with its parameters integrated out, at every draw of the population.

For a draw :math:`\phi` of the population, importance points :math:`\eta_j` of subject s give

.. math:: L_s(\phi) = \int p(y_s | \eta) \, p(\eta | \phi) \, d\eta, \qquad
          L_{s \setminus r}(\phi) = \int p(y_{s \setminus r} | \eta) \, p(\eta | \phi) \, d\eta,

without session r, and everything that leave-one-out needs: with weights :math:`w_d \propto L_{s \setminus r}(\phi_d) /
L_s(\phi_d)` the draws of the population are those of a posterior that has not seen the session (or subject:
:math:`L_{s \setminus s} = 1`), and :math:`p(y_r | \phi_d, y_{s \setminus r}) = L_s / L_{s \setminus r}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import logsumexp

from hierrl.compare.leave_out import Scores, left_out
from hierrl.compare.point_evidence import laplace
from hierrl.compare.units import Units, session_of_rows, subject_of_rows
from hierrl.data.table import counted, listed
from hierrl.fits import data_of, model_of, settings_of
from hierrl.importance.modes import FARTHEST, Modes, highest_modes, pooled_modes
from hierrl.importance.pareto import GOOD_K, smoothed_weights
from hierrl.kernels.problem import Problem
from hierrl.marginal import Points, draw_points, importance_points, judge_weights
from hierrl.prior import Prior

if TYPE_CHECKING:
    from hierrl.kernels.sessions import SessionProblem
    from hierrl.posterior.layout import Layout
    from hierrl.posterior.marginal_phi import Populations

FloatArray = npt.NDArray[np.float64]

N_POINTS, ROUNDS = 2048, 2
"""Of each subject; twice as many, from a better proposal, where some subjects' points fail."""

FEWEST_EFFECTIVE = 50.0
"""Points that must count, whatever the tail."""

MISSED = 0.5
"""Nats by which Laplace's approximation at a mode may exceed what the points say before they count as short of it."""

EXAMINED = 9
"""Draws of the population under which the weights of the points are looked at."""

MOST_DRAWS = 1000
"""Of the population, evenly spaced: a handful of numbers needs no more."""


@dataclass(frozen=True)
class Integrated:
    """The subjects of a posterior, integrated out under D draws of its population."""

    layout: Layout
    data: xr.Dataset
    populations: Populations
    points: Points

    @classmethod
    def of(cls, fit: xr.DataTree, *, random_seed: int = 0) -> Integrated:
        """Points that serve the whole group posterior of a fit."""
        # PyMC takes seconds to import, which a comparison of point fits does not need to pay
        from hierrl.posterior.layout import lay_out
        from hierrl.posterior.marginal_phi import Phi, Populations
        from hierrl.posterior.marginal_points import Group, pilot_points, whereabouts

        data, prior = data_of(fit), Prior.from_json(settings_of(fit)["prior"])
        layout = lay_out(
            model_of(fit),
            data,
            prior=prior,
            start=fit,
            parametrization="noncentered",
            random_seed=random_seed,
        )
        numbers = Phi(layout.population)
        phi = population_draws(fit, layout)
        group, some = Group.of_draws(phi), phi[_spread(len(phi), MOST_DRAWS)]
        known = pilot_points(layout, group, random_seed)
        for round_ in range(ROUNDS):
            where = whereabouts(layout, known, group)
            size, seed = N_POINTS << round_, random_seed + 1 + round_
            known = draw_points(layout.study, where.proposal, n_points=size, random_seed=seed)
            made = cls(layout, data, Populations.of(numbers, some, where.floor()), known)
            if not made.failed.any():
                break
        return made

    def under(self, fit: xr.DataTree) -> Integrated:
        """The same points under the population of another fit of the same model."""
        from hierrl.posterior.marginal_phi import Phi, Populations

        phi = population_draws(fit, self.layout)
        some = phi[_spread(len(phi), MOST_DRAWS)]
        populations = Populations.of(Phi(self.layout.population), some, self.populations.floor)
        return Integrated(self.layout, self.data, populations, self.points)

    @cached_property
    def whole(self) -> FloatArray:
        """(D, S) log L of all that a subject chose."""
        return self.populations.log_marginals(self.points)

    @cached_property
    def failed(self) -> npt.NDArray[np.bool_]:
        """(S,) whose points have weights with too heavy a tail under most of the group posterior."""
        return points_fail(self.populations, self.points)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """A sentence if the points of some subjects are not to be trusted."""
        if not self.failed.any():
            return ()
        names = listed(self.layout.problem.subjects[self.failed])
        who = counted(int(self.failed.sum()), "subject")
        return (
            f"Importance points of {who} can't be trusted (Pareto k above {GOOD_K}): {names}. Models with many "
            "parameters per subject are beyond them; held-out scores (last=, folds=) are not.",
        )

    def parts(self, units: Units) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """(D, U) log L of the unit's subject without the unit, 0 where the unit is all of it; whose points fail."""
        if units.by == "subject":
            return np.zeros((len(self.whole), units.size)), self.failed[units.subject]
        own, populations = self.points.take(units.subject), self.populations.take(units.subject)
        loglik = own.loglik - self.session_loglik[units.part]
        rest = Points(own.eta, loglik, own.log_proposal)
        found, fails, modes = (
            populations.log_marginals(rest),
            points_fail(populations, rest),
            self._modes(units),
        )
        missed = laplace(modes) > found[self._middle] + MISSED
        far = np.flatnonzero(fails | missed)
        if far.size:  # sessions without which the subject is where its own points don't reach
            fresh = pooled_subjects([self._without(units, int(unit), modes) for unit in far])
            populations = populations.take(far)
            found[:, far], fails[far] = populations.log_marginals(fresh), points_fail(populations, fresh)
        return found, fails

    @property
    def _middle(self) -> int:
        """The draw of the population under which modes are looked for."""
        return len(self.populations.effects) // 2

    def _modes(self, units: Units) -> Modes:
        """Where each unit's subject is most likely without the unit.

        Likelihoods may have several modes, from the subject's own and from where the population leads to. Weights of
        points can't tell of one that none of them lies near; the height of the mode does.
        """
        mean, covariance = self.populations.moments(self._middle)
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        place = np.arange(units.size) - np.searchsorted(units.subject, units.subject)
        found: dict[int, Modes] = {}
        for round_ in range(place.max() + 1):  # one unit of every subject at a time
            some = np.flatnonzero(place == round_)
            who = units.subject[some]
            part = self._problem_without(units, some)
            best = highest_modes(part, mean[who], sd[who], starts=(self.layout.centre[who], mean[who]))
            found |= {int(unit): best.take([k]) for k, unit in enumerate(some)}
        return pooled_modes([found[unit] for unit in range(units.size)])

    def _problem_without(self, units: Units, some: npt.NDArray[np.int64]) -> Problem | SessionProblem:
        """The subjects of some units, one of each and in order, without these units."""
        study, subject = self.layout.study, subject_of_rows(self.data)
        part = study.select(units.subject[some])
        scored = study.trials.scored.copy()
        scored[units.rows[np.isin(units.of_row, some)]] = False
        trials = part.trials._replace(scored=scored[np.isin(subject, units.subject[some])])
        if isinstance(part, Problem):
            return replace(part, trials=trials)
        return replace(part, sessions=replace(part.sessions, trials=trials))

    def _without(self, units: Units, unit: int, modes: Modes) -> Points:
        """Points of the unit's subject as it is without the unit."""
        some = np.array([unit])
        s, part = units.subject[some], self._problem_without(units, some)
        mean, covariance = self.populations.moments(self._middle)
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        best, size = modes.take(some), self.points.eta.shape[2]
        return importance_points(part, mean[s], sd[s], n_points=size, modes=best, random_seed=unit)

    @cached_property
    def session_loglik(self) -> FloatArray:
        """(R, J) log-likelihood of each session at its subject's points."""
        session, subject = session_of_rows(self.data), subject_of_rows(self.data)
        found = np.zeros((session[-1] + 1, self.points.loglik.shape[1]))
        for s, loglik in self.trial_loglik():
            own = session[subject == s]
            np.add.at(found, own, loglik.T)
        return found

    def trial_loglik(self) -> Iterator[tuple[int, FloatArray]]:
        """Each subject and the log-probabilities (J, rows) of its choices at its points; 0 where not scored."""
        study = self.layout.study
        by_part = study if isinstance(study, Problem) else study.sessions
        for s in range(study.n_subjects):
            inside = np.clip(np.moveaxis(self.points.eta[[s]], 1, -1), -FARTHEST, FARTHEST)
            parts, theta = study.at_points(np.array([s]), inside)
            yield s, np.nan_to_num(by_part.select(parts).draws_loglik(np.swapaxes(theta, 0, 1)))


def points_fail(populations: Populations, points: Points) -> npt.NDArray[np.bool_]:
    """(U,) whose points have weights with too heavy a tail, or few that count, under most of the group posterior."""
    examined = _spread(len(populations.effects), EXAMINED)
    judged = [judge_weights(populations.shares(points, int(d))) for d in examined]
    effective, k = (np.median(values, axis=0) for values in zip(*judged, strict=True))
    return ~((k <= GOOD_K) & (effective >= FEWEST_EFFECTIVE))


def pooled_subjects(parts: Sequence[Points]) -> Points:
    """Points of subjects one after the other."""
    arrays = ([getattr(part, name) for part in parts] for name in ("eta", "loglik", "log_proposal"))
    return Points(*(np.concatenate(array) for array in arrays))


def _spread(n: int, wanted: int) -> npt.NDArray[np.int64]:
    """Places of at most `wanted` out of n draws, evenly spread."""
    return np.unique(np.linspace(0, n - 1, wanted).round().astype(np.int64))


def population_draws(fit: xr.DataTree, layout: Layout) -> FloatArray:
    """Draws (N, D) of the population of a fit, on the link scale for the scaled signal, as `Phi` lays them out."""
    population, group = layout.population, fit["population"].to_dataset()
    group = group.sel(parameter=list(population.labels), coefficient=list(population.coefficients))
    raw = population.raw
    mu = group["mu"].transpose("chain", "draw", "parameter", "coefficient").values
    effects = (mu[..., raw.row, raw.column] - raw.shift) / raw.factor
    spread = group["sigma"].transpose("chain", "draw", *population.spread_dims).values / raw.sigma_factor
    parts = [effects, np.log(spread).reshape(*effects.shape[:2], -1)]
    if population.is_correlated:
        parts.append(partial_logits(group["correlation"].sel(parameter_2=list(population.labels)).values))
    return np.concatenate(parts, axis=-1).reshape(-1, sum(part.shape[-1] for part in parts))


def partial_logits(correlation: FloatArray) -> FloatArray:
    """Logits (..., K) of partial correlations mapped to (0, 1), from correlation matrices (..., P, P)."""
    factor = np.linalg.cholesky(correlation)
    found = []
    for i in range(factor.shape[-1]):
        rest = np.ones(factor.shape[:-2])
        for j in range(i):
            found.append(factor[..., i, j] / np.sqrt(rest))
            rest = rest - factor[..., i, j] ** 2
    return 2.0 * np.arctanh(np.stack(found, axis=-1))


def units_left_out(integrated: Integrated, units: Units) -> Scores:
    """Sessions or subjects predicted by the population (and the subject's other sessions) without them."""
    rest, fails = integrated.parts(units)
    log_ratio = (rest - integrated.whole[:, units.subject]).T
    found = left_out(np.ascontiguousarray(log_ratio), -log_ratio)
    k = np.where(fails, np.inf, np.array(found.pareto_k))
    return Scores(found.score, k, found.effective, found.draws, integrated.notes)


def evidence(integrated: Integrated, units: Units) -> Scores:
    """Log evidence (U,) of subjects: the likelihood averaged over the group posterior, which has seen them."""
    whole = integrated.whole[:, units.subject]
    return Scores(logsumexp(whole, axis=0) - np.log(len(whole)), draws=len(whole), notes=integrated.notes)


def future_left_out(
    integrated: Integrated, used: npt.NDArray[np.bool_], *, unweighted: bool = False
) -> Scores:
    r"""Each `used` trial (n,) predicted from the subject's earlier ones, and the other subjects.

    :math:`p(y_t | y_{<t}, \text{others}) = \sum_d w_d L_{\le t}(\phi_d) / \sum_d w_d L_{<t}(\phi_d)` with
    :math:`w_d \propto 1 / L_s(\phi_d)`. Scores of all trials of a subject add up to its leave-one-out score. With
    `unweighted` the population has not seen the subject, and all draws count alike.
    """
    subject = subject_of_rows(integrated.data)
    ratio = np.ascontiguousarray(-integrated.whole.T)
    without, k = smoothed_weights(np.zeros_like(ratio) if unweighted else ratio)
    score, tail = np.full(subject.size, np.nan), np.full(subject.size, np.nan)
    for s, loglik in integrated.trial_loglik():
        rows = np.flatnonzero(subject == s)
        weight = _log_weights(integrated, s)
        upto = np.concatenate([np.zeros((len(loglik), 1)), np.cumsum(loglik, axis=1)], axis=1)
        marginal = _log_product(weight, upto)
        predicted = np.diff(np.asarray(logsumexp(without[s][:, None] + marginal, axis=0)))
        score[rows], tail[rows] = predicted, k[s]
    return Scores(score[used], tail[used], draws=len(integrated.whole), notes=integrated.notes)


def _log_weights(integrated: Integrated, s: int) -> FloatArray:
    """(D, J) log-density of the population at the points of subject s over that of their proposal."""
    populations, points = integrated.populations, integrated.points
    indicator = np.eye(points.eta.shape[1])[populations.owner]
    mean = (populations.design[s] * populations.effects) @ indicator
    root = populations.root[:, populations.group[s]].copy()
    if not populations.dense:
        # Spreads that the points don't resolve count as the smallest that they do.
        p = np.arange(root.shape[1])
        root[:, p, p] = np.minimum(root[:, p, p], 1.0 / populations.floor[s])
    z = np.einsum("dab,dbj->daj", root, points.eta[s] - mean[:, :, None])
    logs = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    constant = logs - 0.5 * root.shape[1] * np.log(2 * np.pi) - np.log(points.eta.shape[2])
    return constant[:, None] - 0.5 * (z**2).sum(axis=1) - points.log_proposal[s]


def _log_product(one: FloatArray, other: FloatArray) -> FloatArray:
    """Logarithm of exp(one) @ exp(other)."""
    top, left = one.max(axis=1, keepdims=True), other.max(axis=0)
    with np.errstate(divide="ignore"):
        return top + left + np.log(np.exp(one - top) @ np.exp(other - left))
