"""What is made of finished fits: tables, a comparison, contrasts and pictures, written and shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from hierrl.cli.inputs import Task, covariates_in
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, with_interval

if TYPE_CHECKING:
    import pandas as pd

    from hierrl.cli.run import Run

CERTAIN = 0.999
"""Posterior probabilities above this are printed as such: draws don't tell them apart from 1."""
IN_SAMPLE = (
    "These scores are of the very choices that were fitted, which rewards overfitting: --last 0.25 fits again "
    "without the last quarter of each session and scores that."
)


def write_results(run: Run, *, last: float | None = None) -> None:
    """Everything that the finished fits allow."""
    if run.folder.file is not None:
        return
    run.attempt(write_subjects)
    if Estimator.posterior in run.fits:
        run.attempt(_population)
        run.attempt(_differences)
    if run.interrupted:  # whoever presses Ctrl-C wants to leave: no refits, no pictures
        return
    if len(run.fits) > 1:
        run.attempt(partial(_comparison, last=last))
    run.attempt(_pictures)


def write_subjects(run: Run) -> None:
    """The estimates of every subject."""
    from hierrl.summary import subject_table

    table = subject_table(run.fits)
    run.wrote(run.folder.save_table("subjects", table), "estimates of every subject, one row each")


def _population(run: Run) -> None:
    from hierrl.summary import population_table, verdict_of

    table = population_table(run.fits[Estimator.posterior])
    run.wrote(run.folder.save_table("population", table), "means and spreads of the population")
    run.page.title("Population", "the typical subject (median) with 95 % equal-tailed intervals")
    run.page.table(with_interval(_typical(table)))
    if verdict_of(run.fits[Estimator.posterior]).level == "bad":
        run.page.say(
            "The chains did not converge: all that follows from the posterior is provisional.",
            mark=MARKS["bad"],
        )


def _typical(population: pd.DataFrame) -> pd.DataFrame:
    """The medians, in one row where a parameter doesn't differ between groups."""
    import pandas as pd

    medians = population.loc[population["quantity"] == "median"].rename(columns={"of": "who"})
    parts = [
        part if part["estimate"].nunique() > 1 else part.head(1).assign(who="all")
        for _, part in medians.groupby("parameter", sort=False)
    ]
    return pd.concat(parts).loc[:, ["parameter", "who", "estimate", "eti95_low", "eti95_high"]]


def _differences(run: Run) -> None:
    """Between the levels of each categorical covariate of each formula."""
    import pandas as pd

    from hierrl.contrast import contrast

    pairs = _groupings(run.task)
    if not pairs:
        return
    table = pd.concat([contrast(run.fits[Estimator.posterior], *pair) for pair in pairs], ignore_index=True)
    run.wrote(run.folder.save_table("contrasts", table), "differences between groups")
    run.page.title("Differences between groups", "of the typical subject (median)")
    run.page.table(with_interval(_shown_differences(table)))
    run.page.say("p_direction is the posterior probability that the difference has the sign of its estimate.")
    if sentence := _held_equal(run.task):
        run.page.say(sentence, mark=MARKS["mind"])


def _held_equal(task: Task) -> str:
    """Which parameters may not differ between groups, which then shows in those that may; empty if all may."""
    pairs = _groupings(task)
    for covariate in dict.fromkeys(covariate for _, covariate in pairs):
        equal = [name for name in task.model.names if (name, covariate) not in pairs]
        if equal:
            return (
                f"{', '.join(equal)}: taken to be alike in all groups of {covariate}. If not, the difference may show "
                f"up elsewhere; --formula '1 + {covariate}' lets every parameter differ."
            )
    return ""


def _shown_differences(table: pd.DataFrame) -> pd.DataFrame:
    """What a terminal has room for: the typical subject on the natural scale."""
    rows = table.loc[table["quantity"] == "median"]
    return rows.assign(
        contrast=[
            f"{contrast} ({at})" if at else contrast
            for contrast, at in zip(rows["contrast"], rows["at"], strict=True)
        ],
        difference=rows["mean"],
        p_direction=[_probability(p) for p in rows["p_direction"]],
    )[["parameter", "contrast", "difference", "eti95_low", "eti95_high", "p_direction"]]


def _probability(p: float) -> str:
    return f"{p:.3f}" if p < CERTAIN else f">{CERTAIN}"


def _groupings(task: Task) -> list[tuple[str, str]]:
    """Parameters with each categorical covariate of their formula."""
    return [
        (parameter, covariate)
        for parameter, text in task.formula.items()
        for covariate in covariates_in({parameter: text})
        if task.data[covariate].dtype.kind in "UOb"
    ]


def _comparison(run: Run, *, last: float | None) -> None:
    from hierrl.compare import compare

    # refits have bars of their own
    waiting = run.page.waiting("Scoring every choice under every draw") if last is None else nullcontext()
    with waiting:
        comparison = compare(run.fits, last=last, cores=run.settings.cores, progress=run.settings.progress)
    run.wrote(
        run.folder.save_table("comparison", comparison.table.reset_index()), "the estimators side by side"
    )
    shown = comparison.table.reset_index().round({"difference": 3, "difference_se": 3})
    score = "held_out" if comparison.held_out else "in_sample"
    run.page.title("Estimators side by side", "log score of the choices, in nats; higher is better")
    run.page.table(
        shown.loc[:, ["estimator", score, "probability", "difference", "difference_se", "seconds"]]
    )
    run.page.say(str(comparison).splitlines()[0])
    if not comparison.held_out:
        run.page.say(IN_SAMPLE, mark=MARKS["mind"])


def _pictures(run: Run) -> None:
    from hierrl.cli.pictures import draw

    with run.page.console.status("Drawing pictures"):
        group = next((covariate for _, covariate in _groupings(run.task)), None)
        for name, text, figure in draw(run.fits, group=group):
            run.wrote(run.folder.save_picture(name, figure), text)


def model_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Models side by side by their maximum likelihood, where that was fitted."""
    import numpy as np
    import pandas as pd

    rows = []
    for run in runs:
        if Estimator.mle not in run.fits:
            continue
        stats = run.fits[Estimator.mle].children["fit_stats"].dataset
        k, n = stats.sizes["parameter"], run.task.data["scored"].values
        subject = run.task.data.indexes["subject"].get_indexer(run.task.data["trial_subject"].values)
        trials = np.bincount(subject[n], minlength=stats.sizes["subject"])
        loglik = float(stats["loglik"].sum())
        bic = float(k * np.log(np.maximum(trials, 1)).sum()) - 2 * loglik
        rows.append((run.task.name, k, loglik, 2 * k * stats.sizes["subject"] - 2 * loglik, bic))
    return pd.DataFrame(rows, columns=["model", "parameters", "loglik", "aic", "bic"])
