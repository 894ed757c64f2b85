"""A user's recursion meeting data: the same protocol as `Problem`, with loops written for this very model."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import types
from numba.misc.appdirs import user_cache_dir

from hierrl.kernels.climbing import climb_together
from hierrl.kernels.problem import Problem
from hierrl.kernels.symbols import FLAGS, FLOATS, INTS, symbol
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.kernels.trials import column_of, reward_range, reward_scale_of, row_structure
from hierrl.models.recursion.model import OUTCOMES, Recursion

FloatArray = npt.NDArray[np.float64]

STEP = 1e-5
"""For differences of gradients, times the size of a parameter (at least 1)."""

UPDATES = {"outcomes": 0, "choices": 1, "trials": 2}


class RowsOfTrials(NamedTuple):
    """n rows, contiguous by subject; as `hierrl.kernels.trials.Trials`, for recursions."""

    offset: npt.NDArray[np.int64]
    """(S + 1,): subject s has rows ``offset[s]:offset[s + 1]``."""
    choice: npt.NDArray[np.int64]
    """(n,): arm index, -1 = missed."""
    reset: npt.NDArray[np.bool_]
    """(n,): the first row of a session."""
    scored: npt.NDArray[np.bool_]
    """(n,): the choice enters the likelihood."""
    learns: npt.NDArray[np.bool_]
    """(n,): the state is updated."""
    available: npt.NDArray[np.bool_]
    """(m, n or 0): arms that could be chosen."""
    inputs: npt.NDArray[np.float64]
    """(R, n): what else the functions read, outcomes on the scaled signal."""
    context: npt.NDArray[np.int64]
    """(n or 0,): which state the trial is about, where there are several."""


@dataclass(frozen=True)
class Program:
    """What stands in the place of `hierrl.kernels.tables.Tables`: a recursion on m arms, and its compiled loops."""

    model: Recursion
    n_arms: int

    @property
    def loops(self) -> ModuleType:
        """The module of compiled loops."""
        return loops_of(self.source)

    @property
    def source(self) -> str:
        """The code of the loops."""
        return _source(self.model.fingerprint, self.model, self.n_arms)

    @property
    def key(self) -> str:
        """What the names of symbols for C end with."""
        return next(name for name in vars(self.loops) if name.startswith("gradient_in_c_"))[-12:]

    def score_points(
        self, trials: RowsOfTrials, subjects: IndexArray, theta: FloatArray, out: FloatArray
    ) -> None:
        """Log-likelihood (S, J) at points theta (P, len(subjects), J) on the natural scale."""
        self.loops.points_pass(subjects, theta, *trials, out)


@cache
def _source(fingerprint: str, model: Recursion, n_arms: int) -> str:
    from hierrl.models.recursion.source import source_of  # loads PyTensor

    return source_of(model.unrolled(n_arms))


@cache
def loops_of(source: str) -> ModuleType:
    """Import source from a file of its own beside numba's cache, so that the machine code is kept, too."""
    name = f"hierrl_recursion_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    for folder in _folders():
        try:
            file = _written(folder, name, source)
        except OSError:
            continue
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        sys.modules[name] = module
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        return module
    raise OSError(
        f"There is no folder to write the code of a recursion to: tried {', '.join(map(str, _folders()))}. "
        "Set NUMBA_CACHE_DIR to a folder that can be written to."
    )


def _folders() -> list[Path]:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    own = Path(chosen) if chosen else Path(user_cache_dir("hierrl"))
    return [own / "recursions", Path(tempfile.gettempdir()) / f"hierrl_recursions_{os.getuid()}"]


