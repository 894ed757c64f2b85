r"""The likelihood of a subject's choices, with exact derivatives. This is its one home.

Paths become logits ``x = bias + sum_c w_c F_c + sum_r w_r z_r``, logits become choice probabilities, and the
chain rule leads back. With ``g_i = 1[i = choice] - p_i``, ``P = (1 - lapse) p_choice + lapse / m`` and ``f =
(1 - lapse) p_choice / P`` (1 without lapse):

* gradient in x: ``f g_i``; in the lapse: ``(1 / m - p_choice) / P``
* Hessian in x: ``f (1 - f) g g' - f (diag p - p p')``, plus ``f g_i`` times the second derivatives of
``x_i``.

Each step is a loop over the trials of one subject, arrays having the trial as last axis.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, add_scaled, copy, dot, dot3, fill, fill_rows, multiply, total
from hierrl.kernels.paths import channel_paths
from hierrl.kernels.rule import entry, pair


@njit(**INNER)
def factor_product(weight_value, coefficient, theta, constants, skip, also):
    """Coefficient times the weight's factors (F,), without factors `skip` and `also`."""
    product = coefficient
    for f in range(weight_value.size):
        if f != skip and f != also:
            product *= entry(weight_value[f], theta, constants)
    return product


@njit(**INNER)
def logits(tables, trials, s, theta, path):
    """Logits (m, T) of subject `s`."""
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_channels, n_arms, n_trials = path.shape
    x = np.empty((n_arms, n_trials))
    for i in range(n_arms):
        fill(x[i], entry(tables.bias_value[i], theta, tables.constants))
        for c in range(n_channels):
            factors = tables.weight_value[c, i]
            add_scaled(
                x[i],
                factor_product(factors, tables.coefficient[c], theta, tables.constants, -1, -1),
                path[c, i],
            )
        for r in range(tables.regressor_value.size):
            weight = entry(tables.regressor_value[r], theta, tables.constants)
            add_scaled(x[i], weight, trials.regressor[r, i, rows])
    return x


@njit(**INNER)
def softmax(x, available, p, log_total):
    """Probabilities p (m, T) over the arms available (m, T or 0), log_total (T,) = log sum exp(x)."""
    n_arms, n_trials = x.shape
    if available.shape[1] > 0:
        _softmax_shown(x, available, p, log_total)
        return
    if n_arms == 2:
        _softmax_two(x, p, log_total)
        return
    for t in range(n_trials):
        best = 0
        for i in range(1, n_arms):
            if x[i, t] > x[best, t]:
                best = i
        total = 1.0
        for i in range(n_arms):
            if i == best:
                p[i, t] = 1.0
            else:
                p[i, t] = np.exp(x[i, t] - x[best, t])
                total += p[i, t]
        for i in range(n_arms):
            p[i, t] /= total
        log_total[t] = x[best, t] + np.log(total)


@njit(**INNER)
def _softmax_two(x, p, log_total):
    """Two arms need one exponential."""
    for t in range(log_total.size):
        difference = x[1, t] - x[0, t]
        small = np.exp(-abs(difference))
        high = 1.0 / (1.0 + small)
        low = small * high
        p[0, t] = low if difference > 0.0 else high
        p[1, t] = high if difference > 0.0 else low
        log_total[t] = (x[1, t] if difference > 0.0 else x[0, t]) + np.log(1.0 + small)


@njit(**INNER)
def _softmax_shown(x, available, p, log_total):
    """Only some arms are shown on a trial; the others have probability 0."""
    n_arms, n_trials = x.shape
    for t in range(n_trials):
        best = -1
        for i in range(n_arms):
            if available[i, t] and (best < 0 or x[i, t] > x[best, t]):
                best = i
        total = 0.0
        for i in range(n_arms):
            p[i, t] = np.exp(x[i, t] - x[best, t]) if available[i, t] else 0.0
            total += p[i, t]
        for i in range(n_arms):
            p[i, t] /= total
        log_total[t] = x[best, t] + np.log(total)


