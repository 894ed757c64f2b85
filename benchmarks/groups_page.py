"""Write the results of `groups.py` into docs/groups.md, between its markers.

python benchmarks/groups_page.py
"""

from __future__ import annotations

from typing import Any

from groups import RESULTS
from groups_figure import in_words
from pages import DOCS, MINUS, NAMES, between, read_results
from paper_table import table

PAGE = DOCS / "groups.md"
CERTAIN = 0.9995
"""Probabilities from here on would be rounded to 1."""


Row = dict[str, Any]


def main() -> None:
    page = PAGE.read_text()
    for name, found in read_results(__doc__, RESULTS).items():
        parts = {
            "fit": fit_text(found),
            "contrasts": contrasts(found["fits"]["marginal"]["contrasts"]),
            "population": population(found["fits"]["marginal"]["population"]),
            "sensitivity": sensitivity(found["sensitivity"]),
        }
        for part, text in parts.items():
            page = between(page, f"{name} {part}", text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def fit_text(found: dict[str, Any]) -> str:
    """What the samplers say of themselves, a line each."""
    rows = []
    for method, one in found["fits"].items():
        said = one["diagnostics"]
        rows.append(
            [
                NAMES[method],
                f"{said['max_rhat']:.3f}",
                f"{said['divergences']}",
                f"{min(said['min_ess_bulk'], said['min_ess_tail']):,.0f}",
                f"{one['draws']:,}",
                f"{sum(one['seconds'].values()):.0f} s",
            ]
        )
    heads = ("sampler", "largest R-hat", "divergences", "fewest effective draws", "of draws", "time")
    return f"{found['subjects']} subjects, {found['trials']:,} trials.\n\n{table(heads, rows)}"


def contrasts(rows: list[Row]) -> str:
    """A line for each contrast: on the natural scale (where it has one) and on the link scale."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["parameter"], row["contrast"]), {})[row["quantity"]] = row
    lines = [
        [
            f"`{parameter}`, {in_words(contrast)}",
            *(with_interval(by.get(name)) for name in ("median", "mean", "mu")),
            probability(by["mu"]["p_direction"]),
            probability(by["mu"]["p_rope"]),
        ]
        for (parameter, contrast), by in found.items()
    ]
    heads = ("contrast", "median", "mean", "link scale", "probability of direction", "in the ROPE")
    return table(heads, lines)


def population(rows: list[Row]) -> str:
    """A line for each parameter and cell, and one for the spread."""
    lines = []
    medians = {(row["parameter"], row["of"]): row for row in rows if row["quantity"] == "median"}
    means = {(row["parameter"], row["of"]): row for row in rows if row["quantity"] == "mean"}
    spreads = {row["parameter"]: row for row in rows if row["quantity"] == "sigma"}
    for (parameter, cell), row in medians.items():
        words = ", ".join(part.partition("=")[2].lower() for part in cell.split(", "))
        both = (with_interval(one, key="estimate") for one in (row, means[parameter, cell]))
        lines.append([f"`{parameter}`, {words}", *both, ""])
    done = set()
    for line, (parameter, _) in zip(lines, medians, strict=True):
        if parameter not in done:
            line[3] = with_interval(spreads[parameter], key="estimate")
            done.add(parameter)
    return table(("population", "median", "mean", "spread (link scale)"), lines)


def sensitivity(rows: list[Row]) -> str:
    """A line for each mean, coefficient and spread: posterior mean and sd under each prior."""
    priors = list(dict.fromkeys(row["prior"] for row in rows))
    found: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if row["quantity"] in ("mu", "sigma"):
            key = (row["parameter"], row["quantity"], row["of"])
            found.setdefault(key, {})[row["prior"]] = row
    lines = [
        [
            f"`{parameter}`, {'spread' if quantity == 'sigma' else of}",
            *(f"{by[prior]['mean']:.2f} ± {by[prior]['sd']:.2f}".replace("-", MINUS) for prior in priors),
            f"{by[priors[-2]]['shift']:+.2f}".replace("-", MINUS),
            f"{by[priors[-2]]['sd_ratio']:.2f}",
        ]
        for (parameter, quantity, of), by in found.items()
    ]
    last = f"shift, {priors[-2]} against {priors[-1]}"
    return table(("number (link scale)", *priors, last, "ratio of sds"), lines)


def with_interval(row: Row | None, key: str = "mean") -> str:
    """``0.12 (-0.05 to 0.30)``"""
    if row is None:
        return ""
    return f"{row[key]:.2f} ({row['eti95_low']:.2f} to {row['eti95_high']:.2f})".replace(
        "-", "\N{MINUS SIGN}"
    )


def probability(value: float) -> str:
    """Two or three digits; never 1 where it is only near 1."""
    if value >= CERTAIN:
        return "> .999"
    return "< .001" if value <= 1 - CERTAIN else f"{value:.3f}".lstrip("0")


if __name__ == "__main__":
    main()
