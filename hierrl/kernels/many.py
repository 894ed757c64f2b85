"""The log-likelihood of one subject at many parameter values: `subject_pass` with its loops exchanged.

All values see the same trials, so the innermost loop runs over values and needs no branch: the compiler makes vector
instructions of it, which take a sixth of the time. Values go through in blocks that stay in the fastest cache.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jit import njit
from hierrl.kernels.learners import begin, stepped
from hierrl.kernels.likelihood import n_shown
from hierrl.kernels.loops import INNER, JIT
from hierrl.kernels.rule import HOLD
from hierrl.kernels.tables import EXPONENT, N_ROLES, NEGATIVE, START
from hierrl.models.learners import DELTA

LANES = 256
"""Values in a block: many enough to pay for the calls of each trial, few enough for the fastest cache."""

MOST_NATS = 600.0
"""Products of probabilities' denominators are logged before they could overflow."""

OVER_LANES = {**INNER, "fastmath": {"contract", "nsz"}}


@njit(**OVER_LANES)
def _spread(position, theta, constants, first, out):
    """An element of ``z = [theta, constants]`` for a block of values: theta (P, J) -> out (lanes,)."""
    n_scalars = theta.shape[0]
    for b in range(min(out.size, theta.shape[1] - first)):
        out[b] = theta[position, first + b] if position < n_scalars else constants[position - n_scalars]


@njit(**OVER_LANES)
def _set(a, c, i, k, value):
    for b in range(a.shape[3]):
        a[c, i, k, b] = value[c, i, START, b]


@njit(**OVER_LANES)
def _add_product(weight, c, i, state, k, x):
    """``x[i] += weight[c, i] * state[c, i, k]``."""
    for b in range(x.shape[1]):
        x[i, b] += weight[c, i, b] * state[c, i, k, b]


@njit(**OVER_LANES)
def _add_scaled(weight, r, amount, i, x):
    """``x[i] += amount * weight[r]``."""
    for b in range(x.shape[1]):
        x[i, b] += amount * weight[r, b]


@njit(**OVER_LANES)
def _toward(state, c, i, k, shape, role, target):
    """One step of `hierrl.kernels.rule.moved` for a channel that moves toward its target."""
    for b in range(state.shape[3]):
        state[c, i, k, b] += shape[c, i, role, b] * (target - state[c, i, k, b])


@njit(**OVER_LANES)
def _toward_by_sign(state, c, i, k, shape, role, second, target):
    """The same where the rate depends on the sign of the prediction error."""
    for b in range(state.shape[3]):
        error = target - state[c, i, k, b]
        rate = shape[c, i, second, b] if error < 0.0 else shape[c, i, role, b]
        state[c, i, k, b] += rate * error


@njit(**OVER_LANES)
def _faded(state, c, i, k, shape, role, target):
    """The same for a channel that adds its signal (and has one rate)."""
    for b in range(state.shape[3]):
        state[c, i, k, b] = (1.0 - shape[c, i, role, b]) * state[c, i, k, b] + target


@njit(**OVER_LANES)
def _raised(shape, c, i, target, log_size, aim):
    """What a channel with an exponent moves toward: aim (lanes,)."""
    for b in range(aim.size):
        aim[b] = target * exp_negative(shape[c, i, EXPONENT, b] * log_size)


@njit(**OVER_LANES)
def _toward_each(state, c, i, k, shape, first, second, split, accumulate, aim):
    """One step where each value has a target of its own; `second` is the role after a negative prediction error."""
    for b in range(state.shape[3]):
        error = aim[b] - state[c, i, k, b]
        rate = shape[c, i, second, b] if split and error < 0.0 else shape[c, i, first, b]
        state[c, i, k, b] = (1.0 - rate) * state[c, i, k, b] + (1.0 if accumulate else rate) * aim[b]


