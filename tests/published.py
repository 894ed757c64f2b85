"""Models as their authors wrote them: one subject's session in plain Python, with the published parameter names.

Nothing is shared with the package. Equations and the order in which they are applied are those of the papers, and of
hBayesDM (Ahn, Haines & Zhang 2017) where a model has its name: score the choice with the values before it, then learn.
Each loop takes the trials, the number of arms and the parameters, and gives the log-likelihood of the choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Parameters = dict[str, float]
Loop = Callable[..., float]


@dataclass(frozen=True)
class Trial:
    """What happened: arms from 0; `gain` and `loss` (0 or less) add up to `outcome`."""

    choice: int
    outcome: float
    gain: float = 0.0
    loss: float = 0.0
    forgone: tuple[float, ...] = ()
    """What each arm would have paid."""
    shown: tuple[bool, ...] = ()


def softmax(x: list[float]) -> list[float]:
    odds = [math.exp(one - max(x)) for one in x]
    return [one / sum(odds) for one in odds]


def log_softmax(x: list[float], choice: int) -> float:
    return x[choice] - max(x) - math.log(sum(math.exp(one - max(x)) for one in x))


def delta(trials: list[Trial], m: int, p: Parameters) -> float:
    """bandit2arm_delta, banditNarm_delta: Rescorla-Wagner."""
    ev, total = [0.0] * m, 0.0
    for t in trials:
        total += log_softmax([p["tau"] * q for q in ev], t.choice)
        ev[t.choice] += p["A"] * (t.outcome - ev[t.choice])
    return total


def seymour(trials: list[Trial], m: int, p: Parameters) -> float:
    """bandit4arm_4par and _lapse (Seymour et al. 2012), _singleA_lapse, _2par_lapse (Aylward et al. 2019).

    Rewards and punishments times sensitivities; all arms but the chosen one learn from 0.
    """
    a_rew, a_pun = p.get("Arew", p.get("A")), p.get("Apun", p.get("A"))
    sensitivity, xi = (p.get("R", 1.0), p.get("P", 1.0)), p.get("xi", 0.0)
    q_rew, q_pun, total = [0.0] * m, [0.0] * m, 0.0
    for t in trials:
        chance = softmax([r + u for r, u in zip(q_rew, q_pun, strict=True)])
        total += math.log((1 - xi) * chance[t.choice] + xi / m)
        for i in range(m):
            paid, taken = (sensitivity[0] * t.gain, sensitivity[1] * t.loss) if i == t.choice else (0.0, 0.0)
            q_rew[i] += a_rew * (paid - q_rew[i])
            q_pun[i] += a_pun * (taken - q_pun[i])
    return total


def seymour_decay(trials: list[Trial], m: int, p: Parameters) -> float:
    """bandit4arm_lapse_decay (Aylward et al. 2019): arms not chosen fade at a rate of their own."""
    q_rew, q_pun, total = [0.0] * m, [0.0] * m, 0.0
    for t in trials:
        c = t.choice
        chance = softmax([r + u for r, u in zip(q_rew, q_pun, strict=True)])
        total += math.log((1 - p["xi"]) * chance[c] + p["xi"] / m)
        new_rew = q_rew[c] + p["Arew"] * (p["R"] * t.gain - q_rew[c])
        new_pun = q_pun[c] + p["Apun"] * (p["P"] * t.loss - q_pun[c])
        q_rew, q_pun = [(1 - p["d"]) * q for q in q_rew], [(1 - p["d"]) * q for q in q_pun]
        q_rew[c], q_pun[c] = new_rew, new_pun
    return total


def kalman_filter(trials: list[Trial], m: int, p: Parameters) -> float:
    """bandit4arm2_kalman_filter (Daw et al. 2006): sigma_O is 4."""
    mean, variance, total = [p["mu0"]] * m, [p["s0"] ** 2] * m, 0.0
    for t in trials:
        total += log_softmax([p["beta"] * one for one in mean], t.choice)
        gain = variance[t.choice] / (variance[t.choice] + 4.0**2)
        mean[t.choice] += gain * (t.outcome - mean[t.choice])
        variance[t.choice] *= 1 - gain
        mean = [p["lambda"] * one + (1 - p["lambda"]) * p["theta"] for one in mean]
        variance = [p["lambda"] ** 2 * one + p["sD"] ** 2 for one in variance]
    return total


def reward_punishment(trials: list[Trial], m: int, p: Parameters) -> float:
    """prl_rp (den Ouden et al. 2013): one rate after rewards, one after all else."""
    ev, total = [0.0] * m, 0.0
    for t in trials:
        total += log_softmax([p["beta"] * q for q in ev], t.choice)
        rate = p["Arew"] if t.outcome > 0 else p["Apun"]
        ev[t.choice] += rate * (t.outcome - ev[t.choice])
    return total


def fictitious(trials: list[Trial], m: int, p: Parameters) -> float:
    """prl_fictitious, _woa, _rp, _rp_woa (Gläscher et al. 2009): the other arm learns from minus the outcome.

    Of two rates both arms use the one that goes with the error of the chosen arm. alpha is the indecision point.
    """
    assert m == 2
    ev, total = [0.0, 0.0], 0.0
    for t in trials:
        against = p["beta"] * (p.get("alpha", 0.0) - (ev[0] - ev[1]))
        total -= math.log1p(math.exp(against if t.choice == 0 else -against))
        c, other = t.choice, 1 - t.choice
        error, fictive_error = t.outcome - ev[c], -t.outcome - ev[other]
        eta = p["eta"] if "eta" in p else p["eta_pos"] if error >= 0 else p["eta_neg"]
        ev[c] += eta * error
        ev[other] += eta * fictive_error
    return total


def experience_weighted(trials: list[Trial], m: int, p: Parameters) -> float:
    """prl_ewa (Camerer & Ho 1999; den Ouden et al. 2013)."""
    ev, weight, total = [0.0] * m, [0.0] * m, 0.0
    for t in trials:
        c = t.choice
        total += log_softmax([p["beta"] * q for q in ev], c)
        before = weight[c]
        weight[c] = p["rho"] * before + 1
        ev[c] = (p["phi"] * before * ev[c] + t.outcome) / weight[c]
    return total


def probabilistic_selection(trials: list[Trial], m: int, p: Parameters) -> float:
    """pst_Q, pst_gainloss_Q (Frank et al. 2007): two of six stimuli; a logistic function of their difference."""
    ev, total = [0.0] * m, 0.0
    for t in trials:
        (other,) = (i for i in range(m) if t.shown[i] and i != t.choice)
        total -= math.log1p(math.exp(-p["beta"] * (ev[t.choice] - ev[other])))
        error = t.outcome - ev[t.choice]
        alpha = p["alpha"] if "alpha" in p else p["alpha_pos"] if error >= 0 else p["alpha_neg"]
        ev[t.choice] += alpha * error
    return total


PAYSCALE = 100.0
"""hBayesDM divides the money of the Iowa gambling task by it."""


def prospect(outcome: float, p: Parameters) -> float:
    """Utility of an outcome of the Iowa gambling task."""
    x = outcome / PAYSCALE
    return x ** p["alpha"] if x >= 0 else -p["lambda"] * (-x) ** p["alpha"]


def pvl_delta(trials: list[Trial], m: int, p: Parameters) -> float:
    """igt_pvl_delta (Ahn et al. 2008)."""
    ev, total, theta = [0.0] * m, 0.0, 3 ** p["cons"] - 1
    for t in trials:
        total += log_softmax([theta * q for q in ev], t.choice)
        ev[t.choice] += p["A"] * (prospect(t.outcome, p) - ev[t.choice])
    return total


def pvl_decay(trials: list[Trial], m: int, p: Parameters) -> float:
    """igt_pvl_decay (Ahn et al. 2014): everything fades, then the chosen deck gains its utility."""
    ev, total, theta = [0.0] * m, 0.0, 3 ** p["cons"] - 1
    for t in trials:
        total += log_softmax([theta * q for q in ev], t.choice)
        ev = [p["A"] * q for q in ev]
        ev[t.choice] += prospect(t.outcome, p)
    return total


def vpp(trials: list[Trial], m: int, p: Parameters) -> float:
    """igt_vpp (Worthy, Pang & Byrne 2013): value plus perseverance."""
    ev, pers, total, theta = [0.0] * m, [0.0] * m, 0.0, 3 ** p["cons"] - 1
    for t in trials:
        v = [p["w"] * q + (1 - p["w"]) * k for q, k in zip(ev, pers, strict=True)]
        total += log_softmax([theta * one for one in v], t.choice)
        pers = [p["K"] * one for one in pers]
        pers[t.choice] += p["epP"] if t.outcome >= 0 else p["epN"]
        ev[t.choice] += p["A"] * (prospect(t.outcome, p) - ev[t.choice])
    return total


def orl(trials: list[Trial], m: int, p: Parameters) -> float:
    """igt_orl (Haines, Vassileva & Ahn 2018): expected value, expected frequency of wins, perseverance."""
    ev, ef, pers, total = [0.0] * m, [0.0] * m, [0.0] * m, 0.0
    for t in trials:
        c, x = t.choice, t.outcome / PAYSCALE
        util = [v + p["betaF"] * f + p["betaP"] * k for v, f, k in zip(ev, ef, pers, strict=True)]
        total += log_softmax(util, c)
        sign = (x > 0) - (x < 0)
        own, other = (p["Arew"], p["Apun"]) if x >= 0 else (p["Apun"], p["Arew"])
        ef = [f + (own * (sign - f) if i == c else other * (-sign / (m - 1) - f)) for i, f in enumerate(ef)]
        ev[c] += own * (x - ev[c])
        pers[c] = 1.0
        pers = [one / 3 ** p["K"] for one in pers]
    return total


def q_learning(trials: list[Trial], m: int, p: Parameters) -> float:
    """Q-learning (Sutton & Barto 2018) with what others added to it.

    Q0, a first value; kappa, a bonus for the last choice (Schönberg et al. 2007); bias of each arm but the first;
    epsilon, a share of random choices; counterfactual learning (Palminteri et al. 2015).
    """
    q, last, total = [p.get("Q0", 0.0)] * m, -1, 0.0
    for t in trials:
        x = [p["beta"] * q[i] + p.get("kappa", 0.0) * (i == last) + p.get(f"b{i}", 0.0) for i in range(m)]
        epsilon = p.get("epsilon", 0.0)
        total += math.log((1 - epsilon) * softmax(x)[t.choice] + epsilon / m)
        for i in range(m):
            if i == t.choice:
                q[i] += p["alpha"] * (t.outcome - q[i])
            elif "counterfactual" in p:
                q[i] += p["alpha"] * (t.forgone[i] - q[i])
        last = t.choice
    return total


def dual_rates(trials: list[Trial], m: int, p: Parameters) -> float:
    """Daw, Kakade & Dayan (2002): rates for positive and negative prediction errors."""
    q, total = [0.0] * m, 0.0
    for t in trials:
        total += log_softmax([p["beta"] * one for one in q], t.choice)
        error = t.outcome - q[t.choice]
        q[t.choice] += (p["alpha+"] if error > 0 else p["alpha-"]) * error
    return total


def forgetting(trials: list[Trial], m: int, p: Parameters) -> float:
    """F-Q and DF-Q (Ito & Doya 2009): rewards strengthen by kappa1; arms not chosen fade at alpha2, or alpha1 if none.

    Values are logits: there is no temperature.
    """
    q, total = [0.0] * m, 0.0
    for t in trials:
        total += log_softmax(q, t.choice)
        fading = p.get("alpha2", p["alpha1"])
        kept = (1 - p["alpha1"]) * q[t.choice] + p["alpha1"] * p["kappa1"] * t.outcome
        q = [(1 - fading) * one for one in q]
        q[t.choice] = kept
    return total


def linear_choice_kernel(trials: list[Trial], m: int, p: Parameters) -> float:
    """Lau & Glimcher (2005), as recursion: delta rule for rewards and for choices, each with rate and weight."""
    q, c, total = [0.0] * m, [0.0] * m, 0.0
    for t in trials:
        x = [p["beta"] * a + p["betaC"] * b for a, b in zip(q, c, strict=True)]
        total += log_softmax(x, t.choice)
        q[t.choice] += p["alpha"] * (t.outcome - q[t.choice])
        c = [one + p["alphaC"] * ((i == t.choice) - one) for i, one in enumerate(c)]
    return total


def subvalues(trials: list[Trial], m: int, p: Parameters) -> float:
    """Zhu et al. (2025): z <- (1 - alpha) z + alpha beta u for a reward and a choice input; logits are sums of z."""
    z = [[0.0] * m, [0.0] * m]
    total = 0.0
    for t in trials:
        total += log_softmax([a + b for a, b in zip(*z, strict=True)], t.choice)
        for k, signal in enumerate((t.outcome, 1.0)):
            alpha, beta = p[f"alpha{k + 1}"], p[f"beta{k + 1}"]
            inputs = [signal * (i == t.choice) for i in range(m)]
            z[k] = [(1 - alpha) * old + alpha * beta * u for old, u in zip(z[k], inputs, strict=True)]
    return total


def pearce_hall(trials: list[Trial], m: int, p: Parameters) -> float:
    """Pearce-Hall hybrid (Li et al. 2011): the associability, 1 at first, follows the size of the errors."""
    v, a, total = [0.0] * m, [1.0] * m, 0.0
    for t in trials:
        c = t.choice
        total += log_softmax([p["beta"] * one for one in v], c)
        error = t.outcome - v[c]
        v[c] += p["kappa"] * a[c] * error
        a[c] = p["eta"] * abs(error) + (1 - p["eta"]) * a[c]
    return total
