"""From a csv file to a figure: read, fit three ways, compare the groups, write it down.

    python examples/quickstart.py [folder for what is written]

The file is simulated and written first, so that you see what yours should look like: one row per trial, with who, what
was chosen and what it paid. With a file of your own, start at `hr.behaviour`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import hierrl as hr
from hierrl.demo import demo_study


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.csv"
    hr.to_table(demo_study())[["subject", "session", "trial", "choice", "reward", "group"]].to_csv(
        file, index=False
    )

    print("1. The file, and how it is understood\n")
    print(*file.read_text().splitlines()[:4], sep="\n")
    data = hr.behaviour(file, covariates=["group"])
    print(
        f"\n{data.sizes['subject']} subjects, {data.sizes['trial']:,} trials, arms {', '.join(data['arm'].values)}"
    )
    print(*json.loads(data.attrs["notes"]), sep="\n")

    print("\n2. Every subject by itself: the relaxation, then maximum likelihood with a proof\n")
    model = hr.model("forgetting_q")
    quick = hr.fit_convex(model, data, progress=False)
    mle = hr.fit_mle(model, data, start=quick, certify=1e-3, progress=False)
    stats = mle["fit_stats"].to_dataset()
    print(
        f"proven best within 0.001 nats: {int(stats['certified'].sum())} of {data.sizes['subject']} subjects"
    )

    print("\n3. All subjects together: the posterior, with a mean for each group\n")
    formula = {"alpha": "1 + group"}
    post = hr.fit_posterior(
        model, data, start=quick, formula=formula, method="marginal", random_seed=1, progress=False
    )
    groups = hr.contrast(post, "alpha", "group")
    print(groups[["contrast", "quantity", "mean", "eti95_low", "eti95_high"]].round(2).to_string(index=False))

    print("\n4. What would stand in the paper\n")
    told = hr.describe(post)
    print(*told.parts["model"], *told.parts["checks"], sep="\n")

    fits = {"convex": quick, "mle": mle, "posterior": post}
    hr.plot_estimates(fits, group="group").savefig(folder / "estimates.png")
    hr.plot_population(post, parameters=["alpha"]).savefig(folder / "population.png")
    told.to_csv(folder / "parameters.csv")
    post.to_netcdf(folder / "posterior.nc")
    print("\nWritten: estimates.png, population.png, parameters.csv, posterior.nc")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart"))
