"""What a model recovery says: confusion and inversion matrices with counts and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.replications.shares import interval_name, share_of
from hierrl.studies.evidence import NAMES

FloatArray = npt.NDArray[np.float64]
Level = Literal["subject", "data set"]

LEVELS: tuple[Level, ...] = ("subject", "data set")


@dataclass(frozen=True, repr=False)
class Confusion:
    """Model recovery; `confusion` makes it.

    Attributes
    ----------
    table : DataFrame
        By ``criterion``, ``level`` ("subject"; "data set": by the sum over subjects), ``generating`` and ``best``
        model: ``n``, how often this was the best, of ``n_generating`` and of ``n_best``; ``share`` =
        P(best | generating) and ``inverse`` = P(generating | best), each with the ends of a 95 % interval
        (``_low``, ``_high``; exact binomial, corrected for data sets that differ). ``inverse`` is NaN for
        a model that never was the best.
    best : DataFrame
        By ``criterion``, ``generating``, ``data_set`` and ``subject`` (a number): ``best``, and ``lead``, nats before
        the second best.
    settings : dict
        What it was made with.
    """

    table: pd.DataFrame
    best: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def criteria(self) -> list[str]:
        """What decided."""
        return list(dict.fromkeys(self.table["criterion"]))

    def matrix(self, criterion: str | None = None, *, level: Level = "subject") -> pd.DataFrame:
        """P(best | generating): a row for each generating model, a column for each best one.

        Parameters
        ----------
        criterion : str, optional
            The first one if not given.
        level : {"subject", "data set"}
        """
        return self._wide(criterion, level, "share")

    def inversion(self, criterion: str | None = None, *, level: Level = "subject") -> pd.DataFrame:
        """P(generating | best), if all models generate equally often; rows and columns as in `matrix`."""
        return self._wide(criterion, level, "inverse")

    @property
    def text(self) -> str:
        """What the matrices say, in sentences."""
        return "\n".join(_sentences(self))

    def __repr__(self) -> str:
        return self.text

    def select(self, criterion: str | None, level: str) -> pd.DataFrame:
        """Rows of the table."""
        known = self.criteria
        wanted = known[0] if criterion is None else criterion
        if wanted not in known:
            raise ValueError(f"criterion={criterion!r} was not asked for; there are {', '.join(known)}.")
        if level not in LEVELS:
            raise ValueError(f"level={level!r} is not one of {LEVELS}.")
        return self.table.loc[(self.table["criterion"] == wanted) & (self.table["level"] == level)]

    def _wide(self, criterion: str | None, level: str, what: str) -> pd.DataFrame:
        names = list(self.settings["models"])
        wide = self.select(criterion, level).pivot(index="generating", columns="best", values=what)
        return wide.loc[names, names]


def confused(scores: Mapping[tuple[str, int], Mapping[str, Any]], settings: Mapping[str, Any]) -> Confusion:
    """The result from scores by (generating model, data set): criterion -> model -> (S,)."""
    names = list(settings["models"])
    rows, winners = [], []
    for criterion in settings["criteria"]:
        found = {key: np.stack([one[criterion][name] for name in names]) for key, one in scores.items()}
        winners += [_winners(criterion, key, values, names) for key, values in found.items()]
        for level in LEVELS:
            by_level = {
                key: v if level == "subject" else v.sum(axis=1, keepdims=True) for key, v in found.items()
            }
            won = {key: np.bincount(v.argmax(axis=0), minlength=len(names)) for key, v in by_level.items()}
            rows += _counted(criterion, level, won, names, clusters=settings["clusters"])
    return Confusion(pd.DataFrame(rows), pd.concat(winners, ignore_index=True), settings)


def _winners(criterion: str, key: tuple[str, int], values: FloatArray, names: list[str]) -> pd.DataFrame:
    ordered = np.sort(values, axis=0)
    return pd.DataFrame(
        {
            "criterion": criterion,
            "generating": key[0],
            "data_set": key[1],
            "subject": np.arange(values.shape[1]),
            "best": np.array(names, dtype=object)[values.argmax(axis=0)],
            "lead": ordered[-1] - ordered[-2],
        }
    )


def _counted(
    criterion: str,
    level: str,
    won: Mapping[tuple[str, int], npt.NDArray[np.int64]],
    names: list[str],
    *,
    clusters: bool,
) -> Iterator[dict[str, Any]]:
    """Rows of the table from how often each model won in each data set."""
    counts = np.stack(list(won.values()))
    generating = np.array([name for name, _ in won])
    for name in names:
        mine = generating == name
        for b, best in enumerate(names):
            share = share_of(counts[mine, b], counts[mine].sum(axis=1), clusters=clusters)
            inverse = share_of(np.where(mine, counts[:, b], 0), counts[:, b], clusters=clusters)
            yield {
                "criterion": criterion,
                "level": level,
                "generating": name,
                "best": best,
                "n": int(counts[mine, b].sum()),
                "n_generating": int(counts[mine].sum()),
                "n_best": int(counts[:, b].sum()),
                "share": share.share,
                "share_low": share.low,
                "share_high": share.high,
                "inverse": inverse.share,
                "inverse_low": inverse.low,
                "inverse_high": inverse.high,
            }


def _sentences(found: Confusion) -> Iterator[str]:
    names, settings = list(found.settings["models"]), found.settings
    n_sets = found.best["data_set"].nunique()
    yield (
        f"Model recovery of {', '.join(names)} by {settings['estimator']}: from each {n_sets:,} data sets of "
        f"{settings['n_subjects']:,} subjects."
    )
    for criterion in found.criteria:
        for level in LEVELS:
            rows = found.select(criterion, level)
            right = rows.loc[rows["generating"] == rows["best"]]
            each = ", ".join(
                f"{row['generating']} {row['share']:.0%} ({row['share_low']:.0%} to {row['share_high']:.0%})"
                for row in right.to_dict("records")
            )
            yield (
                f"{NAMES[criterion]} finds the generating model of a {level} in {right['share'].mean():.0%} of cases: "
                f"{each}.{_taken_for(rows)}"
            )
    yield f"In brackets: {interval_name(settings['clusters'])}."


def _taken_for(rows: pd.DataFrame) -> str:
    """The most frequent error."""
    wrong = rows.loc[rows["generating"] != rows["best"]]
    worst = wrong.iloc[int(np.argmax(wrong["share"]))]
    if worst["n"] == 0:
        return ""
    return f" Most often {worst['generating']} is taken for {worst['best']} ({worst['share']:.0%})."
