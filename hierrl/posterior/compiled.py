"""A PyMC model compiled for nutpie, once per machine.

`nutpie.compile_pymc_model` bakes the sizes of all variables into its functions and compiles the C entry points
anew in each process: ten seconds or more for every fit. Here sizes are read at run time, so that the same machine
code serves every model of the same structure, and PyTensor's and numba's caches keep it.

This builds nutpie's own class, whose fields are not a public interface. If they change, `compile_model` does what
`nutpie.compile_pymc_model` does, more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import nutpie
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from pymc.pytensorf import compile as compile_function
from pymc.pytensorf import rewrite_pregrad

from hierrl.posterior.op import EXPAND_IN_C, LOGP_IN_C, c_function

FloatArray = npt.NDArray[np.float64]
Start = Callable[[int], Mapping[str, npt.ArrayLike]]

# Only what is sampled is stored: everything else follows from it afterwards, for all draws at once.
EXPAND = """
def expand_in_c(dim, expanded, x_, out_, layout_):
    x, out = carray(x_, (dim,)), carray(out_, (expanded,))
    for i in range(dim):
        out[i] = x[i]
    return 0
"""

# The return values are nutpie's: 3 and 4 make the step a divergence.
LOGP = """
def logp_in_c(dim, x_, gradient_, logp_, layout_):
    try:
        layout = carray(layout_, ({length},), np.int64)
        x, gradient, logp = carray(x_, (dim,)), carray(gradient_, (dim,)), carray(logp_, (1,))
        value, {slopes} = function(*({arguments}))
        logp[0] = value[()]
        at = 0
        {copies}
        for i in range(dim):
            if not np.isfinite(gradient[i]):
                return 3
        if not np.isfinite(logp[0]):
            return 4
    except Exception:
        return 1
    return 0
"""


def compile_model(model: pm.Model, start: Start) -> Any:
    """What `nutpie.sample` takes. Draws hold the free variables in the sampler's coordinates, and nothing else.

    (If nutpie's class has changed: the free variables as they are, and starting values are nutpie's.)

    Parameters
    ----------
    model : pm.Model
        Its free variables are float64.
    start : callable
        Seed -> starting value of every free variable by the name of its value variable.
    """
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    shapes = [np.shape(start(0)[name]) for name in names]
    try:
        return _compile(model, names, shapes, start)
    except (AttributeError, ImportError, TypeError):
        return nutpie.compile_pymc_model(model, var_names=[rv.name for rv in model.free_RVs])


def _compile(model: pm.Model, names: list[str], shapes: list[tuple[int, ...]], start: Start) -> Any:
    # What is imported inside a function may be missing one day: see the top of this file.
    from nutpie.compile_pymc import CompiledPyMCModel

    function = logp_and_gradient(model)
    shared = function.get_shared()
    arrays = {str(k): np.array(variable.get_value(), order="C") for k, variable in enumerate(shared)}
    layout, arguments = _layout(shapes, list(arrays.values()))
    return CompiledPyMCModel(
        dims=dict(model.named_vars_to_dims),
        _coords={name: pd.Index(values) for name, values in model.coords.items()},
        compiled_logp_func=c_function(
            _logp_source(arguments, len(names), layout.size), "logp_in_c", LOGP_IN_C, function.vm.jit_fn
        ),
        compiled_expand_func=c_function(EXPAND, "expand_in_c", EXPAND_IN_C, function.vm.jit_fn),
        shared_var_keys={variable: str(k) for k, variable in enumerate(shared)},
        logp_func=function,
        expand_func=None,
        reparameterized_names=[],
        **_sized(names, shapes, arrays, start),
    )


def _sized(
    names: list[str], shapes: list[tuple[int, ...]], arrays: dict[str, npt.NDArray[Any]], start: Start
) -> dict[str, Any]:
    """The fields of nutpie's class that depend on the data."""
    size = sum(map(_size, shapes))
    return {
        "_n_dim": size,
        "_shapes": dict(zip(names, shapes, strict=True)),
        "initial_point_func": lambda seed: np.concatenate([np.ravel(start(seed)[name]) for name in names]),
        "shared_data": arrays,
        "user_data": _layout(shapes, list(arrays.values()))[0],
        "n_expanded": size,
        "shape_info": (names, None, shapes),
    }


def is_resizable(compiled: Any) -> bool:
    """Whether `with_arrays` may change sizes: the fast path of `compile_model` was taken."""
    return compiled.user_data.ndim == 1


def with_arrays(compiled: Any, arrays: Mapping[str, npt.NDArray[Any]], start: Start) -> Any:
    """A compiled model with other data, by the names of its shared variables, and other starting values.

    Nothing is compiled. Sizes may differ if `is_resizable`; without, starting values stay what they were.
    """
    if not is_resizable(compiled):
        return compiled.with_data(**arrays)
    data = {
        key: np.array(arrays.get(variable.name, compiled.shared_data[key]), order="C")
        for variable, key in compiled.shared_var_keys.items()
    }
    names = list(compiled.shape_info[0])
    shapes = [np.shape(start(0)[name]) for name in names]
    return replace(compiled, **_sized(names, shapes, data, start))


def logp_and_gradient(model: pm.Model) -> Any:
    """The function of all free variables that gives the log-density and its gradient in each of them."""
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    # Merges what variables compute in common, before each copy gets a gradient of its own.
    logp: Any = rewrite_pregrad(model.logp())
    slopes: Any = pt.grad(logp, values)
    with model:
        return compile_function(values, [logp, *slopes], mode="NUMBA")


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _layout(
    shapes: list[tuple[int, ...]], arrays: list[npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Where everything is, as numbers, and the source of the arguments that are made of them."""
    numbers: list[int] = []
    arguments: list[str] = []
    ends = np.cumsum([0, *map(_size, shapes)])
    for first, last, shape in zip(ends, ends[1:], shapes, strict=False):
        at = len(numbers)
        numbers += [int(first), int(last), *shape]
        arguments.append(f"x[layout[{at}]:layout[{at + 1}]].reshape({_entries(at + 2, len(shape))})")
    for array in arrays:
        at = len(numbers)
        numbers += [array.ctypes.data, *array.shape]
        arguments.append(
            f"carray(as_pointer(layout[{at}]), {_entries(at + 1, array.ndim)}, np.{array.dtype})"
        )
    return np.array(numbers, dtype=np.int64), arguments


def _entries(first: int, count: int) -> str:
    return "(" + "".join(f"layout[{first + k}], " for k in range(count)) + ")"


AT_ONCE = 25
"""Python compiles longer lists of arguments into instructions that numba does not know."""


def _joined(arguments: list[str]) -> str:
    """A sum of short tuples."""
    parts = [arguments[first : first + AT_ONCE] for first in range(0, len(arguments), AT_ONCE)]
    return " + ".join(f"({', '.join(part)},)" for part in parts)


def _logp_source(arguments: list[str], n_variables: int, length: int) -> str:
    slopes = [f"slope{k}" for k in range(n_variables)]
    copies = [f"at = copy({slope}, gradient, at)" for slope in slopes]
    return LOGP.format(
        length=length,
        slopes=", ".join(slopes),
        arguments=_joined(arguments),
        copies="\n        ".join(copies),
    )
