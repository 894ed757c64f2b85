"""Equations that are derived from a model's parts: run as a programme, what is printed is what the kernels do."""

# pyright: reportArgumentType=false

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from vocabulary import few_examples, models

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.models.equations import aligned, equations, legend, terms
from hierrl.models.meanings import meanings, needs
from hierrl.models.notation import LATEX

N_TRIALS, ARMS = 40, 3
PAIR = [hr.Channel("reward+", utility="rho"), hr.Channel("reward-", weight="beta*lambda", utility="rho")]
FURTHER = {
    "two rates that fade": hr.Model(hr.Channel(rate=("up", "down"), unchosen="decay", start="start")),
    "two rates by the reward, added": hr.Model(
        hr.Channel(rate=("up", "down"), rate_by="reward", unchosen="decay", update="accumulate")
    ),
    "fictive by the error": hr.Model(hr.Channel(rate=("up", "down"), unchosen="fictive")),
    "mirror by the reward": hr.Model(hr.Channel(rate=("up", "down"), rate_by="reward", unchosen="mirror")),
    "forgone alone, and a utility": hr.Model(
        (
            hr.Channel("forgone", start=0.5),
            hr.Channel("reward", weight="-2*phi", utility=0.7, unchosen="mirror"),
        )
    ),
    "a loss that is bent": hr.Model((hr.Channel("loss", utility="rho"), hr.Channel("gain", weight="phi"))),
    "everything on": hr.model("choice_trace", bias=True, lapse=True, per_arm=True, start="start"),
    "a learner and more": hr.Model(
        (hr.Channel("gain", learner="ewa"), hr.Channel("sign(reward)", weight="w"))
    ),
    "losses that aren't the other half": hr.Model(
        (PAIR[0], hr.Channel("reward-", weight="phi", utility="rho", rate="slow"))
    ),
    "losses that start elsewhere": hr.Model(tuple(hr.Channel(**{**vars(c), "start": 0.3}) for c in PAIR)),
}
SHOWN = {**{name: hr.model(name) for name in hr.models()}, **FURTHER}


