"""What a power analysis says: power and type-I error by numbers of subjects and trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hierrl.replications.shares import binomial
from hierrl.replications.store import NUMBER, Row

CAUTION = (
    "Tests on point estimates count the noise of uninformative subjects fully; the hierarchical posterior "
    "(estimator='posterior') weighs subjects by what they tell. Do not test shrunken estimates instead."
)
ENOUGH = 0.8


@dataclass(frozen=True, repr=False)
class Power:
    """Power of a design; `power` makes it.

    Attributes
    ----------
    table : DataFrame
        By ``n_subjects``, ``n_trials`` (0: as the design has them), ``effect`` and ``test``: ``power`` with
        ``power_low`` and ``power_high`` (95 %, exact binomial), ``n`` studies; ``type_1``, ``type_1_low`` and
        ``type_1_high``, the share of detections in ``n_null`` studies without an effect;
        ``estimate``, mean of the estimated effects (link scale), and ``estimate_sd``, their standard deviation.
    settings : dict
        What it was made with.
    alpha : float
        Level of the tests.
    """

    table: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)
    alpha: float = 0.05

    def needed(self, power: float = ENOUGH) -> pd.DataFrame:
        """The smallest number of subjects of the grid that reaches a power.

        Parameters
        ----------
        power : float

        Returns
        -------
        DataFrame
            By ``effect``, ``test`` and ``n_trials``: ``n_subjects``; NaN where no number of the grid is enough.
        """
        if not 0 < power < 1:
            raise ValueError(f"power= lies between 0 and 1; found {power!r}.")
        by = ["effect", "test", "n_trials"]
        enough = self.table.loc[self.table["power"] >= power].sort_values(by="n_subjects").drop_duplicates(by)
        return self.table[by].drop_duplicates().merge(enough[[*by, "n_subjects"]], on=by, how="left")

    @property
    def text(self) -> str:
        """What the table says, in sentences."""
        return "\n".join(_sentences(self))

    def __repr__(self) -> str:
        return self.text


def powered(rows: list[Row], cells: Sequence[Any], *, alpha: float, settings: Mapping[str, Any]) -> Power:
    """The result from the rows of studies."""
    by_cell: dict[str, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(row[NUMBER].partition(":")[0], []).append(row)
    found = []
    for cell in cells:
        null = by_cell.get(cell._replace(size=0.0).name, [])
        mine = by_cell.get(cell.name, [])
        if cell.size != 0.0 and mine and null:
            found += [_line(cell, test, mine, null, alpha) for test in mine[0]["p"]]
    if not found:
        raise KeyboardInterrupt  # stopped before anything could be compared
    return Power(pd.DataFrame(found), settings, alpha)


def _line(cell: Any, test: str, mine: list[Row], null: list[Row], alpha: float) -> dict[str, Any]:
    power, false = _detected(mine, test, alpha), _detected(null, test, alpha)
    estimates = np.array([row["estimate"] for row in mine], dtype=float)
    return {
        "n_subjects": cell.n_subjects,
        "n_trials": cell.n_trials or 0,
        "effect": cell.size,
        "test": test,
        "power": power.share,
        "power_low": power.low,
        "power_high": power.high,
        "n": len(mine),
        "type_1": false.share,
        "type_1_low": false.low,
        "type_1_high": false.high,
        "n_null": len(null),
        "estimate": float(np.nanmean(estimates)),
        "estimate_sd": float(np.nanstd(estimates, ddof=1)) if len(mine) > 1 else np.nan,
        "n_converged": int(sum(row["converged"] for row in mine)),
    }


def _detected(rows: list[Row], test: str, alpha: float) -> Any:
    """Share of detections; a test that could not be made detects nothing."""
    return binomial(sum(row["p"][test] is not None and row["p"][test] < alpha for row in rows), len(rows))


def _sentences(found: Power) -> Iterator[str]:
    settings, table = found.settings, found.table
    effect = settings["effect"]
    what = (
        f"a difference between two groups in {effect['parameter']} ({effect['scale']} scale)"
        if effect["kind"] == "group"
        else f"a correlation of {effect['parameter']} (link scale) with a covariate"
    )
    yield (
        f"Power for {what}, by {settings['estimator']}, level {found.alpha:g} (two-sided): "
        f"{table['n'].min():,} or more studies for each number."
    )
    for row in found.needed().to_dict("records"):
        on = f" with {int(row['n_trials']):,} trials" if row["n_trials"] else ""
        enough = (
            f"{int(row['n_subjects']):,} subjects are the fewest of the grid with a power of {ENOUGH:.0%}"
            if np.isfinite(row["n_subjects"])
            else f"no number of subjects of the grid has a power of {ENOUGH:.0%}"
        )
        yield f"Effect {row['effect']:g}, {row['test']}{on}: {enough}."
    loud = table.loc[table["type_1_low"] > found.alpha]
    if len(loud):
        worst = loud.iloc[int(np.argmax(loud["type_1"]))]
        yield (
            f"Mind: without an effect {worst['test']} detects one in {worst['type_1']:.1%} of studies "
            f"({worst['n_subjects']} subjects), more than {found.alpha:.0%}."
        )
    else:
        yield (
            f"Without an effect, {table['type_1'].min():.1%} to {table['type_1'].max():.1%} of studies detect one; "
            f"nowhere clearly more than {found.alpha:.0%}."
        )
    if settings["estimator"] != "posterior":
        yield CAUTION
