"""Where results go: a folder with fits, tables and pictures, or one file for a fit."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

UNSAFE = re.compile(r"[^\w.+=-]")
"""What some file system doesn't take in a name: the bounds in ``rw+beta=0:20``."""
STORES = (".nc", ".zarr")
RECORD = "run.json"
"""What was run, in every folder of results."""


@dataclass(frozen=True)
class Folder:
    """A place for the results of one model. Everything is written beside its name and then renamed: a file
    that is there is complete."""

    path: Path
    file: Path | None = None
    """The NetCDF file or Zarr store, if the user wants nothing else."""

    def save_fit(self, name: str, fit: xr.DataTree) -> Path:
        """A fit as ``<name>.nc`` (or in place of the one file or store)."""
        target = self.file or self.path / f"{name}.nc"
        if target.suffix == ".zarr":
            return replaced(target, lambda beside: fit.to_zarr(beside, mode="w", consolidated=False))
        return replaced(target, lambda beside: fit.to_netcdf(beside, engine="h5netcdf"))

    def save_tree(self, name: str, tree: xr.Dataset | xr.DataTree) -> Path:
        """Anything of xarray's as ``<name>.nc``."""
        return replaced(self.path / f"{name}.nc", lambda beside: tree.to_netcdf(beside, engine="h5netcdf"))

    def save_table(self, name: str, table: pd.DataFrame) -> Path:
        """A table as ``<name>.csv``."""
        return replaced(self.path / f"{name}.csv", lambda beside: table.to_csv(beside, index=False))

    def save_picture(self, name: str, figure: Any) -> Path:
        """A matplotlib figure as ``<name>.png``."""
        target = self.path / f"{name}.png"
        return replaced(
            target, lambda beside: figure.savefig(beside, format="png", dpi=150, bbox_inches="tight")
        )

    def save_record(self, record: Mapping[str, Any]) -> Path:
        """What was run, as JSON."""
        text = json.dumps(record, indent=1, default=str)
        return replaced(self.path / RECORD, lambda beside: Path(beside).write_text(text + "\n"))

    def record(self) -> dict[str, Any]:
        """What was run here before; empty if nothing was."""
        try:
            return dict(json.loads((self.path / RECORD).read_text()))
        except (OSError, ValueError):
            return {}

    def leave(self) -> None:
        """Take back the record, and the folder if that leaves it empty: nothing was finished."""
        (self.path / RECORD).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def below(self, name: str) -> Folder:
        """A folder in this one."""
        inner = Folder(self.path / UNSAFE.sub("-", name))
        inner.path.mkdir(parents=True, exist_ok=True)
        return inner


def open_folder(out: Path, *, force: bool, several: bool = False, resume: bool = False) -> Folder:
    """Make the folder, or refuse: nothing is overwritten unless `force`; to `resume`, it must be there."""
    is_file = out.suffix in STORES
    if is_file and several:
        raise BadInput(
            f"Several models don't fit into one file {str(out)!r}: give a folder, --out {out.stem}."
        )
    if is_file and resume:
        raise BadInput(f"--resume needs the folder of the interrupted run; --out {out} is one fit.")
    _check_kind(out)
    taken = out.exists() if is_file else out.is_dir() and any(out.iterdir())
    if taken and not (force or resume):
        raise BadInput(f"{str(out)!r} exists already. Choose another --out, or overwrite it with --force.")
    folder = out.parent if is_file else out
    make_folder(folder)
    return Folder(folder, out if is_file else None)


def open_file(out: Path, *, force: bool) -> Path:
    """A place for one file, or refuse."""
    if out.is_dir():
        raise BadInput(f"--out {out}: that is a folder already. Choose another name.")
    if out.exists() and not force:
        raise BadInput(f"{str(out)!r} exists already. Choose another --out, or overwrite it with --force.")
    make_folder(out.parent)
    return out


def make_folder(folder: Path) -> None:
    """Make a folder that can be written to, or say why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The folder {str(folder)!r} can't be made: {error.strerror}. Choose another --out."
        ) from error
    if not os.access(folder, os.W_OK):
        raise BadInput(f"Nothing can be written into {str(folder)!r}: no permission. Choose another --out.")


def _check_kind(out: Path) -> None:
    """A folder is no file, and a file no folder; a Zarr store is a folder of its own kind."""
    wrong = out.is_dir() if out.suffix == ".nc" else out.is_file()
    if (
        out.suffix == ".zarr"
        and out.is_dir()
        and not any((out / n).exists() for n in ("zarr.json", ".zgroup"))
    ):
        wrong = any(out.iterdir())
    if wrong:
        raise BadInput(
            f"--out {out}: that is a {'folder' if out.is_dir() else 'file'} already. Choose another name."
        )


def replaced(target: Path, write: Any) -> Path:
    """Write a file, store or folder beside its name, and rename it: what is there is complete."""
    beside = target.with_name(f".{target.name}.part")
    try:
        write(beside)
        if beside.is_dir() and target.is_dir():  # a store: only empty folders are replaced by a rename
            shutil.rmtree(target)
        os.replace(beside, target)
    finally:
        shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)
    return target
