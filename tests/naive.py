"""A choice model by hand: one trial after the other in plain Python, in raw reward units.

Written from the published equations and the data contract, to be compared with the kernels. Nothing is shared
with them but the model's description.

* Rescorla & Wagner (1972): Q <- Q + rate (u - Q) for the chosen arm; the others hold.
* Forgetting (Ito & Doya 2009): the others Q <- (1 - rate) Q. Fictitious: they move toward -u.
  Counterfactual: toward what they would have paid, where it is known.
* Two rates by the sign of the reward; arms not chosen may learn from minus the signal, or from minus a share of it at
  the other rate (ORL, Haines et al. 2018). Utility: sign(u) |u|^rho of rewards divided by the largest.
* Kalman filter (Daw et al. 2006), Pearce-Hall (Li et al. 2011), experience-weighted attraction (den Ouden et al. 2013):
  see `Learner`.
* Decay rule (PVL-decay, Ahn et al. 2008): Q <- (1 - rate) Q, and the chosen arm gains u on top.
* P(i) = (1 - lapse) softmax(bias + sum of weight * Q + sum of weight * regressor) + lapse / arms shown.
* A missed choice teaches nothing (traces that fade by the trial do so if missed="decay"); an unknown outcome
  teaches the channels of that outcome nothing; values start anew with each session.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from hierrl.models import Channel, Model
from hierrl.simulate.schedule import Schedule

Values = dict[str, Any]
"""Parameters of one subject: name -> number, or list by arm."""


@dataclass
class Told:
    """What happened by hand: (row, ...) lists."""

    loglik: list[float] = field(default_factory=list)
    """By row; NaN where not scored."""
    probability: list[list[float]] = field(default_factory=list)
    """By row and arm."""
    path: list[list[list[float]]] = field(default_factory=list)
    """By row, channel and arm, before the trial."""
    error: list[list[float]] = field(default_factory=list)
    """By row and channel: prediction error of the chosen arm, NaN where nothing was learned from it."""


def of_arm(value: Any, arm: int) -> float:
    """A number, the number of an arm, or a number that stands in the model itself."""
    return float(value[arm]) if isinstance(value, list) else float(value)


def lookup(name: str | float, values: Values, arm: int) -> float:
    return of_arm(values[name], arm) if isinstance(name, str) else float(name)


def weight_of(channel: Channel, values: Values, arm: int) -> float:
    """ "-beta*lambda" -> minus beta times lambda."""
    text = channel.weight.replace(" ", "")
    product = -1.0 if text[0] == "-" else 1.0
    for factor in text.lstrip("-").split("*"):
        product *= float(factor) if factor[0].isdigit() else lookup(factor, values, arm)
    return product


def signal_of(channel: Channel, row: Values) -> float:
    """What the chosen arm paid in the channel's signal."""
    reward = row["reward"]
    if channel.signal == "choice":
        return 1.0
    if channel.signal == "reward+":
        return reward if math.isnan(reward) or reward > 0 else 0.0
    if channel.signal == "reward-":
        return reward if math.isnan(reward) or reward < 0 else 0.0
    if channel.signal in ("sign(reward)", "reward>=0", "reward<0"):
        if math.isnan(reward):
            return math.nan
        sign = (reward > 0) - (reward < 0)
        return float({"sign(reward)": sign, "reward>=0": sign >= 0, "reward<0": sign < 0}[channel.signal])
    return row[channel.signal]


def utility(channel: Channel, u: float, values: Values, arm: int) -> float:
    if channel.utility is None:
        return u
    rho, scale = lookup(channel.utility, values, arm), values["reward_scale"]
    return math.copysign(abs(u / scale) ** rho, u) if u != 0 else 0.0


