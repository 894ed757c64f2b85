"""Fits that were saved before: files, stores, and the folders that ``hierrl fit`` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hierrl.cli.complaints import BadInput
from hierrl.cli.options import Estimator

if TYPE_CHECKING:
    import xarray as xr

STORES = (".nc", ".zarr")
MODEL = "hierrl_model"
"""Attribute of a fit (`hierrl.fits.MODEL`, whose module is heavy)."""


@dataclass(frozen=True)
class Saved:
    """A fit, where it was, and what it is of."""

    fit: xr.DataTree
    path: Path
    model: str
    estimator: str
    name: str = ""
    """What the user calls it."""

    @property
    def key(self) -> str:
        """What it is a fit of: the user's word for it, or the model with all its parts."""
        return self.name or self.fit.attrs[MODEL]


def is_table(text: str) -> bool:
    """Whether this names a table rather than a fit: what is neither a folder nor a store."""
    path = named_path(text)[1]
    return path.suffix not in STORES and not path.is_dir()


def named_path(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` as its parts; the name is empty if none is given."""
    name, equals, path = text.partition("=")
    if equals and name and path and not Path(text).exists():
        return name, Path(path)
    return "", Path(text)


def open_saved(texts: Sequence[str]) -> list[Saved]:
    """All fits behind what was named."""
    found: list[Saved] = []
    for text in texts:
        name, path = named_path(text)
        found += [_opened(one, name) for one in _files(path)]
    return found


def one_each(found: Sequence[Saved], wanted: str | None) -> list[Saved]:
    """One fit of each model: of the `wanted` estimator, else of the last one that all models have."""
    models = list(dict.fromkeys(one.key for one in found))
    for estimator in [wanted] if wanted else reversed(Estimator):
        kept = [one for one in found if one.estimator == estimator]
        if {one.key for one in kept} == set(models):
            return kept
    if wanted:
        raise BadInput(f"Not every model has a fit by {wanted}: {_listed(found)}. Fit the others first.")
    return list(found)


def labelled(found: Sequence[Saved]) -> dict[str, xr.DataTree]:
    """The fits by the shortest names that tell them apart."""
    ways: tuple[Callable[[Saved], str], ...] = (
        lambda one: one.name or one.model,
        lambda one: one.name or one.estimator,
        lambda one: f"{one.name or one.model} {one.estimator}",
        lambda one: str(one.path),
    )
    for name_of in ways:
        named = {name_of(one): one.fit for one in found}
        if len(named) == len(found):
            return named
    raise BadInput(f"A fit is named twice: {_listed(found)}. Name each once.")


def _listed(found: Sequence[Saved]) -> str:
    return ", ".join(f"{one.path} ({one.model}, {one.estimator})" for one in found)


def _files(path: Path) -> list[Path]:
    """The fits in a folder, its models' folders after itself; a file or store is one itself."""
    if not path.exists():
        raise BadInput(f"There is no file or folder {str(path)!r}. Save a fit first: hierrl fit TABLE.")
    if path.suffix in STORES or not path.is_dir():
        return [path]
    names = [f"{estimator}{suffix}" for estimator in Estimator for suffix in STORES]
    inner = sorted(p for p in path.iterdir() if p.is_dir() and p.suffix not in STORES)
    found = [folder / name for folder in (path, *inner) for name in names if (folder / name).exists()]
    if not found:
        raise BadInput(
            f"The folder {str(path)!r} holds no fits (looked for {', '.join(names[::2])}, also one folder "
            "down). Give a folder that hierrl fit wrote, or a .nc file."
        )
    return found


def _opened(path: Path, name: str) -> Saved:
    from hierrl.fits import load, model_of, settings_of

    try:
        fit = load(path)
        return Saved(fit, path, model_of(fit).title, settings_of(fit)["estimator"], name)
    except TypeError as error:
        raise BadInput(
            f"{str(path)!r} holds no fit of hierrl, or was cut off. Give a complete file that hierrl fit wrote."
        ) from error
    except Exception as error:  # the libraries of the formats raise what they like
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{str(path)!r} can't be read as a saved fit ({reason}). Is it complete? Fit the table again."
        ) from error


def are_of_one_model(fits: Mapping[str, xr.DataTree]) -> bool:
    """Whether fits differ in their estimators only; names and bounds of models don't count."""
    from hierrl.fits import model_of

    return len({model_of(fit).replace(name=None, bounds={}) for fit in fits.values()}) == 1
