"""What a fit says of every trial: choice probabilities and their entropy, values and differences, prediction errors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import data_of
from hierrl.kernels.problem import Problem
from hierrl.kernels.rule import LEARN, LEARN_OTHER
from hierrl.kernels.tables import EXPONENT
from hierrl.models.channels import Channel
from hierrl.models.recursion import Recursion
from hierrl.models.values import Values
from hierrl.told import Told, of_subjects, told_of

FloatArray = npt.NDArray[np.float64]

CHUNK = 2**26
"""Bytes of log-probabilities that are held at once before they are summed."""
LARGEST = 2**29
"""Bytes that the latents of all draws may take before draws are thinned."""
BY_TRIAL = ("trial_subject", "trial_session", "trial_number")


def log_likelihood(
    fit: xr.DataTree,
    *,
    by: Literal["trial", "session", "subject"] = "trial",
    data: xr.Dataset | None = None,
    parameters: Values | None = None,
    draws: int | None = None,
) -> xr.DataArray:
    r"""Log-likelihood of scored choices at every draw of a fit.

    :math:`\log P(\text{choice}_t)` given all choices and outcomes before it, or its sum over the scored
    trials of a session or subject.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.
    by : {"trial", "session", "subject"}
        What to sum over. All draws by trial of a large study take gigabytes: sum, or thin with `draws`.
    data : Dataset, optional
        New behaviour of subjects in the fit, with the same arms; the fitted data if not given.
    parameters : mapping or Dataset, optional
        Values to use in place of the fit's, in raw reward units: name -> number, (S,), or (S, arm) if per
        arm.
    draws : int, optional
        Use only so many draws of each chain, evenly spaced.

    Returns
    -------
    DataArray, (chain, draw, trial | session | subject)
        In nats; only trials that are scored, and sessions and subjects that have some. By trial, with the
        coordinates of the behaviour; by session, with ``session_subject`` and ``session_label``.

    Raises
    ------
    ValueError
        If a subject of `data` is not in the fit, the arms differ, or `parameters` do not fit the model.

    Examples
    --------
    >>> import hierrl as hr
    >>> truth = {"alpha": [0.2, 0.4], "beta": 3}
    >>> data = hr.simulate(hr.model("rw"), hr.Bandit((0.8, 0.2)), truth, random_seed=1)
    >>> fit = hr.fit_mle(hr.model("rw"), data)
    >>> scores = hr.log_likelihood(fit, by="subject")
    >>> bool((abs(scores.squeeze() - fit["fit_stats"]["loglik"]) < 1e-6).all())
    True
    """
    if by not in ("trial", "session", "subject"):
        raise ValueError(f"by={by!r} is not one of ('trial', 'session', 'subject').")
    told = told_of(fit, data, parameters, draws)
    scored = np.flatnonzero(told.problem.trials.scored)
    if scored.size == 0:
        raise ValueError("No trial of the data is scored: there is nothing to give the log-likelihood of.")
    unit, coords = _units(told.problem, told.data, scored, by)
    theta = told.theta.reshape(-1, *told.theta.shape[2:])
    total = np.empty((len(theta), unit.max() + 1))
    starts = np.flatnonzero(np.append(True, unit[1:] != unit[:-1]))
    step = max(1, CHUNK // (8 * told.problem.n_trials))
    for first in range(0, len(theta), step):
        loglik = told.problem.draws_loglik(theta[first : first + step])[:, scored]
        total[first : first + step] = loglik if by == "trial" else np.add.reduceat(loglik, starts, axis=1)
    return xr.DataArray(
        total.reshape(*told.theta.shape[:2], -1),
        dims=("chain", "draw", by),
        coords={**told.draw_coords, **coords},
        name="log_likelihood",
        attrs={"units": "nats"},
    )


def latents(
    fit: xr.DataTree,
    *,
    data: xr.Dataset | None = None,
    parameters: Values | None = None,
    draws: int | None = None,
    subjects: Sequence[Any] | None = None,
    summary: bool = False,
) -> xr.Dataset:
    r"""Values, prediction errors and choice probabilities on every trial.

    The value of arm i before trial t is the path :math:`F_{c,i}(t)` of the outcome channel, as if its
    weight were 1; the prediction error is :math:`u_t - F_{c,i}(t)` of the arm chosen, u being what it paid.
    The value difference is the value of the arm chosen minus the largest one among the other arms that were
    shown (with two arms: chosen minus unchosen; with more, the next best is what was given up, Boorman et al. 2009).
    The entropy of the choice probabilities is :math:`-\sum_i p_i \log p_i`, in nats: 0 = sure, log m = all alike.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.
    data, parameters
        As in `log_likelihood`.
    draws : int, optional
        Use only so many draws of each chain, evenly spaced. If not given, as many as half a gigabyte holds,
        all of them in most studies (``attrs["draws"]`` says how many); a summary uses all.
    subjects : sequence, optional
        Only these subjects, by label. All draws of a large study, one subject after the other, need little memory:
        ``for s in labels: hr.latents(fit, subjects=[s])``.
    summary : bool
        Give mean and standard deviation over all draws, along the dim ``statistic``, instead of draws.

    Returns
    -------
    Dataset
        ``value (..., trial, arm)``, ``prediction_error`` and ``value_difference (..., trial)`` in raw reward units,
        ``probability (..., trial, arm)``, ``entropy (..., trial)``, where ``...`` is chain and draw; ``statistic``
        in a summary; nothing for a point fit. With several outcome channels, all that is about values has a dim
        ``channel`` before ``trial``; with none it is absent. The prediction error is NaN where nothing was learned
        from the choice: it was missed, its outcome unknown, or the channel has no prediction errors (``forgone``,
        ``accumulate``). The value difference is NaN where no choice was made, or only one arm was shown.
        For a `Recursion` the states take the place of channels; a scalar state has the same value for all arms, and
        only states in reward units have prediction errors.

    Raises
    ------
    ValueError
        As in `log_likelihood`.

    Examples
    --------
    >>> import hierrl as hr
    >>> truth = {"alpha": [0.2, 0.4], "beta": 3}
    >>> data = hr.simulate(hr.model("rw"), hr.Bandit((0.8, 0.2)), truth, random_seed=1)
    >>> fit = hr.fit_mle(hr.model("rw"), data)
    >>> latents = hr.latents(fit)
    >>> {name: latents[name].dims for name in latents if name != "probability"}
    {'entropy': ('trial',), 'value': ('trial', 'arm'), 'prediction_error': ('trial',), 'value_difference': ('trial',)}
    """
    if subjects is not None:
        data = of_subjects(data_of(fit) if data is None else data, subjects)
    told = told_of(fit, data, parameters, draws)
    point = told.theta.shape[:2] == (1, 1)
    if not (point or summary or draws):
        told = told.thinned(LARGEST // (8 * sum(array.size for array in _latents(told, 0, 0))))
    chains, length = told.theta.shape[:2]
    every = (_latents(told, chain, draw) for chain in range(chains) for draw in range(length))
    if summary and not point:
        lead, arrays = ("statistic",), _mean_and_sd(every)
    else:
        lead, arrays = ("chain", "draw"), _stacked(every, (chains, length))
    dataset = _named(told, lead, arrays)
    return dataset.isel(chain=0, draw=0, drop=True) if point else dataset


def _units(
    problem: Problem, data: xr.Dataset, scored: npt.NDArray[np.int64], by: str
) -> tuple[npt.NDArray[np.int64], dict[Hashable, Any]]:
    """Which unit each scored trial belongs to (counted from 0 in order), and the coordinates of the units."""
    rows = data.isel(trial=scored)
    if by == "trial":
        coords = {name: ("trial", rows[name].values) for name in BY_TRIAL}
        return np.arange(scored.size), {"trial": rows["trial"].values, **coords}
    number = (
        np.cumsum(np.append(True, data["trial_subject"].values[1:] != data["trial_subject"].values[:-1]))
        if by == "subject"
        else np.cumsum(problem.trials.reset)
    )
    _, first, unit = np.unique(number[scored], return_index=True, return_inverse=True)
    subjects = rows["trial_subject"].values[first]
    if by == "subject":
        return unit, {"subject": subjects}
    labels = rows["trial_session"].values[first]
    return unit, {
        "session": np.arange(first.size),
        "session_subject": ("session", subjects),
        "session_label": ("session", labels),
    }


@dataclass(frozen=True)
class _Trace:
    """What has values: a channel that remembers outcomes or columns, or a state of a recursion."""

    index: int
    label: str
    factor: float
    """From the scaled signal to raw units."""
    unit: str


def _traces(problem: Problem) -> list[_Trace]:
    """All that have values."""
    if isinstance(problem.model, Recursion):
        units = problem.model.units
        return [
            _Trace(
                k,
                name,
                problem.reward_scale ** units.get(name, 0),
                "reward" if units.get(name) == 1 else "",
            )
            for k, name in enumerate(problem.model.starts)
        ]
    used = [(c, channel) for c, channel in enumerate(problem.model.channels) if channel.signal != "choice"]
    labels = _channel_labels([channel for _, channel in used])
    return [
        _Trace(
            c,
            label,
            float(problem.reward_scale**channel.unit),
            "reward" if channel.unit else "",
        )
        for (c, channel), label in zip(used, labels, strict=True)
    ]


def _latents(told: Told, chain: int, draw: int) -> tuple[FloatArray, ...]:
    """Probability (n, m), entropy (n,), value (C, n, m), prediction error and value difference (C, n) at one draw.

    In raw units.
    """
    problem, data = told.problem, told.data
    path, probability, _ = problem.by_trial(told.theta[chain, draw])
    used = _traces(problem)
    scale = np.array([trace.factor for trace in used])[:, None]
    value = path[[trace.index for trace in used]].transpose(0, 2, 1) * scale[:, :, None]
    choice = data["choice"].values
    chosen = np.maximum(choice, 0)
    outcome = np.array([_outcome(told, trace, chosen, told.theta[chain, draw]) for trace in used])
    outcome = outcome.reshape(len(used), chosen.size) * scale
    own = np.where(choice >= 0, np.take_along_axis(value, chosen[None, :, None], axis=2)[:, :, 0], np.nan)
    return probability.T, _entropy(probability), value, outcome - own, own - _best_other(value, data)


def _entropy(probability: FloatArray) -> FloatArray:
    """(n,) of probabilities (m, n); an arm that isn't shown adds nothing."""
    return -np.sum(probability * np.log(np.where(probability > 0, probability, 1.0)), axis=0) + 0.0