def step(
    channel: Channel, q: float, u: float, values: Values, arm: int, *, other: bool = False, bad: bool = False
) -> float:
    """One arm learns from u; of two rates `other` asks for the one that it would not have otherwise."""
    positive, negative = channel.rate if isinstance(channel.rate, tuple) else (channel.rate, channel.rate)
    target = utility(channel, u, values, arm)
    second = bad if channel.rate_by == "reward" else target - q < 0
    rate = lookup(negative if second != other else positive, values, arm)
    return (1 - rate) * q + target if channel.update == "accumulate" else q + rate * (target - q)


def fade(channel: Channel, q: float, values: Values, arm: int, *, bad: bool = False) -> float:
    """One arm is forgotten by a trial."""
    if channel.decay is not None:
        return (1 - lookup(channel.decay, values, arm)) * q
    return step(channel, q, 0.0, values, arm, bad=bad)


class Learner(list):
    """Values of a learner whose rate is a state; `state` has the second number of each arm."""

    def __init__(self, channel: Channel, values: Values, n_arms: int):
        self.channel, self.values = channel, values
        super().__init__(lookup(channel.start, values, i) for i in range(n_arms))
        if channel.learner == "kalman":
            self.state = [self.of("sd_start", i) ** 2 for i in range(n_arms)]
        elif channel.learner == "pearce_hall":
            self.state = [self.of("associability", i) for i in range(n_arms)]
        else:
            self.state = [0.0] * n_arms

    def of(self, role: str, arm: int) -> float:
        standard = {"decay": 0.0, "centre": 0.0, "associability": 1.0}.get(role, role)
        return lookup(self.channel.shape.get(role, standard), self.values, arm)

    def learn(self, chosen: int, outcome: float) -> None:
        if chosen >= 0 and math.isnan(outcome):
            return
        if chosen >= 0:
            self.update(chosen, outcome)
        if self.channel.learner == "kalman":
            for i in range(len(self)):
                keep = 1 - self.of("decay", i)
                self[i] = keep * self[i] + (1 - keep) * self.of("centre", i)
                self.state[i] = keep**2 * self.state[i] + self.of("sd_drift", i) ** 2

    def update(self, c: int, u: float) -> None:
        if self.channel.learner == "kalman":
            # variances in units of that of a reward, whose own is 1
            k = self.state[c] / (self.state[c] + 1)
            self[c] += k * (u - self[c])
            self.state[c] *= 1 - k
        elif self.channel.learner == "pearce_hall":
            error = u - self[c]
            self[c] += lookup(self.channel.rate, self.values, c) * self.state[c] * error
            # errors of outcomes are in units of the largest reward
            outcome = self.channel.signal in ("reward", "gain", "loss", "reward+", "reward-")
            eta, size = self.of("eta", c), abs(error) / (self.values["reward_scale"] if outcome else 1.0)
            self.state[c] = (1 - eta) * self.state[c] + eta * size
        else:
            n = self.state[c]
            self.state[c] = self.of("rho", c) * n + 1
            self[c] = (self.of("phi", c) * n * self[c] + u) / self.state[c]


def beginning(channel: Channel, values: Values, n_arms: int) -> list[float]:
    """Values at the start of a session."""
    if channel.learner != "delta":
        return Learner(channel, values, n_arms)
    return [lookup(channel.start, values, i) for i in range(n_arms)]


