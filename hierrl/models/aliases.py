"""What other packages call the models of the catalogue, and how their parameters translate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Alias:
    """A name elsewhere: the model here, options, and parameters there -> an expression in those."""

    model: str
    parameters: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


_GAIN_LOSS = {"Arew": "alpha_gain", "Apun": "alpha_loss", "R": "beta_gain", "P": "beta_loss"}
_LAPSE = {"lapse": True}
_UNIT = {"lapse": True, "fixed": {"beta_gain": 1.0, "beta_loss": 1.0}}
_KALMAN = {
    "lambda": "1 - alpha_decay",
    "theta": "centre",
    "beta": "beta",
    "mu0": "start",
    "s0": "4 sd_start",
    "sD": "4 sd_drift",
}
_PVL = {
    "alpha": "rho",
    "cons": "log3(1 + beta * (100 / reward_scale)^rho)",
    "lambda": "lambda",
}
_OFFSET = "The indecision point is the bias: bias of the second arm = beta alpha there."


def _by_arms(name: str, alias: Alias, *arms: str) -> dict[str, Alias]:
    return {f"bandit{arm}_{name}": alias for arm in arms}


ALIASES: dict[str, Alias] = {
    **_by_arms("delta", Alias("rw", {"A": "alpha", "tau": "beta"}), "2arm", "Narm"),
    **_by_arms("4par", Alias("gain_loss", _GAIN_LOSS), "4arm", "Narm"),
    **_by_arms("lapse", Alias("gain_loss", {**_GAIN_LOSS, "xi": "lapse"}, _LAPSE), "4arm", "Narm"),
    **_by_arms(
        "lapse_decay",
        Alias("gain_loss_decay", {**_GAIN_LOSS, "d": "alpha_decay", "xi": "lapse"}, _LAPSE),
        "4arm",
        "Narm",
    ),
    **_by_arms(
        "singleA_lapse",
        Alias(
            "gain_loss_one_rate", {"A": "alpha", "R": "beta_gain", "P": "beta_loss", "xi": "lapse"}, _LAPSE
        ),
        "4arm",
        "Narm",
    ),
    **_by_arms(
        "2par_lapse",
        Alias(
            "gain_loss",
            {"Arew": "alpha_gain", "Apun": "alpha_loss", "xi": "lapse"},
            _UNIT,
            "Gains and losses weigh 1 for each unit of the reward.",
        ),
        "4arm",
        "Narm",
    ),
    "bandit4arm2_kalman_filter": Alias(
        "kalman",
        _KALMAN,
        {},
        "There the standard deviation of a reward is fixed at 4; here it is the unit of the others.",
    ),
    "banditNarm_kalman_filter": Alias(
        "kalman",
        _KALMAN,
        {},
        "There the standard deviation of a reward is fixed at 4; here it is the unit of the others.",
    ),
    "prl_rp": Alias(
        "dual_rate",
        {"Apun": "alpha_neg", "Arew": "alpha_pos", "beta": "beta"},
        {},
        "The rate goes by the sign of the prediction error; with two outcomes that is the sign of the outcome.",
    ),
    "prl_fictitious_woa": Alias("fictitious", {"eta": "alpha", "beta": "beta"}),
    "prl_fictitious": Alias(
        "fictitious",
        {"eta": "alpha", "alpha": "bias / beta", "beta": "beta"},
        {"bias": True},
        _OFFSET,
    ),
    "prl_fictitious_rp_woa": Alias(
        "fictitious_dual", {"eta_pos": "alpha_pos", "eta_neg": "alpha_neg", "beta": "beta"}
    ),
    "prl_fictitious_rp": Alias(
        "fictitious_dual",
        {"eta_pos": "alpha_pos", "eta_neg": "alpha_neg", "alpha": "bias / beta", "beta": "beta"},
        {"bias": True},
        _OFFSET,
    ),
    "prl_ewa": Alias("ewa", {"phi": "phi", "rho": "rho", "beta": "beta"}),
    "pst_Q": Alias(
        "rw",
        {"alpha": "alpha", "beta": "beta"},
        {},
        "The arms shown on a trial stand in the columns `available`.",
    ),
    "pst_gainloss_Q": Alias(
        "dual_rate",
        {"alpha_pos": "alpha_pos", "alpha_neg": "alpha_neg", "beta": "beta"},
        {},
        "The arms shown on a trial stand in the columns `available`.",
    ),
    "igt_pvl_delta": Alias("pvl_delta", {"A": "alpha", **_PVL}),
    "igt_pvl_decay": Alias("pvl_decay", {"A": "1 - alpha", **_PVL}),
    "igt_vpp": Alias(
        "vpp",
        {
            "A": "alpha",
            "alpha": "rho",
            "lambda": "lambda",
            "K": "1 - alpha_choice",
            "w theta": "beta * (100 / reward_scale)^rho",
            "(1 - w) theta epP": "beta_win",
            "(1 - w) theta epN": "beta_lose",
        },
        {},
        "Choices depend on w, theta = 3^cons - 1, epP and epN through these three products only, so four numbers can't "
        "be told apart from data; here are the three that can.",
    ),
    "igt_orl": Alias(
        "orl",
        {
            "Arew": "alpha_pos",
            "Apun": "alpha_neg",
            "K": "log3(1 / (1 - alpha_choice))",
            "betaF": "beta_frequency",
            "betaP": "beta_choice / (1 - alpha_choice)",
        },
        {},
        "There beta is fixed at 1 for rewards divided by 100: fixed={'beta': 0.01} does that; here it is free.",
    ),
}


def names_elsewhere() -> dict[str, list[str]]:
    """Model of the catalogue -> its names elsewhere."""
    found: dict[str, list[str]] = {}
    for name, alias in ALIASES.items():
        found.setdefault(alias.model, []).append(name)
    return found


def alike(names: Iterable[str]) -> list[tuple[list[str], Alias]]:
    """Names elsewhere with what they stand for, those of the same together."""
    found: list[tuple[list[str], Alias]] = []
    for name in names:
        same = [held for held, alias in found if alias == ALIASES[name]]
        if same:
            same[0].append(name)
        else:
            found.append(([name], ALIASES[name]))
    return found


def call(alias: Alias) -> str:
    """The model in Python: ``hr.model("gain_loss", lapse=True)``."""
    options = [f"{name}={value!r}" for name, value in alias.options.items()]
    return f"hr.model({', '.join([repr(alias.model), *options])})".replace("'", '"')


def translation(alias: Alias) -> str:
    """Each parameter there as an expression in those here."""
    return ", ".join(f"{there} = {here}" for there, here in alias.parameters.items())
