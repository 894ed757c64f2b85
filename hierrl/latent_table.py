"""`latent_table`: what a fit says of every trial as a tidy table, for regressors of imaging and physiology."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data import to_table
from hierrl.fits import data_of
from hierrl.latents import latents
from hierrl.models.values import Values
from hierrl.told import of_subjects

FloatArray = npt.NDArray[np.float64]


def latent_table(
    fit: xr.DataTree,
    *,
    data: xr.Dataset | None = None,
    parameters: Values | None = None,
    draws: int | None = None,
    subjects: Sequence[Any] | None = None,
) -> pd.DataFrame:
    r"""Values, prediction errors, probabilities and entropy, one row per trial.

    No trial is left out: missed and forced ones have their rows too, with empty cells where there is nothing to say.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.
    data, parameters, draws, subjects
        As in `latents`. All draws are used if `draws` isn't given; the memory needed does not grow with them.

    Returns
    -------
    DataFrame
        The columns of `to_table` (``subject``, ``session``, ``trial``, ``choice``, ``reward``, covariates ...), then
        ``p_choice`` (probability of the choice that was made), ``probability[<arm>]``, ``entropy``, and for each
        outcome channel ``value[<arm>]``, ``prediction_error`` and ``value_difference`` (see `latents`); with several
        channels ``value[<channel>][<arm>]`` and so on. Of a posterior these are means over draws, and
        ``p_choice_sd``, ``value_sd[<arm>]`` ... are standard deviations.

    Raises
    ------
    ValueError
        As in `latents`; if a covariate is called as one of the columns.

    Examples
    --------
    >>> import hierrl as hr
    >>> truth = {"alpha": [0.2, 0.4], "beta": 3}
    >>> data = hr.simulate(hr.model("rw"), hr.Bandit((0.8, 0.2)), truth, random_seed=1)
    >>> table = hr.latent_table(hr.fit_mle(hr.model("rw"), data))
    >>> len(table), list(table)[-6:]
    (400, ['probability[1]', 'entropy', 'value[0]', 'value[1]', 'prediction_error', 'value_difference'])
    >>> table.to_csv("latents.csv", index=False)  # doctest: +SKIP
    """
    data = data_of(fit) if data is None else data
    data = data if subjects is None else of_subjects(data, subjects)
    found = latents(fit, data=data, parameters=parameters, draws=draws, summary=True)
    table = to_table(data)
    attrs = table.attrs
    columns: dict[str, FloatArray] = {}
    for suffix, part in _parts(found):
        columns |= _chosen(part, data, suffix)
        for name, values in part.items():
            columns |= dict(_columns(f"{name}{suffix}", values))
    if clash := sorted(set(columns) & set(table)):
        raise ValueError(
            f"The data have a column {clash[0]!r}, as the latents do. Give the column of the data another name: "
            f"data.rename({{{clash[0]!r}: ...}})."
        )
    table = pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)
    table.attrs = attrs
    return table


def _parts(found: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Latents of a point fit, or means and standard deviations of a posterior."""
    if "statistic" not in found.dims:
        yield "", found
        return
    for statistic, suffix in (("mean", ""), ("sd", "_sd")):
        yield suffix, found.sel(statistic=statistic)


def _chosen(part: xr.Dataset, data: xr.Dataset, suffix: str) -> dict[str, FloatArray]:
    choice = data["choice"].values
    probability = part["probability"].transpose("trial", "arm").values
    own = np.take_along_axis(probability, np.maximum(choice, 0)[:, None], axis=1)[:, 0]
    return {f"p_choice{suffix}": np.where(choice >= 0, own, np.nan)}


def _columns(name: str, values: xr.DataArray) -> Iterator[tuple[str, FloatArray]]:
    """One for each channel and arm."""
    for dim in ("channel", "arm"):
        if dim in values.dims:
            for label in values[dim].values.tolist():
                yield from _columns(f"{name}[{label}]", values.sel({dim: label}))
            return
    yield name, values.values