def _written(folder: Path, name: str, source: str) -> Path:
    """The file of a source; written once, since machine code is kept for as long as the file is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    if not (file.exists() and file.read_text(encoding="utf-8") == source):
        handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(source)
        os.replace(part, file)
    return file


@dataclass(frozen=True)
class RecursionProblem(Problem):
    """A recursion laid out on the trials of S subjects with m arms and P free scalars."""

    model: Recursion
    tables: Program  # type: ignore[assignment]
    trials: RowsOfTrials  # type: ignore[assignment]

    def derivatives(self, theta: npt.ArrayLike, *, order: int = 2) -> tuple[FloatArray, ...]:
        """Log-likelihood (S,), gradient (S, P) and Hessian (S, P, P) up to `order`.

        Exact; the Hessian of a model with very many second derivatives consists of differences of gradients.
        """
        theta = self._checked(theta)
        if order > 1 and not hasattr(self.tables.loops, "pass_2"):
            return self._by_differences(theta)
        s, p = theta.shape
        value, gradient = np.empty(s), np.empty((s, p))
        hessian = np.empty((s if order > 1 else 0, p, p))
        one_pass = getattr(self.tables.loops, f"pass_{order}")

        def work(subjects: IndexArray) -> None:
            one_pass(subjects, theta, *self.trials, value, gradient, hessian)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        return (value, gradient, hessian)[: order + 1]

    def _by_differences(self, theta: FloatArray) -> tuple[FloatArray, ...]:
        value, gradient = self.derivatives(theta, order=1)
        hessian = np.empty((*gradient.shape, theta.shape[1]))
        for p in range(theta.shape[1]):
            step = STEP * np.maximum(1.0, np.abs(theta[:, p]))
            ends = []
            for sign in (1.0, -1.0):
                moved = theta.copy()
                moved[:, p] = np.clip(theta[:, p] + sign * step, self.lower[p], self.upper[p])
                ends.append((moved[:, p], self.derivatives(moved, order=1)[1]))
            width = (ends[0][0] - ends[1][0])[:, None]
            hessian[:, :, p] = (ends[0][1] - ends[1][1]) / width
        return value, gradient, 0.5 * (hessian + hessian.transpose(0, 2, 1))

    def by_trial(self, theta: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """States (states, m, n) before each trial, probabilities (m, n), log-probabilities (n,).

        A scalar state has the same value for all arms.
        """
        theta = self._checked(theta)
        n, m = self.n_trials, self.arms.size
        parts = self.model.unrolled(m).parts
        state, probability, loglik = (np.empty(shape) for shape in ((sum(s for _, s in parts), n), (m, n), n))

        def work(subjects: IndexArray) -> None:
            self.tables.loops.trial_pass(subjects, theta, *self.trials, state, probability, loglik)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        first = np.cumsum([0, *(size for _, size in parts)])
        by_arm = [np.broadcast_to(state[a:b], (m, n)) for a, b in zip(first, first[1:], strict=False)]
        return np.stack(by_arm), probability, loglik

    def draws_loglik(self, theta: npt.ArrayLike) -> FloatArray:
        """Log-probability (D, n) of each scored choice at many draws, theta (D, S, P); NaN elsewhere."""
        draws = np.ascontiguousarray(theta, dtype=np.float64)
        self._checked(draws[0] if draws.ndim == 3 else draws[None])
        loglik = np.empty((draws.shape[0], self.n_trials))
        state = np.empty((len(self.model.unrolled(self.arms.size).state), self.n_trials))
        probability = np.empty((self.arms.size, self.n_trials))

        def work(subjects: IndexArray) -> None:
            self.tables.loops.draws_pass(subjects, draws, *self.trials, state, probability, loglik)

        over_subjects(work, self.n_rows * draws.shape[0], smallest=SMALL_CHUNK)
        return loglik

    def climb_batch(
        self,
        subjects: IndexArray,
        starts: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        free: npt.NDArray[np.bool_],
        theta: FloatArray,
        loglik: FloatArray,
        converged: npt.NDArray[np.bool_],
        steps: npt.NDArray[np.int64],
    ) -> None:
        """As `hierrl.kernels.newton.climb_batch`: the best of the climbs from starts (S, K, P) into the last four."""
        for k in range(starts.shape[1]):
            own = subjects[~np.isnan(starts[subjects, k]).any(axis=1)]
            if own.size == 0:
                continue
            found = climb_together(self.select(own), starts[own, k], lower[own], upper[own], free=free)
            steps[own] += found.steps
            better = found.loglik > loglik[own]
            theta[own[better]], loglik[own[better]] = found.theta[better], found.loglik[better]
            converged[own[better]] = found.converged[better]


def prepare_recursion(
    model: Recursion, data: xr.Dataset, *, reward_scale: float | None = None
) -> RecursionProblem:
    """Lay out a recursion on `data`; `reward_scale` as for `prepare`, 1 for a model that doesn't scale."""
    scale = reward_scale_of(data) if reward_scale is None else float(reward_scale)
    scale = scale if model.scale else 1.0
    arms = data["arm"].values
    trials = build_rows(model, data, reward_scale=scale)
    lower, upper = _bounds(model, data, scale)
    program = Program(model, arms.size)
    return RecursionProblem(model, program, trials, data["subject"].values, arms, scale, lower, upper)


