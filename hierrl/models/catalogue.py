"""Named models: short names for channel combinations that the field uses, and other packages' names for them.

A model is one `Entry` and a page in ``docs/models/``; the names it has elsewhere are entries of
`hierrl.models.aliases.ALIASES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hierrl.models.channels import Channel

CHOICE_TRACE = Channel("choice", rate="alpha_choice", weight="beta_choice", unchosen="decay", signed=True)
"""A fading trace of own choices: perseveration or, with a negative weight, alternation."""

STICKY = Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True)
"""The last choice alone."""

BY_ERROR = ("alpha_pos", "alpha_neg")


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue: what a model is made of, and options that are on unless the user says otherwise."""

    channels: tuple[Channel, ...]
    summary: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def _prospect(**how: Any) -> tuple[Channel, ...]:
    """Gains and losses, with an exponent and loss aversion: sign(r) |r|^rho, times lambda where r < 0."""
    gains = Channel("reward+", utility="rho", **how)
    return gains, Channel("reward-", weight="beta*lambda", utility="rho", **how)


PROSPECT_BOUNDS = {"beta": (0.0, 250.0), "lambda": (0.0, 10.0)}
"""The published ranges: theta = 3^c - 1 with c up to 5, loss aversion up to 10."""


def _persevering(signal: str, weight: str) -> Channel:
    """Choices that paid, or cost, something leave a trace of their own that all arms forget alike."""
    return Channel(
        signal, rate="alpha_choice", weight=weight, unchosen="decay", update="accumulate", signed=True
    )


