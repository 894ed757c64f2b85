"""Maximum likelihood against brute force on the paper's *basic* experiment: is there a better point anywhere?

python benchmarks/mle.py --subjects 1000 [--task 10arm]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from brute import brute_force_all, policy_of_points
from experiments import N_TRIALS, TASKS, Experiment, first, kl_by_subject, policy_of, stat

import hierrl as hr

TOLERANCE = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--task", choices=tuple(TASKS), default="2arm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    experiment = Experiment("basic", options.task)
    data, model = experiment.simulated(options.subjects, seed=options.seed), experiment.model()
    betas = experiment.ranges["beta"]
    hr.fit_mle(model, first(data, 2), progress=False)  # compiles
    began = time.perf_counter()
    fit = hr.fit_mle(model, data, progress=False)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    points = brute_force_all(data, betas)
    brute_seconds = time.perf_counter() - began
    loglik, bound = stat(fit, "loglik"), stat(fit, "bound")
    behind, true = points[:, 2] - loglik, experiment.true_policy(data)
    kl_fit, kl_brute = (
        kl_by_subject(true, policy) for policy in (policy_of(fit), policy_of_points(data, points))
    )
    print(
        f"basic {options.task}, {options.subjects} subjects x {N_TRIALS} trials, "
        f"beta in [{betas[0]:g}, {betas[1]:g}]"
    )
    print(f"{'':22}{'median KL':>11}{'seconds':>9}")
    print(f"{'fit_mle':22}{np.median(kl_fit):>11.5f}{seconds:>9.2f}")
    print(f"{'brute force':22}{np.median(kl_brute):>11.5f}{brute_seconds:>9.2f}")
    print(
        f"largest lead of brute force over fit_mle: {behind.max():.2e} nats; of fit_mle: {-behind.min():.2e}"
    )
    print(
        f"bound minus brute force: at least {(bound - points[:, 2]).min():.2e} nats, "
        f"median {np.median(bound - points[:, 2]):.4f}"
    )
    lagging = int((behind > TOLERANCE).sum())
    print(f"subjects where fit_mle lags by more than {TOLERANCE:g} nats: {lagging} of {options.subjects}")
    raise SystemExit(lagging > 0)


if __name__ == "__main__":
    main()
