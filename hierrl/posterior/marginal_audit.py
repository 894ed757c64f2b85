"""Do the importance points hold? Fresh points judge the draws, tail indices of the weights judge each subject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.table import listed
from hierrl.importance import Proposal
from hierrl.importance.pareto import GOOD_K
from hierrl.kernels.problem import Problem
from hierrl.kernels.sessions import SessionProblem
from hierrl.marginal import Points, draw_points, judge_weights
from hierrl.posterior.diagnostics import Diagnosis
from hierrl.posterior.layout import Layout
from hierrl.posterior.marginal_phi import Phi, Populations
from hierrl.posterior.marginal_points import Whereabouts

FloatArray = npt.NDArray[np.float64]

LARGEST_SHIFT = 0.05
"""Of a population parameter's posterior mean, in posterior standard deviations."""

LARGEST_STRETCH = 0.05
"""Of a population parameter's posterior standard deviation."""

FRESH = 4
"""Times as many fresh points as a chain has: what is biased down with J is seen only against more of them."""

REWEIGHTED = 250
"""Draws of each chain that fresh points reweight."""

EXAMINED = 8
"""Draws of each chain under which the weights of the subjects are looked at."""

MOST_DRAWS = 0.95
"""Share of the group posterior in which a subject's tail index must be good: in the farthest tail of a population's
spread there are few points, which matters as little as the tail weighs. What it does matter, the shifts show."""

LOWEST_K = -1.0
"""Where all weights are alike the tail index is minus infinity, which has no place among quantiles."""

MEASURES = ("max_shift", "max_stretch", "max_k_hat")

POINTS_AT_ONCE = 1 << 22
"""Bounds memory: so many fresh points of all subjects together."""


@dataclass(frozen=True)
class Audit:
    """What fresh points say of a set of chains. D population parameters, S subjects."""

    names: tuple[str, ...]
    """(D,)"""
    shift: FloatArray
    """(D,) of the posterior mean under fresh points, in posterior standard deviations."""
    stretch: FloatArray
    """(D,) of the posterior standard deviation, as a ratio minus 1."""
    k_hat: FloatArray
    """(S,) Pareto k of the weights, which `MOST_DRAWS` of the group posterior stay below."""
    effective: FloatArray
    """(S,) effective points that `MOST_DRAWS` of the group posterior have at least."""
    n_points: int
    """Of each subject and chain."""

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """(S,) subjects whose weights can't be trusted."""
        return ~(self.k_hat < GOOD_K)

    @property
    def moved(self) -> npt.NDArray[np.bool_]:
        """(D,) population parameters that depend on the points."""
        return ~((np.abs(self.shift) <= LARGEST_SHIFT) & (np.abs(self.stretch) <= LARGEST_STRETCH))

    @property
    def passed(self) -> bool:
        """Whether the points hold."""
        return not (self.failed.any() or self.moved.any())

    def record(self) -> dict[str, Any]:
        """What a fit says of it in its settings."""
        return {
            "points": self.n_points,
            "passed": self.passed,
            "max_shift": float(np.abs(self.shift).max()),
            "max_stretch": float(np.abs(self.stretch).max()),
            "max_k_hat": float(self.k_hat.max()),
            "subjects_failed": int(self.failed.sum()),
        }


def audit(
    layout: Layout,
    where: Whereabouts,
    points: list[Points],
    *,
    phi: FloatArray,
    times: int,
    random_seed: int,
) -> Audit:
    """Judge chains phi (C, N, D), each of which had its own `points`, by fresh points from the same proposal.

    There are more fresh points, and lower floors (than after points became more so many `times`): what few points
    and extrapolated spreads do is seen as well.

    A draw's weight is the likelihood that fresh points give it over that which its own gave; weights add up to 1
    within a chain, since the constants of different points differ.
    """
    numbers, floor = Phi(layout.population), where.floor(times)
    some = phi[:, _spread(phi.shape[1], REWEIGHTED)]
    own = [
        Populations.of(numbers, x, floor).log_marginals(p).sum(axis=1)
        for p, x in zip(points, some, strict=True)
    ]
    n_fresh = FRESH * points[0].eta.shape[2]
    everywhere = Populations.of(numbers, some.reshape(-1, some.shape[2]), where.floor(times + 1))
    fresh = _under_fresh_points(
        layout.study, where.proposal, everywhere, n_points=n_fresh, random_seed=random_seed
    )
    shift, stretch = _compared(some, fresh.reshape(some.shape[:2]) - np.stack(own))
    examined = phi[:, _spread(phi.shape[1], EXAMINED)]
    populations = [Populations.of(numbers, x, floor) for x in examined]
    k_hat, effective = _weights_over(populations, points)
    return Audit(numbers.names, shift, stretch, k_hat, effective, points[0].eta.shape[2])


def _spread(n: int, wanted: int) -> npt.NDArray[np.int64]:
    """Places of at most `wanted` out of n draws, evenly spread."""
    return np.unique(np.linspace(0, n - 1, wanted).round().astype(np.int64))


