"""Estimates of the subjects, with what certifies them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex import CERTIFIED
from hierrl.fits import data_of, settings_of
from hierrl.report.parts import DASH, KINDS, Cell, Table, fixed, number, span, table
from hierrl.report.study import covariates_shown
from hierrl.summary.behaviour import counts
from hierrl.summary.intervals import NAME, interval
from hierrl.summary.subjects import labelled
from hierrl.summary.verdicts import nats_beyond

FloatArray = npt.NDArray[np.float64]

QUARTILES = (0.25, 0.5, 0.75)
PLAIN = ("Converged.", "Converged", "Optimal.")
"""Statuses that need no words."""


@dataclass(frozen=True)
class FitPart:
    """The subjects of one fit."""

    name: str
    kind: str
    model: str
    certificate: str
    spread: Table
    each: Table
    n: int


def fit_part(name: str, fit: xr.DataTree, model: str) -> FitPart:
    """Estimates of a fit: how they are distributed, and every one of them."""
    kind = settings_of(fit)["estimator"]
    return FitPart(
        name=name,
        kind=KINDS[kind],
        model=model,
        certificate=certificate(fit),
        spread=_spread(name, fit),
        each=_each(name, fit),
        n=fit["posterior"].sizes["subject"],
    )


def certificate(fit: xr.DataTree) -> str:
    """What is proven of a fit, in words."""
    stats = fit.children["fit_stats"].dataset
    if settings_of(fit)["estimator"] == "posterior":
        good = int(stats["converged"].values.sum())
        return f"Posterior means with {NAME}. The chains agree for {good:,} of {stats.sizes['subject']:,} subjects."
    gap = stats["gap"].values
    known = gap[np.isfinite(gap)]
    if not known.size:
        reason = stats["bound"].attrs.get("reason", "There is none for this model.")
        return f"Without certificate. {reason}"
    proven = int((gap <= CERTIFIED).sum())
    left = f"no values within the bounds fit better by more than {nats_beyond(gap)}."
    if not proven:
        return f"That no other values fit better is not proven of any subject; but {left}"
    rest = "" if proven == gap.size else f" For the others {left}"
    return f"Proven to be the best possible fit within the bounds: {proven:,} of {gap.size:,} subjects.{rest}"


def estimates_of(fit: xr.DataTree) -> Iterator[tuple[str, FloatArray]]:
    """Label of each scalar with its draws (S, D); one draw of a point fit."""
    for label, values in labelled(fit["posterior"].to_dataset()):
        yield label, values.transpose("subject", "chain", "draw").values.reshape(values.sizes["subject"], -1)


def _spread(name: str, fit: xr.DataTree) -> Table:
    held = fit.children["fit_stats"].dataset["at_bound"]
    is_point = settings_of(fit)["estimator"] != "posterior"
    rows = []
    for label, draws in estimates_of(fit):
        centre = draws.mean(axis=1)
        low, middle, high = np.nanquantile(centre, QUARTILES)
        row = [label, middle, span(low, high), span(float(np.nanmin(centre)), float(np.nanmax(centre)))]
        if is_point:
            known = label in held["parameter"].values
            row.append(int(held.sel(parameter=label).sum()) if known else 0)
        rows.append(row)
    heads = ["parameter", "median subject", "quartiles", "lowest to highest"]
    what = "posterior means" if not is_point else "estimates"
    return table(f"{name}: {what} over subjects", heads + (["on a bound"] if is_point else []), rows)


def _each(name: str, fit: xr.DataTree) -> Table:
    data = data_of(fit)
    stats = fit.children["fit_stats"].dataset
    covariates = [one for one in covariates_shown(data) if data[one].dims == ("subject",)]
    each = counts(data)
    estimates = {label: list(_cells(fit, label, draws)) for label, draws in estimates_of(fit)}
    estimates = {label: cells for label, cells in estimates.items() if not _is_reference(fit, label)}
    heads = ["subject", *covariates, "choices", *estimates, "log-likelihood", "certificate"]
    if stats["loglik"].isnull().all():
        heads.remove("log-likelihood")
    if settings_of(fit)["estimator"] == "posterior":
        heads[-1] = "chains"
    rows = []
    for s, subject in enumerate(data["subject"].values.tolist()):
        row = [str(subject), *(_plain(data[one].values[s]) for one in covariates), int(each.scored[s])]
        row += [cells[s] for cells in estimates.values()]
        if "log-likelihood" in heads:
            row.append(Cell(fixed(float(stats["loglik"].values[s]), 1)))
        rows.append([*row, _certified(fit, stats, s)])
    return table(f"{name}: every subject", heads, rows)


def _is_reference(fit: xr.DataTree, label: str) -> bool:
    """The bias of the first arm, which is 0 by definition."""
    return label.startswith("bias[") and label not in fit.children["fit_stats"].dataset["parameter"].values


def _plain(value: object) -> str:
    return str(value) if isinstance(value, str) else number(value)


def _cells(fit: xr.DataTree, label: str, draws: FloatArray) -> Iterator[Cell]:
    if draws.shape[1] > 1:
        low, high = interval(draws)
        for mean, ends in zip(draws.mean(axis=1), zip(low, high, strict=True), strict=True):
            yield Cell(number(mean), span(*ends))
        return
    held = fit.children["fit_stats"].dataset["at_bound"]
    flags = (
        held.sel(parameter=label).values if label in held["parameter"].values else np.zeros(len(draws), bool)
    )
    for value, flag in zip(draws[:, 0], flags, strict=True):
        yield Cell(number(value), "on a bound" if flag else "")


def _certified(fit: xr.DataTree, stats: xr.Dataset, s: int) -> Cell:
    """Proof or gap of a subject's fit, and what else its status says."""
    converged = bool(stats["converged"].values[s])
    status = str(stats["status"].values[s])
    if settings_of(fit)["estimator"] == "posterior":
        return Cell("agree", level="good") if converged else Cell("do not agree", status, "mind")
    gap = float(stats["gap"].values[s])
    odd = "" if converged else status
    if not converged:
        return Cell("not converged", odd, "mind")
    if gap <= CERTIFIED:
        return Cell("proven", _rest(status), "good")
    return Cell(f"gap {number(gap)}" if np.isfinite(gap) else DASH, _rest(status))


def _rest(status: str) -> str:
    """What a status says about the data of a subject: the sentences that begin with Only or No trial."""
    found = [part for part in status.split(". ") if part.startswith(("Only ", "No trial"))]
    return ". ".join(part.rstrip(".") for part in found)
