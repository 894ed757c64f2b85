"""Log-likelihoods are those of the published equations, at random parameters under the published names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierrl as hr
from hierrl.kernels.problem import Problem, prepare
from hierrl.models.aliases import ALIASES
from tests import published
from tests.published import Loop, Parameters, Trial
from tests.published_tasks import bits, coins, decks, points, shares, small, stimuli, study_of

EXACT = 1e-10
N_DRAWS = 4

Ranges = dict[str, tuple[float, float]]
RATE, TEMPERATURE, SIGNED = (0.02, 0.98), (0.1, 8.0), (-3.0, 3.0)


@dataclass(frozen=True)
class Published:
    """A published model: its loop, a task, ranges of its parameters, and our parameters as functions of them."""

    loop: Loop
    task: Callable[..., pd.DataFrame]
    ranges: Ranges
    ours: Callable[[Parameters, float], dict[str, Any]]
    """(published parameters, reward scale) -> raw values by our names."""
    fixed: Parameters = field(default_factory=dict)
    """Published parameters that are numbers."""


def renamed(**names: str) -> Callable[[Parameters, float], dict[str, Any]]:
    """Ours -> the published name of the same number."""
    return lambda p, scale: {mine: p[theirs] for mine, theirs in names.items()}


A_TAU, ALPHA_BETA = {"A": RATE, "tau": (0.1, 5.0)}, {"alpha": RATE, "beta": TEMPERATURE}
SENSITIVITIES: Ranges = {"Arew": RATE, "Apun": RATE, "R": (0.1, 6.0), "P": (0.1, 6.0)}
MONEY: Ranges = {"R": (0.001, 0.1), "P": (0.001, 0.1)}
XI: Ranges = {"xi": RATE}
GAIN_LOSS = {"alpha_gain": "Arew", "alpha_loss": "Apun", "beta_gain": "R", "beta_loss": "P"}
KALMAN: Ranges = {
    "lambda": RATE, "theta": (0.0, 100.0), "beta": (0.02, 1.0),
    "mu0": (0.0, 100.0), "s0": (0.5, 15.0), "sD": (0.5, 15.0),
}  # fmt: skip
PROSPECT: Ranges = {"A": RATE, "alpha": (0.05, 2.0), "cons": (0.05, 2.0), "lambda": (0.0, 10.0)}
VPP: Ranges = {**PROSPECT, "epP": SIGNED, "epN": SIGNED, "K": RATE, "w": RATE}
ETAS: Ranges = {"eta_pos": RATE, "eta_neg": RATE}
BETA: Ranges = {"beta": TEMPERATURE}


def kalman(p: Parameters, scale: float) -> dict[str, Any]:
    """The standard deviation of a reward, 4 there, is the unit here."""
    return {
        "alpha_decay": 1 - p["lambda"],
        "centre": p["theta"],
        "start": p["mu0"],
        "sd_start": p["s0"] / 4,
        "sd_drift": p["sD"] / 4,
        "beta": p["beta"],
    }


def prospect(p: Parameters, scale: float) -> dict[str, Any]:
    """Utilities there are of money / 100, here of money / the largest amount."""
    theta = 3 ** p["cons"] - 1
    return {
        "alpha": p["A"],
        "rho": p["alpha"],
        "lambda": p["lambda"],
        "beta": theta * (scale / 100) ** p["alpha"],
    }


def prospect_decay(p: Parameters, scale: float) -> dict[str, Any]:
    return prospect(p, scale) | {"alpha": 1 - p["A"]}


def vpp(p: Parameters, scale: float) -> dict[str, Any]:
    theta = 3 ** p["cons"] - 1
    value = prospect(p, scale)
    return value | {
        "beta": p["w"] * value["beta"],
        "beta_win": (1 - p["w"]) * theta * p["epP"],
        "beta_lose": (1 - p["w"]) * theta * p["epN"],
        "alpha_choice": 1 - p["K"],
    }


def orl(p: Parameters, scale: float) -> dict[str, Any]:
    kept = 3 ** -p["K"]
    return {
        "alpha_pos": p["Arew"],
        "alpha_neg": p["Apun"],
        "beta": 1 / 100,
        "beta_frequency": p["betaF"],
        "alpha_choice": 1 - kept,
        "beta_choice": kept * p["betaP"],
    }


def offset(**names: str) -> Callable[[Parameters, float], dict[str, Any]]:
    """With the indecision point as bias of the second arm."""
    return lambda p, scale: renamed(**names)(p, scale) | {"bias": [0.0, p["beta"] * p["alpha"]]}


def with_bias(p: Parameters, scale: float) -> dict[str, Any]:
    return renamed(alpha="alpha", beta="beta")(p, scale) | {"bias": [0.0, *(p[f"b{i}"] for i in (1, 2, 3))]}


RW = renamed(alpha="A", beta="tau")
SEYMOUR, DECAYING = published.seymour, published.seymour_decay
FICTITIOUS, TWO_ETAS = {"alpha": "eta", "beta": "beta"}, {"alpha_pos": "eta_pos", "alpha_neg": "eta_neg"}
ONE_RATE = renamed(alpha="A", beta_gain="R", beta_loss="P", lapse="xi")
SELECTION = published.probabilistic_selection

PUBLISHED: dict[str, Published] = {
    "bandit2arm_delta": Published(published.delta, coins, A_TAU, RW),
    "banditNarm_delta": Published(published.delta, shares, A_TAU, RW),
    "bandit4arm_4par": Published(SEYMOUR, decks, SENSITIVITIES | MONEY, renamed(**GAIN_LOSS)),
    "banditNarm_4par": Published(SEYMOUR, small, SENSITIVITIES, renamed(**GAIN_LOSS)),
    **{
        f"bandit{arms}_lapse": Published(SEYMOUR, small, SENSITIVITIES | XI, renamed(**GAIN_LOSS, lapse="xi"))
        for arms in ("4arm", "Narm")
    },
    **{
        f"bandit{arms}_lapse_decay": Published(
            DECAYING, small, SENSITIVITIES | XI | {"d": RATE}, renamed(**GAIN_LOSS, lapse="xi", alpha_decay="d")
        )
        for arms in ("4arm", "Narm")
    },
    **{
        f"bandit{arms}_singleA_lapse": Published(
            SEYMOUR, small, {"A": RATE, "R": (0.1, 6.0), "P": (0.1, 6.0), **XI}, ONE_RATE
        )
        for arms in ("4arm", "Narm")
    },
    **{
        f"bandit{arms}_2par_lapse": Published(
            SEYMOUR, small, {"Arew": RATE, "Apun": RATE, **XI},
            renamed(alpha_gain="Arew", alpha_loss="Apun", lapse="xi"),
        )
        for arms in ("4arm", "Narm")
    },
    "bandit4arm2_kalman_filter": Published(published.kalman_filter, points, KALMAN, kalman),
    "banditNarm_kalman_filter": Published(published.kalman_filter, shares, KALMAN, kalman),
    "prl_rp": Published(
        published.reward_punishment, coins, {"Apun": RATE, "Arew": RATE, **BETA},
        renamed(alpha_neg="Apun", alpha_pos="Arew", beta="beta"),
    ),
    "prl_fictitious_woa": Published(published.fictitious, coins, {"eta": RATE, **BETA}, renamed(**FICTITIOUS)),
    "prl_fictitious": Published(
        published.fictitious, coins, {"eta": RATE, "alpha": SIGNED, **BETA}, offset(**FICTITIOUS)
    ),
    "prl_fictitious_rp_woa": Published(
        published.fictitious, coins, ETAS | BETA, renamed(**TWO_ETAS, beta="beta")
    ),
    "prl_fictitious_rp": Published(
        published.fictitious, coins, ETAS | BETA | {"alpha": SIGNED}, offset(**TWO_ETAS, beta="beta")
    ),
    "prl_ewa": Published(
        published.experience_weighted, coins, {"phi": RATE, "rho": RATE, **BETA},
        renamed(phi="phi", rho="rho", beta="beta"),
    ),
    "pst_Q": Published(SELECTION, stimuli, ALPHA_BETA, renamed(alpha="alpha", beta="beta")),
    "pst_gainloss_Q": Published(
        SELECTION, stimuli, {"alpha_pos": RATE, "alpha_neg": RATE, **BETA},
        renamed(alpha_pos="alpha_pos", alpha_neg="alpha_neg", beta="beta"),
    ),
    "igt_pvl_delta": Published(published.pvl_delta, decks, PROSPECT, prospect),
    "igt_pvl_decay": Published(published.pvl_decay, decks, PROSPECT, prospect_decay),
    "igt_vpp": Published(published.vpp, decks, VPP, vpp),
    "igt_orl": Published(
        published.orl, decks,
        {"Arew": RATE, "Apun": RATE, "K": (0.05, 4.5), "betaF": SIGNED, "betaP": SIGNED}, orl,
    ),
}  # fmt: skip
"""hBayesDM's models."""

