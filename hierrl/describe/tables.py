"""The table of parameters, and tables as markdown and LaTeX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.fits import settings_of
from hierrl.summary.population import population_table
from hierrl.summary.subjects import labelled

DIGITS = 3
"""Significant digits of what is written; the table itself has all."""
QUARTILES = (0.25, 0.5, 0.75)
LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "Σ": r"$\Sigma$", "−": r"$-$", "±": r"$\pm$", "–": "--",
    "<": r"$<$", ">": r"$>$",
}  # fmt: skip
"""Characters that mean something in LaTeX, or that its fonts may lack."""


def parameter_table(fit: xr.DataTree) -> pd.DataFrame:
    """What the fit says about each parameter: the population of a posterior, the subjects of a point fit.

    Returns
    -------
    DataFrame
        Posterior: ``parameter``, ``quantity`` (``median`` and ``mean`` by cell, natural scale; ``mu``, ``sigma`` and
        ``correlation`` on the link scale), ``of``, ``estimate`` (posterior mean), ``sd``, ``eti95_low``,
        ``eti95_high``, ``rhat``, ``ess_bulk``. Point fit: ``parameter``, ``n`` subjects, ``median``, ``quartile_1``,
        ``quartile_3``, ``mean``, ``sd`` over them (natural scale), ``median_se_link`` (median standard
        error, link scale; where there are any) and ``at_bound`` (number of estimates on a bound). Raw reward units.
    """
    if settings_of(fit)["estimator"] == "posterior":
        table = population_table(fit).drop(columns="meaning")
        first = ["parameter", "quantity", "of"]
        return table.loc[:, [*first, *(name for name in table.columns if name not in first)]]
    return pd.DataFrame(
        [_of_subjects(fit, label, values) for label, values in labelled(fit["posterior"].to_dataset())]
    )


def _of_subjects(fit: xr.DataTree, label: str, values: xr.DataArray) -> dict[str, Any]:
    estimate = values.isel(chain=0, draw=0).values
    low, middle, high = np.quantile(estimate, QUARTILES)
    row: dict[str, Any] = {
        "parameter": label,
        "n": estimate.size,
        "median": middle,
        "quartile_1": low,
        "quartile_3": high,
        "mean": estimate.mean(),
        "sd": estimate.std(ddof=1) if estimate.size > 1 else np.nan,
    }
    stats = fit.children["fit_stats"].dataset
    if label in stats["parameter"].values:  # not the bias of the first arm, which is 0
        mine = stats.sel(parameter=label)
        if not stats["se"].isnull().all():
            se = mine["se"].values[np.isfinite(mine["se"].values)]
            row["median_se_link"] = np.median(se) if se.size else np.nan
        row["at_bound"] = int(mine["at_bound"].sum())
    return row


def as_markdown(table: pd.DataFrame) -> str:
    """A table in markdown, numbers rounded."""
    heads = [str(name) for name in table.columns]
    rule = ["--:" if _is_number(table[name]) else ":--" for name in table.columns]
    lines = [heads, rule, *_cells(table)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_latex(table: pd.DataFrame) -> str:
    """A table in LaTeX (needs the package booktabs), numbers rounded."""
    columns = "".join("r" if _is_number(table[name]) else "l" for name in table.columns)
    heads = " & ".join(escaped(str(name)) for name in table.columns)
    rows = [" & ".join(map(escaped, line)) + r" \\" for line in _cells(table)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def _is_number(column: Any) -> bool:
    return pd.api.types.is_numeric_dtype(column)


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in table.itertuples(index=False)]


def _cell(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value}"
    if not np.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 10**DIGITS:
        return f"{value:.0f}"
    return (
        f"{value:.{DIGITS}g}"
        if abs(value) < 10 ** (-DIGITS)
        else np.format_float_positional(value, precision=DIGITS, fractional=False, trim="-")
    )
