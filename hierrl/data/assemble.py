"""`behaviour`: from a table, whatever it looks like, to the one format that everything else takes."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.arms import name_arms
from hierrl.data.by_arm import ByArm, find_by_arm, read_available, read_forgone, shown_arms
from hierrl.data.codes import Label, read_codes
from hierrl.data.columns import find_columns
from hierrl.data.covariates import covariate_names, read_covariate
from hierrl.data.leftover import other_columns
from hierrl.data.order import order_rows, with_sessions
from hierrl.data.outcomes import read_outcomes
from hierrl.data.reading import read_table
from hierrl.data.table import Table, counted, listed
from hierrl.data.validity import subject_index
from hierrl.data.values import flag_of, flags, labels

Column = Hashable | None
"""The name of a column; None = find it; False = there is none."""


def behaviour(
    table: pd.DataFrame | str | os.PathLike,
    *,
    subject: Column = None,
    choice: Column = None,
    reward: Column = None,
    session: Column = None,
    trial: Column = None,
    gain: Column = None,
    loss: Column = None,
    forgone: Column | Sequence[Hashable] | Mapping[Hashable, Hashable] = None,
    available: Column | Sequence[Hashable] | Mapping[Hashable, Hashable] = None,
    context: Column = None,
    forced: Column | Sequence[bool] = None,
    covariates: str | Sequence[Hashable] | None = None,
    arms: Iterable[Hashable] | int | None = None,
) -> xr.Dataset:
    """Read a table of choices, one row per trial.

    Every argument but `covariates` and `arms` names a column. Left out, the column is found by its name
    (``subject``, ``subjID``, ``participant``; ``choice``, ``response``; ``reward``, ``outcome``,
    ``feedback``; ``session``, ``run``; ``trial`` ... in any case); the role's own name comes first, and two
    synonyms are an error. ``False`` says that there is no such column. No row is dropped, and nothing in the
    table is changed.

    Parameters
    ----------
    table : DataFrame or path
        Or the path of a csv, tsv, txt or parquet file, also compressed with gzip. Separators and decimal
        commas of text files are recognised.
    subject : column
        Whose row this is; text or whole numbers.
    choice : column
        What was chosen: numbers from 0, numbers from 1 (if 1 to m all occur and 0 doesn't, in the whole
        table), or labels: text, categories, flags, other numbers. A missed choice is empty (None, NaN,
        ``""``, ``"NA"``) or -1. Numbers from 0 or 1 with a gap need `arms`.
    reward : column
        What was paid, any unit and sign; empty = unknown. May be left out if there are `gain` and `loss`:
        then it is their sum.
    session : column
        Values start anew where it changes. A column called ``block`` is taken for it only if trial numbers
        start again in each block (or there are none); ``ds.attrs["notes"]`` says so.
    trial : column
        Number within the session, by which rows are sorted; without it, rows are in order.
    gain, loss : column
        What was won (0 or more) and lost (0 or less) on the trial.
    forgone : columns
        What arms not chosen would have paid: one column per arm (a list in the order of the arms, or a dict
        from label to column), or, with two arms, one column for the other arm. Columns called
        ``forgone[<arm>]`` are found.
    available : columns
        Which arms could be chosen: one column of flags per arm (as above), or fewer columns that name the
        arms shown, such as ``["left_stimulus", "right_stimulus"]``. Columns called ``available[<arm>]`` are
        found.
    context : column
        Labels of the context.
    forced : column, or a list with one flag per row
        Marks forced choices, which are learned from but not scored.
    covariates : name or list of names
        Further columns: stored by subject where constant within each, by trial otherwise. For a name without
        a column, columns called ``name[<arm>]`` are taken together.
    arms : list of labels, or a number
        All arms, in order; needed if some arm is never chosen. Choices that are numbers count through a list
        of names.

    Returns
    -------
    Dataset
        Dims ``trial`` (n rows, contiguous by subject; subjects and sessions in order of first appearance),
        ``subject`` and ``arm`` (labels). Coordinates by trial: ``trial_subject``, ``trial_session`` (labels),
        ``trial_number``. Variables by trial: ``choice`` int64 (index of the arm, -1 = missed), ``reward``
        float64 (NaN = unknown), ``scored`` bool (False: missed, forced, or only one arm available); where
        given ``gain``, ``loss``, ``context`` (trial), ``forgone`` (trial, arm; NaN for the arm chosen),
        ``available`` (trial, arm). Covariates have ``attrs["level"]``: ``"subject"`` (dim subject),
        ``"session"`` or ``"trial"`` (dim trial); a missing number is NaN, a missing text is ``""``.
        ``attrs``: ``columns`` (JSON: role -> column), ``n_missed``, ``n_unknown`` (choices with unknown
        reward), ``notes`` (JSON: a list of sentences on what was interpreted), ``other_columns`` (JSON: those that
        nothing was read from -> their groups, if each subject has one of a few texts).

    Raises
    ------
    ValueError
        If a column is missing, ambiguous or holds what can't be right. The message says what, where and what
        to do.
    TypeError
        If an argument is of the wrong kind.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import json, hierrl as hr, pandas as pd
    >>> df = pd.DataFrame({"subjID": ["a"] * 3, "choice": ["left", None, "right"], "outcome": [1, None, 0]})
    >>> data = hr.behaviour(df)
    >>> data["choice"].values.tolist(), data["arm"].values.tolist(), data.attrs["n_missed"]
    ([0, -1, 1], ['left', 'right'], 1)
    >>> json.loads(data.attrs["columns"])
    {'subject': 'subjID', 'choice': 'choice', 'reward': 'outcome'}
    """
    source = read_table(table, labels=(subject, session))
    names = covariate_names(source, covariates)
    by_arm = {
        role: find_by_arm(source, role, spec)
        for role, spec in (("forgone", forgone), ("available", available))
    }
    taken = [*names, *(column for found in by_arm.values() if found for column in found.columns)]
    asked = {
        "subject": subject, "choice": choice, "reward": reward, "session": session, "trial": trial,
        "gain": gain, "loss": loss, "context": context, "forced": False if _is_list(forced) else forced,
    }  # fmt: skip
    source = with_sessions(find_columns(source, asked, taken), wanted=session is None, taken=taken)
    order = order_rows(source)
    labels_of_arms, variables = _by_row(source, by_arm, arms=arms, forced=forced)
    data = xr.Dataset(
        {name: (("trial", "arm")[: values.ndim], values[order.rows]) for name, values in variables.items()},
        coords={
            "trial": np.arange(len(source)),
            "subject": order.subjects,
            "arm": np.array(labels_of_arms),
            "trial_subject": ("trial", order.subjects[order.subject]),
            "trial_session": ("trial", order.session),
            "trial_number": ("trial", order.trial),
        },
    )
    data = data.assign(
        {str(name): read_covariate(source, name, order=order, arms=labels_of_arms) for name in names}
    )
    _note_counts(source, data)
    return data.assign_attrs(_attributes(source, data, by_arm=by_arm, names=names))


def _is_list(forced: object) -> bool:
    return isinstance(forced, list | tuple | np.ndarray | pd.Series)


def _by_row(
    table: Table, by_arm: Mapping[str, ByArm | None], *, arms: Iterable[Hashable] | int | None, forced: object
) -> tuple[tuple[Label, ...], dict[str, npt.NDArray]]:
    """The labels of the arms, and every variable by trial in the order of the table."""
    coded, available, forgone = (
        read_codes(table, table.roles["choice"]),
        by_arm["available"],
        by_arm["forgone"],
    )
    shown = shown_arms(table, available)
    groups = [columns for columns in (None if shown else available, forgone) if columns]
    arms = table.frame.attrs.get("hierrl", {}).get("arms") if arms is None else arms  # from `to_table`
    named = next((columns.labels for columns in groups if len(columns.labels or ()) > 1), None)
    arms = named if arms is None and not coded.declared else arms
    implied = next((len(columns.columns) for columns in groups if len(columns.columns) > 1), None)
    labels_of_arms, index = name_arms(table, [coded, *shown], arms=arms, implied=implied)
    choice = coded.indices(index)
    variables = {"choice": choice, **read_outcomes(table, choice >= 0)}
    scored = (choice >= 0) & ~_forced(table, forced, choice >= 0)
    if forgone:
        variables["forgone"] = read_forgone(
            table, forgone, arms=labels_of_arms, choice=choice, reward=variables["reward"]
        )
    if available:
        variables["available"] = read_available(
            table, available, arms=labels_of_arms, index=index, shown=shown, choice=choice
        )
        scored &= _had_alternatives(table, variables["available"], choice >= 0)
    if "context" in table.roles:
        codes, contexts = labels(table, table.roles["context"], "context")
        variables["context"] = contexts[codes]
    return labels_of_arms, variables | {"scored": scored}


def _forced(table: Table, forced: object, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Choices that were forced."""
    if _is_list(forced):
        meanings = [flag_of(value) for value in np.asarray(forced).tolist()]
        if len(meanings) != len(table) or None in meanings or np.isnan(np.array(meanings, dtype=float)).any():
            raise ValueError(
                f"forced= must be the name of a column, or one True or False per row ({len(table):,}); "
                f"found {len(meanings):,} entries, such as "
                f"{listed(dict.fromkeys(np.asarray(forced).tolist()))}."
            )
        return np.array(meanings) == 1
    if "forced" not in table.roles:
        return np.zeros(len(table), dtype=bool)
    values, missing = flags(table, table.roles["forced"], "forced")
    if (missing & chosen).any():
        raise ValueError(
            f"It is unclear whether a choice was forced: column {table.roles['forced']!r} is empty at "
            f"{table.rows(missing & chosen)}. Write True or False.{table.way_out('forced')}"
        )
    return values