ONE_START = {"Q0": (-1.0, 1.0)}
ARMS_BIAS: Ranges = {f"b{i}": SIGNED for i in (1, 2, 3)}
GAIN_LOSS_DECAY = renamed(**GAIN_LOSS, alpha_decay="d")
NO_LAPSE = {"xi": 0.0}
OTHERS: dict[str, Published] = {
    "rw": Published(published.q_learning, bits, ALPHA_BETA, renamed(alpha="alpha", beta="beta")),
    "rw_bias": Published(
        published.q_learning, points, {"alpha": RATE, "beta": (0.001, 0.1)} | ARMS_BIAS, with_bias
    ),
    "rw_lapse": Published(
        published.q_learning, shares, ALPHA_BETA | {"epsilon": RATE},
        renamed(alpha="alpha", beta="beta", lapse="epsilon"),
    ),
    "rw_start": Published(
        published.q_learning, shares, ALPHA_BETA | ONE_START,
        renamed(alpha="alpha", beta="beta", start="Q0"),
    ),
    "dual_rate": Published(
        published.dual_rates, shares, {"alpha+": RATE, "alpha-": RATE, **BETA},
        renamed(alpha_pos="alpha+", alpha_neg="alpha-", beta="beta"),
    ),
    "forgetting_q": Published(
        published.forgetting, bits, {"alpha1": RATE, "kappa1": TEMPERATURE},
        renamed(alpha="alpha1", beta="kappa1"),
    ),
    "free_forgetting": Published(
        published.forgetting, bits, {"alpha1": RATE, "alpha2": RATE, "kappa1": TEMPERATURE},
        renamed(alpha="alpha1", alpha_decay="alpha2", beta="kappa1"),
    ),
    "sticky": Published(
        published.q_learning, shares, ALPHA_BETA | {"kappa": SIGNED},
        renamed(alpha="alpha", beta="beta", kappa="kappa"),
    ),
    "choice_trace": Published(
        published.linear_choice_kernel, shares, ALPHA_BETA | {"alphaC": RATE, "betaC": SIGNED},
        renamed(alpha="alpha", beta="beta", alpha_choice="alphaC", beta_choice="betaC"),
    ),
    "subvalue": Published(
        published.subvalues, bits, {"alpha1": RATE, "beta1": TEMPERATURE, "alpha2": RATE, "beta2": SIGNED},
        renamed(alpha="alpha1", beta="beta1", alpha_choice="alpha2", beta_choice="beta2"),
    ),
    "counterfactual": Published(
        published.q_learning, shares, ALPHA_BETA, renamed(alpha="alpha", beta="beta"), {"counterfactual": 1.0}
    ),
    "fictitious": Published(published.fictitious, bits, {"eta": RATE, **BETA}, renamed(**FICTITIOUS)),
    "fictitious_dual": Published(
        published.fictitious, bits, ETAS | BETA, renamed(**TWO_ETAS, beta="beta")
    ),
    "gain_loss": Published(SEYMOUR, small, SENSITIVITIES, renamed(**GAIN_LOSS)),
    "gain_loss_decay": Published(DECAYING, small, SENSITIVITIES | {"d": RATE}, GAIN_LOSS_DECAY, NO_LAPSE),
    "gain_loss_one_rate": Published(
        SEYMOUR, small, {"A": RATE, "R": (0.1, 6.0), "P": (0.1, 6.0)},
        renamed(alpha="A", beta_gain="R", beta_loss="P"),
    ),
    "pearce_hall": Published(
        published.pearce_hall, shares, {"kappa": RATE, "eta": RATE, **BETA},
        renamed(alpha="kappa", eta="eta", beta="beta"),
    ),
    "kalman": Published(published.kalman_filter, points, KALMAN, kalman),
    "ewa": PUBLISHED["prl_ewa"],
    "pvl_delta": PUBLISHED["igt_pvl_delta"],
    "pvl_decay": PUBLISHED["igt_pvl_decay"],
    "vpp": PUBLISHED["igt_vpp"],
    "orl": PUBLISHED["igt_orl"],
}  # fmt: skip
"""The catalogue under its own names."""
EVERY = PUBLISHED | OTHERS


