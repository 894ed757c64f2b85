"""`to_table`: back to one row per trial."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.data.validity import NEEDED, OPTIONAL, check_behaviour, subject_index

OWN = frozenset({*NEEDED, *OPTIONAL, "trial"})


def to_table(data: xr.Dataset) -> pd.DataFrame:
    """Write behaviour as a table with one row per trial.

    ``behaviour(to_table(data))`` is `data` again (but for its attributes): the arms are the categories of
    ``choice``, and ``table.attrs["hierrl"]`` keeps them and the names of the covariates, also in parquet. A
    csv file keeps neither: name ``covariates=`` (and ``arms=``, if some arm is never chosen) to read it.

    Parameters
    ----------
    data : Dataset
        From `behaviour`.

    Returns
    -------
    DataFrame
        Columns ``subject``, ``session``, ``trial``, ``choice`` (the arm's label; empty = missed), ``reward``;
        where the data have them ``gain``, ``loss``, ``context``, ``forced`` (a choice that isn't scored, for
        instance because it was held out), ``forgone[<arm>]``, ``available[<arm>]``; covariates.

    Raises
    ------
    TypeError, ValueError
        If `data` is not behaviour.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> table = pd.DataFrame({"subject": 1, "choice": ["A", "B"], "reward": [1, 0]})
    >>> hr.to_table(hr.behaviour(table))
       subject  session  trial choice  reward
    0        1        1      1      A     1.0
    1        1        1      2      B     0.0
    """
    check_behaviour(data)
    subject, arms = subject_index(data), data["arm"].values
    categories = pd.Index(arms.tolist())
    columns = {
        "subject": data["trial_subject"].values,
        "session": data["trial_session"].values,
        "trial": data["trial_number"].values,
        "choice": pd.Categorical.from_codes(data["choice"].values, categories=categories),
        "reward": data["reward"].values,
    }
    columns |= {name: data[name].values for name in ("gain", "loss", "context") if name in data}
    forced = (data["choice"].values >= 0) & ~data["scored"].values
    columns |= {"forced": forced} if forced.any() else {}
    for name in ("forgone", "available"):
        columns |= _by_arm(data[name]) if name in data else {}
    covariates = [str(name) for name in data.data_vars if name not in OWN]
    for name in covariates:
        columns |= _covariate(data[name], subject)
    table = pd.DataFrame(columns)
    table.attrs["hierrl"] = {"covariates": covariates, "arms": categories.tolist()}
    return table


def _by_arm(variable: xr.DataArray) -> dict[str, np.ndarray]:
    return {
        f"{variable.name}[{arm}]": variable.sel(arm=arm).values for arm in variable["arm"].values.tolist()
    }


def _covariate(variable: xr.DataArray, subject: np.ndarray) -> dict[str, object]:
    if "arm" in variable.dims:
        return dict(_by_arm(variable))
    values = variable.values[subject] if variable.dims == ("subject",) else variable.values
    if variable.dtype.kind not in "UOT":
        return {str(variable.name): values}
    text = pd.Series(values, dtype="str").where(values != "")  # an empty text is a missing one
    if "levels" in variable.attrs:
        return {str(variable.name): pd.Categorical(text, categories=json.loads(variable.attrs["levels"]))}
    return {str(variable.name): text}
