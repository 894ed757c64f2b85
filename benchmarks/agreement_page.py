"""Write the results of `agreement.py` into docs/marginal.md, between its markers, and draw the figure.

python benchmarks/agreement_page.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agreement import RESULTS
from matplotlib.axes import Axes
from paper_page import between
from paper_table import table

from hierrl.plots.style import COLOURS, INK, MARKERS, PALE, Canvas, canvas, dress, in_style
from hierrl.plots.style import PAGE as PAGE_WIDTH

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, FIGURE = DOCS / "marginal.md", DOCS / "images" / "agreement.png"
DPI = 110
ALLOWED = 0.05
"""What the audit allows, of shifts and of ratios."""
SURE, BY_CHANCE = 2.0, 0.0455
"""Monte Carlo standard errors on both sides of a mark, and how often chance goes beyond."""
NAMES = {"mu": "mean", "log_sigma": "log spread"}

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = in_order(json.loads(options.results.read_text()))
    page = between(PAGE.read_text(), "agreement", agreement(results))
    page = between(page, "runs", runs(results))
    PAGE.write_text(page)
    draw(results).savefig(FIGURE, dpi=DPI)
    print(f"wrote {PAGE.name} and {FIGURE.name}")


def in_order(results: dict[str, Found]) -> dict[str, Found]:
    """Typical before hard before real studies, small before large."""
    kinds = {"typical": 0, "hard": 1}
    place = {name: (kinds.get(name.partition("-")[0], 2), one["subjects"]) for name, one in results.items()}
    return {name: results[name] for name in sorted(results, key=place.__getitem__)}


def agreement(results: dict[str, Found]) -> str:
    """A line for each study and number of the population."""
    rows = [
        [
            title(name, found) if first else "",
            f"{NAMES[row['quantity']]} of `{row['parameter']}`",
            f"{row['mean']:.2f} ± {row['sd']:.2f}",
            with_error(row["shift"], row["shift_error"], sign="+"),
            with_error(row["sd_ratio"], row["sd_ratio_error"]),
        ]
        for name, found in results.items()
        for first, row in zip([True, *[False] * 99], found["numbers"], strict=False)
    ]
    heads = ("study", "number", "NUTS", "shift of the mean, sds", "ratio of sds")
    return f"{table(heads, rows)}\n\n{in_short(results)}"


def title(name: str, found: Found) -> str:
    """What a study is called."""
    return f"*{name.partition('-')[0]}*, {found['subjects']} subjects"


def with_error(value: float, error: float, sign: str = "") -> str:
    """``+0.012 ± 0.010``"""
    return f"{value:{sign}.3f} ± {error:.3f}".replace("-", "\N{MINUS SIGN}")


def in_short(results: dict[str, Found]) -> str:
    """How many numbers there are, and how many differ by more than chance."""
    rows = [row for found in results.values() for row in found["numbers"]]
    shifts = [row["shift"] / row["shift_error"] for row in rows]
    ratios = [(row["sd_ratio"] - 1) / row["sd_ratio_error"] for row in rows]
    beyond = sum(abs(z) > SURE for z in (*shifts, *ratios))
    farthest, n = max(map(abs, (*shifts, *ratios))), 2 * len(rows)
    largest = max(rows, key=lambda row: abs(row["shift"]))
    return (
        f"Of {n} comparisons {beyond} lie beyond {SURE:g} Monte Carlo standard errors, where chance alone gives about "
        f"{BY_CHANCE * n:.1f}; the farthest is {farthest:.1f} errors out. The largest shift is "
        f"{abs(largest['shift']):.3f} posterior standard deviations (Monte Carlo error {largest['shift_error']:.3f})."
    )


def runs(results: dict[str, Found]) -> str:
    """A line for each study: what the samplers said, and how long they took."""
    rows = []
    for name, found in results.items():
        said, last = found["diagnostics"], found["rounds"][-1]
        rows.append(
            [
                title(name, found),
                f"{4 * found['draws']:,}",
                *(f"{said[method]['max_rhat']:.3f}" for method in ("nuts", "marginal")),
                *(
                    f"{min(said[method]['min_ess_bulk'], said[method]['min_ess_tail']):,.0f}"
                    for method in ("nuts", "marginal")
                ),
                f"{said['nuts']['divergences']}",
                " + ".join(f"{one['points']:,}" for one in found["rounds"]),
                f"{last['max_shift']:.3f}",
                f"{last['max_k_hat']:.2f}",
            ]
        )
    heads = (
        "study", "draws each", "R-hat, NUTS", "marginal", "fewest effective draws, NUTS", "marginal",
        "divergences, NUTS", "points (rounds)", "audit: largest shift", "largest k",
    )  # fmt: skip
    return table(heads, rows)


def draw(results: dict[str, Found]) -> Canvas:
    """Shifts and ratios of every number with their Monte Carlo errors, a row for each study."""
    figure = canvas(None, None, (PAGE_WIDTH, 1.1 + 0.5 * len(results)))
    kinds = list(dict.fromkeys(_kind(row) for found in results.values() for row in found["numbers"]))
    with in_style():
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, value, middle in ((left, "shift", 0.0), (right, "sd_ratio", 1.0)):
            axes.axvspan(middle - ALLOWED, middle + ALLOWED, color=PALE, lw=0, zorder=0)
            axes.axvline(middle, color=INK, lw=0.6, zorder=1)
            for k, found in enumerate(results.values()):
                _draw(axes, found["numbers"], k, value, kinds)
            dress(axes)
        left.set_xlabel("shift of the posterior mean (posterior sds)")
        right.set_xlabel("ratio of posterior sds")
        left.set_yticks(range(len(results)), [title(*pair).replace("*", "") for pair in results.items()])
        left.set_ylim(len(results) - 0.5, -0.5)
        handles = [
            left.plot([], [], MARKERS[k % len(MARKERS)], color=COLOURS[k % len(COLOURS)], ms=4, label=kind)[0]
            for k, kind in enumerate(kinds)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _kind(row: dict[str, Any]) -> str:
    return f"{NAMES[row['quantity']]} of {row['parameter'].replace('_', ' ')}"


def _draw(axes: Axes, rows: list[dict[str, Any]], k: int, value: str, kinds: list[str]) -> None:
    """The numbers of one study below each other."""
    for j, row in enumerate(rows):
        y = k + 0.7 * ((j + 0.5) / len(rows) - 0.5)
        place = kinds.index(_kind(row))
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        error = SURE * row[f"{value}_error"]
        axes.hlines(y, row[value] - error, row[value] + error, color=colour, lw=1.0)
        axes.plot(row[value], y, marker, color=colour, ms=4, ls="none")


if __name__ == "__main__":
    main()
