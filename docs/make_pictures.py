"""Draw the pictures of README and documentation from the demo's study: ``python docs/make_pictures.py``."""

from pathlib import Path

import hierrl as hr
from hierrl.demo import FORMULA, demo_model, demo_study

FOLDER = Path(__file__).parent / "images"
SUBJECT, SLOW_LEARNER = 3, 25
DPI = 110
"""Sharp enough for a page, and small enough for a repository."""


def main() -> None:
    """Fit the study as the README does, and save what it shows."""
    model, data = demo_model(), demo_study()
    quick = hr.fit_convex(model, data)
    fits = {
        "convex": quick,
        "mle": hr.fit_mle(model, data, start=quick, certify=1e-3),
        "posterior": hr.fit_posterior(model, data, start=quick, formula=FORMULA, random_seed=1),
    }
    kernels = hr.fit_convex(model, data, relaxation="monotone")
    FOLDER.mkdir(exist_ok=True)
    pictures = {
        "estimates": hr.plot_estimates(fits, group="group"),
        "subject": hr.plot_subject(fits["posterior"], SUBJECT),
        "kernel": hr.plot_kernel(kernels, SLOW_LEARNER, mle=fits["mle"]),
    }
    for name, figure in pictures.items():
        figure.savefig(FOLDER / f"{name}.png", dpi=DPI, bbox_inches="tight")


if __name__ == "__main__":
    main()
