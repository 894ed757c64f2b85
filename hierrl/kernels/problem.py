"""A model meeting data: everything that scores choices, with named subjects and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.draws import draws_pass
from hierrl.kernels.likelihood import batch_pass, trial_pass
from hierrl.kernels.tables import Tables, build_tables
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.kernels.trials import Trials, build_trials, n_contexts, reward_scale_of, signal_range
from hierrl.models.model import Model, Parameter
from hierrl.models.recursion import Recursion

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A model laid out on the trials of S subjects with m arms and P free scalars.

    Parameter vectors ``theta`` (S, P) are on the natural scale for the *scaled* signal (outcomes divided by
    ``reward_scale``); `pack` and `unpack` translate from and to raw reward units.
    """

    model: Model
    tables: Tables
    trials: Trials
    subjects: npt.NDArray[Any]
    arms: npt.NDArray[Any]
    reward_scale: float
    lower: FloatArray
    upper: FloatArray

    @property
    def scalars(self) -> tuple[tuple[str, Parameter, int | None], ...]:
        """Free scalars as (label, parameter, arm index)."""
        return self.model.scalars(list(self.arms))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the P free scalars."""
        return tuple(label for label, _, _ in self.scalars)

    @property
    def links(self) -> tuple[str, ...]:
        """Links of the P free scalars."""
        return tuple(parameter.link for _, parameter, _ in self.scalars)

    @property
    def units(self) -> npt.NDArray[np.int64]:
        """Power of the reward unit that each scalar carries."""
        return np.array([parameter.unit for _, parameter, _ in self.scalars], dtype=np.int64)

    @property
    def n_subjects(self) -> int:
        """S."""
        return self.trials.offset.size - 1

    @property
    def n_parameters(self) -> int:
        """P."""
        return self.lower.size

    @property
    def n_parts(self) -> int:
        """Stretches of trials that are scored with parameters of their own: one for each subject."""
        return self.n_subjects

    @property
    def n_trials(self) -> int:
        """Rows, scored or not."""
        return self.trials.choice.size

    @property
    def n_rows(self) -> npt.NDArray[np.int64]:
        """(S,) rows by subject."""
        return np.diff(self.trials.offset)

    @property
    def n_scored(self) -> npt.NDArray[np.int64]:
        """(S,) scored trials by subject."""
        return np.add.reduceat(self.trials.scored.astype(np.int64), self.trials.offset[:-1])

    def loglik(self, theta: npt.ArrayLike) -> FloatArray:
        """Log-likelihood (S,) of the scored trials at theta (S, P)."""
        return self.derivatives(theta, order=0)[0]

    def derivatives(self, theta: npt.ArrayLike, *, order: int = 2) -> tuple[FloatArray, ...]:
        """Log-likelihood (S,), gradient (S, P) and Hessian (S, P, P), exact, up to `order`."""
        theta = self._checked(theta)
        s, p = theta.shape
        value = np.empty(s)
        gradient = np.empty((s if order > 0 else 0, p))
        hessian = np.empty((s if order > 1 else 0, p, p))

        def work(subjects: IndexArray) -> None:
            batch_pass(self.tables, self.trials, subjects, theta, order, value, gradient, hessian)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        return (value, gradient, hessian)[: order + 1]

    def trial_loglik(self, theta: npt.ArrayLike) -> FloatArray:
        """Log-probability (n,) of each scored choice, NaN elsewhere."""
        return self.by_trial(theta)[2]

    def probabilities(self, theta: npt.ArrayLike) -> FloatArray:
        """Choice probabilities (n, m) before each trial."""
        return self.by_trial(theta)[1].T

    def paths(self, theta: npt.ArrayLike) -> FloatArray:
        """Unit-weight paths (C, n, m) of the channels before each trial, on the scaled signal."""
        return self.by_trial(theta)[0].transpose(0, 2, 1)

    def by_trial(self, theta: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As they come from the kernel: paths (C, m, n), probabilities (m, n), log-probabilities (n,)."""
        theta = self._checked(theta)
        n, m = self.n_trials, self.arms.size
        path, probability, score = np.empty((self.tables.value.shape[0], m, n)), np.empty((m, n)), np.empty(n)

        def work(subjects: IndexArray) -> None:
            trial_pass(self.tables, self.trials, subjects, theta, path, probability, score)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        return path, probability, score

    def draws_loglik(self, theta: npt.ArrayLike) -> FloatArray:
        """Log-probability (D, n) of each scored choice at many draws, theta (D, S, P); NaN elsewhere."""
        draws = np.ascontiguousarray(theta, dtype=np.float64)
        self._checked(draws[0] if draws.ndim == 3 else draws[None])
        loglik = np.empty((draws.shape[0], self.n_trials))

        def work(subjects: IndexArray) -> None:
            draws_pass(self.tables, self.trials, subjects, draws, loglik)

        over_subjects(work, self.n_rows * draws.shape[0], smallest=SMALL_CHUNK)
        return loglik

    def to_link(self, theta: npt.ArrayLike) -> FloatArray:
        """Natural to link scale, elementwise over the last axis (P); bounds map to infinities."""
        eta = np.array(theta, dtype=np.float64)
        with np.errstate(divide="ignore"):
            for k, link in enumerate(self.links):
                if link == "logit":
                    eta[..., k] = np.log(eta[..., k]) - np.log1p(-eta[..., k])
                elif link == "log":
                    eta[..., k] = np.log(eta[..., k])
        return eta

    def from_link(self, eta: npt.ArrayLike) -> FloatArray:
        """Link to natural scale, elementwise over the last axis (P)."""
        theta = np.array(eta, dtype=np.float64)
        for k, link in enumerate(self.links):
            if link == "logit":
                theta[..., k] = 1.0 / (1.0 + np.exp(-theta[..., k]))
            elif link == "log":
                theta[..., k] = np.exp(theta[..., k])
        return theta

    def link_derivatives(self, eta: npt.ArrayLike, *, order: int = 2) -> tuple[FloatArray, ...]:
        """As `derivatives`, at and with respect to the link scale."""
        theta = self.from_link(eta)
        value, *higher = self.derivatives(theta, order=order)
        slope, bend = self.link_slopes(theta)
        if order == 0:
            return (value,)
        gradient = higher[0] * slope
        if order == 1:
            return value, gradient
        hessian = higher[1] * slope[:, :, None] * slope[:, None, :]
        diagonal = np.arange(self.n_parameters)
        hessian[:, diagonal, diagonal] += higher[0] * bend
        return value, gradient, hessian

    def link_slopes(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of the natural scale with respect to the link scale."""
        slope, bend = np.ones_like(theta), np.zeros_like(theta)
        for k, link in enumerate(self.links):
            value = theta[..., k]
            if link == "logit":
                slope[..., k] = value * (1 - value)
                bend[..., k] = value * (1 - value) * (1 - 2 * value)
            elif link == "log":
                slope[..., k] = bend[..., k] = value
        return slope, bend

    def at_points(
        self, subjects: npt.NDArray[np.int64], eta: FloatArray
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Parts of some subjects and their parameters (s, J, P), natural scale, for eta (s, J, P)."""
        return subjects, self.from_link(eta)

    def by_subject(self, values: FloatArray) -> FloatArray:
        """Sums (S, ...) of values (parts, ...)."""
        return values

    def raw_factor(self) -> FloatArray:
        """(P,) what a scalar on the scaled signal is multiplied by to be in raw reward units."""
        return self.reward_scale ** self.units.astype(np.float64)

    def unpack(self, theta: npt.ArrayLike) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
        """theta (..., S, P) as named arrays in raw reward units: name -> (dims after the leading ones, values)."""
        raw = np.asarray(theta, dtype=np.float64) * self.raw_factor()
        columns: dict[str, list[FloatArray]] = {}
        for k, (_, parameter, _) in enumerate(self.scalars):
            columns.setdefault(parameter.name, []).append(raw[..., k])
        named = {}
        for parameter in self.model.parameters:
            values = columns.get(parameter.name, [])
            if parameter.kind == "bias":
                values = [np.zeros(raw.shape[:-1]), *values]
            if parameter.per_arm:
                named[parameter.name] = (("subject", "arm"), np.stack(values, axis=-1))
            else:
                named[parameter.name] = (("subject",), values[0])
        return named

    def pack(self, parameters: xr.Dataset | Mapping[str, Any]) -> FloatArray:
        """The inverse of `unpack`: named arrays in raw units to theta (..., S, P) on the scaled signal."""
        columns = []
        for _, parameter, arm in self.scalars:
            values = np.asarray(parameters[parameter.name], dtype=np.float64)
            columns.append(values if arm is None else values[..., arm])
        return np.stack(np.broadcast_arrays(*columns), axis=-1) / self.raw_factor()

    def clip(self, theta: npt.ArrayLike) -> FloatArray:
        """theta moved inside the bounds."""
        return np.clip(theta, self.lower, self.upper)

    def select(self, subjects: npt.ArrayLike) -> Problem:
        """The problem of some subjects (indices), in that order."""
        index = np.asarray(subjects, dtype=np.int64)
        offset = self.trials.offset.tolist()
        rows = np.concatenate([np.arange(offset[s], offset[s + 1]) for s in index])
        parts = {
            name: np.ascontiguousarray(values[..., rows]) if values.shape[-1] > 0 else values
            for name, values in self.trials._asdict().items()
            if name != "offset"
        }
        offset = np.append(0, np.cumsum(self.n_rows[index])).astype(np.int64)
        return replace(
            self, trials=self.trials._replace(offset=offset, **parts), subjects=self.subjects[index]
        )

    def _checked(self, theta: npt.ArrayLike) -> FloatArray:
        values = np.ascontiguousarray(theta, dtype=np.float64)
        if values.shape != (self.n_subjects, self.n_parameters):
            raise ValueError(
                f"theta must have shape (subjects, parameters) = {(self.n_subjects, self.n_parameters)} "
                f"for {', '.join(self.labels)}; found {values.shape}."
            )
        return values


def prepare(model: Model, data: xr.Dataset, *, reward_scale: float | None = None) -> Problem:
    """Lay out `model` on `data`; `reward_scale` is the largest absolute outcome of the data unless it is given."""
    if isinstance(model, Recursion):
        from hierrl.kernels.recursion import prepare_recursion  # a kind of problem itself

        return prepare_recursion(model, data, reward_scale=reward_scale)
    scale = reward_scale_of(data) if reward_scale is None else float(reward_scale)
    arms = data["arm"].values
    tables = build_tables(model, list(arms), reward_scale=scale, n_contexts=n_contexts(model, data))
    trials = build_trials(model, data, tables, reward_scale=scale)
    lower, upper = _bounds(model, data, scale)
    return Problem(model, tables, trials, data["subject"].values, arms, scale, lower, upper)


def _bounds(model: Model, data: xr.Dataset, reward_scale: float) -> tuple[FloatArray, FloatArray]:
    """(P,) bounds on the scaled signal; start values without bounds range over the signals of their channels."""
    lower, upper = [], []
    for _, parameter, _ in model.scalars(list(data["arm"].values)):
        pair = (parameter.lower, parameter.upper)
        if parameter.lower is None or parameter.upper is None:
            uses = model.starts_of(parameter.name)
            ranges = [signal_range(model, data, c, reward_scale=reward_scale) for c in uses]
            pair = min(r[0] for r in ranges), max(r[1] for r in ranges)
        lower.append(pair[0])
        upper.append(pair[1])
    return np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)