def study(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    gain, loss = rng.integers(0, 4, N_TRIALS) * 1.0, rng.integers(-3, 1, N_TRIALS) * 1.0
    columns = {"subject": "a", "choice": rng.integers(0, ARMS, N_TRIALS), "gain": gain, "loss": loss}
    forgone = {f"forgone[{arm}]": rng.integers(-3, 4, N_TRIALS) * 1.0 for arm in range(ARMS)}
    return pd.DataFrame({**columns, **forgone})


def some_values(model: hr.Model, seed: int) -> dict[str, Any]:
    """Parameters within their ranges, in raw units."""
    rng, found = np.random.default_rng(seed), {}
    for parameter in model.parameters:
        size = ARMS if parameter.per_arm else ()
        found[parameter.name] = rng.uniform(0.05, 0.95, size)
        if parameter.kind == "bias":
            found[parameter.name][0] = 0.0
    return found


TOKEN = re.compile(r"[A-Za-z_]\w*'?(?:\[[cij]\])?|\d+(?:\.\d+)?|>=|\*\*|\S")
NO_FACTOR = {"if", "else", "sign", "softmax", "abs", "float", "min", "max"}


def python(text: str) -> str:
    """An equation as it is printed, in Python: what stands side by side is multiplied."""
    text = re.sub(r"\|(.*?)\|", r"abs(\1)", text).replace("^", "**")
    text = re.sub(r"(?<!\w)\[(r (?:>=|<) 0)\]", r"float(\1)", text)
    text = re.sub(r"\{(.*?) if (.*?), else (.*?)\}$", r"((\1) if (\2) else (\3))", text)
    tokens = TOKEN.findall(text)
    parts = [tokens[0]]
    for left, right in zip(tokens, tokens[1:], strict=False):
        ends = left not in NO_FACTOR and (left[-1].isalnum() or left[-1] in ")]'")
        starts = right not in ("if", "else") and (right[0].isalnum() or right[0] == "(")
        parts += ["*", right] if ends and starts else [right]
    return " ".join(part.replace("n'", "after").replace("lambda", "aversion") for part in parts)


def probabilities(model: hr.Model, values: dict[str, Any], data: Any) -> np.ndarray:
    """P (n, m) before each trial, by running the printed equations."""
    lines = [line.replace(", with Q[c] from before", "") for line in equations(model)]
    starts = [line.split(" at the start")[0] for line in lines if "at the start of a session" in line]
    chosen, logits, *rules = [line for line in lines if "at the start" not in line]
    rules.sort(key=lambda line: not re.match(r"u\d? = ", line))
    letters = {name for line in lines for name in re.findall(r"\b([Qvan]\d?)\[", line)}
    space = {name: np.zeros(ARMS) for name in letters} | {"x": np.zeros(ARMS), "sign": np.sign, "m": ARMS}
    space |= {name.replace("lambda", "aversion"): value for name, value in values.items()}
    space |= {"s": max(np.nanmax(np.abs(data[k])) for k in ("reward", "gain", "loss", "forgone"))}
    space["softmax"] = lambda x: np.exp(x) / np.exp(x).sum()
    run(starts, space, 0)
    found = []
    for t in range(data.sizes["trial"]):
        run([logits], space, 0)
        found.append(eval(python(chosen.removeprefix("P = ")), {}, space))
        space |= {"r": float(data["reward"][t]), "g": float(data["gain"][t]), "l": float(data["loss"][t])}
        run(rules, space | {"f": data["forgone"].values[t]}, int(data["choice"][t]))
    return np.array(found)


def run(lines: list[str], space: dict[str, Any], c: int) -> None:
    before = {name: value.copy() for name, value in space.items() if isinstance(value, np.ndarray)}
    for line in lines:
        code = python(line.removeprefix("then for every arm "))
        if code.startswith("a[c] = a[c]"):  # the one that says so
            code = code.replace("Q[c]", "before['Q'][c]")
        arms = [k for k in range(ARMS) if k != c] if "[j]" in code else range(ARMS) if "[i]" in code else [c]
        for k in arms:
            scope = {"c": c, "j": k, "i": k, "before": before}
            exec(code, {}, _Both(space, scope))


class _Both(dict):
    """Names of a line: indices first; what it assigns goes to the others."""

    def __init__(self, space: dict[str, Any], scope: dict[str, Any]):
        super().__init__()
        self.space, self.scope = space, scope

    def __getitem__(self, name: str) -> Any:
        return self.scope[name] if name in self.scope else self.space[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.space[name] = value


@pytest.mark.parametrize("name", SHOWN)
def test_printed_equations_run_as_a_programme_give_the_choice_probabilities(name):
    model = SHOWN[name]
    data = hr.behaviour(study(1), arms=ARMS, forgone=[f"forgone[{arm}]" for arm in range(ARMS)])
    values = some_values(model, 2)
    problem = prepare(model, data)
    expected = problem.probabilities(problem.pack(values)[None])
    np.testing.assert_allclose(probabilities(model, values, data), expected, rtol=1e-9, atol=1e-12)


@given(model=models())
@few_examples
def test_every_model_can_be_written_down(model):
    lines, latex = equations(model, LATEX), aligned(model)
    assert latex.count(" \\\\\n") == len(lines) - 1
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin") == latex.count(r"\end")
    assert len(re.findall(r"&(?:=|\\leftarrow)", latex)) == latex.count(" \\\\\n") + 1
    assert repr(model).splitlines()[-1].startswith("  convex bound")
    told = {meaning.name: meaning.text for meaning in meanings(model)}
    assert list(told) == list(model.names)
    assert all(told.values())


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (hr.model("rw"), r"Q_c &\leftarrow Q_c + \alpha\,(r - Q_c)"),
        (hr.model("rw", per_arm=True), r"Q_c &\leftarrow Q_c + \alpha_c\,(r - Q_c)"),
        (hr.model("rw", start="start"), r"Q_i &= q_{\mathrm{start}}\quad\text{at the start of a session}"),
        (
            hr.model("rw", context="my_block"),
            r"Q_i &= 0\quad\text{at the start of a session, apart in each my block}",
        ),
        (
            hr.model("rw", regressors=["side_1"]),
            r"x_i &= \beta\,Q_i + w_{\mathrm{side 1}}\,\mathrm{side\_1}_i",
        ),
        (hr.model("rw_bias"), r"x_i &= \beta\,Q_i + b_i"),
        (hr.model("rw_lapse"), r"P(i) &= (1 - \xi)\, \frac{e^{x_i}}{\sum_k e^{x_k}} + \frac{\xi}{m}"),
        (hr.model("sticky", fixed={"kappa": 0.5}), r"\kappa &= 0.5"),
        (hr.Model(hr.Channel(rate="alpha2", weight="-2*b*K")), r"x_i &= -2\,b\,K\,Q_i"),
        (hr.Model(hr.Channel(rate="alpha2")), r"Q_c &\leftarrow Q_c + \alpha_2\,(r - Q_c)"),
        (hr.model("fictitious"), r"Q_j &\leftarrow Q_j + \alpha\,(-r - Q_j)"),
        (
            hr.model("dual_rate"),
            r"Q_c &\leftarrow Q_c + \begin{cases} \alpha_{\mathrm{pos}}\,(r - Q_c) & \text{if } r \ge Q_c \\ "
            r"\alpha_{\mathrm{neg}}\,(r - Q_c) & \text{otherwise} \end{cases}",
        ),
    ],
)
def test_latex_is_what_a_paper_prints(model, line):
    assert line in re.split(r" \\\\\n|\n", model.latex)


