r"""Subjects whose parameters change from session to session by slopes of their own.

Subject s has Q numbers on the link scale: its P parameters in the reference session and Q - P slopes. In session r the
parameter of scalar p is

.. math:: \eta_{rp} = \eta_{sp} + \sum_{k:\, \text{slope of } p} \eta_{sk} \, x_{rk} = (A_r \eta_s)_p.

Values reset where a session starts, so sessions are independent given the parameters: to the kernels each session is a
"subject" with parameters of its own, and derivatives come back through the loadings :math:`A_r`. The trials stay where
they are; only the table of where subjects begin becomes one of where sessions begin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hierrl.kernels.problem import Problem
from hierrl.kernels.tables import Tables
from hierrl.kernels.trials import Trials

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SessionProblem:
    """A problem in Q numbers of each of S subjects, on the link scale, over R sessions."""

    sessions: Problem
    """Each session in the place of a subject."""
    subjects: npt.NDArray[Any]
    """(S,) labels."""
    owner: IntArray
    """(R,) subject of each session."""
    labels: tuple[str, ...]
    """(Q,): the P scalars of the model, then slopes."""
    scalar: IntArray
    """(Q - P,) the scalar that each slope is of."""
    values: FloatArray
    """(R, Q - P) what each slope is multiplied by in each session."""

    @classmethod
    def of(cls, problem: Problem, slopes: dict[str, tuple[str, FloatArray]]) -> SessionProblem:
        """From a problem by subject and, for each slope, its scalar's label and its values (R,)."""
        sessions, owner = split_sessions(problem)
        return cls(
            sessions,
            problem.subjects,
            owner,
            (*problem.labels, *slopes),
            np.array([problem.labels.index(label) for label, _ in slopes.values()], dtype=np.int64),
            np.stack([values for _, values in slopes.values()], axis=1),
        )

    @property
    def tables(self) -> Tables:
        """Of the model."""
        return self.sessions.tables

    @property
    def trials(self) -> Trials:
        """With the rows of each session."""
        return self.sessions.trials

    @property
    def n_parts(self) -> int:
        """R."""
        return self.owner.size

    @property
    def n_subjects(self) -> int:
        """S."""
        return self.subjects.size

    @property
    def n_parameters(self) -> int:
        """Q."""
        return len(self.labels)

    @cached_property
    def first(self) -> IntArray:
        """(S,) first session of each subject."""
        return np.flatnonzero(np.append(True, self.owner[1:] != self.owner[:-1]))

    @property
    def n_rows(self) -> IntArray:
        """(S,) rows by subject."""
        return np.add.reduceat(self.sessions.n_rows, self.first)

    @cached_property
    def loading(self) -> FloatArray:
        """(R, P, Q): from the numbers of a subject to the parameters of a session."""
        p = self.sessions.n_parameters
        loading = np.zeros((self.owner.size, p, self.n_parameters))
        loading[:, np.arange(p), np.arange(p)] = 1.0
        loading[:, self.scalar, p + np.arange(self.scalar.size)] = self.values
        return loading

    def of_sessions(self, eta: npt.ArrayLike) -> FloatArray:
        """Parameters (..., R, P) of the sessions for numbers (..., S, Q) of the subjects, link scale."""
        of_owner = np.asarray(eta, dtype=np.float64)[..., self.owner, :]
        p = self.sessions.n_parameters
        found = of_owner[..., :p].copy()
        for k, scalar in enumerate(self.scalar):
            found[..., scalar] += of_owner[..., p + k] * self.values[:, k]
        return found

    def link_derivatives(self, eta: npt.ArrayLike, *, order: int = 2) -> tuple[FloatArray, ...]:
        """Log-likelihood (S,), gradient (S, Q) and Hessian (S, Q, Q) up to `order`, at eta (S, Q)."""
        value, *higher = self.sessions.link_derivatives(self.of_sessions(eta), order=order)
        found = [self.by_subject(value)]
        if order > 0:
            found.append(self.by_subject(np.einsum("rp,rpq->rq", higher[0], self.loading)))
        if order > 1:
            pulled = self.loading.transpose(0, 2, 1) @ higher[1] @ self.loading
            found.append(self.by_subject(pulled))
        return tuple(found)

    def by_subject(self, values: FloatArray) -> FloatArray:
        """Sums (S, ...) of values (R, ...)."""
        return np.add.reduceat(values, self.first, axis=0)

    def at_points(self, subjects: IntArray, eta: FloatArray) -> tuple[IntArray, FloatArray]:
        """Sessions of some subjects and their parameters (r, J, P), natural scale, for numbers (s, J, Q)."""
        place = np.full(self.n_subjects, -1, dtype=np.int64)
        place[subjects] = np.arange(subjects.size)
        chosen = np.flatnonzero(place[self.owner] >= 0)
        of_owner = eta[place[self.owner[chosen]]]
        return chosen, self.sessions.from_link(of_owner @ self.loading[chosen].transpose(0, 2, 1))

    def select(self, subjects: npt.ArrayLike) -> SessionProblem:
        """The problem of some subjects (indices, ascending)."""
        index = np.asarray(subjects, dtype=np.int64)
        chosen = np.flatnonzero(np.isin(self.owner, index))
        return replace(
            self,
            sessions=self.sessions.select(chosen),
            subjects=self.subjects[index],
            owner=np.searchsorted(index, self.owner[chosen]),
            values=self.values[chosen],
        )


def study_of(problem: Problem, slopes: dict[str, tuple[str, FloatArray]]) -> Problem | SessionProblem:
    """The problem, with slopes within subjects if there are any: label -> scalar and values in all sessions."""
    return SessionProblem.of(problem, slopes) if slopes else problem


def split_sessions(problem: Problem) -> tuple[Problem, IntArray]:
    """The problem with each session in the place of a subject, and the subject (R,) of each."""
    first = np.flatnonzero(problem.trials.reset)
    owner = np.searchsorted(problem.trials.offset, first, side="right") - 1
    offset = np.append(first, problem.n_trials).astype(np.int64)
    trials = problem.trials._replace(offset=offset)
    return replace(problem, trials=trials, subjects=problem.subjects[owner]), owner.astype(np.int64)