CATALOGUE: dict[str, Entry] = {
    "rw": Entry(
        (Channel(),),
        "Rescorla-Wagner: the chosen arm's value moves toward its reward, the others keep theirs.",
        "Rescorla & Wagner (1972); Sutton & Barto (2018), ch. 2",
    ),
    "rw_bias": Entry(
        (Channel(),),
        "Rescorla-Wagner with a constant preference for each arm.",
        "Rescorla & Wagner (1972)",
        options={"bias": True},
    ),
    "rw_lapse": Entry(
        (Channel(),),
        "Rescorla-Wagner in which a share of choices is made at random.",
        "Rescorla & Wagner (1972); Wichmann & Hill (2001) on lapses",
        options={"lapse": True},
    ),
    "rw_start": Entry(
        (Channel(),),
        "Rescorla-Wagner with a start value of each subject's own: optimism, or pessimism, about untried arms.",
        "Rescorla & Wagner (1972); Sutton & Barto (2018), ch. 2.6",
        options={"start": "start"},
    ),
    "dual_rate": Entry(
        (Channel(rate=BY_ERROR),),
        "Rescorla-Wagner with one rate after positive and another after negative prediction errors.",
        "Daw, Kakade & Dayan (2002); Frank, Moustafa, Haughey, Curran & Hutchison (2007)",
    ),
    "forgetting_q": Entry(
        (Channel(unchosen="decay"),),
        "Forgetting Q-learning: as rw, and the values of arms not chosen fade toward 0 at the same rate.",
        "Ito & Doya (2009); Zhu et al. (2025), experiment 'basic'",
    ),
    "free_forgetting": Entry(
        (Channel(unchosen="decay", decay="alpha_decay"),),
        "As forgetting_q, with a rate of its own at which arms not chosen fade.",
        "Ito & Doya (2009)",
    ),
    "sticky": Entry(
        (Channel(), STICKY),
        "Rescorla-Wagner plus a preference for (or against) the arm chosen last.",
        "Lau & Glimcher (2005); Schönberg, Daw, Joel & O'Doherty (2007)",
    ),
    "choice_trace": Entry(
        (Channel(), CHOICE_TRACE),
        "Rescorla-Wagner plus a fading trace of own choices with a rate of its own.",
        "Lau & Glimcher (2005); Akaishi, Umeda, Nagase & Sakai (2014)",
    ),
    "subvalue": Entry(
        (Channel(unchosen="decay"), CHOICE_TRACE),
        "A fading reward trace plus a fading trace of own choices (perseveration or alternation).",
        "Zhu et al. (2025), experiment 'subvalue'; Lau & Glimcher (2005)",
    ),
    "counterfactual": Entry(
        (Channel(unchosen="forgone"),),
        "Arms not chosen learn from what they would have paid, at the same rate.",
        "Boorman, Behrens & Rushworth (2011); Palminteri, Khamassi, Joffily & Coricelli (2015)",
    ),
    "fictitious": Entry(
        (Channel(unchosen="mirror"),),
        "The arm not chosen moves toward minus the reward: where one arm pays, the other would not have.",
        "Gläscher, Hampton & O'Doherty (2009)",
    ),
    "fictitious_dual": Entry(
        (Channel(rate=BY_ERROR, unchosen="mirror"),),
        "As fictitious, with one rate after positive and another after negative prediction errors of the chosen arm.",
        "Gläscher, Hampton & O'Doherty (2009); den Ouden et al. (2013)",
    ),
    "gain_loss": Entry(
        (
            Channel("gain", rate="alpha_gain", weight="beta_gain", unchosen="decay"),
            Channel("loss", rate="alpha_loss", weight="beta_loss", unchosen="decay"),
        ),
        "Gains and losses are remembered apart, each with a rate and a weight; arms not chosen fade at the same rates.",
        "Seymour, Daw, Roiser, Dayan & Dolan (2012)",
    ),
    "gain_loss_decay": Entry(
        (
            Channel("gain", rate="alpha_gain", weight="beta_gain", unchosen="decay", decay="alpha_decay"),
            Channel("loss", rate="alpha_loss", weight="beta_loss", unchosen="decay", decay="alpha_decay"),
        ),
        "As gain_loss, with a rate of its own at which arms not chosen fade.",
        "Aylward et al. (2019)",
    ),
    "gain_loss_one_rate": Entry(
        (
            Channel("gain", weight="beta_gain", unchosen="decay"),
            Channel("loss", weight="beta_loss", unchosen="decay"),
        ),
        "As gain_loss, with one rate for both.",
        "Aylward et al. (2019)",
    ),
    "pearce_hall": Entry(
        (Channel(learner="pearce_hall"),),
        "The rate follows the size of recent prediction errors: surprise speeds learning up.",
        "Pearce & Hall (1980); Li, Schiller, Schoenbaum, Phelps & Daw (2011)",
    ),
    "kalman": Entry(
        (Channel(learner="kalman", start="start", shape={"decay": "alpha_decay", "centre": "centre"}),),
        "Kalman filter for drifting rewards: the less certain an arm's expectation, the faster it learns.",
        "Daw, O'Doherty, Dayan, Seymour & Dolan (2006)",
    ),
    "ewa": Entry(
        (Channel(learner="ewa"),),
        "Experience-weighted attraction: the more often an arm was chosen, the less another reward counts.",
        "Camerer & Ho (1999); den Ouden et al. (2013)",
    ),
    "pvl_delta": Entry(
        _prospect(),
        "Prospect-valence learning with the delta rule: losses weigh lambda times, utilities bend with exponent rho.",
        "Ahn, Busemeyer, Wagenmakers & Stout (2008)",
        bounds=PROSPECT_BOUNDS,
    ),
    "pvl_decay": Entry(
        _prospect(unchosen="decay", update="accumulate"),
        "Prospect-valence learning with the decay rule: all arms fade, the chosen one gains its utility on top.",
        "Ahn, Busemeyer, Wagenmakers & Stout (2008); Ahn et al. (2014)",
        bounds=PROSPECT_BOUNDS,
    ),
    "vpp": Entry(
        (*_prospect(), _persevering("reward>=0", "beta_win"), _persevering("reward<0", "beta_lose")),
        "Value plus perseveration: pvl_delta plus a fading trace of choices that paid, and one of choices that cost.",
        "Worthy, Pang & Byrne (2013); Ahn et al. (2014)",
        bounds=PROSPECT_BOUNDS,
    ),
    "orl": Entry(
        (
            Channel(rate=BY_ERROR, rate_by="reward"),
            Channel(
                "sign(reward)",
                rate=BY_ERROR,
                rate_by="reward",
                weight="beta_frequency",
                unchosen="fictive",
                signed=True,
            ),
            Channel(
                "choice", rate=1.0, decay="alpha_choice", weight="beta_choice", unchosen="decay", signed=True
            ),
        ),
        "Outcome-representation learning: value, how often arms win, perseveration; rates for wins and for losses.",
        "Haines, Vassileva & Ahn (2018)",
    ),
}
