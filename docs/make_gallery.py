"""Run the examples; keep what they print and draw for docs/examples.md: ``python docs/make_gallery.py [name ...]``."""

import contextlib
import io
import os
import runpy
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES, PRINTED, IMAGES = HERE.parent / "examples", HERE / "examples", HERE / "images"


def main() -> None:
    """Run the scripts named on the command line, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in EXAMPLES.glob("*.py"))
    for name in names:
        run(name)


def run(name: str) -> None:
    """Run one script as a user would, in an empty folder."""
    printed = io.StringIO()
    before = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(printed),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of PyMC and nutpie
        os.chdir(folder)
        sys.argv = [name]
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        os.chdir(before)
        for picture in Path(folder).rglob("*.png"):
            (IMAGES / f"example_{name}_{picture.stem}.png").write_bytes(picture.read_bytes())
    PRINTED.mkdir(exist_ok=True)
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    (PRINTED / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(lines)} lines")


if __name__ == "__main__":
    main()
