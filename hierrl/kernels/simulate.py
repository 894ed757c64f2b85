"""Play a task trial by trial: the learning rule and the choice rule of the likelihood, run forward.

What is written here is the order of events only. An arm's aim and move come from `hierrl.kernels.rule`,
probabilities from `hierrl.kernels.likelihood`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.jit import njit
from hierrl.kernels.learners import begin, stepped
from hierrl.kernels.likelihood import factor_product, logits, n_shown, softmax, with_lapse
from hierrl.kernels.loops import INNER, JIT, copy
from hierrl.kernels.rule import START, aim, entry, moved, role_of, shape_of
from hierrl.kernels.tables import EXPONENT, N_ROLES
from hierrl.models.learners import DELTA


class Stage(NamedTuple):
    """What a task holds ready, n rows: payoffs by *place*, one for each arm, and how arms change places."""

    offered: npt.NDArray[np.float64]
    """(C, m, n): signal of each channel if the arm in that place is chosen; NaN = unknown outcome."""
    forgone: npt.NDArray[np.float64]
    """(n, m): what each place would have paid; NaN where that isn't told."""
    bad: npt.NDArray[np.bool_]
    """(m, n): the reward of that place is negative."""
    missed: npt.NDArray[np.bool_]
    """(n,): no choice is made."""
    forced: npt.NDArray[np.int64]
    """(n,): the arm that must be chosen, -1 = free."""
    uniform: npt.NDArray[np.float64]
    """(n,): one uniform number for each choice."""
    best: npt.NDArray[np.int64]
    """(n,): the place that pays best."""
    turn: npt.NDArray[np.int64]
    """(n, m): if arms change places after the trial, arm i takes the place of arm ``turn[i]``."""
    streak: npt.NDArray[np.int64]
    """(1,): arms change places after so many best choices in a row; 0 = never."""
    by_card: npt.NDArray[np.bool_]
    """(C,): row k of a session holds what the (k + 1)th choice of a place pays, not what trial k + 1 does."""


@njit(**JIT)
def play(tables, trials, subjects, theta, stage, choice, place):
    """Choices (n,) of an index array of subjects with theta (S, P), and the places (n, m) of the arms."""
    for s in subjects:
        play_subject(tables, trials, s, theta[s], stage, choice, place)


@njit(**INNER)
def play_subject(tables, trials, s, theta, stage, choice, place):
    """`play` for subject `s`, theta (P,)."""
    first, last = trials.offset[s], trials.offset[s + 1]
    n_channels, n_arms, _ = tables.value.shape
    # Bias and regressors are known beforehand: the logits where all channels are 0.
    steady = logits(tables, trials, s, theta, np.zeros((n_channels, n_arms, last - first)))
    weight, shape = linear_and_shape(tables, theta)
    lapse = entry(tables.lapse_value[0], theta, tables.constants)
    value = np.empty((n_channels, tables.n_contexts[0], n_arms))
    other = np.empty(value.shape)
    x, p, log_total = np.empty((n_arms, 1)), np.empty((n_arms, 1)), np.empty(1)
    here, streak = np.arange(n_arms), 0
    opened, taken = first, np.zeros(n_arms, dtype=np.int64)
    # Taken out of their tuples here, as handing over a tuple of arrays on every trial costs more than the
    # work.
    context, available, offered, forgone = trials.context, trials.available, stage.offered, stage.forgone
    unchosen, missed_decay, learner = tables.unchosen, tables.missed_decay[0] == 1, tables.learner
    for row in range(first, last):
        if trials.reset[row]:
            streak = start_session(learner, shape, value, other, here)
            opened, taken[:] = row, 0
        chosen = -1 if stage.missed[row] else stage.forced[row]
        if chosen < 0 and not stage.missed[row]:
            for i in range(n_arms):
                x[i, 0] = steady[i, row - first]
                for c in range(n_channels):
                    x[i, 0] += weight[c, i] * value[c, context_of(context, c, row), i]
            shown = available[:, row : row + 1]
            softmax(x, shown, p, log_total)
            chosen = pick(p, shown, lapse, stage.uniform[row])
        choice[row] = chosen
        copy(here, place[row])
        for c in range(n_channels):
            k, split, by_reward = context_of(context, c, row), tables.split[c] == 1, tables.by_reward[c] == 1
            at = opened + taken[here[chosen]] if stage.by_card[c] and chosen >= 0 else row
            signal = offered[c, here[chosen], at] if chosen >= 0 else np.nan
            bad = stage.bad[here[chosen], at] if chosen >= 0 else False
            for i in range(n_arms):
                kind, target = aim(
                    chosen, i, n_arms, signal, forgone[row, here[i]], bad, unchosen[c], split, by_reward, missed_decay
                )  # fmt: skip
                if tables.power[c] == 1:
                    target = np.sign(target) * abs(target) ** shape[c, i, EXPONENT]
                if learner[c] == DELTA:
                    rate = shape[c, i, role_of(kind, target - value[c, k, i], split)]
                    value[c, k, i] = moved(value[c, k, i], target, rate, tables.accumulate[c] == 1)[0]
                else:
                    value[c, k, i], other[c, k, i] = stepped(
                        learner[c], kind, value[c, k, i], other[c, k, i], target, shape[c, i, 0], shape[c, i, 1],
                        shape[c, i, 2], shape[c, i, 3], shape[c, i, 4],
                    )  # fmt: skip
        if chosen >= 0:
            taken[here[chosen]] += 1
        if chosen >= 0 and stage.streak[0] > 0:
            streak = streak + 1 if here[chosen] == stage.best[row] else 0
            if streak == stage.streak[0]:
                streak = change_places(here, stage.turn[row], place[row])