def test_every_name_has_a_published_loop():
    assert set(PUBLISHED) == set(ALIASES)
    assert set(OTHERS) == set(hr.models())


def draw(entry: Published, n: int, rng: np.random.Generator) -> list[Parameters]:
    """Published parameters of n subjects."""
    drawn = {name: rng.uniform(*ends, n) for name, ends in entry.ranges.items()}
    return [{name: float(values[s]) for name, values in drawn.items()} | entry.fixed for s in range(n)]


def theta_of(problem: Problem, entry: Published, drawn: list[Parameters]) -> np.ndarray:
    ours = [entry.ours(p, problem.reward_scale) for p in drawn]
    assert set(ours[0]) == set(problem.model.names)
    return problem.pack({name: np.array([one[name] for one in ours]) for name in ours[0]})


@pytest.mark.parametrize("name", EVERY)
def test_the_log_likelihood_is_that_of_the_published_equations(name):
    entry, rng = EVERY[name], np.random.default_rng(3)
    study = study_of(entry.task, tells_forgone="counterfactual" in entry.fixed, seed=1)
    problem = prepare(hr.model(name), study.behaviour)
    for _ in range(N_DRAWS):
        drawn = draw(entry, problem.n_subjects, rng)
        told = [
            sum(entry.loop(session, study.n_arms, p) for session in study.sessions[s])
            for s, p in enumerate(drawn)
        ]
        np.testing.assert_allclose(problem.loglik(theta_of(problem, entry, drawn)), told, rtol=EXACT)


