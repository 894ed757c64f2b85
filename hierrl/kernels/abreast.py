"""Log-likelihood and gradient of all subjects at once, each in a lane of its own: what samplers call.

The same sums as `hierrl.kernels.likelihood.subject_pass` with derivatives up to the first, but one trial of all
subjects of a block after the other, in one sweep: values, their derivatives in the channel's slots, and sums of both
against the residuals are numbers of a lane, and nothing is written down by trial. What a trial does is said once, for
eight lanes (`hierrl.kernels.vectors`), without a branch that depends on data.

All numbers of a block are in one vector w: number k of lane b is ``w[k * LANES + b]``, and a place below is ``k *
LANES``.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jit import njit
from hierrl.kernels.lanes import LANES, NOT_SCORED
from hierrl.kernels.likelihood import factor_product
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.many import MOST_NATS
from hierrl.kernels.ownership import keep, uncounted
from hierrl.kernels.rule import FADE, LEARN, entry
from hierrl.kernels.tables import MAX_SLOTS, NEGATIVE, OWN_DECAY, POSITIVE, START, UNCHOSEN_OWN_DECAY
from hierrl.kernels.vectors import WIDTH, choose, equal, read, write

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
# what a trial needs: largest logit, sum of exponentials, logit of the choice, number of arms shown; and 0.
TOTAL, PRODUCT, LAPSE, AGAINST_LAPSE, TOP, SUM, CHOSEN, COUNT, ZERO = (k * LANES for k in range(9))
SUBJECT = 9 * LANES

# Numbers of a regressor by arm: its weight (the same for all arms), the sum of residual times regressor.
REGRESSOR, AGAINST_REGRESSOR = (k * LANES for k in range(2))
COLUMN = 2 * LANES


@njit(**WITHIN)
def _is(slot, k):
    return 1.0 if slot == k else 0.0


@njit(**WITHIN)
def _add(w, place, amount):
    write(w, place, read(w, place) + amount)


@njit(**INNER)
def _begin(w, at, reset, here, n, n_slots, slot_of_start):
    """Lanes in which a session starts forget the values of a path."""
    for b in range(0, n, WIDTH):
        kept, path = equal(reset, here + b, 0), at + b
        write(w, path + VALUE, choose(kept, read(w, path + VALUE), read(w, path + BEGIN)))
        for k in range(n_slots):
            slope = path + SLOPE + k * LANES
            write(w, slope, choose(kept, read(w, slope), _is(slot_of_start, k)))


@njit(**INNER)
def _start_logit(w, arm, n):
    for b in range(0, n, WIDTH):
        write(w, arm + LOGIT + b, read(w, arm + BIAS + b))


@njit(**INNER)
def _add_path(w, at, from_, to, n):
    """Weight times value, added to the numbers at `from_`."""
    for b in range(0, n, WIDTH):
        write(w, to + b, read(w, from_ + b) + read(w, at + WEIGHT + b) * read(w, at + VALUE + b))


@njit(**INNER)
def _add_product(w, weight, regressor, here, to, n):
    for b in range(0, n, WIDTH):
        _add(w, to + b, read(w, weight + b) * read(regressor, here + b))


@njit(**INNER)
def _score_two(w, arm, subject, choice, here, n):
    """Two arms, `arm` and the next: they need one exponential, whose logarithm can wait."""
    for b in range(0, n, WIDTH):
        first, second = equal(choice, here + b, 0), equal(choice, here + b, 1)
        difference = read(w, arm + ARM + LOGIT + b) - read(w, arm + LOGIT + b)
        against = choose(second, -difference, difference)
        behind = against > 0.0
        small = exp_negative(choose(behind, -against, against))
        total = small + 1.0
        other = choose(behind, 1.0, small) / total
        residual = choose(second, other, choose(first, -other, 0.0))
        lead, factor = choose(behind, against, 0.0), choose(second, total, choose(first, total, 1.0))
        _add(w, subject + TOTAL + b, choose(second, -lead, choose(first, -lead, 0.0)))
        write(w, subject + PRODUCT + b, read(w, subject + PRODUCT + b) * factor)
        write(w, arm + LOGIT + b, -residual)
        write(w, arm + ARM + LOGIT + b, residual)


@njit(**INNER)
def _start_trial(w, subject, n):
    for b in range(0, n, WIDTH):
        write(w, subject + TOP + b, read(w, subject + ZERO + b) - np.inf)
        write(w, subject + SUM + b, read(w, subject + ZERO + b))
        write(w, subject + CHOSEN + b, read(w, subject + ZERO + b))
        write(w, subject + COUNT + b, read(w, subject + ZERO + b))


@njit(**INNER)
def _raise_top(w, arm, subject, available, here, n):
    """An arm that isn't shown has a logit of minus infinity."""
    for b in range(0, n, WIDTH):
        x, top = read(w, arm + LOGIT + b), read(w, subject + TOP + b)
        if available.size > 0:
            hidden = equal(available, here + b, 0)
            x = choose(hidden, -np.inf, x)
            write(w, arm + LOGIT + b, x)
            _add(w, subject + COUNT + b, choose(hidden, 0.0, 1.0))
        else:
            _add(w, subject + COUNT + b, 1.0)
        write(w, subject + TOP + b, choose(x > top, x, top))