@njit(**INNER)
def _step_learner(state, other, c, i, k, shape, learner, kind, target):
    """One step of a learner with a second state."""
    for b in range(state.shape[3]):
        state[c, i, k, b], other[c, i, k, b] = stepped(
            learner, kind, state[c, i, k, b], other[c, i, k, b], target, shape[c, i, 0, b], shape[c, i, 1, b],
            shape[c, i, 2, b], shape[c, i, 3, b], shape[c, i, 4, b],
        )  # fmt: skip


@njit(**INNER)
def _begin_learner(state, other, c, i, k, shape, learner):
    """Both states at the start of a session."""
    for b in range(state.shape[3]):
        state[c, i, k, b], other[c, i, k, b] = begin(
            learner,
            shape[c, i, 0, b],
            shape[c, i, 1, b],
            shape[c, i, 2, b],
            shape[c, i, 3, b],
            shape[c, i, 4, b],
        )


@njit(**OVER_LANES)
def _score_two(x, choice, product, value):
    """Two arms need one exponential, and its logarithm can wait: value (lanes,), product (lanes,)."""
    for b in range(value.size):
        against = x[1 - choice, b] - x[choice, b]
        value[b] -= against if against > 0.0 else 0.0
        product[b] *= 1.0 + exp_negative(-abs(against))


@njit(**OVER_LANES)
def _raise(x, i, top):
    for b in range(top.size):
        top[b] = x[i, b] if x[i, b] > top[b] else top[b]


@njit(**OVER_LANES)
def _add_exponential(x, i, top, total):
    for b in range(top.size):
        total[b] += exp_negative(x[i, b] - top[b])


@njit(**OVER_LANES)
def _settle(x, choice, top, total, product, value):
    for b in range(value.size):
        value[b] += x[choice, b] - top[b]
        product[b] *= total[b]


@njit(**INNER)
def _settle_with_lapse(x, choice, top, total, lapse, count, value):
    for b in range(value.size):
        informed = np.exp(x[choice, b] - top[b]) / total[b]
        value[b] += np.log((1.0 - lapse[b]) * informed + lapse[b] / count)


@njit(**INNER)
def _take_logarithms(product, value):
    for b in range(value.size):
        value[b] -= np.log(product[b])
        product[b] = 1.0


@njit(**INNER)
def _fill_block(tables, theta, first, shape, weight, bias, regressor, lapse):
    """Shapes (C, m, roles + 1, lanes), weights (C, m, lanes) and so on of a block of values."""
    constants, n_channels, n_arms = tables.constants, tables.value.shape[0], tables.bias_value.size
    factor = np.ones(lapse.size)
    for c in range(n_channels):
        for i in range(n_arms):
            for role in range(N_ROLES):
                _spread(tables.value[c, i, role], theta, constants, first, shape[c, i, role])
            for b in range(lapse.size):
                weight[c, i, b] = tables.coefficient[c]
            for f in range(tables.weight_value.shape[2]):
                _spread(tables.weight_value[c, i, f], theta, constants, first, factor)
                for b in range(lapse.size):
                    weight[c, i, b] *= factor[b]
    for i in range(n_arms):
        _spread(tables.bias_value[i], theta, constants, first, bias[i])
    for r in range(tables.regressor_value.size):
        _spread(tables.regressor_value[r], theta, constants, first, regressor[r])
    _spread(tables.lapse_value[0], theta, constants, first, lapse)


@njit(**INNER)
def _logits(trials, t, weight, bias, regressor, state, x):
    """Logits (m, lanes) of trial t."""
    for i in range(x.shape[0]):
        for b in range(x.shape[1]):
            x[i, b] = bias[i, b]
        for c in range(state.shape[0]):
            k = trials.context[c, t] if state.shape[2] > 1 else 0
            _add_product(weight, c, i, state, k, x)
        for r in range(regressor.shape[0]):
            _add_scaled(regressor, r, trials.regressor[r, i, t], i, x)


