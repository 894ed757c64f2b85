"""The table of subjects: what every estimator says about each, ready for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.fits import data_of
from hierrl.summary.behaviour import counts
from hierrl.summary.intervals import HIGH, LOW, interval

STATS = ("loglik", "gap", "certified", "converged", "status")
"""What is told of each fit beside its estimates, where it is known."""


def subject_table(fits: Mapping[str, xr.DataTree]) -> pd.DataFrame:
    """All estimates of all subjects.

    Parameters
    ----------
    fits : mapping of str to DataTree
        Fits of one model to the same data, by the name that their columns end with.

    Returns
    -------
    DataFrame
        One row per subject. ``subject`` comes first, then covariates of the subject, ``trials`` and
        ``missed``; ``<parameter>_<fit>`` for each parameter and fit (the estimate, or the posterior mean,
        in raw reward units) with ``_se_link`` (point fits: standard error on the link scale) or ``_sd``,
        ``_eti95_low`` and ``_eti95_high`` (posteriors); last ``loglik_<fit>`` (nats), ``gap_<fit>``,
        ``certified_<fit>``, ``converged_<fit>`` and ``status_<fit>``, where they are known.
    """
    data = data_of(next(iter(fits.values())))
    table = pd.DataFrame({"subject": data["subject"].values})
    for name, values in data.data_vars.items():
        if values.dims == ("subject",) and name not in table:
            table[str(name)] = values.values
    each = counts(data)
    table["trials"], table["missed"] = each.trials, each.missed
    estimates = {name: dict(_estimates(fit)) for name, fit in fits.items()}
    labels = dict.fromkeys(label for columns in estimates.values() for label in columns)
    parts = [
        columns[label].add_prefix(f"{label}_{name}")
        for label in labels
        for name, columns in estimates.items()
        if label in columns
    ]
    stats = [_stats(fit).add_suffix(f"_{name}") for name, fit in fits.items()]
    return pd.concat([table, *parts, *stats], axis=1)


def labelled(group: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Scalars of a ``posterior`` group as (label, values by chain, draw, subject)."""
    for name, values in group.data_vars.items():
        if "arm" not in values.dims:
            yield str(name), values
            continue
        for arm in values["arm"].values:
            yield f"{name}[{arm}]", values.sel(arm=arm, drop=True)


def _estimates(fit: xr.DataTree) -> Iterator[tuple[str, pd.DataFrame]]:
    """Label -> columns of one fit, whose names are what is added to ``<parameter>_<fit>``."""
    group = fit["posterior"].to_dataset()
    is_point = group.sizes["chain"] * group.sizes["draw"] == 1
    for label, values in labelled(group):
        draws = values.transpose("subject", "chain", "draw").values.reshape(values.sizes["subject"], -1)
        columns = {"": draws.mean(axis=1)}
        if is_point:
            columns |= _errors(fit, label)
        else:
            low, high = interval(draws)
            columns |= {"_sd": draws.std(axis=1, ddof=1), LOW: low, HIGH: high}
        yield label, pd.DataFrame(columns)


def _errors(fit: xr.DataTree, label: str) -> dict[str, np.ndarray]:
    errors = fit.children["fit_stats"].dataset["se"]
    if label not in errors["parameter"].values or errors.isnull().all():
        return {}
    return {"_se_link": errors.sel(parameter=label).values}


def _stats(fit: xr.DataTree) -> pd.DataFrame:
    """What is known of the fit of each subject; columns without any information are left out."""
    stats = fit.children["fit_stats"].dataset
    columns = {name: stats[name].values for name in STATS}
    if stats["gap"].isnull().all():  # no bound, so nothing could be certified
        del columns["gap"], columns["certified"]
    return pd.DataFrame({name: values for name, values in columns.items() if not np.all(pd.isna(values))})
