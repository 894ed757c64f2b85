"""What one trial does to subjects side by side: logits, their score, sums against the residuals, learning.

All numbers of a block of lanes are in one vector w: number k of lane b is ``w[k * LANES + b]``, and a place below is
``k * LANES``. Each step is a loop over eight lanes at a time (`hierrl.kernels.vectors`) without a branch that depends
on data. Steps are short, so that the processor can work on several vectors at once.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels import learners
from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jets import choose_jet, read_wide, variables_wide, write_jet
from hierrl.kernels.jit import njit
from hierrl.kernels.lanes import LANES, NOT_SCORED
from hierrl.kernels.loops import INNER
from hierrl.kernels.rule import FADE, HOLD, LEARN, LEARN_OTHER
from hierrl.kernels.tables import EXPONENT, MAX_SLOTS, N_ROLES, NEGATIVE, OWN_DECAY, POSITIVE
from hierrl.kernels.vectors import WIDTH, choose, equal, read, write

WITHIN = {**INNER, "forceinline": True}

# Numbers of a path (of an arm in a channel): its value with derivatives by slot; its shape parameters by role (of other
# learners than the delta rule, what their roles are); its weight; sums of residual times value and, by slot, residual
# times derivative; of learners with a second state, that with its derivatives. Learners have one slot by role.
VALUE, SLOPE = 0, LANES
RATE, RATE_DOWN, RATE_FADE, BEGIN, RAISE = ((1 + MAX_SLOTS + k) * LANES for k in range(N_ROLES))
WEIGHT, AGAINST, AGAINST_SLOPE = ((1 + MAX_SLOTS + N_ROLES + k) * LANES for k in range(3))
STATE = (3 + 2 * MAX_SLOTS + N_ROLES) * LANES
PARTS = 1 + MAX_SLOTS
PATH = STATE + PARTS * LANES

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


@njit(**WITHIN)
def one_if(slot, k):
    """1 if the slot is k, 0 otherwise: slots are whole numbers, lanes hold floats."""
    return 1.0 if slot == k else 0.0


@njit(**WITHIN)
def _add(w, place, amount):
    write(w, place, read(w, place) + amount)


@njit(**INNER)
def begin(w, at, reset, here, n, n_slots, slot_of_start):
    """Lanes in which a session starts forget the values of a path."""
    for b in range(0, n, WIDTH):
        kept, path = equal(reset, here + b, 0), at + b
        write(w, path + VALUE, choose(kept, read(w, path + VALUE), read(w, path + BEGIN)))
        for k in range(n_slots):
            slope = path + SLOPE + k * LANES
            write(w, slope, choose(kept, read(w, slope), one_if(slot_of_start, k)))


@njit(**INNER)
def start_logit(w, arm, n):
    """A logit without channels is the bias."""
    for b in range(0, n, WIDTH):
        write(w, arm + LOGIT + b, read(w, arm + BIAS + b))


@njit(**INNER)
def add_path(w, at, from_, to, n):
    """Weight times value, added to the numbers at `from_`."""
    for b in range(0, n, WIDTH):
        write(w, to + b, read(w, from_ + b) + read(w, at + WEIGHT + b) * read(w, at + VALUE + b))


@njit(**INNER)
def add_product(w, factor, regressor, here, to, n):
    """Numbers at `factor` times the regressor, added to the numbers at `to`."""
    for b in range(0, n, WIDTH):
        _add(w, to + b, read(w, factor + b) * read(regressor, here + b))


@njit(**INNER)
def score_two(w, arm, subject, choice, here, n):
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
        write(w, subject + TOP + b, -np.inf)
        write(w, subject + SUM + b, 0.0)
        write(w, subject + CHOSEN + b, 0.0)
        write(w, subject + COUNT + b, 0.0)


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
def score(w, arms, subject, m, choice, available, here, stride, n, any_lapse):
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
def sum_residuals(w, arm, n):
    """The sum that the bias's gradient is."""
    for b in range(0, n, WIDTH):
        _add(w, arm + AGAINST_ONE + b, read(w, arm + LOGIT + b))


@njit(**INNER)
def learn(w, at, residuals, kind, target, here, n, toward, own):
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
def learn_by_case(w, at, residuals, kind, target, here, n, toward, split, slot, n_slots):
    """The same with two rates, of which the sign of the error chooses one if there is a `split`, a rate of fading, and
    all slots.
    """
    add = 1.0 - toward
    for b in range(0, n, WIDTH):
        path = at + b
        residual, value, aim = read(w, residuals + b), read(w, path + VALUE), read(target, here + b)
        step = toward * aim - value
        _add(w, path + AGAINST, residual * value)
        rate = _rate_of_case(w, path, kind, here + b, aim < value, split)
        for k in range(n_slots):
            slope, own = (
                read(w, path + SLOPE + k * LANES),
                _own_case(kind, here + b, aim < value, split, slot, k),
            )
            _add(w, path + AGAINST_SLOPE + k * LANES, residual * slope)
            write(w, path + SLOPE + k * LANES, slope - rate * slope + own * step)
        write(w, path + VALUE, value - rate * value + (toward * rate + add) * aim)


@njit(**WITHIN)
def _by_case(kind, here, below, split, up, down, fade):
    """Of three numbers (eight, or one) the one that goes with what an arm does; 0 where it does nothing."""
    learns, other, fades = equal(kind, here, LEARN), equal(kind, here, LEARN_OTHER), equal(kind, here, FADE)
    first, second = choose(below, down, up), choose(below, up, down)
    if not split:
        first, second = choose(below, up, up), choose(below, down, down)
    return choose(fades, fade, choose(learns, first, choose(other, second, 0.0)))


