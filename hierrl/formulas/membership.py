"""Who belongs to which level of a categorical covariate of the subjects."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas.cells import EVERYBODY, spelled


def membership(
    data: xr.Dataset, covariate: str | None, *, argument: str = "group"
) -> tuple[tuple[str, ...], npt.NDArray[np.bool_]]:
    """Levels of a covariate in order, and who belongs to each (levels, S); without a covariate all are one group.

    `argument` is what the caller's users call it, for the error.
    """
    if covariate is None:
        return (EVERYBODY,), np.ones((1, data.sizes["subject"]), dtype=bool)
    known = [str(name) for name in data.data_vars if data[name].dims == ("subject",)]
    if covariate not in known:
        raise ValueError(
            f"{argument}={covariate!r} is not a covariate of the subjects. "
            f"The data have {', '.join(known) or 'none'}; hr.behaviour(..., covariates=[...]) adds them."
        )
    labels = spelled(data[covariate].values)
    labels = np.where(np.isin(labels, ("", "nan")), "unknown", labels)
    levels = _in_order(data[covariate], labels)
    return tuple(levels), np.array([labels == level for level in levels])


def _in_order(variable: xr.DataArray, labels: npt.NDArray[np.str_]) -> list[str]:
    """Levels in the order of the table's categories, of numbers, or of the alphabet."""
    known = [str(level) for level in json.loads(variable.attrs.get("levels", "[]"))]
    values = variable.values
    by_value = [
        str(labels[i]) for i in np.argsort(values if values.dtype.kind in "biuf" else labels, kind="stable")
    ]
    present = set(by_value)
    return [level for level in dict.fromkeys([*known, *by_value]) if level in present]
