"""Declaring recursions: what they are, what they refuse, and how PyTensor is written out."""

import json
import math

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

import hierrl as hr
from hierrl.models.model import Model
from hierrl.models.recursion import model as home
from hierrl.models.recursion.code import Code, select
from hierrl.models.recursion.trace import walk
from tests.recursions import rescorla_wagner, working_memory


def test_a_recursion_has_what_models_have():
    model = working_memory(bounds={"beta": (0, 20)})
    assert repr(model) == "Recursion(rlwm: alpha (rate), beta (weight), phi (rate), mix (rate); states q, w)"
    assert model.names == model.labels(["A", "B"]) == ("alpha", "beta", "phi", "mix")
    assert [each.link for each in model.parameters] == ["logit", "log", "logit", "logit"]
    assert (model.parameter("beta").lower, model.parameter("beta").upper) == (0, 20)
    assert not model.supports.bound and model.supports.sibling is model
    assert "sums of channels" in model.supports.reasons[0]


def test_equations_say_what_is_known_without_the_functions():
    by_logits, by_probabilities = rescorla_wagner(), working_memory()
    assert by_logits.equations() == [
        "P = softmax(x)",
        "x[i] = logits[i](state, parameters)",
        "state = update(state, trial, parameters)",
        "q = 0 at the start of a session",
    ]
    assert by_probabilities.equations()[:2] == [
        "P = p / sum(p)",
        "p[i] = probabilities[i](state, parameters)",
    ]
    assert r"x_i &= \mathrm{logits}_i(s, \theta)" in by_logits.latex
    assert r"\frac{p_i}{\sum_k p_k}" in by_probabilities.latex


def test_what_a_model_reads_of_a_task():
    assert rescorla_wagner(columns=["gain", ("cue", "arm")], context="picture").reads == {
        "gain",
        "cue",
        "picture",
    }
    channels = (hr.Channel(unchosen="forgone", context="picture"),)
    assert hr.Model(channels=channels, regressors=(hr.Regressor("side"),)).reads == {
        *("reward", "forgone", "picture", "side")
    }


def test_units_of_parameters_and_of_states_that_start_at_one():
    model = rescorla_wagner(
        parameters={"alpha": "rate", "beta": "weight", "begin": "start"}, states={"q": "begin"}
    )
    assert {each.name: each.unit for each in model.parameters} == {"alpha": 0, "beta": -1, "begin": 1}


def test_the_fingerprint_is_that_of_what_is_computed():
    def other_text(state, trial, p):
        error = trial["reward"] - state["q"]
        return {"q": state["q"] + trial["chosen"] * p["alpha"] * error}

    same = rescorla_wagner(update=other_text)
    assert same.fingerprint == rescorla_wagner().fingerprint and same == rescorla_wagner()
    other = rescorla_wagner(
        update=lambda state, trial, p: {"q": state["q"] + p["alpha"] * (trial["reward"] - state["q"])}
    )
    assert other.fingerprint != same.fingerprint and other != same


def test_json_finds_what_is_defined_and_says_what_to_do_if_it_is_not(monkeypatch):
    model = working_memory(bounds={"beta": (0, 20)})
    again = Model.from_json(model.to_json())
    assert again == model and again.bounds == {"beta": (0.0, 20.0)} and again.update is model.update
    gone = model.to_json()
    monkeypatch.setattr(home, "_DEFINED", {})
    with pytest.raises(LookupError, match=r"recursion 'rlwm' .*none is defined. Run the code that makes it"):
        Model.from_json(gone)
    rescorla_wagner()
    with pytest.raises(LookupError, match="in this process defined are 'own_rw'"):
        Model.from_json(gone)
    working_memory(states={"q": 0.0, "w": 0.0})
    with pytest.raises(
        LookupError, match="one called 'rlwm' is defined, but its functions or declarations differ"
    ):
        Model.from_json(gone)


def test_json_holds_all_but_the_functions():
    record = json.loads(working_memory().to_json())["recursion"]
    assert record["parameters"] == {"alpha": "rate", "beta": "weight", "phi": "rate", "mix": "rate"}
    assert record["states"] == {"q": 0.5, "w": 0.5}
    assert not {"update", "probabilities"} & set(record)


