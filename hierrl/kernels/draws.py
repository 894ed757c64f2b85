"""Log-probabilities of choices at many draws of the parameters."""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.likelihood import logits, score, softmax
from hierrl.kernels.loops import JIT
from hierrl.kernels.paths import channel_paths
from hierrl.kernels.rule import entry


@njit(**JIT)
def draws_pass(tables, trials, subjects, theta, loglik):
    """Log-probability of each scored choice at each draw: theta (D, S, P), loglik (D, n); NaN where not scored."""
    for s in subjects:
        rows = slice(trials.offset[s], trials.offset[s + 1])
        choice, scored, available = trials.choice[rows], trials.scored[rows], trials.available[:, rows]
        share, log_total = np.empty(choice.size), np.empty(choice.size)
        for d in range(theta.shape[0]):
            path = channel_paths(tables, trials, s, theta[d, s], 0)[0]
            x = logits(tables, trials, s, theta[d, s], path)
            p = np.empty(x.shape)
            softmax(x, available, p, log_total)
            lapse = entry(tables.lapse_value[0], theta[d, s], tables.constants)
            score(choice, scored, available, x, p, log_total, lapse, loglik[d, rows], share)
            for t in range(choice.size):
                if not scored[t]:
                    loglik[d, rows.start + t] = np.nan
