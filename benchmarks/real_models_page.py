"""Write the results of `real_models.py` into docs/real_models.md, between its markers.

python benchmarks/real_models_page.py
"""

from __future__ import annotations

from typing import Any

from comparison_page import chosen, difference
from groups_page import probability, with_interval
from models_page import percent
from pages import DOCS, MINUS, NAMES, between, read_results
from paper_table import table
from real_models import LAST, RESULTS

PAGE = DOCS / "real_models.md"
Row = dict[str, Any]
CRITERIA = {"bic": "BIC", "aic": "AIC", "held_out": f"last {LAST:.0%} held out"}
LEVELS = {"subject": "subject (LOO)", "trial": "trial (LOO)"}


def main() -> None:
    results = read_results(__doc__, RESULTS)
    page = PAGE.read_text()
    for name in dict.fromkeys(key.split()[0] for key in results):
        counts, points = results[f"{name} counts"], results[f"{name} points"]
        parts = {
            "counts": counted(counts),
            "points": fits(points["fits"], counts["subjects"]),
            "bounds": bounds(points["fits"], counts["subjects"]),
            "criteria": criteria(points["criteria"], CRITERIA),
            "random effects": chosen(points["criteria"]["bic"]),
        }
        if more := results.get(f"{name} posteriors"):
            parts["posteriors"] = samplers(more["fits"])
            if more["criteria"]:
                parts["levels"] = criteria(more["criteria"], LEVELS)
                parts["posterior random effects"] = chosen(more["criteria"]["subject"])
            if len(more["fits"]) == 1:
                parts["population"] = of_everybody(next(iter(more["fits"].values()))["population"])
            if any(one["contrasts"] for one in more["fits"].values()):
                parts["contrasts"] = contrasts(more["fits"])
        for part, text in parts.items():
            page = between(page, f"{name} {part}", text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def counted(counts: Row) -> str:
    """What is in the table, and what became of it."""
    groups = ", ".join(f"{n} {group.replace('_', ' ')}" for group, n in counts["groups"].items())
    lengths = f"{counts['shortest']} to {counts['longest']}"
    lines = [
        ("rows of the table", f"{counts['rows']:,}"),
        ("trials of the behaviour", f"{counts['trials']:,}"),
        ("subjects of the table", f"{counts['subjects in the table']:,}"),
        ("subjects of the behaviour", f"{counts['subjects']:,}" + (f" ({groups})" if groups else "")),
        (
            "trials of a subject",
            lengths if counts["shortest"] < counts["longest"] else f"{counts['longest']}",
        ),
        ("missed choices, kept and not scored", f"{counts['missed']:,}"),
        ("choices with unknown outcome, kept and scored", f"{counts['unknown']:,}"),
        ("choices scored", f"{counts['scored']:,}"),
    ]
    return table(("what", "how many"), lines)


def fits(found: dict[str, Row], n: int) -> str:
    """Point fits, a row for each model."""
    heads = (
        "model",
        "parameters",
        "log-likelihood, convex",
        "log-likelihood, MLE",
        "above chance, a subject",
        "median gap of the bound",
        "proven optimal",
        "convex, ms a subject",
        "MLE",
        "not fitted",
    )
    return table(heads, [_fit(name, one, n) for name, one in found.items()])


def _fit(name: str, one: Row, n: int) -> list[str]:
    return [
        f"`{name}`",
        str(len(one["parameters"])),
        nats(one["convex_loglik"]),
        nats(one["loglik"]),
        f"{(one['loglik'] - one['chance']) / n:.1f}",
        "no bound" if one["gap"] is None else f"{one['gap']:.2g}",
        "" if one["gap"] is None else f"{one['certified']} of {n}",
        f"{one['convex_ms']:.0f}" if one["convex_ms"] >= 1 else f"{one['convex_ms']:.1f}",
        f"{one['mle_ms']:.0f}" if one["mle_ms"] >= 1 else f"{one['mle_ms']:.1f}",
        str(one["failed"]),
    ]


def bounds(found: dict[str, Row], n: int) -> str:
    """Shares of subjects whose estimates lie on a bound."""
    lines = [
        [
            f"`{name}`" if k == 0 else "",
            f"`{label}`",
            three_digits(one["median"][label]),
            percent(one["at_lower"][label] / n),
            percent(one["at_upper"][label] / n),
        ]
        for name, one in found.items()
        for k, label in enumerate(one["parameters"])
    ]
    heads = ("model", "parameter", "median estimate, scaled", "on the lower bound", "on the upper bound")
    return table(heads, lines)


def criteria(found: dict[str, Row], names: dict[str, str]) -> str:
    """Score minus that of the best model of each criterion, a row for each model."""
    by = {words: {row["model"]: row for row in found[key]["table"]} for key, words in names.items()}
    models = [row["model"] for row in next(iter(found.values()))["table"]]
    lines = [[f"`{model}`", *(difference(one[model]) for one in by.values())] for model in models]
    lines.append(["seconds", *(f"{found[key]['seconds']:.0f}" for key in names)])
    notes = [note for key in names for note in found[key]["notes"] if note.startswith("Importance weights")]
    told = "".join(f"\n\n*{note}*" for note in dict.fromkeys(notes))
    return table(("model", *by), lines) + told


def samplers(found: dict[str, Row]) -> str:
    """What the samplers say of themselves."""
    lines = [
        [
            f"`{name}`",
            NAMES[one["method"]],
            "yes" if one["diagnostics"]["converged"] else "**no**",
            f"{one['diagnostics']['max_rhat']:.3f}",
            f"{one['diagnostics']['divergences']}",
            f"{min(one['diagnostics']['min_ess_bulk'], one['diagnostics']['min_ess_tail']):,.0f}",
            f"{one['draws']:,}",
            f"{one['seconds']:.0f} s",
        ]
        for name, one in found.items()
    ]
    heads = (
        "model",
        "sampler",
        "all criteria met",
        "largest R-hat",
        "divergences",
        "fewest effective draws",
        "of draws",
        "time",
    )
    told = "\n".join(
        f"- `{name}`: *{' '.join(one['diagnostics']['sentences'])}*"
        for name, one in found.items()
        if not one["diagnostics"]["converged"]
    )
    return table(heads, lines) + (f"\n\n{told}" if told else "")


def contrasts(found: dict[str, Row]) -> str:
    """Differences between groups on the link scale: mean, 95 % ETI, probability of direction."""
    lines = []
    for name, one in found.items():
        rows = [row for row in one["contrasts"] if row["quantity"] == "mu"]
        for row in rows:
            words = row["contrast"].replace("_", " ").replace(" - ", f" {MINUS} ")
            lines.append(
                [
                    f"`{name}`: `{row['parameter']}`, {words}",
                    with_interval(row),
                    probability(row["p_direction"]),
                ]
            )
    return table(("contrast", "difference on the link scale", "probability of direction"), lines)


def of_everybody(rows: list[Row]) -> str:
    """Median and mean of a population without groups, and its spread on the link scale."""
    found = {(row["parameter"], row["quantity"]): row for row in rows}
    lines = [
        [f"`{label}`", *(interval_of(found[label, quantity]) for quantity in ("median", "mean", "sigma"))]
        for label in dict.fromkeys(row["parameter"] for row in rows)
    ]
    return table(("parameter", "median", "mean", "spread (link scale)"), lines)


def interval_of(row: Row) -> str:
    ends = (row["estimate"], row["eti95_low"], row["eti95_high"])
    return "{} ({} to {})".format(*map(three_digits, ends))


def three_digits(value: float) -> str:
    return f"{value:#.3g}".rstrip(".").replace("-", MINUS)


def nats(value: float) -> str:
    return f"{value:,.0f}".replace("-", MINUS)


if __name__ == "__main__":
    main()
