r"""The posterior of the population alone, as a PyMC model whose likelihood are importance points.

.. math:: \log p(\phi | y) = \log p(\phi) + \sum_s \log \hat L_s(x_s^\top \Gamma, \sigma) + \text{const}, \qquad
          \phi = (\Gamma, \log \sigma).

One vector holds all numbers of the population, in coordinates in which its posterior is about standard normal. Every
size is read from the data at run time, so that one compiled function serves all studies of a process, and PyTensor's
and numba's caches those of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor

from hierrl.marginal import Points
from hierrl.posterior.compiled import Start, compile_model, is_resizable, with_arrays
from hierrl.posterior.marginal_phi import Phi, group_of
from hierrl.posterior.op import LogMarginal
from hierrl.posterior.transforms import Whitened, normal_in_coordinates

FloatArray = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

PHI = "phi"
IN_COORDINATES = "phi_whitened__"
"""Its value in the sampler's coordinates."""

ARRAYS = ("shapes", "design", "owner", "group", "floor", "centre", "eta", "log_ratio")
"""Arguments of `LogMarginal` after phi."""

_COMPILED: list[Any] = []
"""What was compiled in this process, if it serves every study."""


def group_arrays(phi: Phi, factor: FloatArray, floor: FloatArray) -> dict[str, npt.NDArray[Any]]:
    """What the model needs of a study besides points.

    `factor` (D, D) is a root of the covariance of phi, `floor` (S, P) where standard deviations are raised to.
    """
    population, (loc, scale) = phi.population, phi.prior
    return {
        "loc": loc,
        "scale": scale,
        "factor": factor,
        "inverse": np.linalg.inv(factor),
        "shapes": population.partial_shapes if phi.n_partial else np.empty(0),
        "design": population.design,
        "owner": population.owner,
        "group": group_of(population),
        "floor": floor,
    }


def point_arrays(points: Points) -> dict[str, npt.NDArray[Any]]:
    """What the model needs of the points of a chain: single precision, so measured from where each subject is.

    The constants that this takes from the log-likelihood play no part in sampling.
    """
    best = points.log_ratio.max(axis=1, keepdims=True)
    centre = points.eta.mean(axis=2)
    return {
        "centre": centre,
        "eta": (points.eta - centre[:, :, None]).astype(np.float32),
        "log_ratio": (points.log_ratio - best).astype(np.float32),
    }


def write_group_model(arrays: Arrays) -> pm.Model:
    """The PyMC model; its free variable ``phi`` (D,) is laid out as in `hierrl.posterior.marginal_phi`."""
    given: dict[str, Any] = {name: pytensor.shared(values, name=name) for name, values in arrays.items()}
    # Scales of priors are positive already: no need to check them at every step.
    with pm.Model(check_bounds=False) as model:
        phi = normal_in_coordinates(
            PHI,
            *(given[name] for name in ("loc", "scale", "factor", "inverse")),
            signature="(t),(t),(t,t),(t,t)->(t)",
            transform=Whitened(),
            dims=None,
        )
        log_marginal = LogMarginal()(phi, *(given[name] for name in ARRAYS))[0]
        pm.Potential("log_marginal", log_marginal.sum())
    return model


def compile_group_model(arrays: Arrays, start: Start) -> Any:
    """What `nutpie.sample` takes, compiled in this process or taken from an earlier study."""
    if not _COMPILED:
        compiled = compile_model(write_group_model(_small(arrays)), start)
        if not is_resizable(compiled):
            return compile_model(write_group_model(arrays), start)
        _COMPILED.append(compiled)
    return with_arrays(_COMPILED[0], arrays, start)


def _small(arrays: Arrays) -> Arrays:
    """A study of one subject with one point: what was compiled keeps its arrays for the life of the process."""
    one = np.s_[:1]
    first = {
        "eta": np.s_[:1, :, :1],
        "log_ratio": np.s_[:1, :1],
        "design": one,
        "group": one,
        "floor": one,
        "centre": one,
    }
    return {name: values[first[name]].copy() if name in first else values for name, values in arrays.items()}
