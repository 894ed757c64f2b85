"""The posterior engine against NumPyro, PyMC and Stan: same model, priors and data, two cores for everyone.

    python benchmarks/posterior.py                                  # everything; see --help
    python benchmarks/posterior.py --only gradient typical          # some parts
    python benchmarks/posterior.py --only hard --samplers nuts marginal
    python benchmarks/posterior_page.py                             # results into docs/speed.md

Each run is a process of its own. What it found is written to the results at once, in place of what the same part (and
sampler) found before. A machine that does other work gives other figures: `--patience` waits until it is quiet, and
the results tell how much others worked meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from posterior_runner import empty_caches, kept_caches, run
from posterior_studies import saved

RESULTS = Path(__file__).parent / "results" / "posterior.json"
STUDIES = ("typical", "hard")
SAMPLERS = ("nuts", "marginal", "numpyro32", "numpyro64", "pymc", "stan")
OURS = ("nuts", "marginal")
PARTS = (*STUDIES, "defaults", "gradient", "finish", "growth", "accuracy")
GROWTH = {"nuts": (50, 500), "marginal": (50, 500, 5000)}
PACKAGES = (
    "hierrl",
    "pymc",
    "pytensor",
    "nutpie",
    "numba",
    "numpyro",
    "jax",
    "pystan",
    "httpstan",
    "arviz",
    "numpy",
)
DEVICES = 4
ACCURACY_SUBJECTS = 1000
Record = dict[str, Any]


def main() -> None:
    options = _options()
    for part in options.only:
        for name, record in measured(part, options):
            store(options.results, part, name, record)
            print(f"{part} {name}: {_line(record)}", flush=True)


def measured(part: str, options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """Runs of a part, each with the name it is filed under."""
    if part in STUDIES:
        return comparison(part, "weak", [s for s in SAMPLERS if s in options.samplers], options)
    if part == "defaults":
        return defaults(options)
    return {"gradient": gradients, "finish": finishes, "growth": growth, "accuracy": accuracy}[part](options)


def comparison(
    study: str, prior: str, samplers: list[str], options: argparse.Namespace
) -> Iterator[tuple[str, Record]]:
    """All seeds of each sampler. The first run begins with empty caches; ours is run once before, for the same."""
    for sampler in samplers:
        with kept_caches() if options.warm else empty_caches() as caches:
            environment = {**caches, **peer_environment(sampler)}
            seeds = ([0] if sampler in OURS and not options.warm else []) + options.seeds
            for seed in seeds:
                job = {"study": study, "prior": prior, "sampler": sampler, "seed": seed}
                yield (
                    sampler,
                    run("posterior_sampler.py", job, environment=environment, patience=options.patience),
                )


def peer_environment(sampler: str) -> dict[str, str]:
    """What JAX wants to know before it is imported."""
    if not sampler.startswith("numpyro"):
        return {}
    return {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
        "JAX_ENABLE_X64": str(int(sampler.endswith("64"))),
        "JAX_PLATFORMS": "cpu",
    }


def defaults(options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """Ours with the prior that users get, made from the same data."""
    for study in STUDIES:
        samplers = [s for s in OURS if s in options.samplers]
        for sampler, record in comparison(study, "empirical", samplers, options):
            yield f"{study} {sampler}", record


def gradients(options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """Cost of a gradient."""
    environment = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    for study in STUDIES:
        for seed in options.seeds:
            job = {"study": study, "seed": seed}
            yield study, run("posterior_gradient.py", job, environment=environment, patience=options.patience)


def finishes(options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """From call to finished posterior, first with empty caches, then with what that run has left."""
    for study in STUDIES:
        for method in [s for s in OURS if s in options.samplers]:
            for seed in options.seeds:
                with empty_caches() as environment, saved(study) as job:
                    for caches in ("cold", "warm"):
                        job |= {"method": method, "seed": seed, "caches": caches, "options": {}}
                        found = run(
                            "posterior_finish.py", job, environment=environment, patience=options.patience
                        )
                        yield f"{study} {method}", found


def growth(options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """More and more subjects, with caches that are warm."""
    with kept_caches() if options.warm else empty_caches() as environment:
        for method, sizes in GROWTH.items():
            for size in (min(sizes), *sizes):  # the first compiles, and is replaced by the second
                with saved("typical", size) as job:
                    job |= {"method": method, "seed": options.seeds[0], "options": {}, "subjects": size}
                    found = run(
                        "posterior_finish.py", job, environment=environment, patience=options.patience
                    )
                    yield f"{method} {size}", found


def accuracy(options: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """Whether the population brings estimates nearer to the truth."""
    for seed in options.seeds:
        job = {"subjects": ACCURACY_SUBJECTS, "seed": seed}
        yield "basic 2arm", run("posterior_accuracy.py", job, environment={}, patience=0.0)


def store(path: Path, part: str, name: str, record: Record) -> None:
    """Put a record in place of that of the same job, if there is one."""
    results = json.loads(path.read_text()) if path.exists() else {"parts": {}}
    results["machine"] = machine()
    runs = results["parts"].setdefault(part, {}).setdefault(name, [])
    same = [k for k, known in enumerate(runs) if identity(known) == identity(record)]
    runs[:] = [known for k, known in enumerate(runs) if k not in same] + [record]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def identity(record: Record) -> tuple[Any, ...]:
    """What makes a run the same as another, but for its results."""
    return tuple(record.get(name) for name in ("seed", "caches", "subjects"))


def machine() -> Record:
    """Where and with what it was measured."""
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES if is_installed(name)},
        "date": time.strftime("%Y-%m-%d"),
    }


def is_installed(name: str) -> bool:
    """Peers are an extra."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def processor() -> str:
    """Its name, as Linux gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _line(record: Record) -> str:
    shown = (
        "seed",
        "caches",
        "rate",
        "rhat",
        "ess",
        "call",
        "import",
        "ns",
        "ratio",
        "seconds",
        "mb",
        "others",
    )
    return ", ".join(f"{name} {_short(record[name])}" for name in shown if name in record)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {_short(x)}" for name, x in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument(
        "--warm",
        action="store_true",
        help="with what this machine has compiled before: sooner done, but tells no seconds of compilation",
    )
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for a quiet machine")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