def evaluated(expression: str, values: Parameters) -> float:
    """An expression of the alias table: names, numbers, + - / ^, products with or without a sign, log3."""
    text = re.sub(r"([\w)])\s+(?=[\w(])", r"\1 * ", expression).replace("^", "**")
    text = re.sub(r"\blambda\b", "lambda_", text)
    known: dict[str, Any] = {name.replace("lambda", "lambda_"): value for name, value in values.items()}
    return eval(text, {"__builtins__": {}, "log3": lambda x: math.log(x, 3)}, known)


@pytest.mark.parametrize("name", ALIASES)
def test_translations_of_parameters_are_right(name):
    """What a row of the table says of ours is the published parameter (or product of such) on its left."""
    entry, scale = PUBLISHED[name], 250.0
    (p,) = draw(entry, 1, np.random.default_rng(5))
    ours = entry.ours(p, scale) | dict(ALIASES[name].options.get("fixed", {})) | {"reward_scale": scale}
    if isinstance(ours.get("bias"), list):
        ours["bias"] = ours["bias"][1]
    theirs = p | ({"theta": 3 ** p["cons"] - 1} if "cons" in p else {})
    for left, right in ALIASES[name].parameters.items():
        assert evaluated(right, ours) == pytest.approx(evaluated(left, theirs), rel=1e-12), left
    names = {word for left in ALIASES[name].parameters for word in re.findall(r"[A-Za-z]\w*", left)}
    assert names | ({"cons"} if "theta" in names and "cons" in p else set()) >= set(p)


def test_the_published_rate_of_prl_rp_goes_by_the_outcome_and_ours_by_the_error():
    """They part where outcomes are graded, as the note in the alias says."""
    entry = PUBLISHED["prl_rp"]
    study = study_of(shares, tells_forgone=False, seed=1)
    problem = prepare(hr.model("prl_rp"), study.behaviour)
    drawn = draw(entry, problem.n_subjects, np.random.default_rng(3))
    told = [sum(entry.loop(session, 3, p) for session in study.sessions[s]) for s, p in enumerate(drawn)]
    assert np.abs(problem.loglik(theta_of(problem, entry, drawn)) - told).max() > 1
    assert "with two outcomes" in ALIASES["prl_rp"].note


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith("igt_")])
def test_real_gambles_have_the_published_log_likelihood(name, shared_data):
    """Three subjects of the Iowa gambling task."""
    table = pd.read_csv(shared_data("ahn_igt_3groups"))
    table = table[table["subject"].isin(table["subject"].unique()[:3])]
    entry, problem = PUBLISHED[name], prepare(hr.model(name), hr.behaviour(table))
    drawn = draw(entry, 3, np.random.default_rng(3))
    told = [
        entry.loop([Trial(c, r) for c, r in zip(rows["choice"], rows["reward"], strict=True)], 4, p)
        for p, (_, rows) in zip(drawn, table.groupby("subject", sort=False), strict=True)
    ]
    np.testing.assert_allclose(problem.loglik(theta_of(problem, entry, drawn)), told, rtol=EXACT)