def test_replace_drops_bounds_of_what_is_gone():
    model = rescorla_wagner(bounds={"alpha": (0.1, 0.9), "beta": (0, 9)})
    fixed = model.replace(
        parameters={"beta": "weight"},
        update=lambda state, trial, p: {
            "q": state["q"] + trial["chosen"] * 0.3 * (trial["reward"] - state["q"])
        },
    )
    assert fixed.names == ("beta",) and fixed.bounds == {"beta": (0, 9)}


STAYS = {"update": lambda state, trial, p: {"q": state["q"]}}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"parameters": {"alpha": "speed"}}, ValueError, r"must be a kind \(rate, weight, signed.*found 'speed'"),
        ({"parameters": {"alpha": ("rate", 0.2)}}, ValueError, r"or \(kind, lowest, highest\)"),
        ({"parameters": {"alpha": ("rate", -1, 1), "beta": "weight"}}, ValueError, r"rate in \[0, 1\]"),
        ({"parameters": {}}, ValueError, "has no parameters"),
        ({"parameters": {"reward": "rate"}, "units": {}}, ValueError, "'reward' can't be the name"),
        ({"states": {"q": ("vector", 0)}}, ValueError, r"or \('scalar', one\)"),
        ({"states": {"q": float("nan")}}, ValueError, "finite number or a parameter's name; found nan"),
        ({"states": {"q": "begin"}}, ValueError, "starts at 'begin', which is no parameter"),
        ({"logits": None}, ValueError, "either logits= or probabilities=; found neither"),
        ({"update": 3}, TypeError, "update must be a function"),
        ({"updates": "sometimes"}, ValueError, "'sometimes' is not one of"),
        ({"columns": ("reward",)}, ValueError, r"trial\['reward'\] is always there"),
        ({"columns": (("side", "subject"),)}, ValueError, r"or \(name, 'arm'\)"),
        ({"per_arm": ("gamma",)}, ValueError, "'gamma' in per_arm= or units= is not among"),
        ({"scale": False}, ValueError, "with scale=False nothing is scaled"),
        ({"n_arms": 1}, ValueError, "n_arms must be a whole number of 2 or more; found 1"),
        ({"bounds": {"gamma": (0, 1)}}, ValueError, "bounds names 'gamma'"),
        ({"update": lambda s, t, p: s["q"]}, ValueError, r"must return a dict with every state \('q'\); found TensorV"),
        ({"update": lambda s, t, p: {}}, ValueError, "must return a dict with every state"),
        ({"update": lambda s, t, p: {"q": t["mood"]}}, ValueError, r"asks for trial\['mood'\].*columns="),
        ({"update": lambda s, t, p: {"q": p["gamma"]}}, ValueError, r"asks for p\['gamma'\].*parameters="),
        ({"update": lambda s, t, p: {"q": s["w"]}}, ValueError, r"asks for state\['w'\].*states="),
        ({"update": lambda s, t, p: {"q": s["q"][:1]}}, ValueError, r"number for each of 2 arms for the state 'q'"),
        ({"logits": lambda s, t, p: s["q"].sum()}, ValueError, r"logits .* each of 2 arms; found the shape \(\)"),
        ({"logits": lambda s, t, p: t["reward"] * s["q"]}, ValueError, r"asks for trial\['reward'\], which there"),
        ({"update": lambda s, t, p: {"q": pt.sort(s["q"])}}, ValueError, "uses Sort.*can't be written out"),
        ({"update": lambda s, t, p: {"q": pt.gammaln(s["q"])}}, ValueError, "uses GammaLn, which can't"),
        ({"update": lambda s, t, p: {"q": s["q"] + pt.dscalar("z")}}, ValueError, "the input z, which is none of"),
    ],
)  # fmt: skip
def test_a_declaration_that_can_not_be_is_explained(changes, error, message):
    with pytest.raises(error, match=message):
        rescorla_wagner(**changes)


