"""The table of the population: means, spreads and coefficients of a posterior, one row each."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats import ess, rhat

from hierrl.summary.intervals import HIGH, LOW, interval

MEANING = {
    "median": "typical subject of the cell, natural scale",
    "mean": "average over the subjects of the cell, natural scale",
    "mu": "coefficient of the population mean, link scale",
    "sigma": "standard deviation between subjects, link scale",
    "correlation": "correlation between subjects of two parameters, link scale",
}
"""The quantities in the order in which a reader wants them."""


def population_table(posterior: xr.DataTree) -> pd.DataFrame:
    """What a posterior says about the population.

    Parameters
    ----------
    posterior : DataTree
        From `fit_posterior`.

    Returns
    -------
    DataFrame
        ``quantity`` (``median`` and ``mean`` by cell on the natural scale, ``mu`` by coefficient, ``sigma``
        and ``correlation`` on the link scale; slopes within subjects on the link scale throughout),
        ``parameter``, ``of`` (cell, coefficient, group or other parameter), ``estimate`` (posterior mean),
        ``sd``, ``eti95_low``, ``eti95_high``, ``rhat``, ``ess_bulk`` and ``meaning``.
    """
    group = posterior["population"].to_dataset()
    slopes = json.loads(group.attrs.get("slopes", "[]"))
    rows = [row for name in MEANING if name in group for row in _rows(name, group[name], slopes)]
    table = pd.DataFrame(rows)
    # A coefficient that a parameter doesn't have is NaN in the common array.
    return table.loc[table["estimate"].notna()].reset_index(drop=True)


def _rows(name: str, values: xr.DataArray, slopes: list[str]) -> Iterator[dict[str, object]]:
    others = [str(dim) for dim in values.dims if dim not in ("chain", "draw")]
    stacked = values.transpose(*others, "chain", "draw")
    for index in np.ndindex(*(values.sizes[dim] for dim in others)):
        draws = stacked.values[index]
        place = {dim: str(values[dim].values[i]) for dim, i in zip(others, index, strict=True)}
        if name == "correlation" and index[0] <= index[1]:
            continue  # each pair once
        label = place.pop("parameter", "")
        low, high = interval(draws.ravel())
        yield {
            "quantity": name,
            "parameter": label,
            "of": ", ".join(place.values()),
            "estimate": float(draws.mean()),
            "sd": float(draws.std(ddof=1)),
            LOW.lstrip("_"): float(low),
            HIGH.lstrip("_"): float(high),
            "rhat": float(rhat(draws)) if draws.size > 3 else np.nan,
            "ess_bulk": float(ess(draws)) if draws.size > 3 else np.nan,
            "meaning": MEANING[name].replace("natural", "link") if label in slopes else MEANING[name],
        }