@njit(**INNER)
def _learn(tables, trials, t, shape, state, other, aim):
    """What trial t does to all states (C, m, contexts, lanes), to second states alike; aim (lanes,) is for use here."""
    for c in range(state.shape[0]):
        k = trials.context[c, t] if state.shape[2] > 1 else 0
        split, accumulate = tables.split[c] == 1, tables.accumulate[c] == 1
        for i in range(state.shape[1]):
            role, target = trials.kind[c, i, t], trials.target[c, i, t]
            if role == HOLD:
                continue
            second = NEGATIVE - role if split and role <= NEGATIVE else role
            if tables.learner[c] != DELTA:
                _step_learner(state, other, c, i, k, shape, tables.learner[c], role, target)
            elif tables.power[c] == 1:
                _raised(shape, c, i, target, trials.log_size[c, i, t], aim)
                _toward_each(state, c, i, k, shape, role, second, split, accumulate, aim)
            elif accumulate:
                _faded(state, c, i, k, shape, role, target)
            elif second != role:
                _toward_by_sign(state, c, i, k, shape, role, second, target)
            else:
                _toward(state, c, i, k, shape, role, target)


@njit(**INNER)
def _begin(tables, shape, state, other):
    """All states at the start of a session."""
    for c in range(state.shape[0]):
        for i in range(state.shape[1]):
            for k in range(state.shape[2]):
                if tables.learner[c] != DELTA:
                    _begin_learner(state, other, c, i, k, shape, tables.learner[c])
                else:
                    _set(state, c, i, k, shape)


@njit(**INNER)
def _score_shown(trials, t, x, lapse, any_lapse, top, total, product, value):
    """Any number of arms, some of them perhaps not shown."""
    choice, all_shown = trials.choice[t], trials.available.shape[1] == 0
    for b in range(value.size):
        top[b], total[b] = x[choice, b], 0.0
    for i in range(x.shape[0]):
        if all_shown or trials.available[i, t]:
            _raise(x, i, top)
    for i in range(x.shape[0]):
        if all_shown or trials.available[i, t]:
            _add_exponential(x, i, top, total)
    if any_lapse:
        count = n_shown(trials.available, x.shape[0], t)
        _settle_with_lapse(x, choice, top, total, lapse, count, value)
    else:
        _settle(x, choice, top, total, product, value)


@njit(**JIT)
def many_pass(tables, trials, s, theta, loglik):
    """Log-likelihood (J,) of subject `s` at theta (P, J), natural scale."""
    n_channels, n_arms, lanes = tables.value.shape[0], tables.bias_value.size, min(LANES, theta.shape[1])
    shape, weight = np.zeros((n_channels, n_arms, N_ROLES + 1, lanes)), np.ones((n_channels, n_arms, lanes))
    bias, regressor = np.zeros((n_arms, lanes)), np.zeros((tables.regressor_value.size, lanes))
    state = np.zeros((n_channels, n_arms, tables.n_contexts[0], lanes))
    x, lapse, top, total = np.empty((n_arms, lanes)), np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    other = np.zeros(state.shape if tables.learner.any() else (0, 0, 0, 0))
    product, value, aim = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    any_lapse = tables.lapse_scalar[0] >= 0
    simple = n_arms == 2 and trials.available.shape[1] == 0 and not any_lapse
    patience = int(MOST_NATS / np.log(n_arms + 1.0))
    for first in range(0, theta.shape[1], lanes):
        _fill_block(tables, theta, first, shape, weight, bias, regressor, lapse)
        for b in range(lanes):
            product[b], value[b] = 1.0, 0.0
        waiting = 0
        for t in range(trials.offset[s], trials.offset[s + 1]):
            if trials.reset[t] or t == trials.offset[s]:
                _begin(tables, shape, state, other)
            if trials.scored[t]:
                _logits(trials, t, weight, bias, regressor, state, x)
                if simple:
                    _score_two(x, trials.choice[t], product, value)
                else:
                    _score_shown(trials, t, x, lapse, any_lapse, top, total, product, value)
                waiting += 1
                if waiting == patience:
                    _take_logarithms(product, value)
                    waiting = 0
            _learn(tables, trials, t, shape, state, other, aim)
        _take_logarithms(product, value)
        for b in range(min(lanes, theta.shape[1] - first)):
            loglik[first + b] = value[b]
