"""Log-densities of PyMC models at points, without compiling anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor
import pytest

from hierrl.posterior.coordinates import Point, coordinates_of
from hierrl.posterior.layout import Layout

SLOWLY = pytensor.compile.mode.Mode(linker="py", optimizer="fast_compile")
"""Runs ``perform`` of our Ops and compiles nothing."""

PARAMETRIZATIONS = ("informed", "noncentered", "centered")


def at(pm_model: pm.Model, layout: Layout, values: Point) -> dict[str, npt.NDArray[Any]]:
    """A point of a model's value variables for values of its free variables."""
    z = coordinates_of(layout, values.reshaped(0, (1,))).reshaped(1, ())
    names = [pm_model.rvs_to_values[pm_model[name]].name for name in layout.free]
    return dict(zip(names, z, strict=False))


def assert_gradient_agrees(
    pm_model: pm.Model, point: dict[str, npt.NDArray[Any]], *, rel: float = 1e-4, absolute: float = 1e-3
) -> None:
    """The gradient of the log-density along a random direction is that of differences."""
    logp, slope = pm_model.compile_logp(mode=SLOWLY), pm_model.compile_dlogp(mode=SLOWLY)(point)
    rng = np.random.default_rng(0)
    direction = {key: rng.normal(size=np.shape(value)) for key, value in point.items()}
    ends = [logp({k: v + h * direction[k] for k, v in point.items()}) for h in (1e-6, -1e-6)]
    along = np.concatenate([np.ravel(direction[v.name]) for v in pm_model.continuous_value_vars])
    assert slope @ along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=rel, abs=absolute)
