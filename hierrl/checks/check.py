"""`predictive_check`: does a fitted model behave as the subjects do?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from hierrl.checks.replicates import generations, replays
from hierrl.checks.result import MODES, PredictiveCheck, result_of
from hierrl.checks.rows import Rows, rows_of
from hierrl.checks.statistics import Layout, Measure, Statistic, chosen, layout_of
from hierrl.fits import check_fit
from hierrl.formulas.membership import membership
from hierrl.kernels.progress import ProgressBar
from hierrl.simulate import Bandit, Recorded, Task
from hierrl.told import Told, told_of

BEST = "best_arm"
"""What simulated behaviour calls the arm that pays best."""


def predictive_check(
    fit: xr.DataTree,
    *,
    mode: Literal["replay", "generate"] = "replay",
    task: Task | None = None,
    statistics: Iterable[str | Measure] | Mapping[str, Measure] | None = None,
    by: str | None = None,
    best: str | None = None,
    reversal: str | None = None,
    win: float | None = None,
    bins: int = 8,
    data: xr.Dataset | None = None,
    replicates: int = 200,
    random_seed: int | None = None,
    progress: bool = True,
) -> PredictiveCheck:
    r"""Let a fitted model choose in the subjects' place, and compare.

    In *replay* the model makes each choice anew after the subject's own history, one step ahead; what it gets wrong
    is a rule of choice that it lacks. In *generate* it starts from nothing and lives with its own choices; what it gets
    wrong is how the rule unfolds. A replicate of a posterior uses one draw of all subjects, evenly spaced over chains
    and draws, so that its intervals hold the uncertainty of the parameters too; one of a point fit doesn't.

    .. math:: p = 2 \min\{P(T(y^{rep}) \le T(y)), P(T(y^{rep}) \ge T(y))\}

    (Gelman, Meng & Stern 1996). The data were used for the fit as well, so p-values lean to the middle: what fails here
    fails.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.
    mode : {"replay", "generate"}
        One step ahead, or new behaviour.
    task : Bandit, Decks or Recorded, optional
        What is played in *generate*; by default the recorded schedule, ``hr.Bandit.recorded(data, by=best)``, in which
        arms that a subject did not choose pay what they paid others on that trial, where the same arm was best. For
        comparisons it must be the task that the subjects had.
    statistics : sequence of names and functions, or mapping of str to function, optional
        ``learning_curve`` (P(best arm) by bin of trials), ``arm_curve`` (P(arm) by bin of trials),
        ``choice_proportions``, ``win_stay``, ``lose_shift``, ``reward_effect`` (P(stay) after a win minus after no
        win), ``repeat_by_run`` (P(same arm again) by length of the run so far), ``after_reversal``, ``run_lengths``
        (in *generate*). All that can be computed if not given. A function takes `hierrl.checks.Rows` and returns one
        number per subject (S,), or several (S, K).
    by : str, optional
        A categorical covariate of the subjects: the check is made for each of its levels.
    best : str, optional
        A variable by trial with the label of the arm that pays best; ``best_arm`` if the data have it.
    reversal : str, optional
        A variable by trial that is true on the first trial after a reversal; where `best` changes if not given.
    win : float, optional
        Rewards above it count as wins. By default 0 if there are rewards below and above 0, of two amounts the smaller
        one, else the median reward.
    bins : int
        Bins of trials, about equally full.
    data : Dataset, optional
        Other behaviour of the same subjects, for instance what was held out (`hr.split`); the fitted data if not given.
        Only trials that are scored count.
    replicates : int
        How often the model chooses.
    random_seed : int, optional
        The same seed gives the same replicates.
    progress : bool
        Show a progress bar on a terminal.

    Returns
    -------
    PredictiveCheck
        ``observed`` (subject, ...) and ``simulated`` (replicate, subject, ...): Datasets of the statistics; ``table``
        with 95 % predictive intervals (equal-tailed) and p-values; ``verdicts`` and ``sentences`` for each statistic.
        `plot_predictive_check` draws it.

    Raises
    ------
    ValueError
        If a statistic can't be computed from the data, a column is missing, or the task doesn't fit the data.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> truth = {"alpha": [0.3, 0.5], "beta": 4.0}
    >>> data = hr.simulate(hr.model("rw"), task, truth, random_seed=1)
    >>> fit = hr.fit_mle(hr.model("rw"), data)
    >>> check = hr.predictive_check(fit, replicates=50, random_seed=1)
    >>> check.simulated["win_stay"].dims, "after_reversal" in check.observed
    (('replicate', 'subject'), True)
    >>> def stay(rows):
    ...     return rows.mean(rows.stayed)
    >>> own = hr.predictive_check(fit, statistics=["win_stay", stay], replicates=50, random_seed=1)
    >>> list(own.observed)
    ['win_stay', 'stay']
    """
    check_fit(fit)
    _check_arguments(mode, task, {"bins": bins, "replicates": replicates})
    told = told_of(fit, data, None, None)
    if (unfitted := np.isnan(told.theta).any(axis=(0, 1, 3))).any():
        raise ValueError(
            f"{int(unfitted.sum())} of {unfitted.size} subjects of this fit have no estimates (the first: "
            f"{told.problem.subjects[unfitted][0]}); fit['fit_stats']['status'] says why. Fit them, or check the "
            "others: data= takes the behaviour of some of the subjects."
        )
    best = BEST if best is None and BEST in told.data else best
    if reversal is not None and best is None:
        raise ValueError(f"reversal={reversal!r} needs best= too: the arm that pays best on each trial.")
    rows = rows_of(told.data, win=win, best=best, reversal=reversal)
    layout = layout_of(rows, bins=bins)
    found = chosen(statistics, mode=mode, knows_best=best is not None)
    member = _members(told.data, by)
    task = _task(task, told.data, best) if mode == "generate" else None
    rng = np.random.default_rng(random_seed)
    with ProgressBar(progress, f"Predictive check ({mode})", replicates) as tick:
        simulated = []
        for one in _made(fit, told, rows, task=task, n=replicates, names=(best, reversal), rng=rng):
            simulated.append(_statistics(found, one, layout))
            tick(1)
    subjects = told.data["subject"].values
    return result_of(
        _statistics(found, rows, layout).assign_coords(subject=subjects),
        [one.assign_coords(subject=subjects) for one in simulated],
        member=member,
        attrs={
            "mode": mode,
            "by": by or "",
            "replicates": replicates,
            "draws": told.theta.shape[0] * told.theta.shape[1],
            "task": "" if task is None else repr(task),
            "win": rows.win,
            "random_seed": -1 if random_seed is None else random_seed,
            "titles": json.dumps({one.name: one.title for one in found}),
        },
    )


def _made(
    fit: xr.DataTree,
    told: Told,
    rows: Rows,
    *,
    task: Task | None,
    n: int,
    names: tuple[str | None, str | None],
    rng: np.random.Generator,
) -> Iterator[Rows]:
    """n times the model's choices, on the subjects' history or, given a task, on its own."""
    if task is None:
        for choice in replays(told, n, rng):
            yield rows.judged(choice)
        return
    best, reversal = names
    for data in generations(fit, told, task, n, rng):
        # Tasks that know their best arm say it under a name of their own.
        own = BEST if BEST in data else best
        yield rows_of(data, win=rows.win, best=own, reversal=reversal if reversal in data else None)


def _members(data: xr.Dataset, by: str | None) -> xr.DataArray:
    """(group, subject), as whole numbers, which files can hold."""
    levels, member = membership(data, by, argument="by")
    coords = {"group": np.array(levels), "subject": data["subject"].values}
    return xr.DataArray(member.astype(np.int8), coords, ("group", "subject"))


def _statistics(found: list[Statistic], rows: Rows, layout: Layout) -> xr.Dataset:
    return xr.Dataset({one.name: one.of(rows, layout) for one in found})


def _check_arguments(mode: str, task: Any, numbers: dict[str, Any]) -> None:
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is not one of {tuple(MODES)}.")
    if mode == "replay" and task is not None:
        raise ValueError(
            "A replay goes over the subjects' own trials and takes no task. Use mode='generate'."
        )
    if task is not None and not isinstance(task, Task):
        raise TypeError(
            "The task must be hr.Bandit(...), hr.Decks(...) or hr.Bandit.recorded(data); "
            f"found {type(task).__name__}."
        )
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; found {number!r}.")


def _task(task: Task | None, data: xr.Dataset, best: str | None) -> Task:
    if task is None:
        return Bandit.recorded(data, by=best)
    if isinstance(task, Recorded):
        if task.data["subject"].values.tolist() != data["subject"].values.tolist():
            raise ValueError(
                "The recorded schedule is of other subjects than the data. Take hr.Bandit.recorded(data) of the same "
                "data."
            )
        return task
    if len(task.labels) != data.sizes["arm"]:
        raise ValueError(
            f"The task has {len(task.labels)} arms, the data have {data.sizes['arm']}: no statistic can be compared."
        )
    return task
