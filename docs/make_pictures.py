"""Draw the pictures of README and documentation: ``python docs/make_pictures.py [--concepts]``."""

import sys
from pathlib import Path

import concept_pictures

import hierrl as hr
from hierrl.demo import FORMULA, demo_model, demo_study

FOLDER = Path(__file__).parent / "images"
SUBJECT, SLOW_LEARNER = 3, 25
DPI = 110
"""Sharp enough for a page, and small enough for a repository."""


CONCEPTS = ("channels", "hull", "certificate", "informed")


def main() -> None:
    """Save all pictures, or those of the page on concepts, which take less time."""
    FOLDER.mkdir(exist_ok=True)
    pictures = {
        f"concept_{name}": getattr(concept_pictures, name)() for name in CONCEPTS
    }
    pictures |= {} if "--concepts" in sys.argv else of_the_demo()
    for name, figure in pictures.items():
        figure.savefig(FOLDER / f"{name}.png", dpi=DPI, bbox_inches="tight")


def of_the_demo() -> dict:
    """Fit the demo's study as the README does."""
    model, data = demo_model(), demo_study()
    quick = hr.fit_convex(model, data)
    fits = {
        "convex": quick,
        "mle": hr.fit_mle(model, data, start=quick, certify=1e-3),
        "posterior": hr.fit_posterior(
            model, data, start=quick, formula=FORMULA, random_seed=1
        ),
    }
    kernels = hr.fit_convex(model, data, relaxation="monotone")
    return {
        "estimates": hr.plot_estimates(fits, group="group"),
        "subject": hr.plot_subject(fits["posterior"], SUBJECT),
        "kernel": hr.plot_kernel(kernels, SLOW_LEARNER, mle=fits["mle"]),
    }


if __name__ == "__main__":
    main()
