"""Draw the picture of docs/marginal.md, importance points of a subject: ``python benchmarks/marginal_figure.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from pages import DOCS
from quadrature import N_GRID, on_grid

import hierrl as hr
from hierrl.importance import Component, Proposal
from hierrl.kernels.problem import Problem, prepare
from hierrl.marginal import Points, draw_points, importance_points, log_marginals, posterior_moments, weights
from hierrl.plots.style import COLOURS, GREY, INK, PAGE, canvas, dress, in_style

FloatArray = npt.NDArray[np.float64]

PICTURE = DOCS / "images" / "marginal.png"
DPI = 110
N_SHOWN, FEW, MANY, SETS = 256, 64, 1024, 8
MEAN, SD = np.array([-0.5, 1.2]), np.array([0.8, 0.4])
OTHER = np.array([1.0, 1.2])
"""Mean of another population."""
LIMITS = ((-3.5, 3.5), (-0.5, 3.0))


def main() -> None:
    """Two populations over the same points, then the marginal likelihood along the first one's mean."""
    problem = subject()
    proposal = proposal_of(problem)
    axes_of_grid = [np.linspace(*limits, N_GRID) for limits in ((-12.0, 12.0), (-4.0, 6.0))]
    likelihood = next(on_grid(problem, axes_of_grid))
    points = draw_points(problem, proposal, n_points=N_SHOWN, random_seed=1)
    figure = canvas(None, None, (PAGE, 2.7))
    with in_style():
        left, middle, right = figure.subplots(1, 3)
        for axes, mean, title in ((left, MEAN, "one population"), (middle, OTHER, "another, same points")):
            draw_plane(axes, axes_of_grid, likelihood, points, mean=mean)
            axes.set_title(title)
        draw_curves(right, problem, proposal, quadrature(axes_of_grid, likelihood))
    figure.savefig(PICTURE, dpi=DPI)


def subject() -> Problem:
    """One subject with few trials, so that the population matters."""
    model, task = hr.model("rw", start=0.5), hr.Bandit((0.8, 0.2), n_trials=60, reverse_every=20)
    return prepare(model, hr.simulate(model, task, {"alpha": 0.35, "beta": 3.5}, n_subjects=1, random_seed=4))


def proposal_of(problem: Problem) -> Proposal:
    """As the sampler's: around the subject, narrow and wide, and around the population."""
    pilot = importance_points(problem, MEAN, SD, n_points=512)
    centre, covariance = posterior_moments(pilot, MEAN, SD)
    factor = np.linalg.cholesky(covariance)
    return Proposal(
        (
            Component(0.6, centre, 1.3 * factor, 4.0),
            Component(0.2, centre, 2.5 * factor, 4.0),
            Component(0.2, MEAN[None], 1.5 * np.diag(SD)[None], 4.0),
        )
    )


def draw_plane(
    axes: Axes, grid: list[FloatArray], likelihood: FloatArray, points: Points, *, mean: FloatArray
) -> None:
    """Likelihood and population as contours, points as large as their weights."""
    with np.errstate(divide="ignore"):
        axes.contour(
            *grid, np.log(likelihood).T, levels=[-4.5, -2.0, -0.5], colors=INK, linewidths=0.8, linestyles="-"
        )
    away = [(axis - m) / s for axis, m, s in zip(grid, mean, SD, strict=True)]
    density = -(away[0][:, None] ** 2 + away[1] ** 2) / 2
    axes.contour(*grid, density.T, levels=[-2.0, -0.5], colors=COLOURS[1], linewidths=0.9, linestyles="--")
    x, y = points.eta[0]
    axes.plot(x, y, ".", color=GREY, ms=1.5)
    axes.scatter(x, y, s=800 * weights(points, mean, SD)[0], color=COLOURS[0], alpha=0.6, lw=0, zorder=3)
    axes.set(xlim=LIMITS[0], ylim=LIMITS[1], xlabel="logit α", ylabel="log β")
    dress(axes)


def quadrature(grid: list[FloatArray], likelihood: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means of logit alpha, and the log marginal likelihood there but for a constant."""
    means = np.linspace(*LIMITS[0], 61)
    x = np.exp(-(((grid[0] - means[:, None]) / SD[0]) ** 2) / 2)
    y = np.exp(-(((grid[1] - MEAN[1]) / SD[1]) ** 2) / 2)
    value = np.log((x @ likelihood) @ y)
    return means, value - value.max()


def draw_curves(
    axes: Axes, problem: Problem, proposal: Proposal, exact: tuple[FloatArray, FloatArray]
) -> None:
    """From several sets of few points, from as many as the sampler has, and by quadrature."""
    means, value = exact
    for n_points, colour, width in ((FEW, GREY, 0.6), (MANY, COLOURS[0], 1.6)):
        for seed in range(SETS if n_points == FEW else 1):
            points = draw_points(problem, proposal, n_points=n_points, random_seed=seed)
            found = np.array([log_marginals(points, (mean, MEAN[1]), SD)[0][0] for mean in means])
            label = f"{n_points:,} points" if seed == 0 else None
            shift = (
                found[value.argmax()]
                if n_points == MANY
                else _level(problem, proposal, means[value.argmax()])
            )
            axes.plot(means, found - shift, color=colour, lw=width, label=label)
    axes.plot(means, value, color=INK, lw=1.0, ls=(0, (4, 3)), label="quadrature")
    axes.set(ylim=(-6.5, 0.6), xlabel="population mean of logit α", ylabel="log marginal likelihood")
    axes.legend(loc="lower center")
    dress(axes)


def _level(problem: Problem, proposal: Proposal, mean: float) -> float:
    """What all curves are compared with: many points at the best mean."""
    points = draw_points(problem, proposal, n_points=MANY, random_seed=0)
    return float(log_marginals(points, (mean, MEAN[1]), SD)[0][0])


if __name__ == "__main__":
    main()
