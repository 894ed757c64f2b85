"""The learning rule: what one trial does to the value of one arm. Everything that needs values gets them from
here.

``aim`` says what an arm does after a trial and what it moves toward; it depends on data only, so a `Trials`
holds the answers for all trials. ``moved`` is the recursion itself. ``walk`` runs it over a subject's trials
and records the path (the value *before* each trial) with its exact derivatives in the channel's free shape
parameters, its slots.

Kernels here work on one subject's trials at a time with arrays whose last axis is the trial, in loops that
the compiler can vectorise. Helpers called per trial take numbers only: handing arrays around costs more than
what they do.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.tables import (
    EXPONENT,
    N_ROLES,
    NEGATIVE,
    ONLY_FORGONE,
    OWN_DECAY,
    POSITIVE,
    START,
    UNCHOSEN_DECAY,
    UNCHOSEN_FICTIVE,
    UNCHOSEN_FORGONE,
    UNCHOSEN_MIRROR,
    UNCHOSEN_OWN_DECAY,
)

# What happens to an arm. The codes are the roles of the rates that apply (tables.py), so that no branch is needed to
# look a rate up; HOLD is a role of its own whose rate is 0. LEARN_OTHER is LEARN with the roles of two rates exchanged.
LEARN, LEARN_OTHER, FADE, HOLD = POSITIVE, NEGATIVE, OWN_DECAY, N_ROLES


@njit(**INNER)
def pair(k, j):
    """Position of the second derivative with respect to slots `k` and `j` in the packed lower triangle."""
    return k * (k + 1) // 2 + j if k >= j else j * (j + 1) // 2 + k


@njit(**INNER)
def aim(choice, arm, n_arms, signal, forgone, bad, unchosen, split, by_reward, missed_decay):
    """What `arm` does after a trial: (LEARN | LEARN_OTHER | FADE | HOLD, target).

    `choice` is the arm chosen (-1 = missed), `signal` what it paid in the channel's signal (NaN = unknown),
    `forgone` what this arm would have paid (NaN = unknown), `bad` whether the reward was negative, `unchosen` the
    channel's rule for arms not chosen; of two rates one is chosen by the error (`split`) or the reward (`by_reward`).
    """
    if choice < 0:
        if missed_decay and unchosen == UNCHOSEN_DECAY:
            return LEARN, 0.0
        if missed_decay and unchosen == UNCHOSEN_OWN_DECAY:
            return FADE, 0.0
        return HOLD, 0.0
    if np.isnan(signal):
        return HOLD, 0.0
    learn = LEARN_OTHER if by_reward and bad else LEARN
    if unchosen == ONLY_FORGONE:
        return (HOLD, 0.0) if arm == choice or np.isnan(forgone) else (LEARN, forgone)
    if arm == choice:
        return learn, signal
    if unchosen == UNCHOSEN_DECAY:
        return learn, 0.0
    if unchosen == UNCHOSEN_OWN_DECAY:
        return FADE, 0.0
    if unchosen == UNCHOSEN_MIRROR:
        return LEARN_OTHER if split else learn, -signal
    if unchosen == UNCHOSEN_FICTIVE:
        return LEARN_OTHER if by_reward and not bad else LEARN, -signal / (n_arms - 1)
    if unchosen == UNCHOSEN_FORGONE and not np.isnan(forgone):
        return learn, forgone
    return HOLD, 0.0


@njit(**JIT)
def aim_all(choice, signal, forgone, bad, unchosen, split, by_reward, missed_decay, kind, target):
    """`aim` for all: choice, bad (n,), signal (n, C), forgone (n or 0, m) -> kind (C, m, n), target (C, m, n)."""
    n_channels, n_arms, n_trials = kind.shape
    for c in range(n_channels):
        for i in range(n_arms):
            for t in range(n_trials):
                other = forgone[t, i] if forgone.shape[0] > 0 else np.nan
                kind[c, i, t], target[c, i, t] = aim(
                    choice[t], i, n_arms, signal[t, c], other, bad[t], unchosen[c], split[c] == 1,
                    by_reward[c] == 1, missed_decay,
                )  # fmt: skip


@njit(**INNER)
def role_of(kind, error, split):
    """The rate that applies: that of the kind, or the other one of two after a negative prediction error."""
    return NEGATIVE - kind if split and kind <= NEGATIVE and error < 0.0 else kind


@njit(**INNER)
def moved(value, target, rate, accumulate):
    """The new value, and its derivative in the rate: toward the target, or fading and adding it."""
    if accumulate:
        return (1.0 - rate) * value + target, -value
    return value + rate * (target - value), target - value


@njit(**INNER)
def entry(position, theta, constants):
    """An element of ``z = [theta, constants]``."""
    return theta[position] if position < theta.size else constants[position - theta.size]


@njit(**INNER)
def shape_of(value, theta, constants):
    """Shape parameters of one arm by role, and the rate 0 of HOLD: value (roles,) -> (roles + 1,)."""
    shape = np.zeros(N_ROLES + 1)
    for role in range(N_ROLES):
        shape[role] = entry(value[role], theta, constants)
    return shape


@njit(**INNER)
def powers(target, log_size, exponent, out):
    """What a channel with an exponent moves toward, out (T,): targets are factors (0 or a sign) of the power."""
    for t in range(out.size):
        out[t] = target[t] * np.exp(exponent * log_size[t])


@njit(**INNER)
def walk(kind, target, reset, shape, split, accumulate, path):
    """Path of one arm over T trials: kind, target, reset (T,), shape (roles + 1,) -> path (T,) before each
    trial.
    """
    value = shape[START]
    for t in range(path.size):
        if reset[t]:
            value = shape[START]
        path[t] = value
        rate = shape[role_of(kind[t], target[t] - value, split)]
        value = moved(value, target[t], rate, accumulate)[0]


@njit(**INNER)
def walk_contexts(kind, target, reset, context, n_contexts, shape, split, accumulate, path):
    """As `walk`, with a value of its own in each context: context (T,)."""
    value = np.empty(n_contexts)
    fill(value, shape[START])
    for t in range(path.size):
        if reset[t]:
            fill(value, shape[START])
        x = context[t]
        path[t] = value[x]
        rate = shape[role_of(kind[t], target[t] - value[x], split)]
        value[x] = moved(value[x], target[t], rate, accumulate)[0]


@njit(**INNER)
def walk_path(kind, target, reset, context, n_contexts, shape, split, accumulate, path):
    """As `walk`, with or without contexts."""
    if n_contexts > 1:
        walk_contexts(kind, target, reset, context, n_contexts, shape, split, accumulate, path)
    else:
        walk(kind, target, reset, shape, split, accumulate, path)


@njit(**INNER)
def sensitivity(
    kind, target, log_size, reset, context, n_contexts, shape, slot, split, accumulate, path, dpath
):  # fmt: skip
    """First derivatives of a path in the channel's slots: dpath (slots, T), slot (roles,).

    A slot's derivative fades with the value; the slot whose rate applies gains the slope of the step in that rate, that
    of the exponent the slope of the step in the exponent: log_size (T or 0,), the log of the size of what was paid.
    """
    for k in range(dpath.shape[0]):
        at_start = 1.0 if slot[START] == k else 0.0
        is_exponent = slot[EXPONENT] == k and log_size.size > 0
        state = np.empty(n_contexts)
        fill(state, at_start)
        for t in range(path.size):
            x = context[t] if context.size > 0 else 0
            if reset[t]:
                fill(state, at_start)
            dpath[k, t] = state[x]
            role = role_of(kind[t], target[t] - path[t], split)
            gain = (
                moved(path[t], target[t], shape[role], accumulate)[1]
                if role < HOLD and slot[role] == k
                else 0.0
            )
            if is_exponent:
                gain += (1.0 if accumulate else shape[role]) * target[t] * log_size[t]
            state[x] = (1.0 - shape[role]) * state[x] + gain


@njit(**INNER)
def curvature(
    kind, target, log_size, reset, context, n_contexts, shape, slot, split, accumulate, path, dpath, ddpath
):  # fmt: skip
    """Second derivatives of a path in pairs of slots: ddpath (pairs, T), packed as in `pair`."""
    exponent = slot[EXPONENT] if log_size.size > 0 else -1
    for k in range(dpath.shape[0]):
        for j in range(k + 1):
            state = np.zeros(n_contexts)
            for t in range(path.size):
                x = context[t] if context.size > 0 else 0
                if reset[t]:
                    fill(state, 0.0)
                ddpath[pair(k, j), t] = state[x]
                role = role_of(kind[t], target[t] - path[t], split)
                own = slot[role] if role < HOLD else -1
                gain = (dpath[j, t] if own == k else 0.0) + (dpath[k, t] if own == j else 0.0)
                if k == exponent or j == exponent:
                    gain -= _bend_of_power(
                        target[t] * log_size[t],
                        log_size[t],
                        shape[role],
                        k == j,
                        own == k or own == j,
                        accumulate,
                    )
                state[x] = (1.0 - shape[role]) * state[x] - gain


@njit(**INNER)
def _bend_of_power(slope, log_size, rate, twice, with_rate, accumulate):
    """What the exponent adds to a second derivative in one step: with itself (`twice`), or with the rate applied."""
    if twice:
        return (1.0 if accumulate else rate) * slope * log_size
    return slope if with_rate and not accumulate else 0.0
