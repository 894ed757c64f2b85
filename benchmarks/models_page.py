"""Write the results of `models.py` into docs/model_table.md, between its markers.

python benchmarks/models_page.py
"""

from __future__ import annotations

from typing import Any

from model_designs import TASKS
from models import BUDGET, RESULTS, STUDY, TRIALS
from pages import DOCS, MINUS, between, read_results
from paper_table import table

PAGE = DOCS / "model_table.md"
Row = dict[str, Any]
VERDICTS = {
    "ran, **points do not hold**": "The importance points do not hold",
    "ran, too few draws": "The chains agree, but have too few effective draws",
    "yes": "The chains converged",
}
"""By what the package says, in this order."""
SMALL = 0.001
"""Nats within which a maximum counts as proven."""


def main() -> None:
    results = read_results(__doc__, RESULTS)
    found: dict[str, dict[str, Row]] = {}
    for key, one in results.items():
        name, part = key.split()
        found.setdefault(name, {})[part] = one
    page = PAGE.read_text()
    parts = {
        "abilities": abilities(found),
        "tasks": "\n".join(f"- *{name}*: {words}." for name, (_, words) in TASKS.items()),
        "recovery": recovery(found),
        "costs": costs(found),
        "refusals": refusals(found),
        "truth": truths(found),
    }
    for part, text in parts.items():
        page = between(page, part, text)
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}")


def abilities(found: dict[str, dict[str, Row]]) -> str:
    """What worked, a row for each model."""
    heads = (
        "model",
        *(f"convex bound: median gap, {n} trials" for n in TRIALS),
        f"proven by the relaxation, {TRIALS[0]}",
        f"proven in {BUDGET:g} s, {TRIALS[0]} trials",
        "NUTS",
        "marginal",
        "simulated",
        *(f"recovery, {n} trials" for n in TRIALS),
        "ns a trial",
    )
    return table(heads, [_abilities(name, parts) for name, parts in found.items()])


def _abilities(name: str, parts: dict[str, Row]) -> list[str]:
    one = parts["recovery"]
    first = one["trials"][str(TRIALS[0])]["estimators"]["mle"]
    proof = parts["proof"]
    return [
        f"`{name}`",
        *(gap(one, n) for n in TRIALS),
        percent(first["certified"]) if one["bound"] else "",
        percent(proof["certified"]) if proof else "",
        sampler(parts["posterior"]["nuts"]),
        sampler(parts["posterior"]["marginal"]),
        "yes",
        *(span(one["trials"][str(n)]["estimators"]["mle"]) for n in TRIALS),
        f"{parts['gradient']['ns']:.0f} ({parts['gradient']['arms']} arms)",
    ]


def gap(one: Row, n_trials: int) -> str:
    """Nats, where there is a bound."""
    if not one["bound"]:
        return "no bound"
    found = one["trials"][str(n_trials)]["estimators"]["mle"]["gap"]
    return f"{found:.2g}" if found >= SMALL else f"< {SMALL:g}"


def sampler(one: Row) -> str:
    """Largest R-hat, and what the package says of the draws."""
    if "refused" in one:
        return "no"
    said = " ".join(one["sentences"][:2])
    verdict = next((words for words, start in VERDICTS.items() if start in said), "ran, **not converged**")
    return f"{verdict} ({one['max_rhat']:.3f})"


def span(one: Row) -> str:
    """The worst and the best correlation among the parameters."""
    known = [r for r in one["spearman"].values() if r is not None]
    low, high = min(known), max(known)
    return signed(low) if low == high else f"{signed(low)} to {signed(high)}"


