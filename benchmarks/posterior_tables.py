"""Results of `posterior.py` as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from paper_table import table
from posterior_scores import FEWEST_EFFECTIVE, LARGEST_RHAT

Run = dict[str, Any]
Parts = dict[str, dict[str, list[Run]]]

NAMES = {
    "nuts": "**hierrl, NUTS**",
    "marginal": "**hierrl, marginal**",
    "numpyro32": "NumPyro, single precision",
    "numpyro64": "NumPyro, double precision",
    "pymc": "PyMC `scan`, nutpie",
    "stan": "Stan (`pystan`), as in hBayesDM",
}
OURS = ("nuts", "marginal")
STUDIES = ("typical", "hard")
LOUD = 0.1
"""Cores of others from which on a run was disturbed."""


def settings_text(results: dict[str, Any]) -> str:
    """Where, when and with what it was measured, and how quiet it was."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    runs = [run for part in results["parts"].values() for found in part.values() for run in found]
    others = [run["others"] for run in runs if "others" in run]
    loud = sum(one > LOUD for one in others)
    company = f"in {loud} of {len(others)} runs other processes used more than {LOUD:g} cores meanwhile"
    company += f" (median {np.median(others):.2f}, most {max(others):.2f})" if loud else ""
    where = (
        f"{machine['cores']} cores ({machine['processor']}, {machine['system']}), Python {machine['python']}"
    )
    return f"{where}; {versions}. Measured on {machine['date']}; {company}."


def comparison(runs: dict[str, list[Run]]) -> str:
    """The table of one study."""
    heads = (
        "sampler",
        "ESS / s",
        "relative to NumPyro's best",
        "sampling alone, ESS / s",
        "fewest ESS",
        "largest R-hat",
        "tuning + sampling, s",
        "compilation, s",
        "runs",
    )
    best = best_rate(runs, ("numpyro32", "numpyro64"))
    rows = [_row(sampler, seeded(runs[sampler]), runs[sampler], best) for sampler in NAMES if sampler in runs]
    return table(heads, rows)


def _row(sampler: str, runs: list[Run], every: list[Run], best: float | None) -> tuple[str, ...]:
    used = counted(sampler, runs)
    note = f"{len(used)} of {len(runs)}" if sampler in OURS else str(len(used))
    bad = sum(run["rhat"] >= LARGEST_RHAT for run in runs)
    if bad:
        note += " (did not converge)" if sampler in OURS else f" ({bad} not converged)"
    first = compilation(sampler, every)
    if not used:
        return (NAMES[sampler], "none counts", "", "", "", f"{median(runs, 'rhat'):.3f}", "", first, note)
    spent = [run["seconds"].get("prepared", run["seconds"]["sample"]) for run in used]
    rate = median(used, "rate")
    return (
        NAMES[sampler],
        digits(rate),
        f"{digits(rate / best)} ×" if best else "",
        digits(median(used, "rate_sampling")),
        f"{median(used, 'ess'):.0f}",
        f"{median(used, 'rhat'):.3f}",
        digits(float(np.median(spent))),
        first,
        note,
    )


def compilation(sampler: str, runs: list[Run]) -> str:
    """Seconds with empty caches: that of the first run, which for ours has the seed 0; empty if it was not made."""
    first = min(runs, key=lambda run: run["seed"])
    return "" if sampler in OURS and first["seed"] != 0 else f"{first['seconds']['compile']:.0f}"


def seeded(runs: list[Run]) -> list[Run]:
    """Without the run that only filled caches."""
    return [run for run in runs if run["seed"] != 0]


def counted(sampler: str, runs: list[Run]) -> list[Run]:
    """Runs that count: of ours those that converged, of peers all."""
    return [run for run in runs if sampler not in OURS or run["rhat"] < LARGEST_RHAT]


def median(runs: list[Run], what: str) -> float:
    """Of a number of the runs."""
    return float(np.median([run[what] for run in runs]))


def best_rate(runs: dict[str, list[Run]], samplers: Sequence[str]) -> float | None:
    """Largest median ESS per second among samplers; None if none of them has run."""
    rates = []
    for sampler in samplers:
        used = counted(sampler, seeded(runs.get(sampler, [])))
        rates += [median(used, "rate")] if used else []
    return max(rates, default=None)


