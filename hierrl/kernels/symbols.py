"""The likelihood behind C symbols, for callers that compile a new function for every model, as samplers do.

With the kernels inlined into such a function they would be optimised anew each time, which takes half a
minute.
A symbol is compiled once per machine and read from the cache afterwards. Its callers can be cached too, since
they know its name and not its address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from numba import carray, types

from hierrl.kernels.abreast import all_pass
from hierrl.kernels.jit import njit
from hierrl.kernels.lanes import Lanes
from hierrl.kernels.likelihood import trial_pass
from hierrl.kernels.loops import INNER, JIT
from hierrl.kernels.tables import Tables
from hierrl.kernels.trials import Trials

FLOATS, INTS, SHORTS, BYTES, FLAGS = (
    types.CPointer(t) for t in (types.float64, types.int64, types.int16, types.int8, types.boolean)
)

# sizes; the arrays of Lanes; those of PackedTables; theta and two outputs
BY_LANE = types.int64(
    INTS,
    *(INTS, INTS, INTS, BYTES, SHORTS, BYTES, BYTES, FLOATS, FLOATS, BYTES, FLOATS, INTS),
    *(INTS, FLOATS, FLOATS, FLOATS, FLOATS),
)
N_LANE_SIZES = 14

# sizes; the arrays of Trials; the rest as above
BY_TRIAL = types.int64(
    INTS,
    *(INTS, INTS, FLAGS, FLAGS, BYTES, FLOATS, FLOATS, FLAGS, FLOATS, INTS),
    *(INTS, FLOATS, FLOATS, FLOATS, FLOATS),
)
N_TRIAL_SIZES = 12


class PackedTables(NamedTuple):
    """`Tables` as two vectors, so that a caller hands over two arrays for the model instead of twenty."""

    integers: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]


def pack_tables(tables: Tables) -> PackedTables:
    """Shapes and values of the integer tables; number of the coefficients, coefficients and constants."""
    integers = [getattr(tables, name) for name in Tables._fields if name not in ("coefficient", "constants")]
    parts = [part for table in integers for part in (table.shape, table.ravel())]
    numbers = [[tables.coefficient.size], tables.coefficient, tables.constants]
    return PackedTables(np.concatenate(parts).astype(np.int64), np.concatenate(numbers).astype(np.float64))


@njit(**INNER)
def _vector(a, at):
    end = at + 1 + a[at]
    return a[at + 1 : end], end


@njit(**INNER)
def _matrix(a, at):
    end = at + 2 + a[at] * a[at + 1]
    return a[at + 2 : end].reshape((a[at], a[at + 1])), end


@njit(**INNER)
def _cube(a, at):
    end = at + 3 + a[at] * a[at + 1] * a[at + 2]
    return a[at + 3 : end].reshape((a[at], a[at + 1], a[at + 2])), end


@njit(**JIT)
def unpack_tables(integers, numbers):
    """The inverse of `pack_tables`: views of its vectors, in the order of the fields of `Tables`."""
    value, at = _cube(integers, 0)
    slot, at = _matrix(integers, at)
    n_slots, at = _vector(integers, at)
    slot_local, at = _cube(integers, at)
    weight_value, at = _cube(integers, at)
    weight_local, at = _cube(integers, at)
    unchosen, at = _vector(integers, at)
    accumulate, at = _vector(integers, at)
    split, at = _vector(integers, at)
    by_reward, at = _vector(integers, at)
    power, at = _vector(integers, at)
    learner, at = _vector(integers, at)
    bias_value, at = _vector(integers, at)
    bias_local, at = _vector(integers, at)
    regressor_value, at = _vector(integers, at)
    regressor_local, at = _matrix(integers, at)
    lapse_value, at = _vector(integers, at)
    lapse_scalar, at = _vector(integers, at)
    arm_scalars, at = _matrix(integers, at)
    n_arm_scalars, at = _vector(integers, at)
    missed_decay, at = _vector(integers, at)
    n_contexts, at = _vector(integers, at)
    n_channels = int(numbers[0])
    coefficient, constants = numbers[1 : 1 + n_channels], numbers[1 + n_channels :]
    shapes = (value, slot, n_slots, slot_local, weight_value, weight_local, coefficient)
    rules = (unchosen, accumulate, split, by_reward, power, learner)
    others = (bias_value, bias_local, regressor_value, regressor_local, lapse_value, lapse_scalar)
    layout = (arm_scalars, n_arm_scalars, missed_decay, n_contexts, constants)
    return Tables(*(shapes + rules + others + layout))


@njit(**INNER)
def _lanes(z, pointers):
    """Lanes behind C pointers; sizes z as `loglik_caller` writes them."""
    k, width, rows, n_channels, m = z[2], z[3], z[4], z[5], z[6]
    return Lanes(
        carray(pointers[0], (k, width)),
        carray(pointers[1], (k + 1,)),
        carray(pointers[2], (rows,)),
        carray(pointers[3], (rows,)),
        carray(pointers[4], (rows, width)),
        carray(pointers[5], (rows, width)),
        carray(pointers[6], (n_channels, m, rows, width)),
        carray(pointers[7], (n_channels, m, rows, width)),
        carray(pointers[8], (n_channels, m, z[11], width)),
        carray(pointers[9], (m, z[7], width)),
        carray(pointers[10], (z[8], m, z[9], width)),
        carray(pointers[11], (n_channels, z[10], width)),
    )


@njit(**JIT)
def loglik_in_c(
    sizes,
    subject,
    first,
    active,
    starts,
    choice,
    reset,
    kind,
    target,
    log_size,
    shown,
    regressor,
    context,
    ints,
    numbers,
    theta,
    value,
    gradient,
):
    """Log-likelihood (S,) and gradient (S, P) at theta (S, P), natural scale."""
    z = carray(sizes, (N_LANE_SIZES,))
    lanes = _lanes(
        z, (subject, first, active, starts, choice, reset, kind, target, log_size, shown, regressor, context)
    )
    tables = unpack_tables(carray(ints, (z[12],)), carray(numbers, (z[13],)))
    by_scalar = (z[0], z[1])
    at, out, slope = carray(theta, by_scalar), carray(value, (z[0],)), carray(gradient, by_scalar)
    all_pass(tables, lanes, at, out, slope)
    return 0


@njit(**INNER)
def _trials(z, pointers):
    """Trials behind C pointers; sizes z as `probability_caller` writes them."""
    n_subjects, n, n_channels, m = z[0], z[2], z[3], z[4]
    return Trials(
        carray(pointers[0], (n_subjects + 1,)),
        carray(pointers[1], (n,)),
        carray(pointers[2], (n,)),
        carray(pointers[3], (n,)),
        carray(pointers[4], (n_channels, m, n)),
        carray(pointers[5], (n_channels, m, n)),
        carray(pointers[6], (n_channels, m, z[9])),
        carray(pointers[7], (m, z[5])),
        carray(pointers[8], (z[6], m, z[7])),
        carray(pointers[9], (n_channels, z[8])),
    )


@njit(**JIT)
def probability_in_c(
    sizes,
    offset,
    choice,
    reset,
    scored,
    kind,
    target,
    log_size,
    shown,
    regressor,
    context,
    ints,
    numbers,
    theta,
    p,
    loglik,
):
    """Choice probabilities (m, n) and log-likelihood (n,) of the choices at theta (S, P), natural scale."""
    z = carray(sizes, (N_TRIAL_SIZES,))
    trials = _trials(z, (offset, choice, reset, scored, kind, target, log_size, shown, regressor, context))
    tables = unpack_tables(carray(ints, (z[10],)), carray(numbers, (z[11],)))
    n_channels, m, n = trials.kind.shape
    path, subjects, at = np.empty((n_channels, m, n)), np.arange(z[0]), carray(theta, (z[0], z[1]))
    trial_pass(tables, trials, subjects, at, path, carray(p, (m, n)), carray(loglik, (n,)))
    return 0


@cache
def symbol(function: Any, signature: Any) -> Any:
    """`function` by a name that compiled code can call, once it is compiled or read from the cache."""
    function.compile(signature.args)
    compiled = function.overloads[signature.args]
    name = f"hierrl_{function.__name__}"
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
    llvmlite.binding.add_symbol(name, address)
    return types.ExternalFunction(name, signature)


def loglik_caller() -> Callable[..., None]:
    """A plain function, to be compiled by its user, that hands arrays over to `loglik_in_c`.

    Its arguments are theta (S, P), value (S,) and gradient (S, P), the arrays of `Lanes` and of `PackedTables`, all
    of them C-contiguous.
    """
    in_c = symbol(loglik_in_c, BY_LANE)

    def call(theta, value, gradient, subject, first, active, starts, *rest):
        choice, reset, kind, target, log_size, shown, regressor, context, ints, numbers = rest
        n_channels, m, rows, width = kind.shape
        shape = (theta.shape[0], theta.shape[1], subject.shape[0], width, rows, n_channels, m)
        optional = (
            shown.shape[1],
            regressor.shape[0],
            regressor.shape[2],
            context.shape[1],
            log_size.shape[2],
        )
        sizes = np.array((*shape, *optional, ints.size, numbers.size))
        bytes_ = (starts.view(np.int8).ctypes, choice.view(np.int16).ctypes, reset.view(np.int8).ctypes)
        by_lane = (
            *bytes_,
            kind.view(np.int8).ctypes,
            target.ctypes,
            log_size.ctypes,
            shown.view(np.int8).ctypes,
        )
        others = (regressor.ctypes, context.ctypes, ints.ctypes, numbers.ctypes)
        layout = (subject.ctypes, first.ctypes, active.ctypes)
        in_c(sizes.ctypes, *layout, *by_lane, *others, theta.ctypes, value.ctypes, gradient.ctypes)

    return call


def probability_caller() -> Callable[..., None]:
    """As `loglik_caller` for `probability_in_c`: theta, two outputs, the arrays of `Trials` (``kind`` may be uint8)
    and of `PackedTables`.
    """
    in_c = symbol(probability_in_c, BY_TRIAL)

    def call(
        theta,
        first,
        second,
        offset,
        choice,
        reset,
        scored,
        kind,
        target,
        log_size,
        shown,
        regressor,
        context,
        ints,
        numbers,
    ):
        n_channels, m, n = kind.shape
        optional = (
            shown.shape[1],
            regressor.shape[0],
            regressor.shape[2],
            context.shape[1],
            log_size.shape[2],
        )
        shape = (theta.shape[0], theta.shape[1], n, n_channels, m)
        sizes = np.array((*shape, *optional, ints.size, numbers.size))
        by_trial = (choice.ctypes, reset.ctypes, scored.ctypes, kind.view(np.int8).ctypes, target.ctypes)
        others = (
            log_size.ctypes,
            shown.ctypes,
            regressor.ctypes,
            context.ctypes,
            ints.ctypes,
            numbers.ctypes,
        )
        in_c(sizes.ctypes, offset.ctypes, *by_trial, *others, theta.ctypes, first.ctypes, second.ctypes)

    return call
