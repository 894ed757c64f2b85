"""Coordinates in which a sampler moves easily, as PyMC transforms: the model stays the same whichever is used.

A transform may only use what is in the graph of its variable. `normal_in_coordinates` makes a normal variable that
takes a transform's arrays along as further inputs. (Constants would do too, but would get into compiled code, which
then would serve a single study.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from hierrl.posterior.op import InformedCoordinates, InformedMap


def normal_in_coordinates(
    name: str,
    mean: Any,
    sigma: Any,
    *arrays: Any,
    signature: str,
    transform: Transform,
    dims: tuple[str, ...] | None,
    initval: npt.ArrayLike | None = None,
) -> Any:
    """A normal variable whose transform may use `arrays`.

    `signature` is that of NumPy's generalised functions: of mean, sigma and arrays; all dims of the variable are core.
    """
    return pm.CustomDist(
        name,
        mean,
        sigma,
        *arrays,
        logp=_logp,
        dist=_dist,
        signature=signature,
        transform=transform,
        class_name="Normal",
        dims=dims,
        initval=initval,
    )


def correlated_normal(
    name: str,
    mean: Any,
    root: Any,
    *arrays: Any,
    signature: str,
    transform: Transform | None,
    dims: tuple[str, ...],
    initval: npt.ArrayLike | None = None,
) -> Any:
    """Correlated normal rows (S, P); `root` (S, P, P), W with :math:`W^\\top W` the precision of each.

    Otherwise as `normal_in_coordinates`.
    """
    options: dict[str, Any] = {"transform": transform} if transform else {}
    return pm.CustomDist(
        name,
        mean,
        root,
        *arrays,
        logp=_correlated_logp,
        dist=_correlated_dist,
        signature=signature,
        class_name="CorrelatedNormal",
        dims=dims,
        initval=initval,
        **options,
    )


def _correlated_logp(value: Any, mean: Any, root: Any, *_: Any) -> Any:
    z = (root * (value - mean)[:, None, :]).sum(axis=2)
    logs: Any = pt.log(pt.diagonal(root, axis1=1, axis2=2))
    return logs.sum() - 0.5 * (z**2).sum() - 0.5 * np.log(2 * np.pi) * value.size


def _correlated_dist(mean: Any, root: Any, *_: Any) -> Any:
    centre: Any = pt.zeros_like(mean)
    z = pm.Normal.dist(centre, 1.0)
    nothing = (pt.zeros_like(root), pt.zeros_like(mean))
    return InformedMap()(z, mean, _precision(root), pt.arange(mean.shape[0]), *nothing)[0]


def _precision(root: Any) -> Any:
    # A sum of products: PyTensor's matrix products take ten times longer to compile.
    return (root[:, :, :, None] * root[:, :, None, :]).sum(axis=1)


def _logp(value: Any, mean: Any, sigma: Any, *_: Any) -> Any:
    density: Any = pm.logp(pm.Normal.dist(mean, sigma), value)
    return density.sum()


def _dist(mean: Any, sigma: Any, *_: Any) -> Any:
    return pm.Normal.dist(mean, sigma)


class Whitened(Transform):
    r"""Coordinates u of a vector, :math:`x = c + L u`, with about unit scale and no correlation a posteriori.

    The variable's arrays: L, lower Cholesky factor of what the posterior covariance probably is, and its inverse. A
    bad guess only costs speed. The centre c is the variable's mean.
    """

    name = "whitened"
    ndim_supp = 1

    def forward(
        self, value: Any, _: Any, mean: Any, sigma: Any, factor: Any, inverse: Any, *rest: Any
    ) -> Any:
        return (inverse * (value - mean)).sum(axis=1)

    def backward(
        self, value: Any, _: Any, mean: Any, sigma: Any, factor: Any, inverse: Any, *rest: Any
    ) -> Any:
        # A product and a sum: PyTensor's matrix products take ten times longer to compile.
        return mean + (factor * value).sum(axis=1)

    def log_jac_det(
        self, value: Any, _: Any, mean: Any, sigma: Any, factor: Any, inverse: Any, *rest: Any
    ) -> Any:
        logs: Any = pt.log(pt.diagonal(factor))
        return logs.sum()


class NonCentered(Transform):
    r"""Standard normal coordinates of a normal variable, :math:`\eta = \mu + \sigma z`."""

    name = "noncentered"
    ndim_supp = 0

    def forward(self, value: Any, *inputs: Any) -> Any:
        mean, sigma = inputs[-2:]
        return (value - mean) / sigma

    def backward(self, value: Any, *inputs: Any) -> Any:
        mean, sigma = inputs[-2:]
        return mean + sigma * value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        log_sigma: Any = pt.log(inputs[-1])
        return pt.zeros_like(value) + log_sigma


class Informed(Transform):
    """Coordinates that take the subjects' own trials into account: see `hierrl.kernels.informed`.

    The variable's mean is (S, P), its standard deviation (1, P) or (S, P). Its arrays: identity matrix (P, P), group
    (S,) of each subject (the row of the standard deviations), curvature (S, P, P) and pull (S, P) of the sites.
    """

    name = "informed"
    ndim_supp = 2

    def forward(self, value: Any, *inputs: Any) -> Any:
        return InformedCoordinates()(value, *_arguments(*inputs))

    def backward(self, value: Any, *inputs: Any) -> Any:
        return InformedMap()(value, *_arguments(*inputs))[0]

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return InformedMap()(value, *_arguments(*inputs))[1].sum()


def _arguments(_: Any, mean: Any, sigma: Any, identity: Any, *sites: Any) -> tuple[Any, ...]:
    group, curvature, pull = sites[:3]
    return mean, identity * (sigma**-2.0)[:, :, None], group, curvature, pull


class CorrelatedInformed(Informed):
    """As `Informed`, for `correlated_normal`: its arrays are group (S,) (of the root's rows), curvature and pull."""

    name = "informed"

    def forward(self, value: Any, *inputs: Any) -> Any:
        return InformedCoordinates()(value, *_correlated_arguments(*inputs))

    def backward(self, value: Any, *inputs: Any) -> Any:
        return InformedMap()(value, *_correlated_arguments(*inputs))[0]

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return InformedMap()(value, *_correlated_arguments(*inputs))[1].sum()


def _correlated_arguments(_: Any, mean: Any, root: Any, *sites: Any) -> tuple[Any, ...]:
    return mean, _precision(root), *sites[:3]
