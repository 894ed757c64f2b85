"""Did the sampler explore the posterior? The usual measures, judged and put into words."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.problem import Problem
from hierrl.kernels.sessions import SessionProblem
from hierrl.posterior.mixing import LARGEST_RHAT, Mixing

FloatArray = npt.NDArray[np.float64]

FEWEST_EFFECTIVE = 100
"""Effective draws per chain, for bulk and tails (Vehtari et al. 2021)."""

WHAT_TO_DO = {
    "divergences": "take smaller steps (target_accept=0.9, then 0.95)",
    "rhat": "sample longer (tune=1000, draws={draws})",
    "ess": "sample longer (draws={draws})",
    "chains": "sample at least two chains (chains=4), since one can't be compared with another",
}
"""By fault; where all fails, priors are too wide or subjects have too few trials for the model."""

MOST_AT_ONCE = 4
"""Times as many draws as before that are advised at most: beyond, something else is wrong."""
DRAWS_STEP = 500
"""Advised draws are multiples of it, at least twice as many as before."""


@dataclass(frozen=True)
class Diagnosis:
    """What to think of a set of draws."""

    converged: bool
    sentences: tuple[str, ...]
    """The verdict, then one sentence for each measure."""
    advice: str
    """What to do; empty if all is well."""
    by_subject: npt.NDArray[np.bool_]
    """(S,): the subject's parameters mixed well."""
    status: npt.NDArray[np.object_]
    """(S,): a sentence on each subject."""
    measures: dict[str, float]
    """``divergences``, ``max_rhat``, ``rhat_by_chance``, ``min_ess_bulk``, ``min_ess_tail``."""

    def record(self) -> dict[str, Any]:
        """What a fit says of it in its settings."""
        return {
            "converged": self.converged,
            "sentences": list(self.sentences),
            "advice": self.advice,
            **self.measures,
        }


def diagnose(
    population: xr.Dataset,
    eta: FloatArray,
    diverging: npt.NDArray[Any],
    *,
    problem: Problem | SessionProblem,
) -> Diagnosis:
    """Judge draws.

    Parameters
    ----------
    population : Dataset
        Group ``population`` of a fit: ``mu`` and ``sigma``.
    eta : ndarray, (chain, draw, S, P)
        Parameters of the subjects, on any scale (R-hat and effective draws are computed from ranks).
    diverging : ndarray of bool, (chain, draw)
        Divergent transitions.
    problem : Problem
        Knows the names of subjects and parameters.

    Returns
    -------
    Diagnosis
    """
    chains, draws, n_subjects, n_parameters = eta.shape
    names = tuple(f"{label} of subject {s}" for s in problem.subjects for label in problem.labels)
    subjects = Mixing.of(eta.reshape(chains, draws, -1), names)
    group = Mixing.of(*numbers_of(population))
    needed = FEWEST_EFFECTIVE * chains
    n_divergent = int(np.sum(diverging))
    measures = {"divergences": n_divergent, **_measures(group, subjects)}
    faults = {
        "divergences": n_divergent > 0,
        "rhat": bool(group.apart.any() or subjects.apart.any()),
        "ess": not min(group.fewest[0], subjects.fewest[0]) >= needed,
        "chains": chains == 1,
    }
    by_subject, status = _subjects(subjects, (n_subjects, n_parameters), problem.labels, needed)
    return Diagnosis(
        converged=not any(faults.values()),
        sentences=_sentences(faults, group, subjects, measures, (chains, draws)),
        advice=_advice(faults, draws, needed / min(group.fewest[0], subjects.fewest[0])),
        by_subject=by_subject,
        status=status,
        measures=measures,
    )


def _advice(faults: dict[str, bool], draws: int, times: float) -> str:
    """What to do about the faults; `times` as many effective draws are needed as there are."""
    wanted = draws * min(max(times, 2.0), MOST_AT_ONCE) if np.isfinite(times) else draws * MOST_AT_ONCE
    wanted = DRAWS_STEP * int(np.ceil(wanted / DRAWS_STEP))
    found = [fault for fault, is_found in faults.items() if is_found]
    if "rhat" in found and "ess" in found:  # the first says what the second would
        found.remove("ess")
    return "; ".join(WHAT_TO_DO[fault].format(draws=wanted) for fault in found)