@njit(**WITHIN)
def _rate_of_case(w, path, kind, here, below, split):
    """The rate that applies."""
    rates = (read(w, path + RATE), read(w, path + RATE_DOWN), read(w, path + RATE_FADE))
    return _by_case(kind, here, below, split, *rates)


@njit(**WITHIN)
def _own_case(kind, here, below, split, slot, k):
    """1 where the rate that applies is slot k."""
    own = (one_if(slot[POSITIVE], k), one_if(slot[NEGATIVE], k), one_if(slot[OWN_DECAY], k))
    return _by_case(kind, here, below, split, *own)


@njit(**INNER)
def learn_power(w, at, residuals, kind, target, log_size, here, n, toward, split, slot, n_slots):
    """As `learn_by_case` for a channel that learns from powers of its signal with a free exponent."""
    add = 1.0 - toward
    for b in range(0, n, WIDTH):
        path, size = at + b, read(log_size, here + b)
        residual, value = read(w, residuals + b), read(w, path + VALUE)
        aim = read(target, here + b) * exp_negative(read(w, path + RAISE) * size)
        step = toward * aim - value
        _add(w, path + AGAINST, residual * value)
        rate = _rate_of_case(w, path, kind, here + b, aim < value, split)
        for k in range(n_slots):
            slope, own = (
                read(w, path + SLOPE + k * LANES),
                _own_case(kind, here + b, aim < value, split, slot, k),
            )
            bend = one_if(slot[EXPONENT], k) * (toward * rate + add) * (aim * size)
            _add(w, path + AGAINST_SLOPE + k * LANES, residual * slope)
            write(w, path + SLOPE + k * LANES, slope - rate * slope + own * step + bend)
        write(w, path + VALUE, value - rate * value + (toward * rate + add) * aim)


@njit(**WITHIN)
def _roles(w, path):
    """The parameters of a learner as numbers that carry their derivatives."""
    return variables_wide(
        read(w, path + RATE), read(w, path + RATE_DOWN), read(w, path + RATE_FADE), read(w, path + BEGIN),
        read(w, path + RAISE),
    )  # fmt: skip


@njit(**INNER)
def begin_state(w, at, reset, here, n, learner):
    """As `begin` for a learner with a second state."""
    for b in range(0, n, WIDTH):
        path, kept = at + b, equal(reset, here + b, 0)
        value, state = learners.begin(learner, *_roles(w, path))
        write_jet(w, path + VALUE, LANES, choose_jet(kept, read_wide(w, path + VALUE, LANES), value))
        write_jet(w, path + STATE, LANES, choose_jet(kept, read_wide(w, path + STATE, LANES), state))


@njit(**INNER)
def learn_state(w, at, residuals, kind, target, here, n, learner):
    """As `learn` for a learner with a second state: the equations run on numbers that carry their derivatives."""
    for b in range(0, n, WIDTH):
        path, residual = at + b, read(w, residuals + b)
        _add(w, path + AGAINST, residual * read(w, path + VALUE))
        for k in range(N_ROLES):
            _add(w, path + AGAINST_SLOPE + k * LANES, residual * read(w, path + SLOPE + k * LANES))
        learns, holds, roles = equal(kind, here + b, LEARN), equal(kind, here + b, HOLD), _roles(w, path)
        value, state = read_wide(w, path + VALUE, LANES), read_wide(w, path + STATE, LANES)
        new_value, new_state = learners.learn(learner, value, state, read(target, here + b), *roles)
        new_value, new_state = choose_jet(learns, new_value, value), choose_jet(learns, new_state, state)
        new_value, new_state = learners.drift(learner, new_value, new_state, *roles)
        write_jet(w, path + VALUE, LANES, choose_jet(holds, value, new_value))
        write_jet(w, path + STATE, LANES, choose_jet(holds, state, new_state))


@njit(**INNER)
def take_logarithms(w, subject):
    """Products of probabilities' denominators into the log-likelihood, before they overflow."""
    for b in range(LANES):
        w[subject + TOTAL + b] -= np.log(w[subject + PRODUCT + b])
        w[subject + PRODUCT + b] = 1.0


@njit(**WITHIN)
def _part(at, k):
    """Where part k of what a context holds stands: the value with its derivatives, the second state with its own."""
    return at + VALUE + k * LANES if k < PARTS else at + STATE + (k - PARTS) * LANES


@njit(**INNER)
def bring(w, at, memory, path, context, here, n):
    """States of the context that each lane is in."""
    for k in range(memory.shape[1]):
        place = _part(at, k)
        for b in range(n):
            w[place + b] = memory[path, k, context[here + b], b]


@njit(**INNER)
def put(w, at, memory, path, context, here, n):
    """The inverse of `bring`."""
    for k in range(memory.shape[1]):
        place = _part(at, k)
        for b in range(n):
            memory[path, k, context[here + b], b] = w[place + b]


@njit(**INNER)
def forget(w, at, memory, path, reset, here, n):
    """In lanes in which a session starts, every context gets the states that have just begun."""
    for b in range(n):
        if reset[here + b]:
            for k in range(memory.shape[1]):
                for x in range(memory.shape[2]):
                    memory[path, k, x, b] = w[_part(at, k) + b]
