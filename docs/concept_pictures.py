"""Pictures of the page on concepts; ``make_pictures.py`` draws and saves them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import hierrl as hr
from hierrl.demo import demo_model, demo_study
from hierrl.fits import theta_of
from hierrl.kernels.problem import prepare
from hierrl.plots.style import (
    COLOURS,
    GREY,
    INK,
    PAGE,
    PALE,
    SCREEN_DPI,
    dress,
    in_style,
)

Floats = npt.NDArray[np.float64]

FIRST = 40
"""Trials shown."""
RATES = (0.15, 0.6)
LAGS = np.arange(1, 13)
GRID = np.linspace(0.005, 0.995, 199)
WEIGHT = 20.0
"""Bound on the weight in the picture of the certificate."""
TIGHT = 25
"""A subject whose relaxation is exact: the optimal mixture is a single rate."""
N_DRAWS, N_OTHERS = 1500, 12


def channels() -> Figure:
    """What happened to one subject, two paths made of it, and the choice probabilities that follow."""
    model = hr.model("subvalue")
    truth = {"alpha": 0.3, "beta": 3.0, "alpha_choice": 0.5, "beta_choice": 1.0}
    data = hr.simulate(
        model,
        hr.Bandit((0.8, 0.2), n_trials=FIRST, reverse_every=20),
        truth,
        random_seed=5,
    )
    fit = hr.fit_mle(model, data, progress=False)
    with in_style():
        figure = Figure(figsize=(PAGE, 5.0), dpi=SCREEN_DPI, layout="constrained")
        axes = figure.subplots(4, 1, sharex=True, height_ratios=(0.7, 1, 1, 1))
        _events(axes[0], data)
        for rate, colour in zip(RATES, COLOURS, strict=False):
            for row, signal in ((1, "reward"), (2, "choice")):
                axes[row].plot(
                    np.arange(1, FIRST + 1),
                    _path(data, signal, rate),
                    color=colour,
                    label=f"rate {rate:g}",
                )
        p = hr.latents(fit, parameters={k: [v] for k, v in truth.items()})[
            "probability"
        ].values[:, 0]
        axes[3].plot(np.arange(1, FIRST + 1), p, color=INK)
        titles = (
            "what happened: filled = rewarded",
            "reward channel, path of arm 0",
            "choice channel, path of arm 0",
            "P(arm 0)",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
            dress(ax)
        for ax in axes[1:]:
            ax.set_ylim(-0.03, 1.05)
        axes[1].legend(loc="upper right", ncols=2)
        axes[3].set_xlabel("trial")
    return figure


def hull() -> Figure:
    """Kernels: what one rate can do, what mixtures of rates can, what falling kernels can."""
    one, other = (rate * (1 - rate) ** (LAGS - 1) for rate in (0.6, 0.1))
    falling = np.where(LAGS <= 4, 0.17, 0.035)
    with in_style():
        figure = Figure(figsize=(PAGE, 2.4), dpi=SCREEN_DPI, layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for ax in axes[:2]:
            for kernel, colour in ((one, COLOURS[0]), (other, COLOURS[1])):
                ax.plot(
                    LAGS,
                    kernel,
                    "o-",
                    ms=3,
                    color=colour,
                    alpha=1 if ax is axes[0] else 0.3,
                )
        axes[1].plot(LAGS, (one + other) / 2, "o-", ms=3, color=INK)
        axes[2].plot(LAGS, falling, "o-", ms=3, color=GREY)
        titles = (
            "the model: one rate",
            "the hull: mixtures of rates",
            "the paper's set: any that falls",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
            ax.set_xlabel("trials ago")
            ax.set_xticks([1, 4, 8, 12])
            ax.set_ylim(0, None)
            dress(ax)
        axes[0].set_ylabel("weight of an outcome")
    return figure


def certificate() -> Figure:
    """The price of a rate at the optimum, and at worse logits: what is above 0 is what the bound has to allow for."""
    model = hr.model(demo_model().name, bounds={"beta": (0, WEIGHT)})
    study = demo_study()
    data = study.isel(
        subject=[TIGHT],
        trial=np.flatnonzero(study["trial_subject"] == study["subject"].values[TIGHT]),
    )
    best = hr.fit_mle(model, data, progress=False)
    problem = prepare(model, data)
    estimate = theta_of(best, problem)[0, 0]
    alpha, beta = (
        float(best["posterior"][name].values.ravel()[0]) for name in ("alpha", "beta")
    )
    cases = {
        "at the best fit": (estimate, COLOURS[0]),
        "at a rate lower by a third": (
            problem.pack({"alpha": [alpha * 2 / 3], "beta": [beta]}),
            COLOURS[1],
        ),
    }
    with in_style():
        figure = Figure(figsize=(PAGE, 2.9), dpi=SCREEN_DPI, layout="constrained")
        ax = figure.subplots()
        ax.axhline(0, color=GREY, lw=0.8)
        for name, (theta, colour) in cases.items():
            price, value = _price(problem, data, theta)
            own = price[np.argmin(np.abs(GRID - _rate(problem, theta)))]
            bound = (
                value + WEIGHT * max(0.0, price.max()) - _weight(problem, theta) * own
            )
            ax.plot(
                GRID, price, color=colour, label=_label(name, value, min(bound, 0.0))
            )
        ax.axvline(alpha, color=PALE, zorder=0)
        ax.annotate(
            "the fit's rate",
            (alpha, 0),
            xytext=(6, 8),
            textcoords="offset points",
            color=INK,
        )
        ax.set_xlabel("rate")
        ax.set_ylabel("price (nats per unit of weight)")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        dress(ax)
    return figure


def informed() -> Figure:
    """One subject's coordinate against the spread of the population, in three parametrizations."""
    rng = np.random.default_rng(1)
    with in_style():
        figure = Figure(figsize=(PAGE, 4.2), dpi=SCREEN_DPI, layout="constrained")
        axes = figure.subplots(2, 3, sharey=True)
        for row, (name, se) in enumerate((("many trials", 0.15), ("few trials", 1.5))):
            for ax, (coordinate, drawn) in zip(
                axes[row], _coordinates(rng, se).items(), strict=True
            ):
                ax.plot(
                    drawn[0],
                    drawn[1],
                    ".",
                    ms=2,
                    color=COLOURS[0],
                    alpha=0.35,
                    rasterized=True,
                )
                ax.set_title(f"{coordinate}, {name}")
                dress(ax)
            axes[row, 0].set_ylabel("log spread of the population")
        for ax, label in zip(
            axes[1], ("θ", "(θ − μ) / σ", "z, mapped by the data"), strict=True
        ):
            ax.set_xlabel(label)
    return figure