def _measures(group: Mixing, subjects: Mixing) -> dict[str, float]:
    """The worst figures, with what chance alone gives R-hat where it is worst."""
    rhat, by_chance, bulk, tail = (
        np.append(getattr(group, name), getattr(subjects, name))
        for name in ("rhat", "by_chance", "ess_bulk", "ess_tail")
    )
    worst = int(np.nanargmax(rhat))
    return {
        "max_rhat": float(rhat[worst]),
        "rhat_by_chance": float(by_chance[worst]),
        "min_ess_bulk": float(np.nanmin(bulk)),
        "min_ess_tail": float(np.nanmin(tail)),
    }


def warn_if_not_converged(diagnosis: Diagnosis) -> None:
    """One warning that says what is wrong and what to do."""
    if not diagnosis.converged:
        warnings.warn(
            f"{' '.join(diagnosis.sentences)} What to do: {diagnosis.advice}.", UserWarning, stacklevel=3
        )


def numbers_of(population: xr.Dataset) -> tuple[FloatArray, tuple[str, ...]]:
    """All coefficients, spreads and correlations that exist, (chain, draw, Q), and their names."""
    columns, names = [], []
    for name in ("mu", "sigma", "correlation"):
        if name not in population:
            continue
        values = population[name]
        stacked = values.stack(quantity=[dim for dim in values.dims if dim not in ("chain", "draw")])
        stacked = stacked.transpose("chain", "draw", "quantity")
        keep = ~np.isnan(stacked.values[0, 0])
        if name == "correlation":
            keep &= np.tri(population.sizes["parameter"], k=-1, dtype=bool).ravel()
        columns.append(stacked.values[:, :, keep])
        names += [f"{name} of {', '.join(map(str, label))}" for label in stacked["quantity"].values[keep]]
    return np.concatenate(columns, axis=2), tuple(names)


def _sentences(
    faults: dict[str, bool],
    group: Mixing,
    subjects: Mixing,
    measures: dict[str, float],
    size: tuple[int, int],
) -> tuple[str, ...]:
    chains, draws = size
    n_divergent = int(measures["divergences"])
    share = (
        f"{n_divergent:,} of {chains * draws:,} transitions diverged ({n_divergent / (chains * draws):.1%})."
    )
    needed = (
        f"Needed: R-hat below {LARGEST_RHAT}, or no larger than chance makes it, and {FEWEST_EFFECTIVE * chains:,} "
        "effective draws."
    )
    return (
        _verdict(faults),
        share if n_divergent else "No divergences.",
        *(f"{who}: {_figures(mixing)}." for who, mixing in (("Population", group), ("Subjects", subjects))),
        needed,
    )


def _verdict(faults: dict[str, bool]) -> str:
    if not any(faults.values()):
        return "The chains converged."
    if faults["ess"] and not (faults["rhat"] or faults["divergences"] or faults["chains"]):
        return "The chains agree, but have too few effective draws."
    return "The chains did not converge."


def _figures(mixing: Mixing) -> str:
    worst, (ess, where) = mixing.worst, mixing.fewest
    rhat, chance = mixing.rhat[worst], mixing.by_chance[worst]
    among = f", chance alone gives up to {chance:.3f}" if rhat >= LARGEST_RHAT else ""
    return f"largest R-hat {rhat:.3f} ({mixing.names[worst]}{among}), fewest effective draws {ess:,.0f} ({where})"


def _subjects(
    mixing: Mixing, shape: tuple[int, int], labels: tuple[str, ...], needed: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.object_]]:
    """Whether each subject's parameters mixed, and a sentence on it."""
    rhat, ess = mixing.rhat.reshape(shape), np.fmin(mixing.ess_bulk, mixing.ess_tail).reshape(shape)
    good = ~mixing.apart.reshape(shape) & (ess >= needed)
    status = np.empty(shape[0], dtype=object)
    for s in range(shape[0]):
        figures = f"R-hat {rhat[s].max():.3f}, {ess[s].min():,.0f} effective draws"
        bad = ", ".join(label for label, fine in zip(labels, good[s], strict=True) if not fine)
        status[s] = f"Not converged ({bad}): {figures}." if bad else f"Converged: {figures}."
    return good.all(axis=1), status