@njit(**INNER)
def linear_and_shape(tables, theta):
    """Weights (C, m) and shape parameters (C, m, roles + 1) of a subject."""
    n_channels, n_arms, _ = tables.value.shape
    weight, shape = np.empty((n_channels, n_arms)), np.empty((n_channels, n_arms, N_ROLES + 1))
    for c in range(n_channels):
        for i in range(n_arms):
            factors = tables.weight_value[c, i]
            weight[c, i] = factor_product(factors, tables.coefficient[c], theta, tables.constants, -1, -1)
            copy(shape_of(tables.value[c, i], theta, tables.constants), shape[c, i])
    return weight, shape


@njit(**INNER)
def start_session(learner, shape, value, other, here):
    """States (C, contexts, m) at their start and arms in their own places, all in place; a streak of 0."""
    for c in range(value.shape[0]):
        for k in range(value.shape[1]):
            for i in range(value.shape[2]):
                if learner[c] == DELTA:
                    value[c, k, i] = shape[c, i, START]
                else:
                    value[c, k, i], other[c, k, i] = begin(
                        learner[c],
                        shape[c, i, 0],
                        shape[c, i, 1],
                        shape[c, i, 2],
                        shape[c, i, 3],
                        shape[c, i, 4],
                    )
    for i in range(here.size):
        here[i] = i
    return 0


@njit(**INNER)
def change_places(here, turn, before):
    """Arm i takes the place of arm ``turn[i]``, in place; a streak of 0."""
    for i in range(here.size):
        here[i] = before[turn[i]]
    return 0


@njit(**INNER)
def context_of(context, channel, row):
    """Context of a channel, context (C, n or 0); 0 where values are not kept apart."""
    return context[channel, row] if context.shape[1] > 0 else 0


@njit(**INNER)
def pick(p, available, lapse, uniform):
    """The arm at which the sum of choice probabilities passes `uniform`: p (m, 1), available (m, 1 or 0)."""
    n_arms = p.shape[0]
    count = n_shown(available, n_arms, 0)
    total, chosen = 0.0, -1
    for i in range(n_arms):
        shown = available.shape[1] == 0 or available[i, 0]
        if shown and (chosen < 0 or total <= uniform):
            chosen = i
        total += with_lapse(p[i, 0], lapse, shown, count)
    return chosen