def _under_fresh_points(
    problem: Problem | SessionProblem,
    proposal: Proposal,
    populations: Populations,
    *,
    n_points: int,
    random_seed: int,
) -> FloatArray:
    """Log marginal likelihoods (N,) of all subjects together, a few subjects at a time."""
    total = np.zeros(len(populations.effects))
    n_parts = -(-problem.n_subjects * n_points // POINTS_AT_ONCE)
    for k, part in enumerate(np.array_split(np.arange(problem.n_subjects), n_parts)):
        some = problem if n_parts == 1 else problem.select(part)
        seed = np.random.SeedSequence((random_seed, k)).generate_state(1)[0]
        points = draw_points(some, proposal.take(part), n_points=n_points, random_seed=int(seed))
        total += populations.take(part).log_marginals(points).sum(axis=1)
    return total


def _compared(phi: FloatArray, log_weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What weights (C, N) do to mean and standard deviation of draws phi (C, N, D)."""
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean, sd = phi.mean(axis=(0, 1)), phi.std(axis=(0, 1))
    new_mean = np.einsum("cn,cnd->d", weight, phi) / len(phi)
    new_sd = np.sqrt(np.einsum("cn,cnd->d", weight, (phi - new_mean) ** 2) / len(phi))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (new_mean - mean) / sd, new_sd / sd - 1


def _weights_over(populations: list[Populations], points: list[Points]) -> tuple[FloatArray, FloatArray]:
    """Tail index and effective points (S,) that most of the group posterior keep."""
    examined = [
        judge_weights(some.shares(own, k))
        for own, some in zip(points, populations, strict=True)
        for k in range(len(some.effects))
    ]
    effective, k_hat = (np.stack(values) for values in zip(*examined, strict=True))
    k_hat = np.maximum(k_hat, LOWEST_K)
    return np.quantile(k_hat, MOST_DRAWS, axis=0), np.quantile(effective, 1 - MOST_DRAWS, axis=0)


def add_audit(fit: xr.DataTree, audits: list[Audit]) -> None:
    """Put into a new fit what was found: group ``audit``, and the last figures of each subject among its others."""
    fit["audit"] = xr.DataTree(audit_table(audits, fit["posterior"].to_dataset()["subject"].values))
    last = {"k_hat": audits[-1].k_hat, "effective_points": audits[-1].effective}
    stats = fit["fit_stats"].to_dataset().assign({name: ("subject", x) for name, x in last.items()})
    fit["fit_stats"] = xr.DataTree(stats)


def audit_table(audits: list[Audit], subjects: npt.NDArray[Any]) -> xr.Dataset:
    """Group ``audit`` of a fit: every round, with what fresh points said of it."""
    by_quantity, by_subject = ("round", "quantity"), ("round", "subject")
    return xr.Dataset(
        {
            "points": ("round", [one.n_points for one in audits]),
            "shift": (by_quantity, np.stack([one.shift for one in audits]), {"units": "posterior sd"}),
            "sd_ratio": (by_quantity, 1 + np.stack([one.stretch for one in audits])),
            "k_hat": (by_subject, np.stack([one.k_hat for one in audits])),
            "effective_points": (by_subject, np.stack([one.effective for one in audits])),
            "passed": ("round", [one.passed for one in audits]),
        },
        coords={
            "round": np.arange(1, len(audits) + 1),
            "quantity": np.array(audits[0].names, dtype=object),
            "subject": subjects,
        },
    )


def judged(diagnosis: Diagnosis, audits: list[Audit], subjects: npt.NDArray[Any]) -> Diagnosis:
    """A diagnosis of the chains together with what their last audit says: converged only if both agree."""
    last = audits[-1]
    status = diagnosis.status.copy()
    for s in np.flatnonzero(last.failed):
        figures = (
            f"Pareto k {last.k_hat[s]:.2f}, {last.effective[s]:,.0f} effective of {last.n_points:,} points"
        )
        status[s] = f"Not converged: importance points fail ({figures}). {diagnosis.status[s]}"
    sentences = diagnosis.sentences
    if not last.passed:
        sentences = (f"The importance points do not hold. {sentences[0]}", *sentences[1:])
    return replace(
        diagnosis,
        converged=diagnosis.converged and last.passed,
        sentences=(*sentences, *_sentences(audits, subjects)),
        advice="; ".join(part for part in (diagnosis.advice, _advice(last)) if part),
        by_subject=diagnosis.by_subject & ~last.failed,
        status=status,
        measures={**diagnosis.measures, **{name: last.record()[name] for name in MEASURES}},
    )


def _sentences(audits: list[Audit], subjects: npt.NDArray[Any]) -> tuple[str, ...]:
    last = audits[-1]
    far, wide, heavy = (int(np.argmax(np.abs(x))) for x in (last.shift, last.stretch, last.k_hat))
    rounds = "" if len(audits) == 1 else f", after {len(audits) - 1} that did not hold"
    text = (
        f"Importance points: {last.n_points:,} per subject and chain{rounds}. Under {FRESH * last.n_points:,} fresh "
        f"ones means shift by up to {abs(last.shift[far]):.3f} posterior standard deviations ({last.names[far]}; "
        f"allowed: {LARGEST_SHIFT}), standard deviations change by up to {abs(last.stretch[wide]):.1%} "
        f"({last.names[wide]}; allowed: {LARGEST_STRETCH:.0%}); largest Pareto k {last.k_hat[heavy]:.2f} (subject "
        f"{subjects[heavy]}; allowed: {GOOD_K})."
    )
    if not last.failed.any():
        return (text,)
    failed = subjects[last.failed]
    return text, f"Weights fail for {failed.size:,} of {subjects.size:,} subjects: {listed(failed)}."


def _advice(last: Audit) -> str:
    if last.passed:
        return ""
    return (
        f"sample with method='nuts', which needs no points, or with more of them (points={2 * last.n_points})"
    )
