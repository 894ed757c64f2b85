"""Studies with an effect in them: a population, a group or a covariate, and how large the difference is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.estimates import population_estimates, raw_link
from hierrl.data.table import nearest
from hierrl.fits import check_fit, model_of, problem_of, theta_of
from hierrl.models.model import Model
from hierrl.prior import Prior

FloatArray = npt.NDArray[np.float64]
Kind = Literal["group", "correlation"]
Scale = Literal["link", "natural"]

KINDS, SCALES = ("group", "correlation"), ("link", "natural")
COVARIATE = {"group": "group", "correlation": "score"}
"""What the covariate is called in simulated data."""
GROUPS = ("A", "B")


@dataclass(frozen=True)
class Centre:
    """The population that studies are drawn from: P scalars, link scale of raw reward units."""

    labels: tuple[str, ...]
    links: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            label: [m, s]
            for label, m, s in zip(self.labels, self.mean.tolist(), self.sd.tolist(), strict=True)
        }


@dataclass(frozen=True)
class Effect:
    """A difference between groups, or a correlation with a covariate, in one parameter."""

    kind: Kind
    parameter: str
    scale: Scale
    sizes: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """As JSON, without the sizes, which replications are told apart by."""
        return {"kind": self.kind, "parameter": self.parameter, "scale": self.scale}


def effect_of(model: Model, effect: Mapping[str, Any], *, kind: str, scale: str) -> Effect:
    """The effect that was asked for, checked."""
    if kind not in KINDS or scale not in SCALES:
        raise ValueError(f"kind= is one of {KINDS} and scale= one of {SCALES}; found {kind!r} and {scale!r}.")
    if not isinstance(effect, Mapping) or len(effect) != 1:
        raise ValueError(
            f'effect= is one parameter with its effect, such as {{"alpha": 0.5}}, or several sizes; found {effect!r}.'
        )
    name, sizes = next(iter(effect.items()))
    if name not in model.names:
        raise ValueError(
            f"effect= names {name!r}, which the model does not have.{nearest(name, list(model.names))} "
            f"It has {', '.join(model.names)}."
        )
    if model.parameter(name).per_arm:
        raise ValueError(
            f"{name!r} has a value for each arm; power is for parameters with one value by subject."
        )
    found = tuple(float(size) for size in np.atleast_1d(sizes))
    if not found or not np.isfinite(found).all() or 0.0 in found or len(set(found)) < len(found):
        raise ValueError(
            f"The effect on {name!r} is one or more sizes that are not 0 (0 is always added, for false alarms); "
            f"found {sizes!r}."
        )
    if kind == "correlation" and (np.abs(found) >= 1).any():
        raise ValueError(f"A correlation lies between -1 and 1; found {sizes!r}.")
    return Effect(kind, name, "link" if kind == "correlation" else scale, found)  # type: ignore[arg-type]


def centre_of(model: Model, population: Any) -> Centre:
    """The population, from (median, spread) by parameter, from a prior, or from a fit."""
    labels = model.names
    links = tuple(model.parameter(name).link for name in labels)
    if per_arm := [p.name for p in model.parameters if p.per_arm]:
        raise ValueError(
            f"power draws one value of each parameter by subject, and {per_arm[0]!r} has one for each arm. Use a model "
            "without per_arm= and bias=."
        )
    if isinstance(population, Prior):
        mean, sd = _of_prior(population, labels)
    elif isinstance(population, xr.DataTree):
        mean, sd = _of_fit(model, population)
    else:
        mean, sd = _of_mapping(labels, links, population)
    return Centre(labels, links, np.array(mean, dtype=float), np.array(sd, dtype=float))


def _of_prior(prior: Prior, labels: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Where the prior has its middle, in raw reward units."""
    if tuple(prior.labels) != labels or any(len(prior.mu(label)[0]) > 1 for label in labels):
        raise ValueError(
            f"population= is a prior for {', '.join(prior.labels)}; power needs one of this model "
            f"({', '.join(labels)}) without a formula: it adds the effect itself."
        )
    mean, sd = [], []
    for term in prior.terms:
        natural = term.natural(term.loc, prior.reward_scale)
        if term.role == "mu":
            mean.append(_to_link(natural, term.link))
        else:
            sd.append(natural if term.link == "identity" else float(np.exp(term.loc)))
    return mean, sd


