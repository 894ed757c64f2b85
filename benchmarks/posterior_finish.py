"""From the call to a finished, checked posterior in a fresh process, told as JSON: started by `posterior.py`."""

import time

STARTED = time.perf_counter()

import hierrl as hr  # noqa: E402 - what importing costs is part of what is told

BEHAVIOUR, SAMPLING = hr.behaviour, hr.fit_posterior
IMPORTED = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from typing import Any  # noqa: E402


def main() -> None:
    job = json.loads(sys.argv[1])
    data, model = BEHAVIOUR(job["data"]), hr.Model.from_json(job["model"])
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = SAMPLING(
            model, data, method=job["method"], random_seed=job["seed"], progress=False, **job["options"]
        )
    called = time.perf_counter() - began
    told: dict[str, Any] = {
        name: job[name] for name in ("study", "method", "seed", "options", "caches") if name in job
    }
    print(json.dumps({**told, "import": IMPORTED - STARTED, "call": called, **checked(fit)}))


def checked(fit: Any) -> dict[str, Any]:
    """What the fit says of itself, what ArviZ says, and where the time went."""
    from posterior_ours import draws_of
    from posterior_runner import peak_memory
    from posterior_scores import mixing

    from hierrl.fits import settings_of

    memory = peak_memory()
    settings = settings_of(fit)
    found = mixing(draws_of(fit))
    return {
        "mb": memory,
        "says_converged": bool(settings["diagnostics"]["converged"]),
        "sentences": list(settings["diagnostics"]["sentences"]),
        "stages": {name: float(x) for name, x in settings["seconds"].items()},
        **{name: found[name] for name in ("rhat", "ess", "ess_population", "draws")},
    }


if __name__ == "__main__":
    main()
