"""Write the results of `comparison.py` into docs/comparison.md, between its markers.

python benchmarks/comparison_page.py
"""

from __future__ import annotations

from typing import Any

from comparison import RESULTS
from groups_page import probability
from pages import DOCS, MINUS, between, read_results
from paper_table import table

PAGE = DOCS / "comparison.md"
LEVELS = {
    "trial": "trial (LOO)",
    "session": "block (LOO)",
    "subject": "subject (LOO)",
    "future": "future (LFO)",
}
OTHERS = {
    "evidence": "evidence, posterior",
    "laplace": "evidence, Laplace",
    "held_out": "held-out trials",
    "aic": "AIC",
    "bic": "BIC",
}
Row = dict[str, Any]


def main() -> None:
    page = PAGE.read_text()
    for name, found in read_results(__doc__, RESULTS).items():
        criteria = found["criteria"]
        parts = {
            "levels": levels(found, LEVELS),
            "random effects": chosen(criteria["subject"]),
        }
        if "refits" in found:
            parts["criteria"] = levels(found, OTHERS)
            parts["refits"] = refits(found["refits"])
            parts["trial"] = scores(criteria["trial"])
        for part, text in parts.items():
            page = between(page, f"{name} {part}", text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def levels(found: Row, names: dict[str, str]) -> str:
    """Differences to the best model of each criterion, a row for each model."""
    criteria = {words: found["criteria"][key] for key, words in names.items() if key in found["criteria"]}
    first = next(iter(criteria.values()))
    models = [row["model"] for row in first["table"]]
    by = [{row["model"]: row for row in one["table"]} for one in criteria.values()]
    lines = [[f"`{model}`", *(difference(one[model]) for one in by)] for model in models]
    lines.append(["seconds", *(f"{one['seconds']:.0f}" for one in criteria.values())])
    size = f"{found['subjects']} subjects, {found['trials']:,} trials."
    return f"{size} Score minus that of the best, ± its standard error over subjects (nats):\n\n" + table(
        ("model", *criteria), lines
    )


def difference(row: Row) -> str:
    """``-127.8 ± 19.7``; the best is named so."""
    if row["difference"] == 0:
        return f"**best** ({row['score']:,.0f})".replace("-", MINUS)
    error = row.get("subjects_se", row["difference_se"])
    return f"{row['difference']:.0f} ± {error:.0f}".replace("-", MINUS)


def scores(criterion: Row) -> str:
    """Leave-one-out by trial, with both standard errors and what importance sampling says of itself."""
    lines = [
        [
            f"`{row['model']}`",
            f"{row['score']:,.1f}",
            f"{row['difference']:.1f}",
            f"{row['difference_se']:.1f}",
            f"{row['subjects_se']:.1f}",
            f"{row['effective']:.0f}",
        ]
        for row in criterion["table"]
    ]
    heads = ("model", "score", "difference", "SE over trials", "SE over subjects", "effective parameters")
    unsure = [note for note in criterion["notes"] if note.startswith("Importance weights fail")]
    told = f"\n\nIts notes say: *{unsure[0]}*" if unsure else ""
    return table(heads, [[cell.replace("-", MINUS) for cell in line] for line in lines]) + told


def chosen(criterion: Row) -> str:
    """Random effects by subject."""
    lines = [
        [
            f"`{row['model']}`",
            f"{row['frequency']:.2f} ± {row['frequency_sd']:.2f}",
            probability(row["exceedance"]),
            probability(row["protected_exceedance"]),
            f"{row['attributed']}",
        ]
        for row in criterion["random_effects"]
    ]
    heads = ("model", "expected frequency", "exceedance", "protected", "subjects attributed")
    return table(heads, lines) + f"\n\nBayesian omnibus risk: {probability(criterion['omnibus_risk'])}."


def refits(found: dict[str, list[Row]]) -> str:
    """Importance sampling beside exact refits, in nats."""
    lines = []
    for model, rows in found.items():
        away = [row["psis"] - row["refit"] for row in rows]
        score = sum(row["refit"] for row in rows)
        lines.append(
            [
                f"`{model}`",
                f"{score:.2f}".replace("-", MINUS),
                f"{sum(away):+.2f}".replace("-", MINUS),
                f"{max(map(abs, away)):.2f}",
            ]
        )
    n = len(next(iter(found.values())))
    heads = (
        "model",
        f"score of {n} subjects by refits",
        "importance sampling minus refits",
        "largest difference of a subject",
    )
    return table(heads, lines)


if __name__ == "__main__":
    main()