def build_rows(model: Recursion, data: xr.Dataset, *, reward_scale: float) -> RowsOfTrials:
    """Contiguous arrays for `model` from a behaviour Dataset."""
    choice = np.ascontiguousarray(data["choice"].values, dtype=np.int64)
    offset, reset = row_structure(data)
    scored = np.ascontiguousarray(data["scored"].values.astype(bool) & (choice >= 0))
    known = choice >= 0
    columns = {}
    for name, by_arm in model.inputs.items():
        if name not in ("choice", "chosen", "known", "available", "since"):
            columns[name] = _column(model, data, name, by_arm)
    for name in OUTCOMES:
        if name in columns:
            values = columns[name] / reward_scale
            if name == "forgone":
                values[known, choice[known]] = 0.0
            known &= np.isfinite(values).reshape(choice.size, -1).all(axis=1)
            columns[name] = values
    for name in OUTCOMES:
        if name in columns:
            columns[name] = np.where(known if columns[name].ndim == 1 else known[:, None], columns[name], 0.0)
    columns["known"] = known.astype(np.float64)
    learns = (known, choice >= 0, np.ones(choice.size, dtype=bool))[UPDATES[model.updates]]
    context = _context(model, data)
    if model.context:
        columns["since"] = _since(context, learns, reset)
    rows = [
        columns[name] if arm < 0 else columns[name][:, arm]
        for _, name, arm in model.unrolled(data.sizes["arm"]).inputs
    ]
    return RowsOfTrials(
        offset=offset,
        choice=choice,
        reset=reset,
        scored=scored,
        learns=np.ascontiguousarray(learns),
        available=shown_arms(data),
        inputs=np.ascontiguousarray(rows),
        context=context,
    )


def _context(model: Recursion, data: xr.Dataset) -> npt.NDArray[np.int64]:
    if model.context is None:
        return np.zeros(0, dtype=np.int64)
    column = column_of(data, model.context, f"The recursion {model.name!r}, with context={model.context!r},")
    return np.unique(column.values, return_inverse=True)[1].astype(np.int64)


def _since(
    context: npt.NDArray[np.int64], learns: npt.NDArray[np.bool_], reset: npt.NDArray[np.bool_]
) -> FloatArray:
    """(n,) trials since the state of the trial's context was last updated in the session, 0 if it never was."""
    last, since = np.full(context.max(initial=0) + 1, -1), np.zeros(context.size)
    for t, (c, learning, starts) in enumerate(zip(context, learns, reset, strict=True)):
        if starts:
            last[:] = -1
        since[t] = t - last[c] if last[c] >= 0 else 0
        if learning:
            last[c] = t
    return since


def shown_arms(data: xr.Dataset) -> npt.NDArray[np.bool_]:
    """(m, n), or (m, 0) where all arms are always shown."""
    if "available" not in data:
        return np.zeros((data.sizes["arm"], 0), dtype=bool)
    return np.ascontiguousarray(data["available"].transpose("arm", "trial").values.astype(bool))