@njit(**INNER)
def n_shown(available, n_arms, t):
    """How many arms are shown on trial `t`: available (m, T or 0)."""
    if available.shape[1] == 0:
        return n_arms
    count = 0
    for i in range(n_arms):
        count += available[i, t]
    return count


@njit(**INNER)
def with_lapse(probability, lapse, shown, count):
    """Choice probability of an arm from that of the softmax, one of `count` arms if it is `shown`."""
    return (1.0 - lapse) * probability + lapse / count if shown else 0.0


@njit(**INNER)
def score(choice, scored, available, x, p, log_total, lapse, loglik, share):
    """Log-probability (T,) of each choice and the share f (T,) of it that is not lapse; 0 where not scored."""
    n_arms = x.shape[0]
    value = 0.0
    for t in range(choice.size):
        loglik[t], share[t] = 0.0, 0.0
        if not scored[t]:
            continue
        loglik[t], share[t] = x[choice[t], t] - log_total[t], 1.0
        if lapse > 0.0:
            informed = (1.0 - lapse) * p[choice[t], t]
            probability = with_lapse(p[choice[t], t], lapse, True, n_shown(available, n_arms, t))
            loglik[t], share[t] = np.log(probability), informed / probability
        value += loglik[t]
    return value


@njit(**INNER)
def residuals(choice, share, p, r):
    """Gradient (m, T) of the log-likelihood in the logits."""
    for i in range(p.shape[0]):
        for t in range(choice.size):
            r[i, t] = share[t] * ((1.0 if choice[t] == i else 0.0) - p[i, t])


@njit(**INNER)
def pull_back(tables, trials, s, theta, path, dpath, r, gradient):
    """Gradient (P,) in the parameters from that in the logits, r (m, T)."""
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_channels, n_arms, n_factors = tables.weight_value.shape
    for c in range(n_channels):
        for i in range(n_arms):
            scalars, factors, coefficient = (
                tables.arm_scalars[i],
                tables.weight_value[c, i],
                tables.coefficient[c],
            )
            weight = factor_product(factors, coefficient, theta, tables.constants, -1, -1)
            for k in range(tables.n_slots[c]):
                gradient[scalars[tables.slot_local[c, i, k]]] += weight * dot(r[i], dpath[c, i, k])
            against = dot(r[i], path[c, i])
            for f in range(n_factors):
                if tables.weight_local[c, i, f] >= 0:
                    slope = factor_product(factors, coefficient, theta, tables.constants, f, f)
                    gradient[scalars[tables.weight_local[c, i, f]]] += slope * against
    for i in range(n_arms):
        if tables.bias_local[i] >= 0:
            gradient[tables.arm_scalars[i, tables.bias_local[i]]] += total(r[i])
        for k in range(tables.regressor_value.size):
            scalar = tables.arm_scalars[i, tables.regressor_local[k, i]]
            gradient[scalar] += dot(r[i], trials.regressor[k, i, rows])


@njit(**INNER)
def lapse_slopes(choice, scored, available, p, loglik, slope):
    """Derivative (T,) of each log-probability in the lapse."""
    for t in range(choice.size):
        slope[t] = 0.0
        if scored[t]:
            slope[t] = (1.0 / n_shown(available, p.shape[0], t) - p[choice[t], t]) * np.exp(-loglik[t])


