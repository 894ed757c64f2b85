"""Log-likelihood and gradient of all subjects at once, each in a lane of its own: what samplers call.

The same sums as `hierrl.kernels.likelihood.subject_pass` with derivatives up to the first, but one trial of all
subjects of a block after the other, in one sweep: values, their derivatives in the channel's slots, and sums of both
against the residuals are numbers of a lane, and nothing is written down by trial. The innermost loops run over lanes
and have no branch: the compiler makes vector instructions of them.

All numbers of a block are in one vector, `LANES` apart. A distance that the compiler knows tells it that what a loop
writes is not what it reads next; otherwise it would have to ask at every loop, and of many arrays it doesn't.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jit import njit, uncounted
from hierrl.kernels.lanes import LANES
from hierrl.kernels.likelihood import factor_product
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.many import MOST_NATS
from hierrl.kernels.rule import FADE, LEARN, entry
from hierrl.kernels.tables import MAX_SLOTS, NEGATIVE, OWN_DECAY, POSITIVE, START

ANY_PLACE = (1 << 62) - 1
"""Tells the compiler that an index isn't negative: otherwise it might count from the end, and there go the vectors."""

OVER_LANES = {**INNER, "fastmath": {"contract", "nsz"}, "forceinline": True}
WITHIN = {**INNER, "forceinline": True}

# Numbers of a path (of an arm in a channel): its value, its rates, its start, its weight, the sum of residual times
# value; by slot the derivative of the value and the sum of residual times that.
VALUE, RATE, RATE_DOWN, RATE_FADE, BEGIN, WEIGHT, AGAINST = (k * LANES for k in range(7))
SLOPE, AGAINST_SLOPE = 7 * LANES, (7 + MAX_SLOTS) * LANES
PATH = (7 + 2 * MAX_SLOTS) * LANES

# Numbers of an arm: its logit, which becomes its residual; its bias, and the sum of residuals.
LOGIT, BIAS, AGAINST_ONE = (k * LANES for k in range(3))
ARM = 3 * LANES

# Numbers of a subject: log-likelihood, product of what is still to be logged, lapse, sum of slopes in the lapse, and
# what a trial needs: largest logit, sum of exponentials, logit of the choice, number of arms shown.
TOTAL, PRODUCT, LAPSE, AGAINST_LAPSE, TOP, SUM, CHOSEN, COUNT = (k * LANES for k in range(8))
SUBJECT = 8 * LANES

# Numbers of a regressor by arm: its weight (the same for all arms), the sum of residual times regressor.
REGRESSOR, AGAINST_REGRESSOR = (k * LANES for k in range(2))
COLUMN = 2 * LANES


@njit(**OVER_LANES)
def _begin(w, at, reset, row, n, n_slots, slot_of_start):
    """Lanes in which a session starts forget their values."""
    at = at & ANY_PLACE
    for b in range(n):
        begin, value = w[at + BEGIN + b], w[at + VALUE + b]
        w[at + VALUE + b] = begin if reset[row, b] else value
    for k in range(n_slots):
        own, slope = 1.0 if slot_of_start == k else 0.0, at + SLOPE + k * LANES
        for b in range(n):
            kept = w[slope + b]
            w[slope + b] = own if reset[row, b] else kept


@njit(**OVER_LANES)
def _start_logit(w, arm, n):
    arm = arm & ANY_PLACE
    for b in range(n):
        w[arm + LOGIT + b] = w[arm + BIAS + b]


@njit(**OVER_LANES)
def _add_path(w, at, arm, n):
    at, arm = at & ANY_PLACE, arm & ANY_PLACE
    for b in range(n):
        w[arm + LOGIT + b] += w[at + WEIGHT + b] * w[at + VALUE + b]


@njit(**OVER_LANES)
def _add_regressor(w, column, arm, regressor, r, i, row, n):
    column, arm = column & ANY_PLACE, arm & ANY_PLACE
    for b in range(n):
        w[arm + LOGIT + b] += w[column + REGRESSOR + b] * regressor[r, i, row, b]


@njit(**OVER_LANES)
def _score_two(w, arm, subject, choice, row, n):
    """Two arms, `arm` and the next: they need one exponential, whose logarithm can wait."""
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        chosen = choice[row, b]
        difference = w[arm + ARM + LOGIT + b] - w[arm + LOGIT + b]
        against = -difference if chosen == 1 else difference
        small = exp_negative(-abs(against))
        lead = against if against > 0.0 else 0.0
        other = (1.0 if against > 0.0 else small) / (1.0 + small)
        residual = other if chosen == 1 else -other
        residual = residual if chosen >= 0 else 0.0
        w[subject + TOTAL + b] -= lead if chosen >= 0 else 0.0
        w[subject + PRODUCT + b] *= 1.0 + small if chosen >= 0 else 1.0
        w[arm + LOGIT + b] = -residual
        w[arm + ARM + LOGIT + b] = residual


