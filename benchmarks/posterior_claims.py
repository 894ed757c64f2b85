"""What was hoped for of the posterior engine, and what `posterior.py` measured."""

from __future__ import annotations

from collections.abc import Iterator

from paper_table import table
from posterior_tables import Parts, best_rate, gradient_ratio, interval, is_finished, median

NUMPYRO = ("numpyro32", "numpyro64")
FASTER = {
    ("typical", "nuts"): (
        (NUMPYRO, "NumPyro at its best", 30),
        (("pymc",), "PyMC scan", 100),
        (("stan",), "Stan", 250),
    ),
    ("typical", "marginal"): ((("nuts",), "our NUTS", 1),),
    ("hard", "nuts"): ((NUMPYRO, "NumPyro at its best", 5),),
    ("hard", "marginal"): ((NUMPYRO, "NumPyro at its best", 60),),
}
GRADIENT = {"64": ("double", 3.0), "32": ("single", 1.5)}
SECONDS = {("typical", "nuts"): 8, ("typical", "marginal"): 8, ("hard", "nuts"): 60, ("hard", "marginal"): 12}
WARM = 2 / 3
"""Share of the time with empty caches."""
FIVE_MINUTES = 300
KL = 0.97
Claim = tuple[str, str, str, bool]


def claims(parts: Parts) -> str:
    """The table."""
    rows = [
        (what, wanted, measured, "yes" if holds else "**no**")
        for find in (_faster, _gradients, _finished, _growth, _accuracy)
        for what, wanted, measured, holds in find(parts)
    ]
    return table(("claim", "wanted", "measured", "holds"), rows)


def _faster(parts: Parts) -> Iterator[Claim]:
    for (study, sampler), rivals in FASTER.items():
        runs = parts.get(study, {})
        own = best_rate(runs, (sampler,))
        for names, rival, wanted in rivals:
            theirs = best_rate(runs, names)
            if own and theirs:
                ratio = own / theirs
                what = f"ESS per second, *{study}*, {sampler}, against {rival}"
                hoped = "as fast" if wanted == 1 else f"≥ {wanted} times"
                yield what, hoped, f"{ratio:.1f} times", ratio >= wanted


def _gradients(parts: Parts) -> Iterator[Claim]:
    for study, runs in parts.get("gradient", {}).items():
        for bits, (precision, wanted) in GRADIENT.items():
            ratio = gradient_ratio(runs, bits)
            what = f"gradient of the likelihood, *{study}*, against JAX in {precision} precision"
            yield what, f"≥ {wanted:g} times", f"{ratio:.2f} times", ratio >= wanted


def _finished(parts: Parts) -> Iterator[Claim]:
    for (study, method), limit in SECONDS.items():
        runs = parts.get("finish", {}).get(f"{study} {method}", [])
        for caches, share in (("cold", 1.0), ("warm", WARM)):
            found = [run for run in runs if run["caches"] == caches]
            if found:
                seconds, good = median(found, "call"), all(map(is_finished, found))
                what = f"from call to checked posterior, *{study}*, {method}, {caches} caches"
                measured = f"{seconds:.1f} s" + ("" if good else ", not all converged")
                yield what, f"≤ {share * limit:.3g} s", measured, good and seconds <= share * limit


def _growth(parts: Parts) -> Iterator[Claim]:
    if runs := parts.get("growth", {}).get("marginal 5000"):
        seconds = median(runs, "call")
        yield "5,000 subjects, marginal", "about 5 minutes", f"{seconds:.0f} s", seconds <= FIVE_MINUTES


def _accuracy(parts: Parts) -> Iterator[Claim]:
    for runs in parts.get("accuracy", {}).values():
        for pair in (x for x in runs[0]["ratio"] if x.startswith("hierarchical")):
            middle = sorted(run["ratio"][pair]["mean"] for run in runs)[len(runs) // 2]
            what = f"mean KL, *basic 2arm*: {pair}"
            yield what, f"≤ {KL}", interval(middle), middle[0] <= KL