def learn(channel: Channel, q: list[float], row: Values, model: Model, values: Values) -> None:
    """All arms of a channel after a trial, in place."""
    chosen, arms = row["choice"], range(len(q))
    if isinstance(q, Learner):
        if chosen >= 0 or model.missed == "decay":
            q.learn(chosen, signal_of(channel, row) if chosen >= 0 else math.nan)
        return
    fading = channel.unchosen == "decay" and channel.signal != "forgone"
    if chosen < 0:
        if model.missed == "decay" and fading:
            q[:] = [fade(channel, q[i], values, i) for i in arms]
        return
    if channel.signal == "forgone":
        for i in arms:
            if i != chosen and not math.isnan(row["forgone"][i]):
                q[i] = step(channel, q[i], row["forgone"][i], values, i)
        return
    outcome = signal_of(channel, row)
    if math.isnan(outcome):
        return
    bad = row["reward"] < 0
    for i in arms:
        if i == chosen:
            q[i] = step(channel, q[i], outcome, values, i, bad=bad)
        elif fading:
            q[i] = fade(channel, q[i], values, i, bad=bad)
        elif channel.unchosen == "mirror":
            by_error = channel.rate_by == "error"
            q[i] = step(channel, q[i], -outcome, values, i, other=by_error, bad=bad)
        elif channel.unchosen == "fictive":
            by_reward = channel.rate_by == "reward"
            q[i] = step(channel, q[i], -outcome / (len(q) - 1), values, i, other=by_reward, bad=bad)
        elif channel.unchosen == "forgone" and not math.isnan(row["forgone"][i]):
            q[i] = step(channel, q[i], row["forgone"][i], values, i, bad=bad)


def logits(model: Model, q: list[list[float]], row: Values, values: Values, n_arms: int) -> list[float]:
    x = []
    for i in range(n_arms):
        x.append(of_arm(values["bias"], i) if model.bias else 0.0)
        x[i] += sum(weight_of(c, values, i) * q[k][i] for k, c in enumerate(model.channels))
        for regressor in model.regressors:
            column = row[regressor.column]
            by_trial = column if i > 0 else 0.0
            x[i] += values[regressor.weight] * (column[i] if isinstance(column, list) else by_trial)
    return x


def probabilities(x: list[float], shown: list[bool], lapse: float) -> list[float]:
    largest = max(value for value, there in zip(x, shown, strict=True) if there)
    odds = [math.exp(value - largest) if there else 0.0 for value, there in zip(x, shown, strict=True)]
    return [
        (1 - lapse) * o / sum(odds) + (lapse / sum(shown) if there else 0)
        for o, there in zip(odds, shown, strict=True)
    ]


def error_of(channel: Channel, q: list[float], row: Values, values: Values) -> float:
    """What the chosen arm's outcome was beyond its value."""
    if row["choice"] < 0 or channel.signal == "forgone":
        return math.nan
    return utility(channel, signal_of(channel, row), values, row["choice"]) - q[row["choice"]]


def retell(model: Model, data: xr.Dataset, values_of: dict[Any, Values]) -> Told:
    """Go through the behaviour with each subject's parameters in raw units."""
    told, n_arms = Told(), data.sizes["arm"]
    before: tuple[Any, Any] | None = None
    traces: list[dict[Any, list[float]]] = []
    for row in rows_of(data):
        values = values_of[row["subject"]]
        if (row["subject"], row["session"]) != before:
            traces, before = [{} for _ in model.channels], (row["subject"], row["session"])
        q = []
        for channel, trace in zip(model.channels, traces, strict=True):
            start = beginning(channel, values, n_arms)
            q.append(trace.setdefault(row[channel.context] if channel.context else None, start))
        lapse = values["lapse"] if model.lapse else 0.0
        p = probabilities(logits(model, q, row, values, n_arms), row["available"], lapse)
        told.path.append([list(one) for one in q])
        told.probability.append(p)
        told.loglik.append(math.log(p[row["choice"]]) if row["scored"] and row["choice"] >= 0 else math.nan)
        told.error.append(
            [error_of(channel, one, row, values) for channel, one in zip(model.channels, q, strict=True)]
        )
        for channel, one in zip(model.channels, q, strict=True):
            learn(channel, one, row, model, values)
    return told


def rows_of(data: xr.Dataset) -> list[Values]:
    """The behaviour as a list of plain dicts."""
    names = [str(name) for name in data.data_vars if "trial" in data[name].dims]
    columns = {name: data[name].transpose("trial", ...).values.tolist() for name in names}
    columns["subject"], columns["session"] = (
        data["trial_subject"].values.tolist(),
        data["trial_session"].values.tolist(),
    )
    columns.setdefault("available", [[True] * data.sizes["arm"]] * data.sizes["trial"])
    return [{name: column[t] for name, column in columns.items()} for t in range(data.sizes["trial"])]