@njit(**OVER_LANES)
def _forget_trial(w, subject, n):
    subject = subject & ANY_PLACE
    for b in range(n):
        w[subject + TOP + b] = -np.inf
        w[subject + SUM + b] = 0.0
        w[subject + CHOSEN + b] = 0.0
        w[subject + COUNT + b] = 0.0


@njit(**OVER_LANES)
def _raise_top(w, arm, subject, n):
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        x, top = w[arm + LOGIT + b], w[subject + TOP + b]
        w[subject + TOP + b] = x if x > top else top
        w[subject + COUNT + b] += 1.0


@njit(**OVER_LANES)
def _raise_top_if_shown(w, arm, subject, available, i, row, n):
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        x, top, shown = w[arm + LOGIT + b], w[subject + TOP + b], available[i, row, b]
        w[subject + TOP + b] = x if shown and x > top else top
        w[subject + COUNT + b] += 1.0 if shown else 0.0


@njit(**OVER_LANES)
def _exponentiate(w, arm, subject, choice, i, row, n):
    """The logit becomes its exponential."""
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        lead = w[arm + LOGIT + b] - w[subject + TOP + b]
        small = exp_negative(lead)
        w[subject + CHOSEN + b] += lead if choice[row, b] == i else 0.0
        w[subject + SUM + b] += small
        w[arm + LOGIT + b] = small


@njit(**OVER_LANES)
def _exponentiate_if_shown(w, arm, subject, choice, available, i, row, n):
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        shown = available[i, row, b]
        lead = w[arm + LOGIT + b] - w[subject + TOP + b] if shown else 0.0
        small = exp_negative(lead) if shown else 0.0
        w[subject + CHOSEN + b] += lead if choice[row, b] == i else 0.0
        w[subject + SUM + b] += small
        w[arm + LOGIT + b] = small


@njit(**OVER_LANES)
def _settle(w, subject, choice, row, n):
    """The trial's log-probability; `SUM` becomes the factor that makes residuals of exponentials."""
    subject = subject & ANY_PLACE
    for b in range(n):
        scored, total = choice[row, b] >= 0, w[subject + SUM + b]
        w[subject + TOTAL + b] += w[subject + CHOSEN + b] if scored else 0.0
        w[subject + PRODUCT + b] *= total if scored else 1.0
        w[subject + SUM + b] = 1.0 / total if scored else 0.0
        w[subject + CHOSEN + b] = 1.0


@njit(**INNER)
def _settle_with_lapse(w, subject, choice, row, n):
    """The same with lapses; `CHOSEN` becomes the share of the log-probability that is not lapse."""
    for b in range(n):
        total, lapse = w[subject + SUM + b], w[subject + LAPSE + b]
        w[subject + SUM + b] = 0.0
        if choice[row, b] >= 0:
            chance, informed = 1.0 / w[subject + COUNT + b], np.exp(w[subject + CHOSEN + b]) / total
            probability = (1.0 - lapse) * informed + lapse * chance
            share = (1.0 - lapse) * informed / probability if lapse > 0.0 else 1.0
            logarithm = np.log(probability) if lapse > 0.0 else w[subject + CHOSEN + b] - np.log(total)
            w[subject + TOTAL + b] += logarithm
            w[subject + AGAINST_LAPSE + b] += (chance - informed) * np.exp(-logarithm)
            w[subject + SUM + b] = share / total
            w[subject + CHOSEN + b] = share


@njit(**OVER_LANES)
def _to_residual(w, arm, subject, choice, i, row, n):
    arm, subject = arm & ANY_PLACE, subject & ANY_PLACE
    for b in range(n):
        mine = w[subject + CHOSEN + b] if choice[row, b] == i else 0.0
        w[arm + LOGIT + b] = mine - w[arm + LOGIT + b] * w[subject + SUM + b]


@njit(**WITHIN)
def _score(w, arms, subject, choice, available, row, n, n_arms, any_lapse):
    """Any number of arms, of which some may not be shown."""
    all_shown = available.shape[1] == 0
    _forget_trial(w, subject, n)
    for i in range(n_arms):
        if all_shown:
            _raise_top(w, arms + i * ARM, subject, n)
        else:
            _raise_top_if_shown(w, arms + i * ARM, subject, available, i, row, n)
    for i in range(n_arms):
        if all_shown:
            _exponentiate(w, arms + i * ARM, subject, choice, i, row, n)
        else:
            _exponentiate_if_shown(w, arms + i * ARM, subject, choice, available, i, row, n)
    if any_lapse:
        _settle_with_lapse(w, subject, choice, row, n)
    else:
        _settle(w, subject, choice, row, n)
    for i in range(n_arms):
        _to_residual(w, arms + i * ARM, subject, choice, i, row, n)