def _events(ax, data: xr.Dataset) -> None:
    choice, reward = data["choice"].values, data["reward"].values
    trial = np.arange(1, FIRST + 1)
    for paid, face in ((1, INK), (0, "white")):
        ax.plot(
            trial[reward == paid],
            choice[reward == paid],
            "o",
            ms=4,
            mfc=face,
            mec=INK,
            mew=0.8,
        )
    ax.set_yticks([0, 1], ["arm 0", "arm 1"])
    ax.set_ylim(-0.5, 1.5)


def _path(data: xr.Dataset, signal: str, rate: float) -> Floats:
    """The trace of a signal of arm 0 before each trial: it fades on every trial, and the signal is added."""
    chosen = (data["choice"].values == 0).astype(float)
    signals = chosen * (data["reward"].values if signal == "reward" else 1.0)
    path = np.zeros(len(signals))
    for t in range(1, len(path)):
        path[t] = path[t - 1] + rate * (signals[t - 1] - path[t - 1])
    return path


def _price(problem, data: xr.Dataset, theta: Floats) -> tuple[Floats, float]:
    """Derivative of the log-likelihood in the weight of a path at each rate, and the log-likelihood."""
    p = problem.probabilities(theta)
    scored = data["scored"].values
    residual = (np.eye(p.shape[1])[np.maximum(data["choice"].values, 0)] - p) * scored[
        :, None
    ]
    fit = hr.fit_mle(problem.model, data, progress=False)
    paths = (
        hr.latents(fit, parameters={"alpha": [a], "beta": [1.0]})["value"].values
        for a in GRID
    )
    loglik = np.log(p[np.arange(len(p)), np.maximum(data["choice"].values, 0)])[
        scored
    ].sum()
    return np.array([(residual * path).sum() for path in paths]), float(loglik)


def _label(name: str, value: float, bound: float) -> str:
    return f"{name}: loglik {value:.1f}, bound {bound:.1f}".replace(
        "-", "\N{MINUS SIGN}"
    )


def _rate(problem, theta: Floats) -> float:
    return float(np.ravel(theta)[problem.model.names.index("alpha")])


def _weight(problem, theta: Floats) -> float:
    return float(np.ravel(theta)[problem.model.names.index("beta")])


def _coordinates(
    rng: np.random.Generator, se: float
) -> dict[str, tuple[Floats, Floats]]:
    """Draws of a normal hierarchy (mean 0, one subject with measurement error `se`, others that tell of the spread)."""
    y = np.concatenate([[1.0], rng.normal(0, 0.8, N_OTHERS)])
    log_sigma = np.linspace(-2.5, 1.2, 800)
    spread = np.exp(2 * log_sigma)[:, None] + np.r_[se, np.full(N_OTHERS, 0.5)] ** 2
    log_p = -0.5 * (np.log(spread) + y**2 / spread).sum(axis=1) - 0.5 * log_sigma**2
    weight = np.exp(log_p - log_p.max())
    drawn = rng.choice(log_sigma, N_DRAWS, p=weight / weight.sum())
    sigma = np.exp(drawn)
    precision = 1 / se**2 + 1 / sigma**2
    mean = y[0] / se**2 / precision
    theta = mean + rng.standard_normal(N_DRAWS) / np.sqrt(precision)
    return {
        "centred": (theta, drawn),
        "non-centred": (theta / sigma, drawn),
        "informed": ((theta - mean) * np.sqrt(precision), drawn),
    }
