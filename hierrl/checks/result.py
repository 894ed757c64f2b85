"""What a predictive check gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.checks.judge import judged, sentences

MODES = {
    "replay": "one step ahead, on each subject's own history",
    "generate": "new behaviour from the first trial on",
}


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """What subjects did and what the fitted model does in their place. Printing it says what the model misses.

    Everything is computed from ``tree``: ``check.tree.to_netcdf(path)`` saves a check, and
    ``PredictiveCheck(xr.load_datatree(path))`` is it again.
    """

    tree: xr.DataTree
    """Groups ``observed`` (each statistic with dims (subject, ...)) and ``simulated`` (replicate, subject, ...), and
    ``groups``: ``member`` (group, subject). Attributes: ``mode``, ``by``, ``replicates``, ``draws``, ``task``,
    ``win`` (what a reward must exceed to be a win), ``titles``."""

    @property
    def observed(self) -> xr.Dataset:
        """What subjects did: each statistic (subject, ...)."""
        return self.tree["observed"].to_dataset()

    @property
    def simulated(self) -> xr.Dataset:
        """What the model does: each statistic (replicate, subject, ...)."""
        return self.tree["simulated"].to_dataset()

    @property
    def groups(self) -> tuple[str, ...]:
        """Levels of the covariate ``by``; ``all`` without one."""
        return tuple(str(level) for level in self.tree["groups"].to_dataset()["group"].values)

    @cached_property
    def _judged(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        member = self.tree["groups"].to_dataset()["member"].values.astype(bool)
        return judged(self.observed, self.simulated, levels=self.groups, member=member)

    @property
    def table(self) -> pd.DataFrame:
        """One row per statistic, group and class (a bin of trials, an arm, a length of run).

        ``observed``: the mean over the group's subjects; ``predicted``, ``eti95_low``, ``eti95_high``: mean and 95 %
        equal-tailed interval of the same mean over replicates; ``p``: two-sided posterior predictive p-value, twice
        the share of replicates on the thinner side; ``outside``: observed lies outside the interval, which is p <= .05;
        ``subjects_outside``: share of the ``subjects`` who have the statistic for whom it does.
        """
        return self._judged[0]

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row per statistic and group: all its classes at once.

        ``joint_p`` is the share of replicates (the data counted as one of them) that are at least as far from the
        mean as the data, by the sum of squared distances in standard deviations; of a single class it is its p.
        ``passed``: it is above .05. With R replicates it can't be below 1 / (R + 1).
        """
        return self._judged[1]

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """One for each statistic and group, in words."""
        return tuple(sentences(*self._judged))

    @property
    def failed(self) -> list[str]:
        """Statistics that some group does not pass."""
        return list(dict.fromkeys(self.verdicts.loc[self.verdicts["passed"].eq(False), "statistic"]))

    @property
    def _heading(self) -> str:
        attrs = self.tree.attrs
        n = self.tree["observed"].sizes["subject"]
        draws = int(attrs["draws"])
        source = "a point fit" if draws == 1 else f"{min(draws, int(attrs['replicates'])):,} draws"
        return (
            f"Predictive check ({attrs['mode']}: {MODES[attrs['mode']]}), {n:,} subjects, "
            f"{int(attrs['replicates']):,} replicates from {source}."
        )

    def _lines(self) -> list[str]:
        words = {True: "passes", False: "fails", None: "unknown"}
        order = [words[passed] for passed in self.verdicts["passed"].tolist()]
        return [f"{verdict:8}{text}" for verdict, text in zip(order, self.sentences, strict=True)]

    def __repr__(self) -> str:
        return "\n".join([self._heading, *self._lines()])

    def _repr_html_(self) -> str:
        from html import escape

        items = "".join(f"<li>{escape(line)}</li>" for line in self._lines())
        return f"<p>{escape(self._heading)}</p><ul>{items}</ul>"

    def title(self, statistic: str) -> str:
        """What a statistic is, in words."""
        return json.loads(self.tree.attrs["titles"])[statistic]


def result_of(
    observed: xr.Dataset, simulated: list[xr.Dataset], *, member: xr.DataArray, attrs: dict[str, object]
) -> PredictiveCheck:
    """Put a check together."""
    stacked = xr.concat(simulated, pd.RangeIndex(len(simulated), name="replicate"))
    tree = xr.DataTree.from_dict(
        {
            "observed": observed,
            "simulated": stacked.assign_coords(replicate=np.arange(len(simulated))),
            "groups": member.to_dataset(name="member"),
        },
        name="predictive_check",
    )
    tree.attrs.update(attrs)
    return PredictiveCheck(tree)