@njit(**OVER_LANES)
def _sum_residuals(w, arm, n):
    arm = arm & ANY_PLACE
    for b in range(n):
        w[arm + AGAINST_ONE + b] += w[arm + LOGIT + b]


@njit(**OVER_LANES)
def _sum_regressor(w, column, arm, regressor, r, i, row, n):
    column, arm = column & ANY_PLACE, arm & ANY_PLACE
    for b in range(n):
        w[column + AGAINST_REGRESSOR + b] += w[arm + LOGIT + b] * regressor[r, i, row, b]


@njit(**OVER_LANES)
def _learn(w, at, arm, kind, target, c, i, row, n, toward, own, own_down, own_fade):
    """What a trial adds to the sums of a path, and what it does to value and derivative (in slot 0).

    `toward` is 1 for a channel that moves toward its target and 0 for one that adds it; the others are 1 where the
    rate that applies is slot 0. See `hierrl.kernels.rule.moved`.
    """
    at, arm = at & ANY_PLACE, arm & ANY_PLACE
    add = 1.0 - toward
    for b in range(n):
        value, slope, residual = w[at + VALUE + b], w[at + SLOPE + b], w[arm + LOGIT + b]
        w[at + AGAINST + b] += residual * value
        w[at + AGAINST_SLOPE + b] += residual * slope
        role, aim = kind[c, i, row, b], target[c, i, row, b]
        down = aim < value
        rate_down, rate, rate_fade = w[at + RATE_DOWN + b], w[at + RATE + b], w[at + RATE_FADE + b]
        rate = rate_down if down else rate
        share = own_down if down else own
        rate = rate if role == LEARN else (rate_fade if role == FADE else 0.0)
        share = share if role == LEARN else (own_fade if role == FADE else 0.0)
        w[at + SLOPE + b] = slope - rate * slope + share * (toward * aim - value)
        w[at + VALUE + b] = value - rate * value + (toward * rate + add) * aim


@njit(**OVER_LANES)
def _learn_slot(w, at, arm, kind, target, c, i, row, n, k, toward, own, own_down, own_fade):
    """The same for the derivative in slot k > 0; before `_learn`, which changes the value."""
    at, arm = at & ANY_PLACE, arm & ANY_PLACE
    derivative, against = (at + SLOPE + k * LANES) & ANY_PLACE, (at + AGAINST_SLOPE + k * LANES) & ANY_PLACE
    for b in range(n):
        value, slope = w[at + VALUE + b], w[derivative + b]
        w[against + b] += w[arm + LOGIT + b] * slope
        role, aim = kind[c, i, row, b], target[c, i, row, b]
        down = aim < value
        rate_down, rate, rate_fade = w[at + RATE_DOWN + b], w[at + RATE + b], w[at + RATE_FADE + b]
        rate = rate_down if down else rate
        share = own_down if down else own
        rate = rate if role == LEARN else (rate_fade if role == FADE else 0.0)
        share = share if role == LEARN else (own_fade if role == FADE else 0.0)
        w[derivative + b] = slope - rate * slope + share * (toward * aim - value)


@njit(**WITHIN)
def _learn_all(w, at, arm, kind, target, c, i, row, n, toward, n_slots, slot):
    """All slots of a path."""
    for k in range(n_slots - 1, 0, -1):
        own, down, fade = _is(slot[c, POSITIVE], k), _is(slot[c, NEGATIVE], k), _is(slot[c, OWN_DECAY], k)
        _learn_slot(w, at, arm, kind, target, c, i, row, n, k, toward, own, down, fade)
    own, down, fade = _is(slot[c, POSITIVE], 0), _is(slot[c, NEGATIVE], 0), _is(slot[c, OWN_DECAY], 0)
    _learn(w, at, arm, kind, target, c, i, row, n, toward, own, down, fade)


@njit(**WITHIN)
def _is(slot, k):
    return 1.0 if slot == k else 0.0


@njit(**INNER)
def _take_logarithms(w, subject):
    for b in range(LANES):
        w[subject + TOTAL + b] -= np.log(w[subject + PRODUCT + b])
        w[subject + PRODUCT + b] = 1.0


