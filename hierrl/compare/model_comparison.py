"""What a comparison of models gives: one Dataset, and the tables that people want to see of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from hierrl.compare import model_tables as tables
from hierrl.compare.random_effects import RandomEffects, random_effects

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData

TITLES = {
    "loo": "Leave-one-{by}-out log score (PSIS)",
    "lfo": "Leave-future-out log score",
    "held_out": "Held-out log score",
    "evidence": "Log evidence by subject",
    "laplace": "Log evidence by subject (Laplace)",
    "aic": "AIC by subject (as -AIC/2)",
    "bic": "BIC by subject (as -BIC/2)",
}

DECIMALS = {"per_trial": 4, "best_share": 2, "parameters": 0, "unsure": 0}
"""How the table is printed where that is not one decimal; it holds all digits."""


@dataclass(frozen=True, eq=False, repr=False)
class ModelComparison:
    """Models of the same choices, side by side. Printing it shows `table` and `notes`.

    All is computed from ``dataset``: ``comparison.to_dataset().to_netcdf(path)`` saves a comparison, and
    ``ModelComparison(xr.load_dataset(path))`` is it again."""

    dataset: xr.Dataset
    """``score (model, unit)`` in nats, the unit being ``trial``, ``session`` or ``subject``; ``n_trials`` and
    ``unit_subject (unit)``, ``n_parameters`` (of a subject) and ``draws (model)``; from importance sampling
    ``pareto_k`` and ``effective (model, unit)``."""

    @classmethod
    def of(
        cls,
        dataset: xr.Dataset,
        *,
        method: str,
        by: str,
        how: dict[str, Any],
        notes: list[str],
        good_k: float,
        posteriors: bool,
    ) -> ModelComparison:
        """With what must be known about the numbers as attributes that a file can hold."""
        attrs = {
            "method": method,
            "by": by,
            "how": json.dumps(how, default=str),
            "notes": json.dumps(notes),
            "good_k": good_k,
            "posteriors": int(posteriors),
        }
        return cls(dataset.assign_attrs(attrs))

    @property
    def method(self) -> str:
        """The criterion."""
        return str(self.dataset.attrs["method"])

    @property
    def by(self) -> str:
        """What the units are: ``"trial"``, ``"session"`` or ``"subject"``."""
        return str(self.dataset.attrs["by"])

    @property
    def scores(self) -> xr.DataArray:
        """(model, unit) in nats."""
        return self.dataset["score"]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per model, the best first.

        ``score`` (nats, higher is better) is the sum over units, ``per_trial`` its mean over trials. ``difference`` is
        to the best model, ``difference_se`` its standard error over units (paired: the root of U times the variance of
        the U units' differences); ``subjects_se`` is the same over subjects, whose trials and sessions depend on each
        other. ``best_share`` is the share of subjects for whom the model scores best (ties count in parts);
        ``parameters`` those of a subject. Leave-one-out adds ``effective``, the effective number of parameters, and
        ``unsure``, how many units have a Pareto k above 0.7; AIC and BIC add ``criterion``, on their usual scale."""
        return tables.model_table(self.dataset)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Pairs of models: score of the first minus that of the second, ``se`` over units, ``subjects_se`` over
        subjects, ``subjects_for_first``, the share of subjects whom the first model predicts better."""
        return tables.pair_table(self.dataset)

    @cached_property
    def subjects(self) -> pd.DataFrame:
        """(subject, model): sums of the units' scores in nats."""
        return tables.subject_scores(self.dataset)

    @cached_property
    def random_effects(self) -> RandomEffects:
        """Each subject follows one of the models: how frequent each is, and who follows which (`random_effects`).

        The subject's score stands in for its log evidence. Leave-one-out has to be by subject for that: sums over
        trials or sessions that know each other are no evidence.
        """
        if self.method == "loo" and self.by != "subject":
            raise ValueError(
                f"Random-effects selection needs a log evidence of each subject; leave-one-{self.by}-out scores are "
                "none, as each knows the subject's others. Compare with by='subject'."
            )
        words = TITLES[self.method].format(by=self.by)
        return random_effects(
            self.subjects, criterion=words if words[1].isupper() else words[0].lower() + words[1:]
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong to the numbers."""
        return tables.notes(self.dataset)

    @cached_property
    def elpd(self) -> dict[str, ELPDData]:
        """By model, what ``az.compare`` takes: scores by unit with their Pareto k."""
        return tables.elpd_data(self.dataset)

    @cached_property
    def arviz(self) -> pd.DataFrame:
        """The table of ``az.compare`` (stacking weights among it), which ``az.plot_compare`` draws."""
        from arviz_stats import compare

        if len(self.elpd) < 2:
            raise ValueError("az.compare takes at least two models; this comparison has one.")
        return compare(self.elpd, round_to="none")

    def to_dataset(self) -> xr.Dataset:
        """All of it as one Dataset, which a NetCDF file can hold."""
        return self.dataset

    def __repr__(self) -> str:
        return "\n\n".join([self._heading, self._printed.to_string(), *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{note}</p>" for note in self.notes)
        return f"<p>{self._heading}</p>{self._printed.to_html()}{notes}"

    @property
    def _printed(self) -> pd.DataFrame:
        text = {
            name: [
                f"{round(x, DECIMALS.get(str(name), 1)) + 0.0:,.{DECIMALS.get(str(name), 1)}f}"
                for x in values
            ]
            for name, values in self.table.items()
        }
        return pd.DataFrame(text, index=self.table.index).rename_axis(None)

    @property
    def _heading(self) -> str:
        used = tables.comparable(self.dataset)
        how = ", ".join(f"{name}={value!r}" for name, value in json.loads(self.dataset.attrs["how"]).items())
        title = TITLES[self.method].format(by=self.by) + (f" ({how})" if how else "")
        n_subjects = len(set(used["unit_subject"].values.tolist()))
        trials = int(used["n_trials"].sum())
        units = "" if self.by != "session" else f"{used.sizes['session']:,} sessions, "
        return f"{title}, {units}{trials:,} trials of {n_subjects} subjects"