def recovery(found: dict[str, dict[str, Row]]) -> str:
    """A row for each parameter of each model."""
    heads = [
        "model, task",
        "parameter",
        "drawn from",
        *(f"{estimator}, {n}" for n in TRIALS for estimator in ("convex", "MLE")),
        *(f"on a bound, {n}" for n in TRIALS),
    ]
    lines = []
    for name, parts in found.items():
        one = parts["recovery"]
        for k, parameter in enumerate(one["parameters"]):
            lines.append(
                [
                    f"`{name}`, {one['task']}" if k == 0 else "",
                    f"`{parameter}`",
                    "{:g} to {:g}".format(*one["ranges"][parameter]).replace("-", MINUS),
                    *(_r(one, n, estimator, parameter) for n in TRIALS for estimator in ("convex", "mle")),
                    *(
                        percent(one["trials"][str(n)]["estimators"]["mle"]["at_bound"][parameter])
                        for n in TRIALS
                    ),
                ]
            )
    return table(heads, lines)


def _r(one: Row, n_trials: int, estimator: str, parameter: str) -> str:
    fit = one["trials"][str(n_trials)]["estimators"].get(estimator)
    return "" if fit is None else signed(fit["spearman"][parameter])


def truths(found: dict[str, dict[str, Row]]) -> str:
    """In a sentence, how often the truth fits better than the estimate."""
    fits = {
        name: [one["estimators"]["mle"] for one in parts["recovery"]["trials"].values()]
        for name, parts in found.items()
    }
    known = {
        name: sum(fit["truth_is_better"] for fit in both)
        for name, both in fits.items()
        if all("truth_is_better" in fit for fit in both)
    }
    n = sum(len(TRIALS) * found[name]["recovery"]["subjects"] for name in known)
    left = [f"`{name}`" for name in found if name not in known]
    worse = [f"`{name}` ({count})" for name, count in known.items() if count]
    return (
        f"Of {n:,} maximum-likelihood fits {sum(known.values())} lie below the log-likelihood of the true parameters"
        + (f": {', '.join(worse)}" if worse else "")
        + "."
        + (f" (Not counted for {', '.join(left)}.)" if left else "")
    )


def costs(found: dict[str, dict[str, Row]]) -> str:
    """Processor time of point fits, seconds of posteriors."""
    heads = (
        "model",
        "parameters",
        "subjects",
        *(f"{what}, {n} trials" for n in TRIALS for what in ("convex", "then MLE")),
        f"NUTS, {STUDY[0]} x {STUDY[1]}",
        "marginal",
    )
    lines = []
    for name, parts in found.items():
        one = parts["recovery"]
        lines.append(
            [
                f"`{name}`",
                str(len(one["parameters"])),
                str(one["subjects"]),
                *(_cost(one, n, estimator) for n in TRIALS for estimator in ("convex", "mle")),
                *(_seconds(parts["posterior"][method]) for method in ("nuts", "marginal")),
            ]
        )
    return table(heads, lines)


def _cost(one: Row, n_trials: int, estimator: str) -> str:
    fit = one["trials"][str(n_trials)]["estimators"].get(estimator)
    return (
        "" if fit is None else f"{fit['cpu_ms']:.2g} ms" if fit["cpu_ms"] < 10 else f"{fit['cpu_ms']:.0f} ms"
    )


def _seconds(one: Row) -> str:
    return "" if "refused" in one else f"{one['seconds']:.0f} s"


def refusals(found: dict[str, dict[str, Row]]) -> str:
    """The package's own sentences where the answer is no, each once with the models it is about."""
    sentences: dict[str, list[str]] = {}
    for name, parts in found.items():
        said = list(parts["recovery"]["reasons"])
        said += [one["refused"] for one in parts["posterior"].values() if "refused" in one]
        for sentence in said:
            sentences.setdefault(sentence, []).append(f"`{name}`")
    return "\n".join(f"- {', '.join(names)}: *{sentence}*" for sentence, names in sentences.items())


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def signed(r: float | None) -> str:
    """Two digits, and a dash where all estimates were alike."""
    return "\N{EN DASH}" if r is None else f"{r:.2f}".replace("-", MINUS)


if __name__ == "__main__":
    main()
