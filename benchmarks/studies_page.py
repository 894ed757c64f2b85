"""Write the results of `studies.py` into docs/studies.md, between its markers.

python benchmarks/studies_page.py
"""

from __future__ import annotations

from typing import Any

from pages import DOCS, MINUS, between, read_results
from paper_table import table
from studies import FIVE, N_SUBJECTS, RESULTS

PAGE = DOCS / "studies.md"
DESIGNS = {"2arm": "two arms", "10arm": "ten arms", "fitzgerald_reversal": "FitzGerald's"}
ESTIMATORS = {"mle": "maximum likelihood", "posterior": "posterior"}
FULL = 50
"""Data sets of a model recovery as one would run it once and for all."""

Row = dict[str, Any]


def main() -> None:
    page, results = PAGE.read_text(), read_results(__doc__, RESULTS)
    parts = {
        **{
            f"recovery {name}": recovery(found, name)
            for name, found in _by_model(results["recovery"]).items()
        },
        "confusion": confusion(results["confusion"]["mle"]["table"], "share"),
        "inversion": confusion(results["confusion"]["mle"]["table"], "inverse"),
        "confusion time": confusion_time(results["confusion"]),
        "power": power(results["power"]),
    }
    for name, text in parts.items():
        page = between(page, name, text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def _by_model(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Model -> design -> results."""
    names = next(iter(found.values()))
    return {name: {design: models[name] for design, models in found.items()} for name in names}


def recovery(found: dict[str, Any], name: str) -> str:
    """A line for each design, estimator and parameter of a model."""
    lines = []
    for design, by_estimator in found.items():
        for estimator, result in by_estimator.items():
            rows = {(row["parameter"], row["scale"]): row for row in result["summary"]}
            for parameter in dict.fromkeys(label for label, _ in rows):
                lines.append(
                    [DESIGNS[design], ESTIMATORS[estimator], f"`{parameter}`", *_figures(rows, parameter)]
                )
    heads = (
        "design", "estimator", "parameter", "r", "r, link scale", "r, informative", "of subjects", "coverage of 95 %",
        "with an interval",
    )  # fmt: skip
    return table(heads, lines)


def _figures(rows: dict[tuple[str, str], Row], parameter: str) -> list[str]:
    row = rows[parameter, "natural"]
    link = rows.get((parameter, "link"))
    return [
        number(row["correlation"]),
        number(link["correlation"]) if link else "",
        number(row["correlation_informative"]),
        f"{row['n_informative']:,} of {row['n']:,}",
        f"{number(row['coverage'])} ({number(row['coverage_low'])} to {number(row['coverage_high'])})",
        f"{row['n_interval']:,}",
    ]


def confusion(rows: list[Row], what: str) -> str:
    """A matrix by BIC, for subjects and for data sets."""
    names = list(FIVE)
    shown = {(row["level"], row["generating"], row["best"]): row for row in rows if row["criterion"] == "bic"}
    lines = [
        [f"`{one}`", *(f"{number(shown['subject', one, best][what])} / {number(shown['data set', one, best][what])}"
                       for best in names)]
        for one in names
    ]  # fmt: skip
    return table(("generating", *(f"`{name}`" for name in names)), lines)


def confusion_time(found: dict[str, Any]) -> str:
    """How long it took, and how long more would."""
    lines = []
    for estimator, one in found.items():
        fits = one["data_sets"] * N_SUBJECTS * len(FIVE) ** 2
        right = [r for r in one["table"] if r["criterion"] == "bic" and r["generating"] == r["best"]]
        shares = [number(sum(r["share"] for r in right if r["level"] == level) / len(FIVE)) for level in
                  ("subject", "data set")]  # fmt: skip
        minutes = one["seconds"] * FULL / one["data_sets"] / 60
        lines.append([estimator, f"{fits:,}", f"{one['seconds']:.0f} s", f"{minutes:.0f} min", *shares])
    heads = ("estimator", "fits of a subject", "time", f"extrapolated to {FULL} data sets",
             "right, subjects", "right, data sets")  # fmt: skip
    return table(heads, lines)


def power(found: dict[str, Any]) -> str:
    """A line for each number of subjects, trials and effect: both tests, and false alarms."""
    rows = found["table"]
    tests = list(dict.fromkeys(row["test"] for row in rows))
    places = dict.fromkeys((row["effect"], row["n_trials"], row["n_subjects"]) for row in rows)
    by = {(row["effect"], row["n_trials"], row["n_subjects"], row["test"]): row for row in rows}
    lines = []
    for place in sorted(places):
        line = [f"{place[0]:g}", f"{place[1]}", f"{place[2]}"]
        for test in tests:
            row = by[(*place, test)]
            line.append(f"{number(row['power'])} ({number(row['power_low'])} to {number(row['power_high'])})")
            line.append(number(row["type_1"]))
        lines.append(line)
    heads = ["effect", "trials", "subjects"]
    for test in tests:
        heads += [f"power, {test}", "false alarms"]
    return table(heads, lines)


def number(value: float | None) -> str:
    """Two digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:.2f}".replace("-", MINUS)


if __name__ == "__main__":
    main()