def _column(model: Recursion, data: xr.Dataset, name: str, by_arm: bool) -> FloatArray:
    """(n,) or (n, m), finite unless it is an outcome."""
    column = column_of(data, name, f"The recursion {model.name!r}")
    if ("arm" in column.dims) != by_arm:
        wanted = f"({name!r}, 'arm')" if "arm" in column.dims else repr(name)
        raise ValueError(
            f"The column {name!r} has the dims {column.dims} in these data; name it in columns= as {wanted}."
        )
    try:
        values = column.transpose("trial", ...).values.astype(np.float64)
    except ValueError:
        raise ValueError(
            f"The recursion {model.name!r} reads the column {name!r}, which has to hold numbers; found "
            f"{column.values.ravel()[0]!r}. Code its values as numbers."
        ) from None
    if name not in OUTCOMES and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
        raise ValueError(
            f"The column {name!r} is missing or infinite at row {row} (subject {data['trial_subject'].values[row]}). "
            f"The recursion {model.name!r} reads it on every trial; fill it."
        )
    return values


def _bounds(model: Recursion, data: xr.Dataset, scale: float) -> tuple[FloatArray, FloatArray]:
    """(P,) bounds; start values without bounds range over the rewards."""
    pairs = []
    for _, each, _ in model.scalars(list(data["arm"].values)):
        pair = (each.lower, each.upper)
        pairs.append(reward_range(data, scale) if pair[0] is None else pair)
    lower, upper = np.array(pairs, dtype=np.float64).T
    return np.ascontiguousarray(lower), np.ascontiguousarray(upper)


FROM_C = (INTS, INTS, INTS, FLAGS, FLAGS, FLAGS, FLAGS, FLOATS, INTS)
"""Sizes and the arrays of `RowsOfTrials`."""


def gradient_caller(program: Program) -> Callable[..., Any]:
    """A plain function, to be compiled by its user: theta (S, P) and the arrays of `RowsOfTrials`, all of them
    C-contiguous, to log-likelihood (S,) and gradient (S, P).
    """
    compiled = getattr(program.loops, f"gradient_in_c_{program.key}")
    in_c = symbol(compiled, types.int64(*FROM_C, FLOATS, FLOATS, FLOATS))

    def call(theta, offset, choice, reset, scored, learns, available, inputs, context):
        at = np.ascontiguousarray(theta)
        value, gradient = np.empty(at.shape[0]), np.empty(at.shape)
        shape = (
            at.shape[0],
            at.shape[1],
            choice.shape[0],
            *available.shape,
            inputs.shape[0],
            context.shape[0],
        )
        sizes = np.array(shape)
        rows = (offset.ctypes, choice.ctypes, reset.ctypes, scored.ctypes, learns.ctypes, available.ctypes)
        in_c(sizes.ctypes, *rows, inputs.ctypes, context.ctypes, at.ctypes, value.ctypes, gradient.ctypes)
        return value, gradient

    return call


def probability_caller(program: Program) -> Callable[..., Any]:
    """As `gradient_caller`, to choice probabilities (n, m)."""
    compiled = getattr(program.loops, f"probability_in_c_{program.key}")
    in_c = symbol(compiled, types.int64(*FROM_C, FLOATS, FLOATS, FLOATS))

    def call(theta, offset, choice, reset, scored, learns, available, inputs, context):
        at = np.ascontiguousarray(theta)
        n, m = choice.shape[0], available.shape[0]
        probability, loglik = np.empty((m, n)), np.empty(n)
        shape = (at.shape[0], at.shape[1], n, m, available.shape[1], inputs.shape[0], context.shape[0])
        sizes = np.array(shape)
        rows = (offset.ctypes, choice.ctypes, reset.ctypes, scored.ctypes, learns.ctypes, available.ctypes)
        in_c(sizes.ctypes, *rows, inputs.ctypes, context.ctypes, at.ctypes, probability.ctypes, loglik.ctypes)
        return np.ascontiguousarray(probability.T)

    return call
