"""What a comparison of estimators gives: one Dataset, and the tables that people want to see of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr

from hierrl.compare import tables

DECIMALS = {
    "held_out": 1,
    "in_sample": 1,
    "per_trial": 4,
    "probability": 3,
    "difference": 1,
    "difference_se": 1,
    "best_share": 2,
    "seconds": 1,
    "refit_seconds": 1,
}
"""How the table is printed; it holds all digits."""

FIRST_FEW = 3
"""So many subjects are named; more are counted."""


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Estimators of one model on the same data, side by side. Printing it shows `table`.

    All tables are computed from ``dataset``: ``comparison.to_dataset().to_netcdf(path)`` saves a comparison,
    and ``Comparison(xr.load_dataset(path))`` is it again."""

    dataset: xr.Dataset
    """``log_score (estimator, trial)`` of the held-out trials (without a split, of all that are scored; NaN
    elsewhere), ``chance`` and ``fold (trial)``, ``in_sample (estimator, subject)``, all in nats;
    ``estimate``, ``estimate_sd`` and ``link_estimate`` ``(estimator, subject, parameter)``; ``member (cell,
    subject)``; ``population_*`` ``(estimator, parameter, cell)``; ``seconds (estimator)``, ``refit_seconds
    (estimator, refit)``. Attributes: ``held_out``, ``split``."""

    @property
    def held_out(self) -> bool:
        """Whether scores are of held-out trials; if not, they are of the very trials that were fitted."""
        return bool(self.dataset.attrs["held_out"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per estimator, the best score first.

        ``held_out`` (``in_sample`` without a split) is the log score of all scored trials in nats,
        ``per_trial`` its mean over trials, ``probability`` the geometric mean of the choices' probabilities.
        ``difference`` is to the best score, ``difference_se`` its standard error over subjects (paired: the
        root of S times the variance of the S subjects' differences), ``best_share`` the share of subjects for
        whom the score is the best (ties count in parts). ``in_sample`` is the log score of the trials that
        the given fits were fitted to; ``seconds`` is what these fits took, ``refit_seconds`` what the refits
        took without the fit they started from."""
        return tables.estimator_table(self.dataset)

    @cached_property
    def subjects(self) -> pd.DataFrame:
        """One row per subject and estimator: estimates (posterior means) with posterior sds, and scores in
        nats.

        ``trials`` counts those that are scored; ``is_best`` marks the subject's best score.
        """
        return tables.subject_table(self.dataset)

    @cached_property
    def population(self) -> pd.DataFrame:
        """Estimates across subjects, and what posteriors say about the population that the subjects come
        from.

        One row per parameter, cell (``all``, or a combination of categorical covariates), estimator and
        ``of``: ``subjects`` holds mean, sd and median of the subjects' estimates, ``population`` the
        posterior means of the population's mean, sd and median, with their posterior sds as ``*_error``.
        ``link_mean`` and ``link_sd`` are on the link scale (logit of rates, log of weights), where estimates
        on a bound count as logit ±6 or as log of 0.001 times the upper bound."""
        return tables.population_table(self.dataset)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Pairs of estimators, the second against the first, by parameter, on the natural and on the link
        scale.

        ``mean_difference`` and ``sd_difference`` (second minus first, over subjects), ``correlation``,
        ``spread_ratio`` (sd of the second's estimates over that of the first's) and ``shrinkage``: 1 minus
        the slope of the second on the first, so 0 where the second keeps the distances between subjects and 1
        where it makes all subjects alike."""
        return tables.difference_table(self.dataset)

    def to_dataset(self) -> xr.Dataset:
        """All of it as one Dataset, which a NetCDF file can hold."""
        return self.dataset

    def __repr__(self) -> str:
        return f"{self._heading}\n\n{self._printed.to_string()}\n\n{self._reading}"

    def _repr_html_(self) -> str:
        return f"<p>{self._heading}</p>{self._printed.to_html()}<p>{self._reading}</p>"

    @property
    def _printed(self) -> pd.DataFrame:
        text = {
            name: [_number(value, DECIMALS[str(name)]) for value in values]
            for name, values in self.table.items()
        }
        return pd.DataFrame(text, index=self.table.index).rename_axis(None)

    @property
    def _heading(self) -> str:
        scores = tables.comparable(self.dataset)
        n_trials = int(tables.scored_trials(self.dataset).loc[scores.index].sum())
        chance = float(self.dataset["chance"].mean())
        subjects = "1 subject" if len(scores) == 1 else f"{len(scores)} subjects"
        size = f"{n_trials:,} trials of {subjects}; chance is {chance:.4f} per trial."
        if self.held_out:
            return f"Held-out log score ({_words(self.dataset.attrs['split'])}), {size}"
        return f"In-sample log score, nothing was held out, {size}"

    @property
    def _reading(self) -> str:
        scores = tables.subject_scores(self.dataset)
        lacking = scores.index[scores.isna().any(axis=1)].tolist()
        notes = ["Scores in nats, higher is better; standard errors over subjects."]
        if lacking:
            named = ", ".join(map(str, lacking[:FIRST_FEW])) + (", ..." if len(lacking) > FIRST_FEW else "")
            notes.append(f"Left out for want of a score: {len(lacking)} subjects ({named}).")
        if not self.held_out:
            notes.append(
                "This rewards overfitting: pass last=, sessions= or folds= to refit and score held-out trials."
            )
        return " ".join(notes)


def _number(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0: no minus sign before a zero


def _words(split: str) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in json.loads(split).items())
