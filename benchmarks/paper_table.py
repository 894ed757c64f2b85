"""Results of `paper.py` as Markdown: beside the published figures, with what was hoped for and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from experiments import NAMES, TASKS
from published import METHODS as PUBLISHED_METHODS
from published import PUBLISHED

Row = dict[str, Any]

METHODS = {
    "hull": "hull, relaxed policy",
    "hull_recovery": "hull + recovery (`fit_convex`)",
    "mle": "maximum likelihood (`fit_mle`)",
    "certified": "maximum likelihood, certified",
    "brute": "maximum likelihood, brute force",
    "monotone": "monotone, relaxed policy",
    "monotone_plain": "monotone + plain recovery",
    "monotone_fisher": "monotone + Fisher recovery",
    "monotone_recovery": "monotone + recovery, weights re-solved",
    "rlfit": "`rlfit`, relaxed policy",
    "rlfit_recovery": "`rlfit` + recovery",
    "rlfit5": "`rlfit`, horizon 5, relaxed policy",
    "rlfit5_recovery": "`rlfit`, horizon 5 + recovery",
}
STARTS = {"zero": "start 0", "learned": "learned start"}
LEARNED = ("hull", "hull_recovery", "certified")
"""Methods whose row with a learned start is told."""
RELAXATIONS = ("hull", "certified", "monotone", "rlfit", "rlfit5")
"""Methods that say what no parameters exceed, or might be taken to."""


class Found:
    """The results of one experiment by (start, method)."""

    def __init__(self, experiment: dict[str, Any]):
        self.slow: int = experiment["slow"]
        self.rows = {(row["start"], row["method"]): row for row in experiment["rows"]}

    def __call__(self, method: str, start: str = "zero") -> Row:
        return self.rows[start, method]

    def kl(self, method: str, start: str = "zero") -> float:
        """Median divergence."""
        return self(method, start)["kl"][1]


def all_found(results: dict[str, Any]) -> dict[tuple[str, str], Found]:
    """Results by (model, task), in order, of the experiments that have been run."""
    keys = [(name, task) for name in NAMES for task in TASKS]
    known = results["experiments"]
    return {key: Found(known["/".join(key)]) for key in keys if "/".join(key) in known}


def settings_text(results: dict[str, Any]) -> str:
    """How the numbers came about, in a paragraph."""
    settings = results["settings"]
    slow = sorted({found.slow for found in all_found(results).values()})
    experiments = results["experiments"].values()
    counts = sorted({max(row["n"] for row in experiment["rows"]) for experiment in experiments})
    many = f"{counts[0]} subjects" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} subjects"
    versions = ", ".join(f"{name} {text}" for name, text in settings["versions"].items())
    return (
        f"**{many}** in each experiment, {settings['trials']} trials each, seed "
        f"{settings['seed']}; the slow methods (`rlfit`, the monotone relaxation, brute force) on the first "
        f"{slow[0]} to {slow[-1]} of them, as the tables say. Proofs to {settings['tolerance']:g} nats with at most "
        f"{settings['budget']:g} s a subject. {settings['cores']} cores; {versions}."
    )


def accuracy(key: tuple[str, str], found: Found) -> str:
    """The table of one experiment: ours, the reference package, and what was published."""
    heads = (
        "method",
        "subjects",
        "median KL",
        "rate error",
        "weight error",
        "ms a subject",
        "KL / that of MLE",
        "closer than `rlfit`",
        "closer than horizon 5",
    )
    lines = [_accuracy_row(METHODS[m], found(m)) for m in METHODS if ("zero", m) in found.rows]
    lines += [_accuracy_row(f"{METHODS[m]}, learned start", found(m, "learned")) for m in LEARNED]
    for method, row in PUBLISHED[key].items():
        numbers = (row.kl, row.rate_error, row.weight_error, row.ms)
        cells = [number(value) for value in numbers]
        lines.append((f"*published: {PUBLISHED_METHODS[method]}*", "*1000*", *cells, "", "", ""))
    return table(heads, lines)


def _accuracy_row(name: str, row: Row) -> tuple[str, ...]:
    subjects = str(row["n"]) + (f" ({row['failed']} failed)" if row["failed"] else "")
    middle = [number(row[what] and row[what][1]) for what in ("kl", "rate_error", "weight_error")]
    wins = [share(row["wins"].get(rival)) for rival in ("rlfit_recovery", "rlfit5_recovery")]
    return (name, subjects, *middle, number(row["ms"]), number(row["ratio_to_mle"]), *wins)


def tightness(results: dict[str, Any]) -> str:
    """How far the bounds of all experiments lie above the best log-likelihood known."""
    heads = (
        "experiment",
        "bound",
        "subjects",
        "median",
        "95 %",
        "largest",
        "within .01",
        "without",
        "below",
    )
    lines = []
    for key, found in all_found(results).items():
        for start in STARTS:
            for method in RELAXATIONS:
                if row := found.rows.get((start, method)):
                    lines.append(_tightness_row(" ".join(key), start, row))
    return table(heads, lines)


def _tightness_row(experiment: str, start: str, row: Row) -> tuple[str, ...]:
    name = METHODS[row["method"]].removesuffix(", relaxed policy")
    name += ", learned start" if start == "learned" else ""
    told = row["tightness"]
    if told is None:
        return (experiment, name, str(row["n"]), "", "", "", "", str(row["n"]), "")
    numbers = [f"{told[what]:.3f}" for what in ("median", "q95", "max")]
    within = f"{100 * told['tight']:.0f} %"
    return (experiment, name, str(row["n"]), *numbers, within, str(told["missing"]), str(told["below"]))


def proofs(results: dict[str, Any]) -> str:
    """In a sentence, for how many subjects the maximum was proven."""
    parts = []
    for key, found in all_found(results).items():
        shares = [
            f"{100 * found('certified', start)['certified']:.0f} %{suffix}"
            for start, suffix in (("zero", ""), ("learned", " with a learned start"))
        ]
        parts.append(f"*{' '.join(key)}* {', '.join(shares)}")
    return f"Proven optimal within the budget: {'; '.join(parts)}."


def claims(results: dict[str, Any]) -> str:
    """What was hoped for, and what came out."""
    lines = []
    for what, wanted, measured, holds in _claims(all_found(results)):
        lines.append((what, wanted, measured, "yes" if holds else "**no**"))
    return table(("claim", "wanted", "measured", "holds"), lines)


def _claims(known: dict[tuple[str, str], Found]) -> Iterable[tuple[str, str, str, bool]]:
    basic = {task: known["basic", task] for task in TASKS if ("basic", task) in known}
    if "2arm" in basic:
        own = basic["2arm"]("hull_recovery")["ms"]
        for rival, wanted in (("rlfit_recovery", 300), ("rlfit5_recovery", 60)):
            ratio = basic["2arm"](rival)["ms"] / own
            what = f"hull + recovery against {METHODS[rival]}, *basic 2arm*, end to end"
            yield what, f"≥ {wanted} times faster", f"{ratio:.0f} times", ratio >= wanted
    for task, found in basic.items():
        where, limits = f"*basic {task}*", {"2arm": (0.05, 1.6), "10arm": (0.15, 2.7)}[task]
        loose = found("hull")["tightness"]["median"]
        yield f"bound of the hull, {where}, median", f"≤ {limits[0]} nats", f"{loose:.3f}", loose <= limits[0]
        ratio = found("brute")["ratio_to_mle"]
        yield f"KL of brute force / of MLE, {where}", "within 1 %", f"{ratio:.4f}", abs(ratio - 1) <= 0.01
        for method, limit in (("hull_recovery", 1.15), ("hull", limits[1])):
            ratio = found(method)["ratio_to_mle"]
            yield f"KL of {METHODS[method]} / of MLE, {where}", f"≤ {limit}", f"{ratio:.2f}", ratio <= limit
        for method in ("certified", "hull_recovery"):
            for rival in ("rlfit_recovery", "rlfit5_recovery"):
                won = found(method)["wins"][rival]
                what = f"{METHODS[method]} closer to the truth than {METHODS[rival]}, {where}"
                yield what, "> 50 %, interval clear of it", share(won), won[1] > 0.5
    for key, found in known.items():
        if key[0] != "basic":
            yield _against_published(key, found)
    yield _no_bound_below(known)


def _against_published(key: tuple[str, str], found: Found) -> tuple[str, str, str, bool]:
    best = min(STARTS, key=lambda start: found.kl("certified", start))
    limit = min(row.kl for method, row in PUBLISHED[key].items() if method != "mcmc")
    value = found.kl("certified", best)
    what = f"median KL of MLE, *{' '.join(key)}*, the better start ({STARTS[best]})"
    return what, f"below every published one but MCMC: < {limit:g}", f"{value:.4f}", value < limit


def _no_bound_below(known: dict[tuple[str, str], Found]) -> tuple[str, str, str, bool]:
    told = [
        row["tightness"]
        for found in known.values()
        for row in found.rows.values()
        if row["tightness"] and not row["method"].startswith("rlfit")
    ]
    below = sum(one["below"] for one in told)
    return (
        "bounds of ours that lie below a log-likelihood found, all experiments",
        "0",
        str(below),
        below == 0,
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = [":--", *["--:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *rows))


def share(won: Sequence[float] | None) -> str:
    """[share, low, high] as percent."""
    return "" if won is None else "{:.0f} % ({:.0f}-{:.0f})".format(*(100 * part for part in won))


def number(value: float | None) -> str:
    """Three digits; empty where there is none."""
    if value is None or value != value:
        return ""
    if value == 0 or not 1e-3 <= abs(value) < 1e3:
        return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")
