"""Write the results of `calibration.py` into docs/calibration.md, between its markers, and draw its figures.

python benchmarks/calibration_page.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from calibration import RESULTS
from calibration_figure import draw
from pages import DOCS, MINUS, NAMES, between, read_results
from paper_table import table
from widths_table import KINDS, PRIORS

import hierrl as hr
from hierrl.calibration.calibrate import summary_of

PAGE, IMAGES = DOCS / "calibration.md", DOCS / "images"
DPI = 110
SHARES = ("coverage_95", "coverage_80")
FOLDED = "<details><summary>{}</summary>\n\n{}\n\n</details>"

Found = dict[str, Any]


def main() -> None:
    results = read_results(__doc__, RESULTS)
    trees = {method: tree_of(found) for method, found in results["sbc"].items()}
    parts = [*(_calibration(method, tree) for method, tree in trees.items()), _agreement(trees)]
    page = between(PAGE.read_text(), "sbc", "\n\n".join(parts))
    page = between(page, "widths", _widths(results["widths"]))
    PAGE.write_text(page)
    for method, tree in trees.items():
        hr.plot_calibration(tree).savefig(IMAGES / f"calibration-{method}.png", dpi=DPI)
    draw(results["widths"]["table"]).savefig(IMAGES / "calibration-widths.png", dpi=DPI)
    print(f"wrote {PAGE.name} and its figures")


def tree_of(found: Found) -> xr.DataTree:
    """A result of `hr.calibrate` from what is kept of it, with its summary."""
    dims = {
        "runs": ("replication",),
        "population": ("replication", "quantity"),
        "subjects": ("replication", "subject", "parameter"),
    }
    groups = {
        name: xr.Dataset(
            {key: (there, np.array(values)) for key, values in found[name].items() if key not in there},
            {dim: found[name][dim] for dim in there},
        )
        for name, there in dims.items()
    }
    groups["summary"], groups["bands"] = summary_of(groups["population"], groups["subjects"])
    return xr.DataTree.from_dict(groups)


def _calibration(method: str, tree: xr.DataTree) -> str:
    runs = tree["runs"].to_dataset()
    good = runs["converged"].values.astype(bool)
    kept = [tree[name].to_dataset().isel(replication=good) for name in ("population", "subjects")]
    converged = summary_of(*kept)[0]
    bad = runs.isel(replication=~good)
    listed = [
        [*(str(row[name].item()) for name in ("replication", "seed_data", "seed_fit")), _why(row)]
        for row in (bad.isel(replication=i) for i in range(bad.sizes["replication"]))
    ]
    parts = [
        f"### {NAMES[method]}",
        f"![Distribution of ranks, {NAMES[method]}](images/calibration-{method}.png)",
        _coverage(tree["summary"].to_dataset()),
        f"{runs.sizes['replication']} replications, {int((~good).sum())} of which did not converge by the rules of "
        f"`fit_posterior`. They are among those above. {_of_the_rest(converged)}",
    ]
    if listed:
        lines = table(["replication", "seed of the data", "seed of the fit", "what was wrong"], listed)
        parts.append(FOLDED.format("The replications that did not converge", lines))
    return "\n\n".join(parts)


def _agreement(trees: dict[str, xr.DataTree]) -> str:
    """How far the samplers agree on the studies that both have fitted."""
    parts = {}
    for group, what in (("population", "population and log-likelihood"), ("subjects", "subjects")):
        one, other = xr.align(*(tree[group]["below"] for tree in trees.values()))
        difference = (other - one).transpose("replication", ...)
        each = difference.mean([dim for dim in difference.dims if dim != "replication"])
        error = float(each.std(ddof=1)) / np.sqrt(each.size)
        parts[what] = (
            f"{float(each.mean()):+.4f} ± {1.96 * error:.4f} (sd {float(difference.std()):.3f}) for {what}"
        )
    text = "; ".join(parts.values()).replace("-0.", f"{MINUS}0.")
    first, second = (NAMES[method] for method in trees)
    return (
        f"### The two against each other\n\nOn the {each.size} studies that both have fitted, the share of draws below "
        f"the truth is, by the {second} minus by {first}: {text}. That is what chance "
        "makes of two fits with about a thousand effective draws each."
    )


def _coverage(summary: xr.Dataset) -> str:
    rows = []
    for name in summary["quantity"].values:
        one = summary.sel(quantity=name)
        shares = [
            f"{one['coverage'].sel(interval=i).item():.3f} ({one['low'].sel(interval=i).item():.2f}-"
            f"{one['high'].sel(interval=i).item():.2f})"
            for i in (0.5, 0.8, 0.95)
        ]
        left = "yes" if one["outside"].item() else "no"
        rows.append([str(name).replace(", Intercept", ""), *shares, f"{one['p_uniform'].item():.2f}", left])
    return table(["", "50 %", "80 %", "95 %", "p of uniform ranks", "leaves its band"], rows)


def _of_the_rest(summary: xr.Dataset) -> str:
    shares = summary["coverage"].sel(interval=0.95)
    outside = [
        str(name).replace(", Intercept", "") for name in summary["quantity"].values[summary["outside"]]
    ]
    left = f"the ranks of {', '.join(outside)} leave their band" if outside else "no ranks leave their band"
    return (
        f"Without them 95 % intervals hold the truth in {shares.min().item():.3f} to {shares.max().item():.3f} of "
        f"the cases, by quantity, and {left} (smallest p {summary['p_uniform'].min().item():.2f})."
    )


def _why(row: xr.Dataset) -> str:
    """The figures that a replication failed by, in short."""
    n_divergent, sentence = int(row["divergences"].item()), str(row["sentence"].item())
    parts = [f"{n_divergent} divergences"] if n_divergent else []
    parts += [f"R-hat {row['max_rhat'].item():.3f}"]
    parts += [f"{min(row['min_ess_bulk'].item(), row['min_ess_tail'].item()):.0f} effective draws"]
    parts += [f"Pareto k {row['max_k_hat'].item():.2f}"] if "points do not hold" in sentence else []
    return ", ".join(parts)


def _widths(found: Found) -> str:
    rows = []
    for cell in found["table"]:
        if cell["kind"] == "mu":
            other = next(
                c
                for c in found["table"]
                if c["kind"] == "sigma" and all(c[k] == cell[k] for k in ("population", "subjects", "prior"))
            )
            rows.append(
                [
                    cell["population"],
                    str(cell["subjects"]),
                    "weak" if cell["prior"] == "weak" else f"{cell['prior']} se",
                    *(_share(one, "coverage_95") for one in (cell, other)),
                    *(_signed(one, "more_95") for one in (cell, other)),
                    *(f"{one['coverage_80']:.2f}" for one in (cell, other)),
                    *(f"{one['width_95']:.2f}" for one in (cell, other)),
                    *(f"{one['bias']:+.2f} / {one['rmse']:.2f}".replace("-", MINUS) for one in (cell, other)),
                ]
            )
    names = [
        f"{what}, {kind}"
        for what in ("95 %", "more than weak", "80 %", "width", "bias / RMSE")
        for kind in ("μ", "σ")
    ]
    text = table(["population", "subjects", "prior", *names], rows)
    studies = "; ".join(
        f"{name}: {one['studies']}"
        + (f" ({len(one['not_converged'])} not converged)" if one["not_converged"] else "")
        for name, one in found["studies"].items()
    )
    return "\n\n".join(
        [
            pooled(found["table"]),
            FOLDED.format("By population and size of the study", text),
            f"Studies: {studies}. {found['sampled_again']} posteriors were sampled under their own prior, since "
            "weights failed.",
        ]
    )


def pooled(cells: list[Found]) -> str:
    """By prior and kind of number, populations and sizes together, each with the same weight."""
    rows = []
    for prior in PRIORS:
        row: list[Any] = ["weak" if prior == "weak" else f"{prior} se"]
        for kind in KINDS:
            some = [cell for cell in cells if cell["prior"] == prior and cell["kind"] == kind]
            mean = {
                key: float(np.mean([cell[key] for cell in some])) for key in (*SHARES, "more_95", "width_95")
            }
            row += [f"{mean[key]:.3f} ± {_half(some, key):.3f}" for key in SHARES]
            more = f"{mean['more_95']:+.3f} ± {_half(some, 'more_95'):.3f}".replace("-", MINUS)
            error = np.sqrt(np.mean([cell["rmse"] ** 2 for cell in some]))
            row += ["" if prior == "weak" else more, f"{mean['width_95']:.2f}", f"{error:.2f}"]
        rows.append(row)
    names = [
        f"{what}, {kind}"
        for kind in ("μ", "σ")
        for what in ("95 %", "80 %", f"95 % {MINUS} weak", "width", "RMSE")
    ]
    return table(["prior", *names], rows)


def _half(some: list[Found], key: str) -> float:
    """Half of the 95 % confidence interval of a mean over cells that are independent."""
    halves = np.array([(cell[f"{key}_high"] - cell[f"{key}_low"]) / 2 for cell in some])
    return float(np.sqrt((halves**2).sum()) / len(halves))


def _share(cell: Found, key: str) -> str:
    return f"{cell[key]:.2f} ({max(0.0, cell[f'{key}_low']):.2f}-{min(1.0, cell[f'{key}_high']):.2f})"


def _signed(cell: Found, key: str) -> str:
    half = (cell[f"{key}_high"] - cell[f"{key}_low"]) / 2
    return f"{cell[key]:+.3f} ± {half:.3f}".replace("-", MINUS)


if __name__ == "__main__":
    main()