@njit(**INNER)
def _exponentiate(w, arm, subject, choice, i, here, n):
    """The logit becomes its exponential, 0 where the arm isn't shown."""
    for b in range(0, n, WIDTH):
        lead = read(w, arm + LOGIT + b) - read(w, subject + TOP + b)
        small = choose(lead > -np.inf, exp_negative(lead), 0.0)
        _add(w, subject + CHOSEN + b, choose(equal(choice, here + b, i), lead, 0.0))
        _add(w, subject + SUM + b, small)
        write(w, arm + LOGIT + b, small)


@njit(**INNER)
def _settle(w, subject, choice, here, n):
    """The trial's log-probability; `SUM` becomes the factor that makes residuals of exponentials."""
    for b in range(0, n, WIDTH):
        missed, total = equal(choice, here + b, NOT_SCORED), read(w, subject + SUM + b)
        _add(w, subject + TOTAL + b, choose(missed, 0.0, read(w, subject + CHOSEN + b)))
        write(w, subject + PRODUCT + b, read(w, subject + PRODUCT + b) * choose(missed, 1.0, total))
        write(w, subject + SUM + b, choose(missed, 0.0, 1.0 / total))
        write(w, subject + CHOSEN + b, choose(missed, 0.0, 1.0))


@njit(**INNER)
def _settle_with_lapse(w, subject, choice, here, n):
    """The same with lapses; `CHOSEN` becomes the share of the log-probability that is not lapse."""
    for b in range(n):
        total, lapse, chosen = w[subject + SUM + b], w[subject + LAPSE + b], w[subject + CHOSEN + b]
        w[subject + SUM + b] = w[subject + CHOSEN + b] = 0.0
        if choice[here + b] >= 0:
            chance, informed = 1.0 / w[subject + COUNT + b], np.exp(chosen) / total
            probability = (1.0 - lapse) * informed + lapse * chance
            share = (1.0 - lapse) * informed / probability if lapse > 0.0 else 1.0
            logarithm = np.log(probability) if lapse > 0.0 else chosen - np.log(total)
            w[subject + TOTAL + b] += logarithm
            w[subject + AGAINST_LAPSE + b] += (chance - informed) * np.exp(-logarithm)
            w[subject + SUM + b] = share / total
            w[subject + CHOSEN + b] = share


@njit(**INNER)
def _to_residual(w, arm, subject, choice, i, here, n):
    for b in range(0, n, WIDTH):
        mine = choose(equal(choice, here + b, i), read(w, subject + CHOSEN + b), 0.0)
        write(w, arm + LOGIT + b, mine - read(w, arm + LOGIT + b) * read(w, subject + SUM + b))


@njit(**INNER)
def _score(w, arms, subject, m, choice, available, here, stride, n, any_lapse):
    """Any number of arms, of which some may not be shown."""
    _start_trial(w, subject, n)
    for i in range(m):
        _raise_top(w, arms + i * ARM, subject, available, i * stride + here, n)
    for i in range(m):
        _exponentiate(w, arms + i * ARM, subject, choice, i, here, n)
    if any_lapse:
        _settle_with_lapse(w, subject, choice, here, n)
    else:
        _settle(w, subject, choice, here, n)
    for i in range(m):
        _to_residual(w, arms + i * ARM, subject, choice, i, here, n)