def _had_alternatives(
    table: Table, available: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    several = available.sum(axis=1) > 1
    if (alone := ~several & chosen).any():
        table.note(f"{counted(int(alone.sum()), 'trial')} offered one arm only: learned from, not scored.")
    return several


def _note_counts(table: Table, data: xr.Dataset) -> None:
    """Say what is missing, and which subjects have nothing to be fitted to."""
    found = {role: column for role, column in table.roles.items() if role in table.found and column != role}
    if found:
        pairs = (f"{role} from {column!r}" for role, column in found.items())
        table.notes.insert(0, f"Columns were found by their names: {', '.join(pairs)}.")
    if "subject" not in table.roles:
        table.note("There is no column of subjects: all rows are one subject's.")
    missed, unknown = _n_missed(data), _n_unknown(data)
    if missed:
        table.note(f"{counted(missed, 'choice')} of {data.sizes['trial']:,} missed: kept, not scored.")
    if unknown:
        table.note(
            f"{counted(unknown, 'choice')} with an unknown reward: scored, nothing is learned from the "
            "reward."
        )
    forced = int(((data["choice"] >= 0) & ~data["scored"]).sum())
    if forced:
        table.note(f"{counted(forced, 'choice')} forced: learned from, not scored.")
    n_scored = np.bincount(subject_index(data), weights=data["scored"].values)
    idle = data["subject"].values[n_scored == 0]
    if idle.size:
        table.note(f"{counted(idle.size, 'subject')} without a scored choice: {listed(idle)}.")


def _n_missed(data: xr.Dataset) -> int:
    return int((data["choice"] < 0).sum())


def _n_unknown(data: xr.Dataset) -> int:
    return int(((data["choice"] >= 0) & data["reward"].isnull()).sum())


def _attributes(
    table: Table, data: xr.Dataset, *, by_arm: Mapping[str, ByArm | None], names: Sequence[Hashable]
) -> dict[str, str | int]:
    columns: dict[str, object] = {role: str(column) for role, column in table.roles.items()}
    columns |= {"reward": f"{columns['gain']} + {columns['loss']}"} if "reward" not in columns else {}
    columns |= {role: found.record() for role, found in by_arm.items() if found}
    columns |= {"covariates": [str(name) for name in names]} if names else {}
    taken = {*table.roles.values(), *names, *(name for one in by_arm.values() if one for name in one.columns)}
    return {
        "other_columns": json.dumps(other_columns(table, taken), ensure_ascii=False),
        "columns": json.dumps(columns, ensure_ascii=False),
        "n_missed": _n_missed(data),
        "n_unknown": _n_unknown(data),
        "notes": json.dumps(table.notes, ensure_ascii=False),
    }
