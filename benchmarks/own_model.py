"""What a gradient of a model of one's own costs per trial: `hr.Recursion`, the fused kernels, PyTensor's scan.

    python benchmarks/own_model.py

One thread, 50 subjects x 200 two-arm trials; the best of 20 runs. All gradients of a model agree (checked first).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import xarray as xr

import hierrl as hr
from hierrl.kernels.abreast import all_pass
from hierrl.kernels.lanes import side_by_side
from hierrl.kernels.problem import prepare

N_SUBJECTS, N_TRIALS, N_RUNS = 50, 200, 20
SHARP = 20.0

RW = hr.Recursion(
    name="rw",
    parameters={"alpha": "rate", "beta": "weight"},
    states={"q": 0.0},
    update=lambda state, trial, p: {
        "q": state["q"] + trial["chosen"] * p["alpha"] * (trial["reward"] - state["q"])
    },
    logits=lambda state, trial, p: p["beta"] * state["q"],
)


def _memory_update(state: Any, trial: Any, p: Any) -> dict[str, Any]:
    faded = state["w"] + p["phi"] * (0.5 - state["w"])
    return {
        "q": state["q"] + trial["chosen"] * p["alpha"] * (trial["reward"] - state["q"]),
        "w": faded + trial["chosen"] * (trial["reward"] - faded),
    }


def _memory_policy(state: Any, trial: Any, p: Any) -> Any:
    slow, fast = pt.special.softmax(p["beta"] * state["q"]), pt.special.softmax(SHARP * state["w"])
    return (1 - p["mix"]) * slow + p["mix"] * fast


MEMORY = hr.Recursion(
    name="rlwm",
    parameters={"alpha": "rate", "beta": "weight", "phi": "rate", "mix": "rate"},
    states={"q": 0.5, "w": 0.5},
    update=_memory_update,
    probabilities=_memory_policy,
)


def main() -> None:
    rng = np.random.default_rng(1)
    truth = {"alpha": rng.random(N_SUBJECTS), "beta": 8 * rng.random(N_SUBJECTS)}
    task = hr.Bandit((0.8, 0.2), n_trials=N_TRIALS, reverse_every=25)
    data = hr.simulate(hr.model("rw"), task, truth, random_seed=1)
    theta = rng.random((N_SUBJECTS, 4)) * [1, 8, 1, 1]
    for model, scan in ((RW, scan_rw), (MEMORY, scan_memory)):
        at = np.ascontiguousarray(theta[:, : len(model.names)])
        row = {"Recursion": recursion_pass(model, data, at)}
        if model is RW:
            row["kernel, eight subjects abreast"] = abreast_pass(data, at)
        row["scan over all subjects"] = scan_pass(scan, data, at)
        report(str(model.name), row)


def recursion_pass(model: hr.Recursion, data: xr.Dataset, theta: np.ndarray) -> Callable[[], np.ndarray]:
    problem = prepare(model, data)
    value, gradient = np.empty(N_SUBJECTS), np.empty(theta.shape)
    everybody, one_pass = np.arange(N_SUBJECTS), problem.tables.loops.pass_1
    empty = np.empty((N_SUBJECTS, 0, 0))

    def run() -> np.ndarray:
        one_pass(everybody, theta, *problem.trials, value, gradient, empty)
        return gradient

    return run


def abreast_pass(data: xr.Dataset, theta: np.ndarray) -> Callable[[], np.ndarray]:
    problem = prepare(hr.model("rw"), data)
    lanes = side_by_side(problem.trials)
    value, gradient = np.empty(N_SUBJECTS), np.empty(theta.shape)

    def run() -> np.ndarray:
        all_pass(problem.tables, lanes, theta, value, gradient)
        return gradient

    return run


def scan_pass(make: Callable[..., Any], data: xr.Dataset, theta: np.ndarray) -> Callable[[], np.ndarray]:
    """A graph as one would write it by hand: all subjects at once, their trials in parallel."""
    shape = (N_SUBJECTS, N_TRIALS)
    chosen = np.eye(2)[data["choice"].values.reshape(shape).T]
    reward = data["reward"].values.reshape(shape).T[:, :, None]
    at = pt.dmatrix("theta")
    loglik = make(
        *(at[:, k][:, None] for k in range(theta.shape[1])), pt.as_tensor(chosen), pt.as_tensor(reward)
    )
    function = pytensor.function([at], pt.grad(loglik, at), mode="NUMBA")
    return lambda: function(theta)


def scan_rw(alpha: Any, beta: Any, chosen: Any, reward: Any) -> Any:
    def step(c: Any, r: Any, q: Any, alpha: Any, beta: Any) -> Any:
        x = beta * q
        return q + alpha * c * (r - q), (c * (x - pt.logsumexp(x, axis=1, keepdims=True))).sum(axis=1)

    begin = pt.as_tensor(np.zeros((N_SUBJECTS, 2)))
    return _scanned(step, chosen, reward, [begin], [alpha, beta])


def scan_memory(alpha: Any, beta: Any, phi: Any, mix: Any, chosen: Any, reward: Any) -> Any:
    def step(c: Any, r: Any, q: Any, w: Any, alpha: Any, beta: Any, phi: Any, mix: Any) -> Any:
        slow, fast = pt.special.softmax(beta * q, axis=1), pt.special.softmax(SHARP * w, axis=1)
        p = (1 - mix) * slow + mix * fast
        faded = w + phi * (0.5 - w)
        return q + alpha * c * (r - q), faded + c * (r - faded), pt.log((c * p).sum(axis=1))

    begin = pt.as_tensor(np.full((N_SUBJECTS, 2), 0.5))
    return _scanned(step, chosen, reward, [begin, begin], [alpha, beta, phi, mix])


def _scanned(step: Any, chosen: Any, reward: Any, begin: list[Any], parameters: list[Any]) -> Any:
    outputs = pytensor.scan(
        step,
        sequences=[chosen, reward],
        outputs_info=[*begin, None],
        non_sequences=parameters,
        return_updates=False,
    )
    return outputs[-1].sum()


def report(name: str, row: dict[str, Callable[[], np.ndarray]]) -> None:
    print(f"\n{name}, nanoseconds per trial for the log-likelihood and its gradient")
    reference = None
    for label, run in row.items():
        began = perf_counter()
        gradient = np.array(run())
        compiled = perf_counter() - began
        reference = gradient if reference is None else reference
        np.testing.assert_allclose(gradient, reference, rtol=1e-6, atol=1e-6)
        print(f"   {label:32}{best(run):7.1f}   (first call {compiled:.1f} s)")


def best(run: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(N_RUNS):
        began = perf_counter()
        run()
        seconds.append(perf_counter() - began)
    return 1e9 * min(seconds) / (N_SUBJECTS * N_TRIALS)


if __name__ == "__main__":
    main()