@njit(**INNER)
def _sum_residuals(w, arm, n):
    for b in range(0, n, WIDTH):
        _add(w, arm + AGAINST_ONE + b, read(w, arm + LOGIT + b))


@njit(**INNER)
def _sum_product(w, residual, regressor, here, to, n):
    for b in range(0, n, WIDTH):
        _add(w, to + b, read(w, residual + b) * read(regressor, here + b))


@njit(**INNER)
def _learn(w, at, residuals, kind, target, here, n, toward, own):
    """What a trial adds to the sums of a path, and what it does to its value and its derivative in slot 0.

    The channel has one rate. `toward` is 1 for a channel that moves toward its target and 0 for one that adds it,
    `own` 1 if the rate is slot 0. See `hierrl.kernels.rule.moved`.
    """
    add = 1.0 - toward
    for b in range(0, n, WIDTH):
        path = at + b
        residual, value, slope = read(w, residuals + b), read(w, path + VALUE), read(w, path + SLOPE)
        aim, learns = read(target, here + b), equal(kind, here + b, LEARN)
        rate, share = choose(learns, read(w, path + RATE), 0.0), choose(learns, own, 0.0)
        _add(w, path + AGAINST, residual * value)
        _add(w, path + AGAINST_SLOPE, residual * slope)
        write(w, path + SLOPE, slope - rate * slope + share * (toward * aim - value))
        write(w, path + VALUE, value - rate * value + (toward * rate + add) * aim)


@njit(**INNER)
def _learn_by_case(w, at, residuals, kind, target, here, n, toward, slot, n_slots):
    """The same with rates by the sign of the prediction error, a rate of fading, and all slots."""
    add = 1.0 - toward
    for b in range(0, n, WIDTH):
        path = at + b
        residual, value, aim = read(w, residuals + b), read(w, path + VALUE), read(target, here + b)
        learns, fades = equal(kind, here + b, LEARN), equal(kind, here + b, FADE)
        down, step = learns & (aim < value), toward * aim - value
        rate = choose(fades, read(w, path + RATE_FADE), choose(learns, read(w, path + RATE), 0.0))
        rate = choose(down, read(w, path + RATE_DOWN), rate)
        _add(w, path + AGAINST, residual * value)
        for k in range(n_slots):
            slope, own = read(w, path + SLOPE + k * LANES), choose(learns, _is(slot[POSITIVE], k), 0.0)
            own = choose(down, _is(slot[NEGATIVE], k), choose(fades, _is(slot[OWN_DECAY], k), own))
            _add(w, path + AGAINST_SLOPE + k * LANES, residual * slope)
            write(w, path + SLOPE + k * LANES, slope - rate * slope + own * step)
        write(w, path + VALUE, value - rate * value + (toward * rate + add) * aim)


@njit(**INNER)
def _take_logarithms(w, subject):
    for b in range(LANES):
        w[subject + TOTAL + b] -= np.log(w[subject + PRODUCT + b])
        w[subject + PRODUCT + b] = 1.0


@njit(**INNER)
def _bring(w, at, memory, path, context, here, n):
    """Value and derivatives of the context that each lane is in."""
    for k in range(1 + MAX_SLOTS):
        place = at + VALUE if k == 0 else at + SLOPE + (k - 1) * LANES
        for b in range(n):
            w[place + b] = memory[path, k, context[here + b], b]


@njit(**INNER)
def _put(w, at, memory, path, context, here, n):
    """The inverse of `_bring`."""
    for k in range(1 + MAX_SLOTS):
        place = at + VALUE if k == 0 else at + SLOPE + (k - 1) * LANES
        for b in range(n):
            memory[path, k, context[here + b], b] = w[place + b]


@njit(**INNER)
def _forget(w, at, memory, path, reset, here, n, slot_of_start):
    """As `_begin`, in every context."""
    for b in range(n):
        if reset[here + b]:
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