@njit(**INNER)
def _bring(w, at, memory, path, context, c, row, n):
    """Value and derivatives of the context that each lane is in."""
    for k in range(1 + MAX_SLOTS):
        here = at + VALUE if k == 0 else at + SLOPE + (k - 1) * LANES
        for b in range(n):
            w[here + b] = memory[path, k, context[c, row, b], b]


@njit(**INNER)
def _put(w, at, memory, path, context, c, row, n):
    """The inverse of `_bring`."""
    for k in range(1 + MAX_SLOTS):
        here = at + VALUE if k == 0 else at + SLOPE + (k - 1) * LANES
        for b in range(n):
            memory[path, k, context[c, row, b], b] = w[here + b]


@njit(**INNER)
def _forget(w, at, memory, path, reset, row, n, slot_of_start):
    """As `_begin`, in every context."""
    for b in range(n):
        if reset[row, b]:
            for x in range(memory.shape[2]):
                memory[path, 0, x, b] = w[at + BEGIN + b]
                for k in range(MAX_SLOTS):
                    memory[path, 1 + k, x, b] = _is(slot_of_start, k)


@njit(**INNER)
def _load(tables, lanes, block, theta, w, arms, columns, subject):
    """Parameters of the subjects of a block into their lanes; sums are 0."""
    n_channels, m, _ = tables.value.shape
    constants = tables.constants
    fill(w, 0.0)
    for b in range(LANES):
        w[subject + PRODUCT + b] = 1.0
    for b in range(lanes.subject.shape[1]):
        s = lanes.subject[block, b]
        if s < 0:
            continue
        own = theta[s]
        for c in range(n_channels):
            for i in range(m):
                at = (c * m + i) * PATH + b
                value = tables.value[c, i]
                w[at + RATE] = entry(value[POSITIVE], own, constants)
                w[at + RATE_DOWN] = entry(value[NEGATIVE], own, constants)
                w[at + RATE_FADE] = entry(value[OWN_DECAY], own, constants)
                w[at + BEGIN] = entry(value[START], own, constants)
                factors, coefficient = tables.weight_value[c, i], tables.coefficient[c]
                w[at + WEIGHT] = factor_product(factors, coefficient, own, constants, -1, -1)
        for i in range(m):
            w[arms + i * ARM + BIAS + b] = entry(tables.bias_value[i], own, constants)
            for r in range(tables.regressor_value.size):
                weight = entry(tables.regressor_value[r], own, constants)
                w[columns + (r * m + i) * COLUMN + REGRESSOR + b] = weight
        w[subject + LAPSE + b] = entry(tables.lapse_value[0], own, constants)


@njit(**INNER)
def _unload(tables, lanes, block, theta, w, arms, columns, subject, loglik, gradient):
    """Sums of the lanes into log-likelihood (S,) and gradient (S, P)."""
    n_channels, m, n_factors = tables.weight_value.shape
    constants = tables.constants
    for b in range(lanes.subject.shape[1]):
        s = lanes.subject[block, b]
        if s < 0:
            continue
        own, slope, check = theta[s], gradient[s], 0.0
        for k in range(own.size):
            slope[k] = 0.0
            check += 0.0 * own[k]
        # Comparisons lose a NaN.
        loglik[s] = w[subject + TOTAL + b] + check
        for c in range(n_channels):
            for i in range(m):
                at = (c * m + i) * PATH + b
                scalars, factors, coefficient = (
                    tables.arm_scalars[i],
                    tables.weight_value[c, i],
                    tables.coefficient[c],
                )
                for k in range(tables.n_slots[c]):
                    amount = w[at + WEIGHT] * w[at + AGAINST_SLOPE + k * LANES]
                    slope[scalars[tables.slot_local[c, i, k]]] += amount
                for f in range(n_factors):
                    if tables.weight_local[c, i, f] >= 0:
                        rest = factor_product(factors, coefficient, own, constants, f, f)
                        slope[scalars[tables.weight_local[c, i, f]]] += rest * w[at + AGAINST]
        for i in range(m):
            if tables.bias_local[i] >= 0:
                slope[tables.arm_scalars[i, tables.bias_local[i]]] += w[arms + i * ARM + AGAINST_ONE + b]
            for r in range(tables.regressor_value.size):
                at = columns + (r * m + i) * COLUMN + AGAINST_REGRESSOR + b
                slope[tables.arm_scalars[i, tables.regressor_local[r, i]]] += w[at]
        if tables.lapse_scalar[0] >= 0:
            slope[tables.lapse_scalar[0]] += w[subject + AGAINST_LAPSE + b]


