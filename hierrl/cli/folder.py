"""Where results go: a folder with fits, tables and pictures, or one file for a fit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

RECORD = "run.json"
"""What was run, in every folder of results."""


@dataclass(frozen=True)
class Folder:
    """A place for the results of one model. Everything is written beside its name and then renamed: a file
    that is there is complete."""

    path: Path
    file: Path | None = None
    """The NetCDF file, if the user wants nothing else."""

    def save_fit(self, name: str, fit: xr.DataTree) -> Path:
        """A fit as ``<name>.nc`` (or in place of the one file)."""
        target = self.file or self.path / f"{name}.nc"
        return _replaced(target, lambda beside: fit.to_netcdf(beside, engine="h5netcdf"))

    def save_table(self, name: str, table: pd.DataFrame) -> Path:
        """A table as ``<name>.csv``."""
        return _replaced(self.path / f"{name}.csv", lambda beside: table.to_csv(beside, index=False))

    def save_picture(self, name: str, figure: Any) -> Path:
        """A matplotlib figure as ``<name>.png``."""
        target = self.path / f"{name}.png"
        return _replaced(
            target, lambda beside: figure.savefig(beside, format="png", dpi=150, bbox_inches="tight")
        )

    def save_record(self, record: Mapping[str, Any]) -> Path:
        """What was run, as JSON."""
        text = json.dumps(record, indent=1, default=str)
        return _replaced(self.path / RECORD, lambda beside: Path(beside).write_text(text + "\n"))

    def leave(self) -> None:
        """Take back the record, and the folder if that leaves it empty: nothing was finished."""
        (self.path / RECORD).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def below(self, name: str) -> Folder:
        """A folder in this one."""
        inner = Folder(self.path / name)
        inner.path.mkdir(parents=True, exist_ok=True)
        return inner


def open_folder(out: Path, *, force: bool, several: bool = False) -> Folder:
    """Make the folder, or refuse: nothing is overwritten unless `force`."""
    is_file = out.suffix == ".nc"
    if is_file and several:
        raise BadInput(
            f"Several models don't fit into one file {str(out)!r}: give a folder, --out {out.stem}."
        )
    if out.suffix == ".zarr":
        raise BadInput(f"--out {out}: results are written to a folder, or to a file ending in .nc.")
    if is_file and out.is_dir() or not is_file and out.is_file():
        raise BadInput(
            f"--out {out}: that is a {'folder' if is_file else 'file'} already. Choose another name."
        )
    taken = out.exists() if is_file else out.is_dir() and any(out.iterdir())
    if taken and not force:
        raise BadInput(f"{str(out)!r} exists already. Choose another --out, or overwrite it with --force.")
    folder = out.parent if is_file else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"The folder {str(folder)!r} can't be made: {error.strerror}.") from error
    if not os.access(folder, os.W_OK):
        raise BadInput(f"Nothing can be written into {str(folder)!r}: no permission. Choose another --out.")
    return Folder(folder, out if is_file else None)


def _replaced(target: Path, write: Any) -> Path:
    beside = target.with_name(f".{target.name}.part")
    try:
        write(beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return target