@njit(**JIT)
def subject_pass(tables, trials, s, theta, order, gradient, hessian):
    """Log-likelihood of subject `s` at `theta` (P,), with derivatives up to `order`.

    `gradient` (P,) and `hessian` (P, P) are overwritten; above `order` they may have no elements.
    """
    rows = slice(trials.offset[s], trials.offset[s + 1])
    choice, scored, available = trials.choice[rows], trials.scored[rows], trials.available[:, rows]
    path, dpath, ddpath = channel_paths(tables, trials, s, theta, order)
    x = logits(tables, trials, s, theta, path)
    p, r = np.empty(x.shape), np.empty(x.shape)
    log_total, loglik, share, slope = (
        np.empty(choice.size),
        np.empty(choice.size),
        np.empty(choice.size),
        np.empty(choice.size),
    )
    softmax(x, available, p, log_total)
    lapse = entry(tables.lapse_value[0], theta, tables.constants)
    value = score(choice, scored, available, x, p, log_total, lapse, loglik, share)
    if order == 0:
        return value
    fill(gradient, 0.0)
    residuals(choice, share, p, r)
    pull_back(tables, trials, s, theta, path, dpath, r, gradient)
    lapse_scalar = tables.lapse_scalar[0]
    if lapse_scalar >= 0:
        lapse_slopes(choice, scored, available, p, loglik, slope)
        gradient[lapse_scalar] += total(slope)
    if order > 1:
        fill_rows(hessian, 0.0)
        jacobian = _jacobian(tables, trials, s, theta, path, dpath)
        _add_outer(tables, choice, scored, share, p, jacobian, slope, loglik, hessian)
        _add_curvature(tables, theta, path, dpath, ddpath, r, hessian)
    return value


@njit(**INNER)
def _jacobian(tables, trials, s, theta, path, dpath):
    """Derivatives (m, A, T) of the logits in the scalars that touch each arm."""
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_channels, n_arms, n_factors = tables.weight_value.shape
    jacobian = np.zeros((n_arms, tables.arm_scalars.shape[1], path.shape[2]))
    for c in range(n_channels):
        for i in range(n_arms):
            factors, coefficient = tables.weight_value[c, i], tables.coefficient[c]
            weight = factor_product(factors, coefficient, theta, tables.constants, -1, -1)
            for k in range(tables.n_slots[c]):
                add_scaled(jacobian[i, tables.slot_local[c, i, k]], weight, dpath[c, i, k])
            for f in range(n_factors):
                if tables.weight_local[c, i, f] >= 0:
                    slope = factor_product(factors, coefficient, theta, tables.constants, f, f)
                    add_scaled(jacobian[i, tables.weight_local[c, i, f]], slope, path[c, i])
    for i in range(n_arms):
        if tables.bias_local[i] >= 0:  # a column of its own
            fill(jacobian[i, tables.bias_local[i]], 1.0)
        for k in range(tables.regressor_value.size):
            add_scaled(jacobian[i, tables.regressor_local[k, i]], 1.0, trials.regressor[k, i, rows])
    return jacobian


@njit(**INNER)
def _add_outer(tables, choice, scored, share, p, jacobian, slope, loglik, hessian):
    """The part of the Hessian from first derivatives: ``f (1-f) G G' - f (sum_i p_i J_i J_i' - C C')`` and
    the lapse's.

    ``C = sum_i p_i J_i`` and ``G = J_choice - C``, both (P, T).
    """
    n_scalars, n_trials = hessian.shape[0], choice.size
    centre, chosen = np.zeros((n_scalars, n_trials)), np.zeros((n_scalars, n_trials))
    weighted = np.empty(n_trials)
    for i in range(p.shape[0]):
        multiply(share, p[i], weighted)
        for a in range(tables.n_arm_scalars[i]):
            row = tables.arm_scalars[i, a]
            for t in range(n_trials):
                centre[row, t] += p[i, t] * jacobian[i, a, t]
                chosen[row, t] += jacobian[i, a, t] if choice[t] == i else 0.0
            for b in range(a + 1):
                _add_symmetric(
                    hessian, row, tables.arm_scalars[i, b], -dot3(weighted, jacobian[i, a], jacobian[i, b])
                )
    for a in range(n_scalars):
        add_scaled(chosen[a], -1.0, centre[a])
    spread, mixed = np.empty(n_trials), False
    for t in range(n_trials):
        spread[t] = share[t] * (1.0 - share[t])
        mixed = mixed or spread[t] > 0.0
    for a in range(n_scalars):
        for b in range(a + 1):
            amount = dot3(share, centre[a], centre[b])
            if mixed:
                amount += dot3(spread, chosen[a], chosen[b])
            _add_symmetric(hessian, a, b, amount)
    lapse = tables.lapse_scalar[0]
    if lapse >= 0:
        hessian[lapse, lapse] -= dot(slope, slope)
        for a in range(n_scalars):
            amount = 0.0
            for t in range(n_trials):
                if scored[t]:
                    amount += chosen[a, t] * (p[choice[t], t] * np.exp(-loglik[t]) + share[t] * slope[t])
            _add_symmetric(hessian, lapse, a, -amount)


