"""What `solve_monotone` returns: kernels, relaxed logits, bounds, and the parameters closest to the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex.lags import channel_label
from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MonotoneResult:
    """The monotone relaxation of S subjects with C channels, m arms, n trials and P scalars.

    Where a subject has fewer lags than the longest (and for channels whose rate is a number, which are solved
    exactly) `kernel` is NaN. All is on the scaled signal.
    """

    kernel: FloatArray
    """(S, C, lags), or (S, C, m, lags) if some channel is per arm; the sign of the weight included."""
    dims: tuple[str, ...]
    """Names of the axes of `kernel`."""
    logits: FloatArray
    """(n, m) of the relaxed optimum, up to a constant per trial; 0 where the solver failed."""
    loglik: FloatArray
    """(S,) log-likelihood of these logits."""
    bound: FloatArray
    """(S,) upper bound on the log-likelihood at all parameters within bounds; NaN where there is none."""
    reason: list[str]
    """(S,) why there is no bound, empty where there is one."""
    status: list[str]
    """(S,) what happened, in a sentence."""
    solved: npt.NDArray[np.bool_]
    """(S,) whether the solver reached its tolerance."""
    seconds: FloatArray
    """(S,) building and solving; a joint problem's time is shared equally."""
    theta: FloatArray
    """(S, P) Fisher-weighted recovery."""
    theta_plain: FloatArray
    """(S, P) least-squares recovery."""

    @property
    def reasons(self) -> list[str]:
        """The distinct reasons for having no bound."""
        return [reason for reason in dict.fromkeys(self.reason) if reason]

    def to_dataset(self, problem: Problem) -> xr.Dataset:
        """The relaxed optimum with names: kernels and the parameters closest to them in raw reward units, logits,
        log-likelihoods, reasons.
        """
        scale = np.array([float(problem.reward_scale**c.unit) for c in problem.model.channels])
        kernel = self.kernel / scale.reshape(-1, *[1] * (self.kernel.ndim - 2))
        channels = [channel_label(problem, c) for c in range(scale.size)]
        told = {
            "logit": "logits of the relaxed optimum",
            "kernel": "effect on the logit of the outcome that many updates ago, in raw reward units",
            "recovery": "parameters closest to the kernels: Fisher-weighted, or by plain least squares",
            "loglik": "log-likelihood of the relaxed optimum",
            "reason": "why there is no bound",
        }
        recovery = np.stack([self.theta, self.theta_plain]) * problem.raw_factor()
        return xr.Dataset(
            {
                "logit": (("trial", "arm"), self.logits, {"long_name": told["logit"]}),
                "kernel": (self.dims, kernel, {"long_name": told["kernel"]}),
                "recovery": (
                    ("weighting", "subject", "parameter"),
                    recovery,
                    {"long_name": told["recovery"]},
                ),
                "loglik": ("subject", self.loglik, {"long_name": told["loglik"], "units": "nats"}),
                "reason": ("subject", np.array(self.reason, dtype=object), {"long_name": told["reason"]}),
            },
            coords={
                "trial": np.arange(problem.n_trials),
                "arm": problem.arms,
                "subject": problem.subjects,
                "channel": channels,
                "lag": np.arange(1, kernel.shape[-1] + 1),
                "weighting": ["fisher", "plain"],
                "parameter": np.array(problem.labels, dtype=object),
            },
        )
