"""`report`: fits as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from hierrl.compare.checks import checked_models
from hierrl.fits import check_fit, settings_of
from hierrl.report.contents import contents_of
from hierrl.report.page import render

SUFFIXES = (".html", ".htm")


def report(
    fits: xr.DataTree | Mapping[str, xr.DataTree],
    path: str | Path,
    *,
    title: str | None = None,
    checks: bool = True,
    random_seed: int = 0,
    force: bool = False,
) -> Path:
    """Write a report of fits: one HTML file, which any browser shows and prints, with nothing beside it.

    It is for a reader who runs no code: what can be believed and what to do about the rest, data and who is odd in
    them, models in words and equations, the population with 95 % equal-tailed intervals (ETI) and contrasts, every
    subject's estimates with their certificate, predictive checks, comparison, methods paragraph, versions and seeds.

    Parameters
    ----------
    fits : DataTree or mapping of str to DataTree
        A fit, or fits of one or several models to the same choices under names of your choice: from `fit_convex`,
        `fit_mle` or `fit_posterior`, or read by `load`. Models are compared if two of them were fitted alike;
        estimators of one model are compared on the fitted choices (nothing is fitted again).
    path : str or Path
        File to write, ending in ``.html``.
    title : str, optional
        Heading of the report.
    checks : bool
        Whether models are checked (`predictive_check`, one step ahead), each by its best fit: the posterior if there is
        one, else maximum likelihood, else the convex fit. Takes seconds.
    random_seed : int
        For checks and comparisons. The same fits and seed give the same file, but for the date.
    force : bool
        Overwrite a file that is there.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    FileExistsError
        If there is a file at `path`, unless `force`.
    FileNotFoundError
        If the folder of `path` doesn't exist.
    TypeError
        If `fits` are no fits.
    ValueError
        If the fits are to different choices, there are none, or `path` doesn't end in ``.html``.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> mle = hr.fit_mle(hr.model("rw"), data)
    >>> hr.report(mle, "report.html", title="A first look").name
    'report.html'
    """
    named = _named(fits)
    target = _target(path, force=force)
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title= must be text; found {type(title).__name__}.")
    contents = contents_of(named, title=title, checks=checks, random_seed=random_seed)
    _write(target, render(contents))
    return target


def _named(fits: Any) -> dict[str, xr.DataTree]:
    """Fits by name, all of the same choices."""
    if isinstance(fits, xr.DataTree):
        check_fit(fits)
        return {settings_of(fits)["estimator"]: fits}
    if not isinstance(fits, Mapping):
        raise TypeError(
            "report() takes a fit, or fits with names, such as {'mle': mle, 'posterior': post}; found "
            f"{type(fits).__name__}."
        )
    if not fits:
        raise ValueError("report() needs at least one fit; the mapping is empty.")
    return checked_models(fits)


def _target(path: Any, *, force: bool) -> Path:
    """Where to write; refused before anything is computed."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"A report is an HTML file: path= must end in .html; found {str(path)!r}. For a PDF, open the report in a "
            "browser and print it."
        )
    if target.is_dir():
        raise ValueError(f"{str(target)!r} is a folder: give the name of a file in it.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(target.parent)!r} to write {target.name!r} into. Make it first."
        )
    if target.exists() and not force:
        raise FileExistsError(
            f"{str(target)!r} exists already. Choose another path, or overwrite it with force=True."
        )
    return target


def _write(target: Path, text: str) -> None:
    """Beside its name first: a report that is there is complete."""
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
