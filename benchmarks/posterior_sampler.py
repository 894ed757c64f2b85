"""One run of one sampler on one study, told as JSON: started by `posterior.py`, a process for each run."""

from __future__ import annotations

import json
import sys
from typing import Any

from posterior_runner import peak_memory
from posterior_scores import mixing
from posterior_studies import Study

OURS = ("nuts", "marginal")


def main() -> None:
    job = json.loads(sys.argv[1])
    draws, seconds = draw(job)
    found = mixing(draws)
    known = {**job, **found, "seconds": seconds, "mb": peak_memory()}
    spent = seconds.get("prepared", seconds["sample"])
    print(
        json.dumps({**known, "rate": found["ess"] / spent, "rate_sampling": found["ess"] / seconds["sample"]})
    )


def draw(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draws by name and seconds by stage."""
    study, seed, sampler = Study.of(job["study"], job.get("subjects", 50)), job["seed"], job["sampler"]
    if sampler in OURS:
        import posterior_ours

        options = job.get("options", {})
        return posterior_ours.sample(study, seed, prior=job["prior"], method=sampler, **options)
    arrays = study.arrays(job["prior"])
    if sampler.startswith("numpyro"):
        import posterior_numpyro

        return posterior_numpyro.sample(arrays, seed, **job.get("options", {}))
    if sampler == "pymc":
        import posterior_pymc

        return posterior_pymc.sample(arrays, seed)
    import posterior_stan

    return posterior_stan.sample(arrays, seed)


if __name__ == "__main__":
    main()
