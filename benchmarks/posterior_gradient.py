"""What the log-likelihood of all subjects and all its derivatives cost, ours and JAX's, in turns in one process."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np
import numpy.typing as npt
from jax import lax
from posterior_numpyro import all_loglik
from posterior_studies import Arrays, Study
from pytensor.graph.traversal import ancestors

import hierrl as hr
from hierrl.posterior.op import SubjectLogLik

FloatArray = npt.NDArray[np.float64]

INSIDE = 20
"""Evaluations in a call, one after the other, as in a sampler: no call from Python in between."""
ROUNDS = 60
STEP = 1e-9
"""Each evaluation moves the parameters by this share of the gradient, so that none can be left out."""
UNROLLS = (1, 2, 8)
NANO = 1e9
BITS = ("64", "32")


def main() -> None:
    job = json.loads(sys.argv[1])
    print(json.dumps({**job, **measure(job["study"], job["seed"])}))


def measure(name: str, seed: int = 1) -> dict[str, Any]:
    """Nanoseconds per trial: median, and over rounds the quartiles of ours divided by theirs."""
    study = Study.of(name)
    theta = start(study.data.sizes["subject"], seed)
    trials = study.data.sizes["trial"] * INSIDE
    forms = {"ours": ours(study), **theirs(study.arrays("weak"))}
    calls = {form: ready(call, theta, form) for form, call in forms.items()}
    seconds = {form: np.empty(ROUNDS) for form in calls}
    for k, form in itertools.product(range(ROUNDS), calls):
        began = time.perf_counter()
        calls[form]()
        seconds[form][k] = time.perf_counter() - began
    cost = {form: NANO * found / trials for form, found in seconds.items()}
    middle = {form: float(np.median(found)) for form, found in cost.items()}
    best = {bits: min((f for f in cost if f.startswith(bits)), key=middle.__getitem__) for bits in BITS}
    return {
        "ns": middle,
        "best": best,
        "ratio": {
            bits: [float(q) for q in np.quantile(cost[form] / cost["ours"], [0.25, 0.5, 0.75])]
            for bits, form in best.items()
        },
        "error": agreement(study, theta),
    }


def start(n_subjects: int, seed: int) -> FloatArray:
    """Rates and weights (S, 2) as they are met in sampling."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(0.1, 0.9, n_subjects), rng.uniform(0.5, 6.0, n_subjects)])


def ready(call: Callable[[Any], Any], theta: FloatArray, form: str) -> Callable[[], Any]:
    """The call with its argument, compiled."""
    if form == "ours":
        at: Any = theta
    else:
        at = jnp.asarray(theta.T, dtype=jnp.float64 if form.startswith("64") else jnp.float32)
    call(at)
    return lambda: call(at)


def ours(study: Study) -> Callable[[FloatArray], Any]:
    """What the sampler's compiled model calls."""
    call = numba.njit(SubjectLogLik().function())
    arrays = compiled_arguments(study)

    @numba.njit
    def several(theta: Any, *arrays: Any) -> Any:
        at, total = theta.copy(), 0.0
        for _ in range(INSIDE):
            value, gradient = call(at, *arrays)
            total += value.sum()
            for s in range(at.shape[0]):
                for p in range(at.shape[1]):
                    at[s, p] += STEP * gradient[s, p]
        return total

    return lambda theta: several(theta, *arrays)


def compiled_arguments(study: Study) -> list[npt.NDArray[Any]]:
    """What `SubjectLogLik` is given in the sampler's model, after the parameters."""
    graph = hr.pymc_model(study.model, study.data, prior=study.prior("weak")).logp()
    node = next(v.owner for v in ancestors([graph]) if v.owner and isinstance(v.owner.op, SubjectLogLik))
    return [variable.eval() for variable in node.inputs[1:]]


def theirs(arrays: Arrays) -> dict[str, Callable[[Any], Any]]:
    """JAX in both precisions: reverse mode, and forward mode, which needs no memory of the trials."""
    found = {}
    for (bits, dtype), unroll in itertools.product((("64", jnp.float64), ("32", jnp.float32)), UNROLLS):
        loglik = all_loglik(arrays, unroll=unroll, dtype=dtype)
        for mode, make in (("reverse", reverse), ("forward", forward)):
            found[f"{bits} {mode}, unroll {unroll}"] = repeated(make(loglik))
    return found


def reverse(loglik: Callable[..., Any]) -> Callable[[Any], Any]:
    """Value and gradient (2, S) at (2, S) as samplers take it."""
    return jax.value_and_grad(lambda theta: loglik(theta[0], theta[1]).sum())


def forward(loglik: Callable[..., Any]) -> Callable[[Any], Any]:
    """The same by derivatives along both parameters of all subjects at once: no subject acts on another."""

    def value_and_gradient(theta: Any) -> Any:
        def along(direction: Any) -> Any:
            tangent = jnp.broadcast_to(direction[:, None], theta.shape)
            return jax.jvp(lambda both: loglik(both[0], both[1]), (theta,), (tangent,))

        values, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(2, dtype=theta.dtype))
        return values.sum(), slopes

    return value_and_gradient


def repeated(value_and_gradient: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several evaluations in one call."""

    def step(_: Any, state: Any) -> Any:
        theta, total = state
        value, gradient = value_and_gradient(theta)
        return theta + STEP * gradient, total + value

    @jax.jit
    def several(theta: Any) -> Any:
        return lax.fori_loop(0, INSIDE, step, (theta, jnp.zeros((), theta.dtype)))[1]

    return lambda theta: several(theta).block_until_ready()


def agreement(study: Study, theta: FloatArray) -> float:
    """Largest difference between our derivatives and JAX's in double precision, relative to the largest."""
    loglik = all_loglik(study.arrays("weak"))
    known = np.asarray(jax.grad(lambda both: loglik(both[0], both[1]).sum())(jnp.asarray(theta.T))).T
    found = numba.njit(SubjectLogLik().function())(theta, *compiled_arguments(study))[1]
    return float(np.abs(found - known).max() / np.abs(known).max())


if __name__ == "__main__":
    main()