def expressions(q, a, c, r):
    """What users may write, on a vector, a number, an index and a number."""
    softmax = pt.special.softmax(q)
    return [
        *(
            pt.set_subtensor(q[c], q[c] + a * (r - q[c])),
            pt.inc_subtensor(q[c], r),
            pt.set_subtensor(q[0], a),
        ),
        *(
            softmax,
            pt.special.log_softmax(q),
            pt.logsumexp(q),
            q / q.sum(),
            softmax[c],
            pt.log(softmax)[::-1],
        ),
        *(q.max(), q.min(), q.mean(), q.prod(), pt.std(q), pt.cumsum(q), pt.dot(q, q), q @ q, pt.argmax(q)),
        *(pt.stack([q[0], a]), pt.concatenate([q, q])[1:4], q[[1, 0]], q.reshape((1, 3)).sum(axis=0)),
        *(
            pt.switch(r > a, a, q),
            pt.clip(q, 0.1, 0.6),
            pt.maximum(q, a),
            pt.le(q, a) * q,
            (q > 0.3) & (q < 0.6),
        ),
        *(pt.expit(q), pt.exp(-q), pt.log1p(q), pt.expm1(q), pt.tanh(q * a), pt.sqrt(q), pt.softplus(q - r)),
        *(
            q**a,
            q**2,
            abs(q - r),
            pt.sign(q - r),
            pt.sqr(q),
            1 / q,
            -q,
            q % 0.3,
            q // 0.3,
            pt.erf(q),
            pt.cos(q),
        ),
        *(pt.ones(2) * a, pt.zeros_like(q), pt.eq(pt.arange(3), c), pt.as_tensor([a, r]), q.shape[0] * a),
        *(pt.outer(q, q).sum(axis=0), q[:, None] * q[None], pt.where(pt.isnan(q), 0.0, q), 1 - (q > 0.3)),
    ]


@pytest.fixture(scope="module")
def symbols():
    q = pt.tensor("q", shape=(3,), dtype="float64")
    inputs = [q, pt.dscalar("a"), pt.lscalar("c"), pt.dscalar("r")]
    names = [np.array(["q0", "q1", "q2"], dtype=object), *(np.array(name, dtype=object) for name in "acr")]
    return inputs, dict(zip(inputs, names, strict=True)), expressions(*inputs)


def run(code: Code, wanted, values):
    scope = {"np": np, "math": math, "select": select, **values}
    exec("\n".join(code.lines(wanted)), scope)
    return np.array([float(eval(one, scope)) for one in wanted])


POINT = {"q0": 0.21, "q1": 0.74, "q2": 0.55, "a": 0.37, "c": 1.0, "r": 0.8}


def test_what_is_written_out_computes_what_pytensor_computes(symbols):
    inputs, known, outputs = symbols
    code = Code()
    found = walk(code, known, outputs)
    values = pytensor.function(inputs, outputs, mode="FAST_COMPILE")([0.21, 0.74, 0.55], 0.37, 1, 0.8)
    for output, operands, wanted in zip(outputs, found, values, strict=True):
        assert operands.shape == np.shape(wanted), output
        np.testing.assert_allclose(
            run(code, operands.ravel(), POINT), np.ravel(wanted), rtol=1e-12, err_msg=str(output)
        )


def test_slopes_of_what_is_written_out_are_those_of_differences(symbols):
    _, known, outputs = symbols
    directions = ("q0", "q1", "q2", "a", "r")
    code = Code({name: [str(float(name == other)) for other in directions] for name in directions})
    operands = [one for array in walk(code, known, outputs) for one in array.ravel()]
    h = 1e-6
    for k, name in enumerate(directions):
        slopes = run(code, [code.slope(one, k) for one in operands], POINT)
        ends = [run(code, operands, {**POINT, name: POINT[name] + sign * h}) for sign in (1, -1)]
        np.testing.assert_allclose(slopes, (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7, err_msg=name)
        bends = run(code, [code.slope(code.slope(one, k), 0) for one in operands], POINT)
        moved = [
            run(code, [code.slope(one, k) for one in operands], {**POINT, "q0": POINT["q0"] + sign * h})
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(bends, (moved[0] - moved[1]) / (2 * h), rtol=1e-4, atol=1e-5, err_msg=name)


def test_nothing_is_computed_for_what_is_zero_or_known():
    code = Code({"x": ["1.0"]})
    from pytensor import scalar as ps

    assert code.apply(ps.mul, "x", "0.0") == "0.0" and code.apply(ps.add, "0.0", "x") == "x"
    assert code.apply(ps.add, "1.0", "2.0") == "3.0" and code.apply(ps.sub, "x", "0.0") == "x"
    assert code.apply(ps.exp, "x") == code.apply(ps.exp, "x") and len(code.instructions) == 1


def test_models_json_of_channels_is_untouched():
    model = hr.model("rw", lapse=True)
    assert Model.from_json(model.to_json()) == model
