"""The loops of a recursion: their code, written by `hierrl.models.recursion.source`, compiled, and behind C symbols."""

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
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.misc.appdirs import user_cache_dir

from hierrl.kernels.recursion_rows import RowsOfTrials
from hierrl.kernels.symbols import FLAGS, FLOATS, INTS, symbol
from hierrl.kernels.threads import IndexArray
from hierrl.models.recursion import Recursion

FloatArray = npt.NDArray[np.float64]


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
    try:
        file = _written(_kept_folder(), name, source)
    except OSError:
        # For this process alone: what is executed must not be anybody else's.
        file = _written(Path(tempfile.mkdtemp(prefix="hierrl_recursions_")), name, source)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _kept_folder() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return (Path(chosen) if chosen else Path(user_cache_dir("hierrl"))) / "recursions"


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
