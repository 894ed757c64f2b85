"""What sphinx-gallery must know of `examples/`: order of the pages, where scripts write, which pictures they show."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

ORDER = (
    "quickstart",
    "group_comparison",
    "drug_placebo",
    "model_comparison",
    "own_model",
    "recovery_and_power",
    "trialwise_regressors",
    "pymc_model",
    "reproduce_paper",
)
DPI = 120
"""Sharp enough for a page."""
_SHOWN: WeakSet[Figure] = WeakSet()


def order(name: str) -> int:
    """Place of a script among the others; a script that has no place yet is last."""
    stem = Path(name).stem
    return ORDER.index(stem) if stem in ORDER else len(ORDER)


def arguments(gallery_conf: dict[str, Any], script: dict[str, Any]) -> list[str]:
    """The folder that a script writes to, away from the sources."""
    name = Path(script["src_file"]).stem.replace("_", "-")
    return [str(Path(gallery_conf["src_dir"]) / "_build" / "written" / name)]


def short_warnings(gallery_conf: dict[str, Any], name: str) -> None:
    """Show what a warning says, and not where on this machine the script stands."""
    warnings.formatwarning = lambda message, category, *_, **__: (
        f"{category.__name__}: {message}\n"
    )


def pictures(
    block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]
) -> str:
    """Save the figures that a block of code has made and named; pyplot doesn't know those of hierrl."""
    named = (
        value
        for value in block_vars["example_globals"].values()
        if isinstance(value, Figure)
    )
    paths = []
    for figure in [figure for figure in named if figure not in _SHOWN]:
        _SHOWN.add(figure)
        paths.append(next(block_vars["image_path_iterator"]))
        figure.savefig(paths[-1], dpi=DPI, bbox_inches="tight", facecolor="white")
    return figure_rst(paths, gallery_conf["src_dir"])
