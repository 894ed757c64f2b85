"""Models: what their parts say of their parameters, JSON and back, and what is refused in which words."""

# pyright: reportArgumentType=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from vocabulary import few_examples, models

import hierrl as hr
from hierrl.models import Parameter
from hierrl.models.channels import Weight

ARMS = ["A", "B", "C"]


@given(model=models())
@few_examples
def test_a_model_survives_json(model):
    model = model.replace(bounds={"beta0": (0.5, 3.0)})
    again = hr.Model.from_json(model.to_json())
    assert again == model
    assert hash(again) == hash(model)
    assert again.parameters == model.parameters


@pytest.mark.parametrize("name", sorted(hr.models()))
def test_named_models_survive_json(name):
    plain = hr.model(name, bias=True, lapse=True, per_arm=True, start="start")
    weight = next(parameter.name for parameter in plain.parameters if parameter.kind == "weight")
    model = hr.model(name, bias=True, lapse=True, per_arm=True, start="start", bounds={weight: (0.1, 5)})
    assert hr.Model.from_json(model.to_json()) == model


def test_numbers_of_any_kind_survive_json():
    channel = hr.Channel(rate=[np.float32(0.5), 1], start=np.int64(2))
    assert hr.Model.from_json(hr.Model(channels=channel).to_json()).channels == (channel,)


def test_a_model_that_is_equal_hashes_alike_whatever_the_order_of_its_bounds():
    bounds = {"alpha": (0.1, 0.9), "beta": (0.0, 5.0)}
    one, other = (hr.model("rw", bounds=dict(order)) for order in (bounds.items(), reversed(bounds.items())))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("alpha", "beta", "alpha_choice", "beta_choice")),
        ({"bias": True, "lapse": True}, ("alpha", "beta", "alpha_choice", "beta_choice", "bias", "lapse")),
        ({"start": "start"}, ("alpha", "start", "beta", "alpha_choice", "beta_choice")),
    ],
)
def test_parameters_come_in_the_order_in_which_parts_name_them(options, names):
    assert hr.model("subvalue", **options).names == names


def test_labels_name_arms_and_leave_out_the_bias_of_the_first():
    model = hr.model("rw", per_arm=True, bias=True, lapse=True)
    assert model.labels(ARMS) == (
        *(f"{name}[{arm}]" for name in ("alpha", "beta") for arm in ARMS),
        "bias[B]",
        "bias[C]",
        "lapse",
    )
    assert hr.model("rw").labels(ARMS) == ("alpha", "beta")


def test_kinds_links_units_and_bounds_follow_from_the_parts():
    model = hr.Model(
        channels=(
            hr.Channel("gain", rate="Arew", weight="beta", unchosen="decay", decay="d", start="start"),
            hr.Channel("loss", rate="Apun", weight="-beta*lambda", unchosen="decay"),
            hr.Channel("choice", rate=1.0, weight="kappa", signed=True, per_arm=True),
        ),
        regressors=(hr.Regressor("mood"),),
        bias=True,
        lapse=True,
        bounds={"beta": (0.0, 5.0)},
    )
    assert model.parameters == (
        Parameter("Arew", "rate", "logit", False, 0, 0.0, 1.0),
        Parameter("d", "rate", "logit", False, 0, 0.0, 1.0),
        Parameter("start", "start", "identity", False, 1, None, None),
        Parameter("beta", "weight", "log", False, -1, 0.0, 5.0),
        Parameter("Apun", "rate", "logit", False, 0, 0.0, 1.0),
        Parameter("lambda", "weight", "log", False, 0, 0.0, 50.0),
        Parameter("kappa", "weight", "identity", True, 0, -50.0, 50.0),
        Parameter("weight_mood", "weight", "identity", False, 0, -50.0, 50.0),
        Parameter("bias", "bias", "identity", True, 0, -10.0, 10.0),
        Parameter("lapse", "lapse", "logit", False, 0, 0.0, 1.0),
    )


@pytest.mark.parametrize(
    ("signed", "links"), [(None, ("log", "identity")), (True, ("identity",) * 2), (False, ("log",) * 2)]
)
def test_signed_is_as_in_the_catalogue_unless_asked_for(signed, links):
    model = hr.model("subvalue", signed=signed)
    assert tuple(model.parameter(name).link for name in ("beta", "beta_choice")) == links


def test_a_start_value_is_that_of_outcome_channels_only():
    reward, choice = hr.model("subvalue", start=1.0).channels
    assert (reward.start, choice.start) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "coefficient", "names"),
    [
        ("beta", 1.0, ("beta",)),
        ("-beta*lambda", -1.0, ("beta", "lambda")),
        (" - 2 * beta * 0.5", -1.0, ("beta",)),
    ],
)
def test_weights_are_read_as_signed_products(text, coefficient, names):
    assert Weight.parse(text) == Weight(coefficient, names)


