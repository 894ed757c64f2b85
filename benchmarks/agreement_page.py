"""Write the results of `agreement.py` into docs/marginal.md, between its markers, and draw the figure.

python benchmarks/agreement_page.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agreement import RESULTS, against
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pages import DOCS, MINUS, NAMES, between, read_results
from paper_table import table

from hierrl.plots.style import COLOURS, GREY, INK, PALE, Canvas, canvas, dress, in_style
from hierrl.plots.style import PAGE as PAGE_WIDTH

PAGE, FIGURE = DOCS / "marginal.md", DOCS / "images" / "agreement.png"
DPI = 110
ALLOWED = 0.05
"""What the audit allows, of shifts and of ratios."""
SURE, BY_CHANCE = 2.0, 0.0455
"""Monte Carlo standard errors on both sides of a mark, and how often chance goes beyond."""
MARKS = {"nuts": (GREY, "o", -0.17), "marginal": (COLOURS[0], "s", 0.17)}
"""Colour, marker and place of each sampler."""

Found = dict[str, Any]


def main() -> None:
    results = in_order(read_results(__doc__, RESULTS))
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
            title(name, found) if k == 0 else "",
            _marked(number),
            f"{reference['mean']:.2f} ± {reference['sd']:.2f}".replace("-", MINUS),
            *_cells(compared.get("nuts")),
            *_cells(compared["marginal"]),
        ]
        for name, found in results.items()
        for k, (number, reference, compared) in enumerate(lines_of(found))
    ]
    heads = ("study", "number", "reference", "NUTS: shift", "ratio of sds", "marginal: shift", "ratio of sds")
    return f"{table(heads, rows)}\n\n{in_short(results)}"


def lines_of(found: Found) -> Iterator[tuple[str, dict[str, float], dict[str, dict[str, float]]]]:
    """Each number: what it is called, the reference (by quadrature if there is one, else NUTS), and who differs."""
    methods = dict(found["found"])
    reference = methods.pop("exact", None) or methods.pop("nuts")
    for k, number in enumerate(found["numbers"]):
        yield number, reference[k], {name: against(reference[k], one[k]) for name, one in methods.items()}


def _marked(number: str) -> str:
    """With the parameter as code."""
    what, _, parameter = number.rpartition(" of ")
    return f"{what} of `{parameter}`"


def _cells(by: dict[str, float] | None) -> list[str]:
    if by is None:
        return ["", ""]
    return [with_error(by["shift"], by["shift_error"], sign="+"), with_error(by["ratio"], by["ratio_error"])]


def title(name: str, found: Found) -> str:
    """What a study is called."""
    return f"*{name.partition('-')[0]}*, {found['subjects']} subjects"


def with_error(value: float, error: float, sign: str = "") -> str:
    """``+0.012 ± 0.010``"""
    return f"{value:{sign}.3f} ± {error:.3f}".replace("-", MINUS)


def in_short(results: dict[str, Found]) -> str:
    """How many comparisons of the marginal sampler there are, and how many differ by more than chance."""
    rows = [compared["marginal"] for found in results.values() for _, _, compared in lines_of(found)]
    shifts = [by["shift"] / by["shift_error"] for by in rows]
    ratios = [(by["ratio"] - 1) / by["ratio_error"] for by in rows]
    beyond = sum(abs(z) > SURE for z in (*shifts, *ratios))
    farthest, n = max(map(abs, (*shifts, *ratios))), 2 * len(rows)
    largest = max(rows, key=lambda by: abs(by["shift"]))
    return (
        f"Of the marginal sampler's {n} comparisons {beyond} lie beyond {SURE:g} Monte Carlo standard errors, where "
        f"chance alone gives about {BY_CHANCE * n:.1f}; the farthest is {farthest:.1f} errors out. Largest shift: "
        f"{abs(largest['shift']):.3f} posterior standard deviations (Monte Carlo error {largest['shift_error']:.3f})."
    )


def runs(results: dict[str, Found]) -> str:
    """A line for each study: what the samplers said, and how long they took."""
    rows = []
    for name, found in results.items():
        said, last = found["diagnostics"], found["rounds"][-1]
        both = [said.get(method) for method in ("nuts", "marginal")]
        rows.append(
            [
                title(name, found),
                f"{found['draws']:,}",
                *("" if one is None else f"{one['max_rhat']:.3f}" for one in both),
                *(
                    "" if one is None else f"{min(one['min_ess_bulk'], one['min_ess_tail']):,.0f}"
                    for one in both
                ),
                "" if both[0] is None else f"{both[0]['divergences']}",
                " + ".join(f"{one['points']:,}" for one in found["rounds"]),
                f"{last['max_shift']:.3f}",
                f"{last['max_k_hat']:.2f}".replace("-", MINUS),
            ]
        )
    heads = (
        "study", "draws each", "R-hat, NUTS", "marginal", "fewest effective draws, NUTS", "marginal",
        "divergences, NUTS", "points (rounds)", "audit: largest shift", "largest k",
    )  # fmt: skip
    return table(heads, rows)


def draw(results: dict[str, Found]) -> Canvas:
    """Shifts and ratios with two Monte Carlo errors to both sides: a row for each number, NUTS above."""
    lines = [(name, *line) for name, found in results.items() for line in lines_of(found)]
    labels = [
        f"{title(name, results[name])}: {number.replace('_', ' ')}".replace("*", "")
        for name, number, *_ in lines
    ]
    figure = canvas(None, None, (PAGE_WIDTH, 0.9 + 0.19 * len(lines)))
    with in_style():
        panels = figure.subplots(1, 2, sharey=True)
        for axes, value, middle in zip(panels, ("shift", "ratio"), (0.0, 1.0), strict=True):
            axes.axvspan(middle - ALLOWED, middle + ALLOWED, color=PALE, lw=0, zorder=0)
            axes.axvline(middle, color=INK, lw=0.6, zorder=1)
            for method, (colour, marker, y) in MARKS.items():
                _draw(axes, [line[3].get(method) for line in lines], value, look=(colour, marker), shift=y)
            dress(axes)
        panels[0].set_xlabel("shift of the mean (posterior sds)")
        panels[1].set_xlabel("ratio of sds")
        panels[0].set_yticks(range(len(lines)), labels)
        panels[0].set_ylim(len(lines) - 0.3, -0.7)
        handles = [
            Line2D([], [], color=colour, marker=marker, ms=4, lw=1, label=NAMES[method])
            for method, (colour, marker, _) in MARKS.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _draw(
    axes: Axes, rows: list[dict[str, float] | None], value: str, *, look: tuple[str, str], shift: float
) -> None:
    """The marks of one sampler."""
    colour, marker = look
    for k, by in enumerate(rows):
        if by is not None:
            error = SURE * by[f"{value}_error"]
            axes.hlines(k + shift, by[value] - error, by[value] + error, color=colour, lw=1.0)
            axes.plot(by[value], k + shift, marker, color=colour, ms=3.6, ls="none")


if __name__ == "__main__":
    main()