@njit(**INNER)
def _block(tables, lanes, rows, w, places, memory, plain):
    """All trials of a block. What tuples hold is taken out of them first: each look costs a count of references."""
    arms, columns, subject = places
    n_slots, slot, accumulate = tables.n_slots, tables.slot, tables.accumulate
    active, starts, choice, reset = lanes.active, lanes.starts, lanes.choice.ravel(), lanes.reset.ravel()
    kind, target, available = lanes.kind.ravel(), lanes.target.ravel(), lanes.available.ravel()
    regressor, context = lanes.regressor.ravel(), lanes.context.ravel()
    n_channels, m, _ = tables.value.shape
    n_regressors, apart, any_lapse = (
        lanes.regressor.shape[0],
        memory.shape[2] > 1,
        tables.lapse_scalar[0] >= 0,
    )
    simple = m == 2 and available.size == 0 and not any_lapse
    stride, width, patience, waiting = choice.size, lanes.choice.shape[1], int(MOST_NATS / np.log(m + 1.0)), 0
    for row in range(rows[0], rows[1]):
        n, here, session = active[row], row * width, starts[row] != 0
        for i in range(m):
            arm = arms + i * ARM
            if n_channels == 0:
                _start_logit(w, arm, n)
            for c in range(n_channels):
                path, at = c * m + i, (c * m + i) * PATH
                if apart:
                    if session:
                        _forget(w, at, memory, path, reset, here, n, slot[c, START])
                    _bring(w, at, memory, path, context, c * stride + here, n)
                elif session:
                    _begin(w, at, reset, here, n, n_slots[c], slot[c, START])
                _add_path(w, at, arm + (BIAS if c == 0 else LOGIT), arm + LOGIT, n)
            for r in range(n_regressors):
                weight = columns + (r * m + i) * COLUMN + REGRESSOR
                _add_product(w, weight, regressor, (r * m + i) * stride + here, arm + LOGIT, n)
        if simple:
            _score_two(w, arms, subject, choice, here, n)
        else:
            _score(w, arms, subject, m, choice, available, here, stride, n, any_lapse)
        for i in range(m):
            residual = arms + i * ARM + LOGIT
            if tables.bias_local[i] >= 0:
                _sum_residuals(w, arms + i * ARM, n)
            for r in range(n_regressors):
                to = columns + (r * m + i) * COLUMN + AGAINST_REGRESSOR
                _sum_product(w, residual, regressor, (r * m + i) * stride + here, to, n)
            for c in range(n_channels):
                path, at = c * m + i, (c * m + i) * PATH
                place, toward = path * stride + here, 1.0 - accumulate[c]
                if plain[c]:
                    own = _is(slot[c, POSITIVE], 0)
                    _learn(w, at, residual, kind, target, place, n, toward, own)
                else:
                    _learn_by_case(w, at, residual, kind, target, place, n, toward, slot[c], n_slots[c])
                if apart:
                    _put(w, at, memory, path, context, c * stride + here, n)
        waiting += 1
        if waiting == patience:
            _take_logarithms(w, subject)
            waiting = 0
    _take_logarithms(w, subject)


@njit(**JIT)
def all_pass(tables, lanes, theta, loglik, gradient):
    """Log-likelihood (S,) of the subjects of `lanes` (with int8 and int16) at theta (S, P), and gradient (S, P)."""
    n_channels, m, _ = tables.value.shape
    w = np.empty(n_channels * m * PATH + m * ARM + tables.regressor_value.size * m * COLUMN + SUBJECT)
    memory = np.zeros((max(1, n_channels * m), 1 + MAX_SLOTS, tables.n_contexts[0], LANES))
    plain = np.zeros(max(1, n_channels), np.bool_)
    for c in range(n_channels):
        own_decay = tables.unchosen[c] == UNCHOSEN_OWN_DECAY
        plain[c] = tables.split[c] == 0 and tables.n_slots[c] < 2 and not own_decay
    arms = n_channels * m * PATH
    columns = arms + m * ARM
    subject = columns + tables.regressor_value.size * m * COLUMN
    places = (arms, columns, subject)
    for block in range(lanes.subject.shape[0]):
        _load(tables, lanes, block, theta, w, *places)
        rows = (lanes.first[block], lanes.first[block + 1])
        _block(tables, lanes, rows, uncounted(w), places, uncounted(memory), uncounted(plain))
        _unload(tables, lanes, block, theta, w, *places, loglik, gradient)
    keep(w, memory, plain)
