"""The model in NumPyro, as one who knows it would write it: `lax.scan` over trials, `vmap` over subjects, non-centred.

Two arms need only the difference of their logits; where both values fade at one rate the difference is the whole
state. Host devices and precision are set by environment variables before JAX is imported: see `environment`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax
from numpyro.infer import MCMC, NUTS
from posterior_studies import Arrays

CHAINS, TUNE, DRAWS = 4, 1000, 1000
UNROLL = 1
"""Trials in a turn of the compiled loop. The part *gradient* of the benchmark tries others: more are no faster here,
and take longer to compile."""
COMPILING = "/jax/core/compile/"


def subject_loglik(arrays: Arrays, *, unroll: int = UNROLL) -> Callable[..., Any]:
    """Log-likelihood of one subject: function of rate, weight, choices (T,) and rewards (T,)."""
    return _fading(unroll) if arrays.fades else _holding(arrays.start, unroll)


def _fading(unroll: int) -> Callable[..., Any]:
    def loglik(alpha: Any, beta: Any, choice: Any, reward: Any) -> Any:
        side = 2.0 * choice - 1.0

        def trial(state: Any, seen: Any) -> Any:
            apart, total = state
            side, reward = seen
            total += jax.nn.log_sigmoid(side * beta * apart)
            return (apart + alpha * (side * reward - apart), total), None

        zero = jnp.zeros_like(alpha)
        return lax.scan(trial, (zero, zero), (side, reward), unroll=unroll)[0][1]

    return loglik


def _holding(start: float, unroll: int) -> Callable[..., Any]:
    def loglik(alpha: Any, beta: Any, choice: Any, reward: Any) -> Any:
        def trial(state: Any, seen: Any) -> Any:
            first, second, total = state
            choice, reward = seen
            total += jax.nn.log_sigmoid((2.0 * choice - 1.0) * beta * (second - first))
            second += choice * alpha * (reward - second)
            first += (1.0 - choice) * alpha * (reward - first)
            return (first, second, total), None

        value = jnp.full_like(alpha, start)
        state = (value, value, jnp.zeros_like(alpha))
        return lax.scan(trial, state, (choice, reward), unroll=unroll)[0][2]

    return loglik


def all_loglik(arrays: Arrays, *, unroll: int = UNROLL, dtype: Any = float) -> Callable[..., Any]:
    """Log-likelihood (S,) of all subjects: function of rates (S,) and weights (S,)."""
    choice, reward = jnp.asarray(arrays.choice, dtype=dtype), jnp.asarray(arrays.reward, dtype=dtype)
    each = jax.vmap(subject_loglik(arrays, unroll=unroll), in_axes=(0, 0, 1, 1))
    return lambda alpha, beta: each(alpha, beta, choice, reward)


def model(arrays: Arrays) -> Callable[[], None]:
    """The hierarchical model."""
    loglik, n_subjects = all_loglik(arrays), arrays.choice.shape[1]

    def written() -> None:
        mu = numpyro.sample("mu", dist.Normal(*map(jnp.asarray, arrays.mu)).to_event(1))
        log_sigma = numpyro.sample("log_sigma", dist.Normal(*map(jnp.asarray, arrays.log_sigma)).to_event(1))
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand((n_subjects, 2)).to_event(2))
        eta = numpyro.deterministic("eta", mu + jnp.exp(log_sigma) * z)
        numpyro.factor("loglik", loglik(jax.nn.sigmoid(eta[:, 0]), jnp.exp(eta[:, 1])).sum())

    return written


def environment(bits: int, devices: int = CHAINS) -> dict[str, str]:
    """Environment variables of a process with so many host devices, in single or double precision."""
    return {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_ENABLE_X64": str(int(bits == 64)),
        "JAX_PLATFORMS": "cpu",
    }


def sample(
    arrays: Arrays, seed: int, *, chain_method: str = "parallel"
) -> tuple[dict[str, Any], dict[str, float]]:
    """Draws by name, and seconds: of compilation, and of all else."""
    spans: list[tuple[float, float]] = []

    def heard(event: str, seconds: float, **_: Any) -> None:
        if event.startswith(COMPILING):
            now = time.perf_counter()
            spans.append((now - seconds, now))

    jax.monitoring.register_event_duration_secs_listener(heard)
    kernel = NUTS(model(arrays))
    chains = MCMC(
        kernel,
        num_warmup=TUNE,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method=chain_method,
        progress_bar=False,
    )
    began = time.perf_counter()
    chains.run(jax.random.PRNGKey(seed))
    draws = {name: np.asarray(values) for name, values in chains.get_samples(group_by_chain=True).items()}
    total = time.perf_counter() - began
    jax.monitoring.clear_event_listeners()
    compiling = covered(spans)
    return draws, {"compile": compiling, "sample": total - compiling, "total": total}


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds covered by spans (begin, end), which may lie within each other."""
    seconds, end = 0.0, -np.inf
    for first, last in sorted(spans):
        seconds += max(0.0, last - max(first, end))
        end = max(end, last)
    return seconds
