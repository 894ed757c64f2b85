"""What a methods section needs: the paragraph, and versions, seeds and settings of every fit."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping

import xarray as xr

from hierrl import __version__
from hierrl.describe import describe
from hierrl.fits import VERSIONS, settings_of
from hierrl.report.parts import KINDS, Cell, Table, fixed, joined, table


def paragraphs(fits: Mapping[str, xr.DataTree], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names of fits with their methods paragraphs."""
    return tuple((name, describe(fits[name]).text) for name in names)


def provenance(fits: Mapping[str, xr.DataTree]) -> Table:
    """How each fit was made."""
    rows = []
    for name, fit in fits.items():
        settings = settings_of(fit)
        seconds = settings.get("seconds", float("nan"))
        total = sum(seconds.values()) if isinstance(seconds, Mapping) else seconds
        seed = settings.get("random_seed")
        rows.append(
            (
                name,
                KINDS[settings["estimator"]],
                _how(settings),
                "not needed"
                if "random_seed" not in settings
                else "none given"
                if seed is None
                else str(seed),
                Cell(fixed(float(total), 1)),
            )
        )
    return table("How each fit was made", ("fit", "estimator", "how", "seed", "seconds"), rows)


def versions(fits: Mapping[str, xr.DataTree]) -> tuple[str, ...]:
    """With what the fits were made, in a sentence for all that were made alike."""
    alike: dict[str, list[str]] = {}
    for name, fit in fits.items():
        packages = json.loads(fit.attrs[VERSIONS])
        alike.setdefault(", ".join(f"{one} {number}" for one, number in packages.items()), []).append(name)
    return tuple(f"{joined(names)}: made with {packages}." for packages, names in alike.items())


def _how(settings: Mapping[str, object]) -> str:
    if settings["estimator"] == "posterior":
        return (
            f"{settings['method']} ({settings['sampler']}), {settings['chains']} chains of {settings['draws']:,} draws "
            f"after {settings['tune']:,} warm-up draws"
        )
    if settings["estimator"] == "mle":
        asked = settings.get("certify")
        return "Newton steps within bounds" + (f", to be proven to {asked:g} nats" if asked else "")
    return f"relaxation: {settings['relaxation']}"


def made_with() -> str:
    """What wrote the report."""
    return f"hierrl {__version__}, Python {platform.python_version()}"