def test_gains_and_losses_are_one_value_where_that_is_the_same():
    one = hr.Model(tuple(PAIR))
    assert [(term.number, term.aversion) for term in terms(one)] == [(0, ("lambda",))]
    assert "u = {|r / s|^rho if r >= 0, else -lambda |r / s|^rho}" in equations(one)
    for other in ("losses that aren't the other half", "losses that start elsewhere"):
        assert [term.aversion for term in terms(FURTHER[other])] == [None, None]


def test_symbols_that_are_no_parameters_are_explained():
    assert dict(legend(hr.model("rw"))) == {"c": "the chosen arm", "r": "the reward"}
    assert dict(legend(hr.model("counterfactual")))["f[j]"] == "what arm j would have paid"
    assert {"K", "v"} <= set(dict(legend(hr.model("kalman"))))
    assert "s" in dict(legend(hr.model("pearce_hall")))
    assert dict(legend(hr.model("rw_lapse")))["m"] == "the number of arms shown"
    assert dict(legend(hr.model("orl")))["m"] == "the number of arms"


def test_a_model_without_channels_can_be_written_down():
    model = hr.Model((), bias=True)
    assert equations(model) == ["P = softmax(x)", "x[i] = bias[i]"]
    assert "bias for each arm" in repr(model)


def test_units_and_needs_follow_from_the_parts():
    units = {meaning.name: meaning.unit for meaning in meanings(hr.model("kalman"))}
    assert (units["start"], units["sd_drift"], units["beta"]) == ("reward", "sd of a reward", "1 / reward")
    assert meanings(hr.model("pvl_delta"))[2].unit == "1 / utility of the largest reward"
    model = hr.model("counterfactual", regressors=["side"], context="block")
    assert [column for column, _ in needs(model)] == ["choice", "reward", "forgone", "block", "side"]
    assert [column for column, _ in needs(hr.model("gain_loss"))] == ["choice", "gain", "loss"]