def values_by_subject(
    named: dict[str, tuple[tuple[str, ...], np.ndarray]],
    subjects: np.ndarray,
    *,
    model: Model | None = None,
    reward_scale: float = 1.0,
) -> dict[Any, Values]:
    """What `Problem.unpack` gives, as plain dicts, with the model's fixed parameters and the scale of rewards."""
    fixed = dict(model.fixed) if model else {}
    return {
        subject: {name: values[s].tolist() for name, (_, values) in named.items()}
        | {**fixed, "reward_scale": reward_scale}
        for s, subject in enumerate(subjects.tolist())
    }


def by_subject(values: list[float], data: xr.Dataset) -> np.ndarray:
    """Sums of a list by row, NaN left out."""
    subject = data["trial_subject"].values
    return np.array([np.nansum(np.array(values)[subject == label]) for label in data["subject"].values])


def enact(
    model: Model, schedule: Schedule, uniform: np.ndarray, values_of: dict[Any, Values]
) -> list[Values]:
    """Play a schedule by hand: what is chosen and paid on each row, and which arm held which place."""
    told, n_arms = [], schedule.reward.shape[1]
    before: tuple[Any, Any] | None = None
    traces: list[dict[Any, list[float]]] = []
    place, streak = list(range(n_arms)), 0
    begin, drawn = 0, [0] * n_arms
    for t, row in enumerate(rows_of(schedule.frame)):
        values = values_of[row["subject"]]
        if (row["subject"], row["session"]) != before:
            traces, before = [{} for _ in model.channels], (row["subject"], row["session"])
            place, streak = list(range(n_arms)), 0
            begin, drawn = t, [0] * n_arms
        q = []
        for channel, trace in zip(model.channels, traces, strict=True):
            start = beginning(channel, values, n_arms)
            q.append(trace.setdefault(row[channel.context] if channel.context else None, start))
        lapse = values["lapse"] if model.lapse else 0.0
        p = probabilities(logits(model, q, row, values, n_arms), row["available"], lapse)
        row["choice"] = int(np.searchsorted(np.cumsum(p), uniform[t], side="right"))
        if schedule.forced is not None and schedule.forced[t] >= 0:
            row["choice"] = int(schedule.forced[t])
        if schedule.missed[t]:
            row["choice"] = -1
        # A card lies as deep in its deck as the deck was chosen often; all else is paid by trial.
        at = [begin + drawn[place[i]] if schedule.by_card else t for i in range(n_arms)]
        paid = [float(schedule.reward[at[i], place[i]]) for i in range(n_arms)]
        row["reward"] = paid[row["choice"]] if row["choice"] >= 0 else math.nan
        row["gain"], row["loss"] = max(row["reward"], 0.0), min(row["reward"], 0.0)
        if row["choice"] >= 0 and schedule.gain is not None and schedule.loss is not None:
            here = (at[row["choice"]], place[row["choice"]])
            row["gain"], row["loss"] = float(schedule.gain[here]), float(schedule.loss[here])
        if row["choice"] >= 0:
            drawn[place[row["choice"]]] += 1
        row["forgone"] = [x if there else math.nan for x, there in zip(paid, row["available"], strict=True)]
        told.append({**row, "place": list(place), "probability": p})
        for channel, one in zip(model.channels, q, strict=True):
            learn(channel, one, row, model, values)
        if schedule.streak and row["choice"] >= 0:
            assert schedule.expected is not None
            assert schedule.turn is not None
            best = int(np.argmax(schedule.expected[t]))
            streak = streak + 1 if place[row["choice"]] == best else 0
            if streak == schedule.streak:
                place, streak = [place[int(i)] for i in schedule.turn[t]], 0
    return told
