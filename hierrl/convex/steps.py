r"""Which models a falling kernel contains, and its price: the bound of the monotone relaxation.

For any logits x, with ``p = softmax(x)`` and ``r = onehot(choice) - p`` on scored trials, concavity gives for
every x' of the model

.. math::
    \ell(x') \le \ell(x) + \langle r, x' - x\rangle
             = \sum_t \sum_i p_{ti} \log p_{ti} + \langle r, x'\rangle ,

and :math:`\langle r, x'\rangle` is a sum over parts. A kernel contributes :math:`\sum_k g(k) c_k` with
:math:`c_k = \sum_t \langle r_t, u_{t-k}\rangle`. A falling kernel is a mixture of steps,
:math:`g = \sum_K a_K 1[k \le K]` with :math:`a \ge 0`, so it contributes :math:`\sum_K a_K C_K` with
:math:`C_K = \sum_{k \le K} c_k`. Two prices follow:

* :math:`g(1) = \sum_K a_K \le B` gives :math:`B \max(0, \max_K C_K)`;
* the model's kernel sums to at most its weight, :math:`\sum_k g(k) = \sum_K K a_K \le B`, which gives
  :math:`B \max(0, \max_K C_K / K)`: never larger, and valid for the model. **This one is reported.** It is
  also the dual of the problem with ``mass_bound=True``: at its optimum it is the relaxed log-likelihood.

Under an accumulating rule g(1) is the weight and the sum has no bound: the first price is used there. A
coefficient in a box contributes its larger corner. All this holds at any logits, also where a solver failed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, xlogy

from hierrl.convex.lags import Design, Lags, Part, constant_start, one_rate, parts_of
from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]


def uncontained(problem: Problem) -> str:
    """Why no falling kernel is the model's, whatever the subject; empty if some is."""
    model = problem.model
    if model.lapse:
        return "The lapse stands outside the softmax, so the relaxation does not contain the model."
    for c, channel in enumerate(model.channels):
        if problem.tables.n_slots[c] == 0:
            continue
        if nothing := no_kernel(problem, c):
            return nothing
        if not one_rate(problem, c):
            return f"The channel {channel.signal!r} has several rates, so no kernel describes it."
        if channel.per_arm and constant_start(problem, c) != 0.0:
            return f"The channel {channel.signal!r} has a start value that each arm weights differently."
    for part in parts_of(problem, "kernel"):
        if part.signed:
            return (
                f"The weight of {part.label!r} may have either sign; falling kernels contain one sign only."
            )
    return ""


def no_kernel(problem: Problem, channel: int) -> str:
    """Why no kernel of past signals says what a channel does, falling or not; empty if one does."""
    own = problem.model.channels[channel]
    if own.learner != "delta":
        return (
            f"A channel with learner={own.learner!r} is not a sum of past signals, so no kernel describes it."
        )
    if problem.tables.power[channel]:
        return f"The exponent {own.utility!r} acts on the signals themselves, so no kernel describes the channel."
    return ""


def choice_loglik(design: Design, logits: FloatArray) -> float:
    """Log-likelihood of the scored choices at logits (rows, m)."""
    chosen = design.choice[design.scored]
    return float(_log_probability(design, logits)[np.arange(chosen.size), chosen].sum())


def prices_of(design: Design, logits: FloatArray) -> FloatArray:
    """Prices (columns,): the slope of the log-likelihood in each unknown at logits (rows, m)."""
    residual = np.zeros(design.shown.shape)
    residual[design.scored] = -np.exp(_log_probability(design, logits))
    residual[design.scored, design.choice[design.scored]] += 1.0
    return design.matrix.T @ residual.ravel()


def priced_bound(design: Design, parts: Sequence[Part], logits: FloatArray) -> float:
    """The bound at any logits (rows, m), see the module's head."""
    p = np.exp(_log_probability(design, logits))
    price = prices_of(design, logits)
    total = float(xlogy(p, p).sum())
    for part, columns in zip(parts, design.columns, strict=True):
        steps = np.cumsum(price[columns])
        if part.kind == "box":
            total += max(part.lower * steps[0], part.upper * steps[0])
        elif part.accumulate:
            total += max(part.lower * steps.max(), part.upper * steps.max())
        else:
            total += part.upper * max(0.0, float((steps / np.arange(1, steps.size + 1)).max()))
    return total


def unseen_start(problem: Problem, subject: int) -> str:
    """Why the start values of a subject keep the model out of the relaxation; empty if they don't.

    A number is taken care of by `Lags` if all arms share it. What is a parameter must not show: it doesn't if
    all arms have been updated equally often at every scored trial.
    """
    scored = problem.trials.scored[problem.trials.offset[subject] : problem.trials.offset[subject + 1]]
    for c, channel in enumerate(problem.model.channels):
        start = constant_start(problem, c)
        shifted = start is not None and not problem.tables.accumulate[c]
        if problem.tables.n_slots[c] == 0 or start == 0.0 or shifted:
            continue
        if not Lags(problem, c, subject).synchronous(scored):
            return f"The start value of {channel.signal!r} shows: its arms are not updated equally often."
    return ""


def unreached(parts: Sequence[Part], design: Design) -> str:
    """Why the horizon keeps the model out of the relaxation; empty if it reaches every lag."""
    for part, columns, longest in zip(parts, design.columns, design.longest, strict=True):
        horizon = columns.stop - columns.start
        if longest > horizon:
            return f"The horizon of {horizon} is shorter than the longest lag of {part.label!r}."
    return ""


def _log_probability(design: Design, logits: FloatArray) -> FloatArray:
    """(scored trials, m), minus infinity for arms that were not shown."""
    x = np.where(design.shown, logits, -np.inf)[design.scored]
    return log_softmax(x, axis=1) if x.size else x