def _of_fit(model: Model, fit: xr.DataTree) -> tuple[FloatArray, FloatArray]:
    """Posterior means of the population; of a point fit, median and spread (from quartiles) of the estimates."""
    check_fit(fit)
    if model_of(fit).names != model.names:
        raise ValueError(
            f"population= is a fit of a model with {', '.join(model_of(fit).names)}; this model has "
            f"{', '.join(model.names)}."
        )
    problem = problem_of(fit)
    found = population_estimates(fit, problem)
    if found is None:
        link = raw_link(problem, theta_of(fit, problem)[0, 0])
        low, middle, high = np.quantile(link, [0.25, 0.5, 0.75], axis=0)
        return middle, (high - low) / 1.349
    if found.sizes["cell"] > 1 or "population_link_sd" not in found:
        raise ValueError(
            "population= is a posterior with groups or sessions; power needs one population. Fit without a formula, or "
            'give medians and spreads: population={"alpha": (0.3, 1.0), ...}.'
        )
    return found["population_link_mean"].values[:, 0], found["population_link_sd"].values[:, 0]


def _of_mapping(labels: tuple[str, ...], links: tuple[str, ...], population: Any) -> tuple[list, list]:
    if not isinstance(population, Mapping) or set(population) != set(labels):
        raise ValueError(
            "population= is a prior, a fit, or for each parameter its median (natural scale, raw reward units) and "
            f'the spread of subjects (standard deviation, link scale): {{"alpha": (0.3, 1.0), ...}} for '
            f"{', '.join(labels)}; found {population!r}."
        )
    mean, sd = [], []
    for label, link in zip(labels, links, strict=True):
        middle, spread = population[label]
        at = _to_link(float(middle), link)
        if not np.isfinite(at) or not spread >= 0:
            raise ValueError(
                f"The population of {label!r} needs a median inside its range and a spread of at least 0; found "
                f"{population[label]!r}."
            )
        mean.append(at)
        sd.append(float(spread))
    return mean, sd


def draw_study(
    centre: Centre, effect: Effect, size: float, *, n_subjects: int, rng: np.random.Generator
) -> tuple[dict[str, FloatArray], dict[str, npt.NDArray[Any]]]:
    r"""True values by name (raw units), and the covariate, of a study with an effect of this size.

    Groups: as many subjects in each (the first has one more if the number is odd); B's population mean is that of A
    plus the effect, on the link scale, or such that the medians differ by it. Correlation :math:`\rho` with a standard
    normal score x: :math:`\theta = \mu + \sigma (\rho x + \sqrt{1 - \rho^2} z)`.
    """
    z = rng.standard_normal((n_subjects, len(centre.labels)))
    k = centre.labels.index(effect.parameter)
    score = rng.standard_normal(n_subjects)
    eta = centre.mean + centre.sd * z
    if effect.kind == "group":
        member = np.arange(n_subjects) % 2
        eta[:, k] += member * on_link(centre, effect, size)
        covariate = np.array(GROUPS)[member]
    else:
        eta[:, k] = centre.mean[k] + centre.sd[k] * (size * score + np.sqrt(1 - size**2) * z[:, k])
        covariate = score
    values = {label: _from_link(eta[:, j], centre.links[j]) for j, label in enumerate(centre.labels)}
    return values, {COVARIATE[effect.kind]: covariate}


def on_link(centre: Centre, effect: Effect, size: float) -> float:
    """The difference of the groups' population means on the link scale."""
    if effect.scale == "link":
        return size
    k = centre.labels.index(effect.parameter)
    middle = float(_from_link(centre.mean[k], centre.links[k]))
    there = _to_link(middle + size, centre.links[k])
    if not np.isfinite(there):
        raise ValueError(
            f"An effect of {size:g} on the natural scale takes the median of {effect.parameter!r} from {middle:.3g} to "
            f"{middle + size:.3g}, outside its range. Give a smaller effect, or scale='link'."
        )
    return there - float(centre.mean[k])


def _to_link(value: float, link: str) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        if link == "logit":
            return float(np.log(value) - np.log1p(-value))
        return float(np.log(value)) if link == "log" else value


def _from_link(value: Any, link: str) -> Any:
    if link == "logit":
        return 1.0 / (1.0 + np.exp(-value))
    return np.exp(value) if link == "log" else value