@njit(**WITHIN)
def _make_logits(
    w, row, n, arms, columns, m, n_channels, n_slots, slot, session, reset, regressor, memory, context
):
    """Logits of all arms, and new sessions begin."""
    apart = memory.shape[2] > 1
    for i in range(m):
        arm = arms + i * ARM
        _start_logit(w, arm, n)
        for c in range(n_channels):
            path, at = c * m + i, (c * m + i) * PATH
            if apart:
                if session:
                    _forget(w, at, memory, path, reset, row, n, slot[c, START])
                _bring(w, at, memory, path, context, c, row, n)
            elif session:
                _begin(w, at, reset, row, n, n_slots[c], slot[c, START])
            _add_path(w, at, arm, n)
        for r in range(regressor.shape[0]):
            _add_regressor(w, columns + (r * m + i) * COLUMN, arm, regressor, r, i, row, n)


@njit(**WITHIN)
def _update(
    w,
    row,
    n,
    arms,
    columns,
    m,
    n_channels,
    n_slots,
    slot,
    toward,
    any_bias,
    kind,
    target,
    regressor,
    memory,
    context,
):
    """Sums against the residuals, and what the trial does to all paths."""
    for i in range(m):
        arm = arms + i * ARM
        if any_bias:
            _sum_residuals(w, arm, n)
        for r in range(regressor.shape[0]):
            _sum_regressor(w, columns + (r * m + i) * COLUMN, arm, regressor, r, i, row, n)
        for c in range(n_channels):
            at = (c * m + i) * PATH
            _learn_all(w, at, arm, kind, target, c, i, row, n, toward[c], n_slots[c], slot)
            if memory.shape[2] > 1:
                _put(w, at, memory, c * m + i, context, c, row, n)


@njit(**JIT)
def all_pass(tables, lanes, theta, loglik, gradient):
    """Log-likelihood (S,) of the subjects of `lanes` (with int8 and int16) at theta (S, P), and gradient (S, P)."""
    n_channels, m, _ = tables.value.shape
    w = np.empty(n_channels * m * PATH + m * ARM + tables.regressor_value.size * m * COLUMN + SUBJECT)
    memory = np.zeros((max(1, n_channels * m), 1 + MAX_SLOTS, tables.n_contexts[0], LANES))
    toward = np.empty(max(1, n_channels))
    for c in range(n_channels):
        toward[c] = 0.0 if tables.accumulate[c] == 1 else 1.0
    arms = n_channels * m * PATH
    columns = arms + m * ARM
    subject = columns + tables.regressor_value.size * m * COLUMN
    places = (arms, columns, subject)
    for block in range(lanes.subject.shape[0]):
        _load(tables, lanes, block, theta, w, *places)
        rows = (lanes.first[block], lanes.first[block + 1])
        _block(tables, lanes, rows, uncounted(w), places, uncounted(memory), uncounted(toward))
        _unload(tables, lanes, block, theta, w, *places, loglik, gradient)
    return w[0] + memory[0, 0, 0, 0] + toward[0]


@njit(**INNER)
def _block(tables, lanes, rows, w, places, memory, toward):
    """All trials of a block. What tuples hold is taken out of them first: each look costs a count of references."""
    arms, columns, subject = places
    n_slots, slot, any_lapse = tables.n_slots, tables.slot, tables.lapse_scalar[0] >= 0
    active, starts, choice, reset, kind, target = (
        lanes.active,
        lanes.starts,
        lanes.choice,
        lanes.reset,
        lanes.kind,
        lanes.target,
    )
    available, regressor, context = lanes.available, lanes.regressor, lanes.context
    n_channels, m, _ = tables.value.shape
    simple, any_bias, patience = (
        m == 2 and available.shape[1] == 0 and not any_lapse,
        False,
        int(MOST_NATS / np.log(m + 1.0)),
    )
    for i in range(m):
        any_bias = any_bias or tables.bias_local[i] >= 0
    waiting = 0
    for row in range(rows[0], rows[1]):
        n = active[row]
        session = starts[row] != 0
        _make_logits(
            w, row, n, arms, columns, m, n_channels, n_slots, slot, session, reset, regressor, memory, context
        )
        if simple:
            _score_two(w, arms, subject, choice, row, n)
        else:
            _score(w, arms, subject, choice, available, row, n, m, any_lapse)
        _update(
            w,
            row,
            n,
            arms,
            columns,
            m,
            n_channels,
            n_slots,
            slot,
            toward,
            any_bias,
            kind,
            target,
            regressor,
            memory,
            context,
        )
        waiting += 1
        if waiting == patience:
            _take_logarithms(w, subject)
            waiting = 0
    _take_logarithms(w, subject)