def _best_other(value: FloatArray, data: xr.Dataset) -> FloatArray:
    """(C, n) largest of the values (C, n, m) of arms that were shown and not chosen; NaN if there are none."""
    choice, arms = data["choice"].values, np.arange(value.shape[2])
    other = arms != choice[:, None]
    if "available" in data:
        other &= data["available"].transpose("trial", "arm").values
    largest = np.where(other, value, -np.inf).max(axis=2)
    return np.where(np.isfinite(largest), largest, np.nan)


def _outcome(told: Told, trace: _Trace, chosen: npt.NDArray[np.int64], theta: FloatArray) -> FloatArray:
    """(n,) what the chosen arm learned from, scaled; NaN where it did not or has no prediction error."""
    problem = told.problem
    model, trials, row = problem.model, problem.trials, np.arange(chosen.size)
    if isinstance(model, Recursion):
        # what a state learns from is its author's secret, unless it is a reward
        reward = told.data["reward"].values / trace.factor if trace.unit == "reward" else np.nan
        return np.where(chosen == told.data["choice"].values, reward, np.nan)
    c = trace.index
    learns = np.isin(trials.kind[c, chosen, row], (LEARN, LEARN_OTHER)) & (trials.choice >= 0)
    if model.channels[c].update == "accumulate":
        learns = np.zeros_like(learns)
    target = trials.target[c, chosen, row]
    if problem.tables.power[c]:
        subject = np.repeat(np.arange(problem.n_subjects), problem.n_rows)
        exponent = theta[subject, problem.tables.value[c, chosen, EXPONENT]]
        target = target * np.exp(exponent * trials.log_size[c, chosen, row])
    return np.where(learns, target, np.nan)