def defaults(runs: dict[str, list[Run]]) -> str:
    """Ours with the prior that users get."""
    heads = ("study, sampler", "ESS / s", "fewest ESS", "largest R-hat", "tuning + sampling, s", "runs")
    rows = []
    for name, every in runs.items():
        study, sampler = name.split()
        used = counted(sampler, seeded(every))
        spent = [run["seconds"]["prepared"] for run in used]
        numbers = (
            (digits(median(used, "rate")), f"{median(used, 'ess'):.0f}", f"{median(used, 'rhat'):.3f}")
            if used
            else ("none counts", "", "")
        )
        time = digits(float(np.median(spent))) if used else ""
        rows.append((f"*{study}*, {sampler}", *numbers, time, f"{len(used)} of {len(seeded(every))}"))
    return table(heads, rows)


def gradient(runs: dict[str, list[Run]]) -> str:
    """Cost of the likelihood with its derivatives."""
    heads = ("study", "hierrl", "JAX, double precision", "relative", "JAX, single precision", "relative")
    rows = []
    for study, found in runs.items():
        cells = [f"{np.median([run['ns']['ours'] for run in found]):.1f} ns"]
        for bits in ("64", "32"):
            cost = np.median([run["ns"][run["best"][bits]] for run in found])
            form = found[0]["best"][bits].split(" ", 1)[1]
            cells += [f"{cost:.1f} ns ({form})", f"{gradient_ratio(found, bits):.2f} ×"]
        rows.append((f"*{study}*", *cells))
    return table(heads, rows)


def gradient_ratio(runs: list[Run], bits: str) -> float:
    """How many times faster ours is; the median over seeds of medians over rounds."""
    return float(np.median([run["ratio"][bits][1] for run in runs]))


def finish(runs: dict[str, list[Run]]) -> str:
    """From call to checked posterior."""
    heads = (
        "study, method, caches",
        "call, s",
        "import, s",
        "process, s",
        "of the call: preparation",
        "compilation",
        "the rest",
        "fewest ESS",
        "largest R-hat",
        "converged",
    )
    rows = []
    for name, every in runs.items():
        study, method = name.split()
        for caches in ("cold", "warm"):
            found = [run for run in every if run["caches"] == caches]
            good = sum(is_finished(run) for run in found)
            parts = [median([run["stages"] for run in found], stage) for stage in ("prepare", "compile")]
            call = median(found, "call")
            numbers = [call, median(found, "import"), median(found, "wall"), *parts, call - sum(parts)]
            mixed = (f"{median(found, 'ess'):.0f}", f"{median(found, 'rhat'):.3f}", f"{good} of {len(found)}")
            rows.append((f"*{study}*, {method}, {caches}", *map(digits, numbers), *mixed))
    return table(heads, rows)


def is_finished(run: Run) -> bool:
    """Whether a posterior is what was asked for."""
    return bool(run["rhat"] < LARGEST_RHAT and run["ess"] > FEWEST_EFFECTIVE)


def growth(runs: dict[str, list[Run]]) -> str:
    """Time and memory by number of subjects."""
    heads = ("method, subjects", "call, s", "peak memory, MB", "fewest ESS", "largest R-hat")
    rows = []
    for name, found in runs.items():
        method, subjects = name.split()
        numbers = (digits(median(found, "call")), f"{median(found, 'mb'):.0f}", f"{median(found, 'ess'):.0f}")
        rows.append((f"{method}, {int(subjects):,}", *numbers, f"{median(found, 'rhat'):.3f}"))
    return table(heads, rows)


def accuracy(runs: dict[str, list[Run]]) -> str:
    """Divergences of one estimator relative to another."""
    heads = (
        "seed, subjects",
        "estimator / reference",
        "mean KL",
        "reference",
        "ratio of means",
        "ratio of medians",
    )
    rows = []
    for run in next(iter(runs.values())):
        for pair, ratio in run["ratio"].items():
            kl = (f"{run['mean'][name]:.5f}" for name in pair.split(" / "))
            numbers = (interval(ratio[what]) for what in ("mean", "median"))
            rows.append((f"{run['seed']}, {run['subjects']:,}", pair, *kl, *numbers))
    return table(heads, rows)


def interval(numbers: Iterable[float]) -> str:
    """A number with its interval."""
    middle, low, high = numbers
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def digits(value: float) -> str:
    """Three significant digits, without exponents."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")