def test_one_part_may_stand_for_a_tuple_of_parts():
    assert hr.Model(channels=hr.Channel()) == hr.Model(channels=(hr.Channel(),))
    assert hr.Model(channels=[hr.Channel()]) == hr.Model(channels=(hr.Channel(),))


def test_a_changed_model_forgets_bounds_of_parameters_that_are_gone():
    model = hr.model("rw", lapse=True, bounds={"lapse": (0.0, 0.1), "beta": (0.0, 5.0)})
    assert model.replace(lapse=False).bounds == {"beta": (0.0, 5.0)}
    assert model.replace(lapse=False).lapse is False
    assert model.lapse is True


def test_parts_cannot_be_changed_in_place():
    for part, field in ((hr.model("rw"), "lapse"), (hr.Channel(), "rate"), (hr.Regressor("mood"), "column")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, field, "x")


def test_an_unknown_parameter_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="no parameter 'gamma'; it has alpha, beta"):
        hr.model("rw").parameter("gamma")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: hr.model("qlearning"),
            "no model called 'qlearning'. Known models: 'rw'.*compose one with hr.Model",
        ),
        (lambda: hr.Channel(weight="beta*+"), r"factor '\+', which is neither a parameter name nor a number"),
        (lambda: hr.Channel(weight="2"), "'2' must name at least one parameter, and each only once"),
        (lambda: hr.Channel(weight="beta*beta"), "each only once"),
        (lambda: hr.Channel(unchosen="forget"), r"unchosen='forget' is not one of \('hold', 'decay'"),
        (lambda: hr.Channel(update="add"), r"update='add' is not one of \('delta', 'accumulate'\)"),
        (lambda: hr.Channel("choice", unchosen="mirror"), "unchosen='mirror' needs an outcome signal"),
        (lambda: hr.Channel("gain", unchosen="forgone"), "needs signal='reward'.*found 'gain'"),
        (lambda: hr.Channel("forgone", unchosen="decay"), "needs unchosen='hold'; found unchosen='decay'"),
        (lambda: hr.Channel(rate=("a", "b"), update="accumulate"), r"rates \('a', 'b'\); give one rate"),
        (lambda: hr.Channel(decay="d"), "decay='d' needs unchosen='decay'; this channel has 'hold'"),
        (lambda: hr.Channel(rate=1.5), r"number in \[0, 1\]; found 1.5"),
        (lambda: hr.Channel(rate=None), r"number in \[0, 1\]; found None"),
        (lambda: hr.Channel(rate=("a", "b", "c")), "must be one rate, or a pair"),
        (lambda: hr.Channel(rate="a b"), "'a b' is not a parameter name"),
        (lambda: hr.Channel(unchosen="decay", decay=-0.1), r"number in \[0, 1\]; found -0.1"),
        (lambda: hr.Channel(start="first value"), "'first value' is not a parameter name"),
        (lambda: hr.Channel(start=float("nan")), "finite number; found nan"),
        (lambda: hr.Regressor("reaction time"), "'reaction time' has the weight name 'weight_reaction time'"),
        (lambda: hr.Model(channels=()), "at least one channel, regressor or bias"),
        (
            lambda: hr.Model(channels=hr.Channel(), missed="skip"),
            r"missed='skip' is not one of \('hold', 'decay'\)",
        ),
        (lambda: hr.Model(channels=hr.Channel(rate="beta")), "'beta' is used in two ways.*another name"),
        (lambda: hr.Model(channels=hr.Channel(rate="reward")), "'reward' cannot name a parameter"),
        (
            lambda: hr.model("rw", bounds={"gamma": (0, 1)}),
            r"'gamma', which is not a parameter.*\(alpha, beta\)",
        ),
        (lambda: hr.model("rw", bounds={"beta": (5, 5)}), r"lower < upper; found \(5.0, 5.0\)"),
        (lambda: hr.model("rw", bounds={"beta": (0, float("inf"))}), "must be finite"),
        (lambda: hr.model("rw", bounds={"beta": 5}), r"'beta' must be two numbers \(lower, upper\); found 5"),
        (
            lambda: hr.model("rw", bounds={"alpha": (0, 2)}),
            r"'alpha' is a rate in \[0, 1\]; found the bounds",
        ),
        (lambda: hr.model("rw", bounds={"beta": (-1, 1)}), "non-negative weight; found the lower bound -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parts_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="channels must be Channel objects; found 'reward'"):
        hr.Model(channels=("reward",))
    with pytest.raises(TypeError, match="regressors must be Regressor objects; found 'mood'"):
        hr.Model(channels=(), regressors=("mood",))
