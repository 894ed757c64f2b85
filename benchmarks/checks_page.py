"""Write the results of `checks.py` into docs/checks.md, between its markers.

python benchmarks/checks_page.py
"""

from __future__ import annotations

from typing import Any

from checks import MODES, RESULTS
from pages import DOCS, MINUS, between, read_results
from paper_table import table

PAGE = DOCS / "checks.md"
ALARM = 0.05
NAMED = {
    "rw": "`rw`",
    "forgetting_q": "`forgetting_q`",
    "subvalue": "`subvalue`",
    "signed": "signed reward",
    "posterior": "`subvalue`, posterior",
}
EFFECT = "reward_effect"

Row = dict[str, Any]


def main() -> None:
    page = PAGE.read_text()
    for name, found in read_results(__doc__, RESULTS).items():
        parts = {mode: verdicts(found, mode) for mode in MODES}
        parts |= {"effect": effect(found), "known": known(found["identifiability"]["subvalue"])}
        if "posterior" in found["identifiability"]:
            parts["known posterior"] = known(found["identifiability"]["posterior"])
        parts["sentences"] = quoted(found)
        for part, text in parts.items():
            page = between(page, f"{name} {part}", text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def verdicts(found: Row, mode: str) -> str:
    """A line for each statistic, a column for each model: joint p by group, bold where the model fails."""
    models = list(found["checks"])
    by = {name: _by_statistic(found["checks"][name][mode]["verdicts"]) for name in models}
    lines = [
        [f"`{statistic}`", *(_cell(by[name][statistic]) for name in models)] for statistic in by[models[0]]
    ]
    counts = [
        f"{sum(row['passed'] is True for row in found['checks'][name][mode]['verdicts'])} of "
        f"{len(found['checks'][name][mode]['verdicts'])}"
        for name in models
    ]
    return table(("statistic", *(NAMED[name] for name in models)), [*lines, ["passed", *counts]])


def _by_statistic(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["statistic"], []).append(row)
    return found


def _cell(rows: list[Row]) -> str:
    return ", ".join(
        f"{row['group'].lower()} {probability(row['joint_p'])}"
        if row["passed"]
        else f"{row['group'].lower()} **{probability(row['joint_p'])}**"
        for row in rows
    )


def probability(value: float) -> str:
    """Two digits, without a zero before the point."""
    return "< .01" if value < 0.01 else f"{value:.2f}".removeprefix("0")


def effect(found: Row) -> str:
    """Observed effect of a reward on staying, and what each model replays."""
    models = list(found["checks"])
    by = {
        name: [row for row in found["checks"][name]["replay"]["table"] if row["statistic"] == EFFECT]
        for name in models
    }
    lines = [
        [row["group"].lower(), signed(row["observed"]), *(_interval(by[name][g]) for name in models)]
        for g, row in enumerate(by[models[0]])
    ]
    return table(("group", "observed", *(NAMED[name] for name in models)), lines)


def _interval(row: Row) -> str:
    return f"{signed(row['predicted'])} ({signed(row['eti95_low'])} to {signed(row['eti95_high'])})"


def signed(value: float) -> str:
    """Three digits and a minus sign."""
    return f"{value:.3f}".replace("-", MINUS)


def known(rows: dict[str, Row]) -> str:
    """What the choices tell of each parameter."""
    lines = [
        [
            f"`{name}`",
            f"{row['median']:.2f}",
            f"{row['below_0.1']:.0%}",
            f"{row['below_0.5']:.0%}",
            "" if row["faint"] != row["faint"] else f"{row['faint']:.0%}",
            f"{row['tied']:.0%}",
        ]
        for name, row in rows.items()
    ]
    heads = (
        "parameter",
        "median information",
        "below .1",
        "below .5",
        "channel worth < 2 nats",
        "tied (correlation beyond ±.8)",
    )
    return table(heads, lines)


def quoted(found: Row) -> str:
    """Sentences on the least known and the best known subject, of each parameter."""
    rows = found["identifiability"]["subvalue"].values()
    return "\n".join(f"> {text}\n>" for row in rows for text in (row["least"], row["most"])).removesuffix(
        "\n>"
    )


if __name__ == "__main__":
    main()
