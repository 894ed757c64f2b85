"""Models as they are written on the command line."""

from __future__ import annotations

import pytest

import hierrl as hr
from hierrl.cli.complaints import BadInput
from hierrl.cli.model_text import SWITCHES, read_model, read_models


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("rw", hr.model("rw")),
        ("rw+lapse+choice_trace", hr.model("rw", lapse=True, choice_trace=True)),
        (" rw + bias ", hr.model("rw", bias=True)),
        ("rw+start", hr.model("rw", start="start")),
        ("rw+start=0.5", hr.model("rw", start=0.5)),
        ("forgetting_q+missed=decay", hr.model("forgetting_q", missed="decay")),
        ("rw+context=cue", hr.model("rw", context="cue")),
        ("rw+regressor=side+regressor=cue", hr.model("rw", regressors=("side", "cue"))),
        ("subvalue+beta=3", hr.model("subvalue", fixed={"beta": 3.0})),
        ("subvalue+beta=0:20", hr.model("subvalue", bounds={"beta": (0.0, 20.0)})),
        ("subvalue+beta_choice=-5:5", hr.model("subvalue", bounds={"beta_choice": (-5.0, 5.0)})),
        ("subvalue+alpha_choice=alpha", hr.model("subvalue", shared={"alpha_choice": "alpha"})),
        ("subvalue+per_arm+unsigned", hr.model("subvalue", per_arm=True, signed=False)),
        ("bandit4arm_lapse", hr.model("bandit4arm_lapse")),
    ],
)
def test_text_is_the_model_that_python_makes(text, model):
    found = read_model(text).build()
    assert found.replace(name=None) == model.replace(name=None)
    assert found.name == text.replace(" ", "")


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_makes_another_model(switch):
    plain = hr.model("subvalue")
    assert read_model(f"subvalue+{switch}").build().replace(name="subvalue") != plain


def test_columns_that_a_model_needs_are_known_before_the_table_is_read():
    assert read_model("rw+regressor=side+context=cue").columns == ["side", "cue"]
    assert read_model("rw+lapse").columns == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "can't be read"),
        ("rw+", "can't be read"),
        ("rw[lapse]", r"Write it like rw\+lapse"),
        ("rw+lapes", "no option 'lapes'. Did you mean 'lapse'"),
        ("rw+lapse+lapse", "lapse is said twice"),
        ("rw+signed+unsigned", "signed is said twice"),
        ("rw+missed=drop", "missed=drop is not one of hold and decay"),
        ("rw+beta=", "'beta=' is incomplete"),
        ("rw+=3", "'=3' is incomplete"),
        ("rw+beta=0:high", "must be two numbers"),
        ("rw+beta=3+beta=0:5", "beta is said twice"),
        ("rw+regressor=a+regressor=a", "regressors is said twice"),
        ("rw+beta=20:0", "lower < upper"),
        ("rw+gamma=3", "fixed names 'gamma'"),
        ("rw+gamma=0:3", "bounds names 'gamma'"),
        ("rw+gamma=alpha", "shared names 'gamma'"),
        ("rw+alpha=2", "outside the range"),
        ("rw+alpha=nan", "outside the range"),
        ("forgeting_q", "no model called 'forgeting_q'. Did you mean 'forgetting_q'"),
    ],
)
def test_what_is_no_model_is_a_sentence(text, sentence):
    with pytest.raises(BadInput, match=sentence):
        read_model(text).build()


def test_a_model_is_named_once_however_it_is_written():
    with pytest.raises(BadInput, match="named twice"):
        read_models(["rw+lapse+bias", "rw+bias+lapse"])
