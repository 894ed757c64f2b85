"""Covariates: whatever else is known of a subject, a session or a trial."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.codes import Label
from hierrl.data.columns import check_column, columns_by_arm
from hierrl.data.order import Order
from hierrl.data.table import Table, counted, listed
from hierrl.data.values import is_missing_text, label_codes

LARGEST_INT = 2.0**63
"""From here on, whole numbers don't fit into 64 bits with a sign."""

RESERVED = frozenset(
    "trial subject arm trial_subject trial_session trial_number choice reward scored gain loss forgone "
    "available context "
    "session forced chain draw".split()
)
"""Names that mean something else in behaviour, its tables or fits."""


def covariate_names(table: Table, asked: str | Sequence[Hashable] | None) -> tuple[Hashable, ...]:
    """The covariates as a tuple of names, checked; None = those that `to_table` wrote down, if any."""
    if asked is None:
        kept = table.frame.attrs.get("hierrl", {}).get("covariates", ())
        return tuple(name for name in kept if name in table.frame.columns or columns_by_arm(table, name))
    names = tuple(asked) if isinstance(asked, Iterable) and not isinstance(asked, str) else (asked,)
    for name in names:
        if name in RESERVED:
            raise ValueError(
                f"A covariate can't be called {name!r}: the name has a meaning of its own in behaviour. "
                f"Give it another one: table.rename(columns={{{name!r}: '{name}_covariate'}})."
            )
        if not columns_by_arm(table, str(name)) or name in list(table.frame.columns):
            check_column(table, name, "covariates")
    if len(set(names)) < len(names):
        raise ValueError(f"covariates= names a column twice: {listed(names)}.")
    return names


def read_covariate(table: Table, name: Hashable, *, order: Order, arms: Sequence[Label]) -> xr.DataArray:
    """One covariate, by subject if constant within each, else by trial; ``attrs["level"]`` says which."""
    if name not in list(table.frame.columns):
        return _by_arm(table, str(name), order=order, arms=arms)
    plain_numbers = table.column(name).dtype.kind in "biuf"
    codes = (table.factorized(name) if plain_numbers else label_codes(table, name))[0][order.rows]
    values, attrs = covariate_values(table.column(name))
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(
            f"The covariate {name!r} is infinite at {table.rows(np.isinf(values))}. Leave it empty if it is "
            "unknown."
        )
    values = values[order.rows]
    by_subject = np.flatnonzero(np.append(True, order.subject[1:] != order.subject[:-1]))
    if (codes == codes[by_subject][order.subject]).all():
        return xr.DataArray(values[by_subject], dims="subject", attrs={"level": "subject"} | attrs)
    _note_holes(table, name, codes, order=order)
    level = "session" if (codes == codes[order.first]).all() else "trial"
    return xr.DataArray(values, dims="trial", attrs={"level": level} | attrs)


def covariate_values(series: pd.Series) -> tuple[npt.NDArray, dict[str, str]]:
    """Numbers, flags or text with their attributes; a missing number is NaN, a missing text is empty.

    The categories of categorical text are kept, in order, in ``attrs["levels"]`` (JSON).
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = _object_values(series.astype(object))
        levels = [str(level).strip() for level in dtype.categories]
        return values, {"levels": json.dumps(levels)} if values.dtype.kind == "U" else {}
    complete = not series.isna().any()
    if pd.api.types.is_bool_dtype(dtype) and complete:
        return series.to_numpy(dtype=bool), {}
    if pd.api.types.is_integer_dtype(dtype) and complete:
        return _whole(series.to_numpy(dtype=np.float64), series), {}
    if pd.api.types.is_bool_dtype(dtype) or (pd.api.types.is_numeric_dtype(dtype) and dtype.kind != "c"):
        return series.to_numpy(dtype=np.float64, na_value=np.nan), {}
    return _object_values(series), {}


def _object_values(series: pd.Series) -> npt.NDArray:
    """Text; or numbers and flags that pandas holds as objects."""
    codes, uniques = pd.factorize(series)
    kind = pd.api.types.infer_dtype(uniques)
    if kind in ("boolean", "integer", "floating", "mixed-integer-float", "decimal"):
        values = np.array([*map(_as_float, uniques), np.nan])[codes]
        if (codes < 0).any() or kind not in ("boolean", "integer"):
            return values
        return values.astype(bool) if kind == "boolean" else _whole(values, series)
    texts = ["" if is_missing_text(value) else str(value).strip() for value in uniques]
    return np.array([*texts, ""], dtype=str)[codes]


def _as_float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # whole numbers have no largest one; floats do
        return np.inf


def _whole(values: npt.NDArray[np.float64], series: pd.Series) -> npt.NDArray:
    """Whole numbers as int64, where they fit; as floats beyond."""
    return series.to_numpy(dtype=np.int64) if (np.abs(values) < LARGEST_INT).all() else values


def _by_arm(table: Table, name: str, *, order: Order, arms: Sequence[Label]) -> xr.DataArray:
    columns = columns_by_arm(table, name)
    if set(columns) != {str(arm) for arm in arms}:
        raise ValueError(
            f"The covariate {name!r} has columns for the arms {listed(columns)}, but the arms are "
            f"{listed(arms)}. It needs one for each."
        )
    values = np.stack([covariate_values(table.column(columns[str(arm)]))[0] for arm in arms], axis=1)
    return xr.DataArray(values[order.rows], dims=("trial", "arm"), attrs={"level": "trial"})


def _note_holes(table: Table, name: Hashable, codes: npt.NDArray[np.int64], *, order: Order) -> None:
    """A covariate that is constant but for holes was meant to be one of the subject, most likely."""
    known = codes >= 0
    frame = pd.DataFrame({"subject": order.subject[known], "code": codes[known]}).drop_duplicates()
    if known.all() or frame["subject"].duplicated().any() or (np.bincount(order.subject) < 2).all():
        return
    holes = ~known & np.isin(order.subject, order.subject[known])
    place = int(np.flatnonzero(holes)[0])
    table.note(
        f"The covariate {name!r} is constant within each subject, but empty in "
        f"{counted(int(holes.sum()), 'row')} of subjects that have a value, first "
        f"{table.row(int(order.rows[place]))}: it is kept by trial. Fill these rows to use it as a "
        "covariate of the subject."
    )