def _stacked(every: Iterator[tuple[FloatArray, ...]], lead: tuple[int, int]) -> list[FloatArray]:
    """Latents of all draws, in arrays that are made once."""
    arrays: list[FloatArray] = []
    for k, one in enumerate(every):
        arrays = arrays or [np.empty((lead[0] * lead[1], *array.shape)) for array in one]
        for whole, array in zip(arrays, one, strict=True):
            whole[k] = array
    return [whole.reshape(*lead, *whole.shape[1:]) for whole in arrays]


def _mean_and_sd(every: Iterator[tuple[FloatArray, ...]]) -> list[FloatArray]:
    """Mean and standard deviation over draws in one pass (Welford 1962)."""
    mean: list[FloatArray] = []
    squares: list[FloatArray] = []
    count = 0
    for one in every:
        mean = mean or [np.zeros_like(array) for array in one]
        squares = squares or [np.zeros_like(array) for array in one]
        count += 1
        for k, array in enumerate(one):
            step = array - mean[k]
            mean[k] += step / count
            squares[k] += step * (array - mean[k])
    return [np.stack([m, np.sqrt(q / (count - 1))]) for m, q in zip(mean, squares, strict=True)]


def _named(told: Told, lead: tuple[str, ...], arrays: list[FloatArray]) -> xr.Dataset:
    used = _traces(told.problem)
    probability, entropy, value, error, difference = arrays
    variables: dict[str, Any] = {
        "probability": ((*lead, "trial", "arm"), probability),
        "entropy": ((*lead, "trial"), entropy, {"units": "nats"}),
    }
    coords: dict[Hashable, Any] = {name: ("trial", told.data[name].values) for name in BY_TRIAL}
    coords |= {"trial": told.data["trial"].values, "arm": told.data["arm"].values}
    coords |= told.draw_coords if "chain" in lead else {"statistic": ["mean", "sd"]}
    if used:
        units = {"units": "reward"} if all(trace.unit == "reward" for trace in used) else {}
        variables["value"] = ((*lead, "channel", "trial", "arm"), value, units)
        variables["prediction_error"] = ((*lead, "channel", "trial"), error, units)
        variables["value_difference"] = ((*lead, "channel", "trial"), difference, units)
        coords["channel"] = [trace.label for trace in used]
    kept = told.theta.shape[0] * told.theta.shape[1]
    attrs = {"draws": f"{kept} of {told.theta.shape[0] * told.n_draws}"}
    dataset = xr.Dataset(variables, coords=coords, attrs=attrs)
    return dataset.squeeze("channel", drop=True) if len(used) == 1 else dataset


def _channel_labels(channels: list[Channel]) -> list[str]:
    """The signals, or the weights where two channels have the same signal."""
    signals = [channel.signal for channel in channels]
    return signals if len(set(signals)) == len(signals) else [channel.weight for channel in channels]