@njit(**INNER)
def _add_curvature(tables, theta, path, dpath, ddpath, r, hessian):
    """The part of the Hessian from second derivatives of the logits: shape-shape, shape-weight, weight-weight."""
    n_channels, n_arms, n_factors = tables.weight_value.shape
    for c in range(n_channels):
        for i in range(n_arms):
            scalars, factors, coefficient = (
                tables.arm_scalars[i],
                tables.weight_value[c, i],
                tables.coefficient[c],
            )
            local = tables.weight_local[c, i]
            weight = factor_product(factors, coefficient, theta, tables.constants, -1, -1)
            for k in range(tables.n_slots[c]):
                row = scalars[tables.slot_local[c, i, k]]
                for j in range(k + 1):
                    amount = weight * dot(r[i], ddpath[c, i, pair(k, j)])
                    _add_symmetric(hessian, row, scalars[tables.slot_local[c, i, j]], amount)
                for f in range(n_factors):
                    if local[f] >= 0:
                        slope = factor_product(factors, coefficient, theta, tables.constants, f, f)
                        _add_symmetric(hessian, row, scalars[local[f]], slope * dot(r[i], dpath[c, i, k]))
            for f in range(n_factors):
                for g in range(f):
                    if local[f] >= 0 and local[g] >= 0:
                        bend = factor_product(factors, coefficient, theta, tables.constants, f, g)
                        _add_symmetric(
                            hessian, scalars[local[f]], scalars[local[g]], bend * dot(r[i], path[c, i])
                        )


@njit(**INNER)
def _add_symmetric(hessian, row, column, amount):
    hessian[row, column] += amount
    if row != column:
        hessian[column, row] += amount


@njit(**JIT)
def batch_pass(tables, trials, subjects, theta, order, value, gradient, hessian):
    """`subject_pass` for an index array of subjects; theta (S, P), value (S,), gradient (S, P), hessian (S,
    P, P).

    Above `order`, `gradient` and `hessian` may have no rows.
    """
    no_gradient, no_hessian = np.empty(0), np.empty((0, 0))
    for s in subjects:
        g = gradient[s] if order > 0 else no_gradient
        h = hessian[s] if order > 1 else no_hessian
        value[s] = subject_pass(tables, trials, s, theta[s], order, g, h)


@njit(**JIT)
def trial_pass(tables, trials, subjects, theta, path, probability, loglik):
    """Per trial: paths (C, m, n), choice probabilities (m, n), log-probability of scored choices (n,; NaN
    elsewhere).
    """
    for s in subjects:
        rows = slice(trials.offset[s], trials.offset[s + 1])
        choice, scored, available = trials.choice[rows], trials.scored[rows], trials.available[:, rows]
        own = channel_paths(tables, trials, s, theta[s], 0)[0]
        x = logits(tables, trials, s, theta[s], own)
        p, log_total, share = np.empty(x.shape), np.empty(choice.size), np.empty(choice.size)
        softmax(x, available, p, log_total)
        lapse = entry(tables.lapse_value[0], theta[s], tables.constants)
        score(choice, scored, available, x, p, log_total, lapse, loglik[rows], share)
        for c in range(own.shape[0]):
            for i in range(own.shape[1]):
                copy(own[c, i], path[c, i, rows])
        for t in range(choice.size):
            for i in range(p.shape[0]):
                shown, count = available.shape[1] == 0 or available[i, t], n_shown(available, p.shape[0], t)
                probability[i, rows.start + t] = with_lapse(p[i, t], lapse, shown, count)
            if not scored[t]:
                loglik[rows.start + t] = np.nan
