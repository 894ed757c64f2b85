"""The hierarchical model as a plain PyMC model with named dims."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor
import pytensor.tensor as pt
import xarray as xr

from hierrl.formulas import Formula
from hierrl.kernels.lanes import Lanes, side_by_side
from hierrl.kernels.problem import Problem
from hierrl.kernels.recursion_code import Program
from hierrl.kernels.sessions import SessionProblem
from hierrl.kernels.symbols import pack_tables
from hierrl.kernels.trials import Trials
from hierrl.models.model import Model
from hierrl.posterior.layout import Layout, Parametrization, UserNumbers, lay_out
from hierrl.posterior.op import ChoiceProbability, CorrelationRoot, PopulationMean, SubjectLogLik
from hierrl.posterior.recursion import recursion_choices
from hierrl.posterior.transforms import (
    CorrelatedInformed,
    Informed,
    NonCentered,
    Whitened,
    correlated_normal,
    normal_in_coordinates,
)
from hierrl.prior import Prior

LINKS = {"logit": 0, "log": 1, "identity": 2}
TAKEN = ("mu", "sigma", "correlation", "choice")
"""Names of variables that no parameter may have."""

CHOICE_SIGNATURE = (
    "(s,p),(o),(n),(n),(n),(c,m,n),(c,m,n),(m,a),(r,m,b),(c,d),"
    "(k,w),(e),(h),(h),(h,w),(h,w),(c,m,h,w),(c,m,h,w),(m,g,w),(r,m,j,w),(c,l,w),(i),(f)->(n)"
)
N_TRIALS, N_LANES = len(Trials._fields), len(Lanes._fields)


def pymc_model(
    model: Model,
    data: xr.Dataset,
    *,
    prior: Prior | UserNumbers | None = None,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    spread_by: str | None = None,
    correlated: bool = False,
    parametrization: Parametrization = "auto",
    random_seed: int = 0,
) -> pm.Model:
    r"""The hierarchical model as a `pymc.Model`, to be sampled, extended or looked at with PyMC's own tools.

    .. math:: y_s \sim \text{model}(\theta_s), \quad \text{link}(\theta_s) \sim N(x_s^\top \Gamma, \sigma^2), \quad
              \Gamma_k \sim N(m_k, c_k^2), \quad \log \sigma \sim N(l, d^2).

    Parameters
    ----------
    model : Model
        What each subject does.
    data : Dataset
        Behaviour from `behaviour`.
    prior : Prior or mapping, optional
        From `empirical_prior` or `weak_prior`; a mapping changes numbers of the weak prior, as `Prior.updated` does.
        The empirical prior of the same formula if not given.
    start : DataTree, optional
        A point fit of the same data, which says where to look for each subject; if not given, `fit_convex`
        is run (`fit_mle` for a `Recursion`).
    formula : str or mapping of str to str, optional
        Population means by covariates, ``{"alpha": "1 + age_group"}``; that of `prior` if not given.
    spread_by : str, optional
        A categorical covariate of the subjects whose groups have spreads of their own; that of `prior` if not given.
    correlated : bool
        Let the parameters of a subject be correlated, with an LKJ prior of shape 2 (or that of `prior`).
    parametrization : {"auto", "informed", "noncentered", "centered"}
        Coordinates of the subjects. All give the same posterior; they differ in how well a sampler moves.
    random_seed : int
        Of the importance points behind prior and sites.

    Returns
    -------
    pymc.Model
        Free variables ``effects`` (term), ``log_sigma`` (parameter[, group]) and ``eta`` (subject, parameter), all on
        the link scale for the scaled signal, and ``partial`` (pair), partial correlations mapped to (0, 1), if
        `correlated`; one whose name is that of a parameter has an underscore, ``eta_``. In raw reward units: each
        parameter of the model, dims (subject[, arm]); ``mu`` (parameter, coefficient), ``sigma`` (parameter[, group])
        and ``correlation`` on the link scale. ``choice`` (trial) is observed; its predictive draws are choices given
        the subject's own past. Everything else are data: values for `pymc.set_data`, which needs no new compilation,
        come from `hierrl.posterior.trial_data`.

    Raises
    ------
    ValueError
        If prior, formula and data do not fit together, or a parameter has the name of one of these variables.

    Examples
    --------
    >>> import hierrl as hr, pymc as pm
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> with hr.pymc_model(hr.model("rw"), data) as pm_model:
    ...     trace = pm.sample()  # doctest: +SKIP
    """
    return write_model(
        lay_out(
            model,
            data,
            prior=prior,
            start=start,
            formula=formula,
            spread_by=spread_by,
            correlated=correlated,
            parametrization=parametrization,
            random_seed=random_seed,
        )
    )


def write_model(layout: Layout) -> pm.Model:
    """The PyMC model of a layout."""
    problem, population = layout.problem, layout.population
    if clash := sorted({*TAKEN, *layout.free} & set(problem.model.names)):
        raise ValueError(
            f"A parameter called {clash[0]!r} would clash with a variable of the PyMC model. Rename it."
        )
    # Scales of priors are positive already: no need to check them at every step.
    with pm.Model(coords=_coords(layout), check_bounds=False) as pm_model:
        arrays = _trial_variables(layout.study)
        effects, log_sigma = _population_variables(layout)
        design = (_data("design", population.design), _data("design_parameter", population.owner))
        mean = PopulationMean()(effects, *design)
        eta = (
            _correlated_subjects(layout, mean, log_sigma)
            if population.is_correlated
            else _subjects(layout, mean, log_sigma)
        )
        links = _data("links", np.array([LINKS[link] for link in problem.links]))
        theta = _natural(_of_sessions(layout, eta), links)
        _report(layout, (effects, log_sigma, eta), links)
        if isinstance(layout.study.tables, Program):
            rule = recursion_choices(layout.study.tables)
        else:
            tables = pack_tables(problem.tables)._asdict()
            arrays += [_data(f"tables_{name}", table) for name, table in tables.items()]
            rule = {"logp": _choice_logp, "dist": _choice_dist, "signature": CHOICE_SIGNATURE}
        pm.CustomDist(
            "choice",
            theta,
            *arrays,
            **rule,
            dtype="int64",
            observed=pm_model["trials_choice"],
            dims="trial",
        )
    return pm_model


def trial_data(problem: Problem | SessionProblem) -> dict[str, npt.NDArray[Any]]:
    """Values of the data variables ``trials_*`` and ``lanes_*`` of a `pymc_model`, for `pymc.set_data`.

    They are the same trials twice: in order, for draws, and side by side, for the likelihood. (What nutpie compiled
    takes only the latter: those named in its ``shared_var_keys``.) Those of a `Recursion` are there once, in order.
    """
    if isinstance(problem.tables, Program):
        return {f"trials_{name}": each for name, each in problem.trials._asdict().items()}
    # PyMC turns signed integers of new data into another type, but not unsigned ones.
    trials = problem.trials._replace(kind=problem.trials.kind.view(np.uint8))
    groups = {"trials": trials, "lanes": side_by_side(problem.trials)}
    return {
        f"{group}_{name}": each for group, values in groups.items() for name, each in values._asdict().items()
    }


def _coords(layout: Layout) -> dict[str, Any]:
    problem, population = layout.problem, layout.population
    return {
        "subject": problem.subjects,
        "arm": problem.arms,
        "trial": np.arange(problem.n_trials),
        "parameter": list(population.labels),
        "coefficient": list(population.coefficients),
        "term": population.term_names,
        **({"group": list(population.groups.names)} if population.prior.groups else {}),
        **(
            {"pair": population.pairs, "parameter_2": list(population.labels)}
            if population.is_correlated
            else {}
        ),
    }


def _data(name: str, values: npt.NDArray[Any], dims: tuple[str, ...] | None = None) -> Any:
    """An input of the graph, so that no number of a study gets into compiled code.

    As `pymc.Data` makes it, but 64-bit integers stay what they are: the kernels take no others.
    """
    variable = pytensor.shared(values, name=name)
    context: Any = pm.modelcontext(None)
    context.register_data_var(variable, dims=dims)
    return variable


def _trial_variables(problem: Problem | SessionProblem) -> list[Any]:
    by_trial = ("trials_choice", "trials_reset", "trials_scored")
    return [
        _data(name, values, ("trial",) if name in by_trial else None)
        for name, values in trial_data(problem).items()
    ]


def _population_variables(layout: Layout) -> tuple[Any, Any]:
    population, factor = layout.population, layout.sizes.effects
    loc, scale = population.effects_prior
    effects = normal_in_coordinates(
        layout.free[0],
        _data("effects_loc", loc, ("term",)),
        _data("effects_scale", scale, ("term",)),
        _data("effects_factor", factor),
        _data("effects_inverse", np.linalg.inv(factor)),
        signature="(t),(t),(t,t),(t,t)->(t)",
        transform=Whitened(),
        dims=("term",),
    )
    loc, scale = population.spread_prior
    dims = population.spread_dims
    centre, width = _data("log_sigma_loc", loc, dims), _data("log_sigma_scale", scale, dims)
    return effects, pm.Normal(layout.free[1], centre, width, dims=dims)


def _subjects(layout: Layout, mean: Any, log_sigma: Any) -> Any:
    """Parameters (S, P) of the subjects on the link scale."""
    sigma, group = _spreads(layout, log_sigma)
    dims = ("subject", "parameter")
    if layout.parametrization != "informed":
        transform = {"transform": NonCentered()} if layout.parametrization == "noncentered" else {}
        return pm.Normal(layout.free[2], mean, sigma, dims=dims, initval=layout.centre, **transform)
    _, curvature, pull = layout.sites
    return normal_in_coordinates(
        layout.free[2],
        mean,
        sigma,
        _data("site_identity", np.eye(pull.shape[1])),
        _data("site_group", group),
        _data("site_curvature", curvature),
        _data("site_pull", pull),
        signature="(s,p),(g,p),(p,p),(s),(s,p,p),(s,p)->(s,p)",
        transform=Informed(),
        dims=dims,
        initval=layout.centre,
    )


def _correlated_subjects(layout: Layout, mean: Any, log_sigma: Any) -> Any:
    """As `_subjects`, with correlated parameters."""
    sigma, _ = _spreads(layout, log_sigma)
    shapes = _data("partial_shapes", layout.population.partial_shapes)
    partial = pm.Beta(layout.free[3], shapes, shapes, dims=("pair",))
    root = CorrelationRoot()(2.0 * partial - 1.0)
    _report_correlations(root)
    # A row for every subject: densities need no groups then.
    root = root[None] / (sigma + pt.zeros_like(mean))[:, None, :]
    _, curvature, pull = layout.sites
    return correlated_normal(
        layout.free[2],
        mean,
        root,
        _data("site_group", np.arange(len(pull))),
        _data("site_curvature", curvature),
        _data("site_pull", pull),
        signature="(s,p),(s,p,p),(s),(s,p,p),(s,p)->(s,p)",
        transform=CorrelatedInformed() if layout.is_mapped else None,
        dims=("subject", "parameter"),
        initval=layout.centre,
    )


def _spreads(layout: Layout, log_sigma: Any) -> tuple[Any, npt.NDArray[np.int64]]:
    """Standard deviations (1 or S, P), and the row of each subject."""
    sigma: Any = pt.exp(log_sigma)
    of_subject = layout.population.groups.of_subject
    if not layout.population.prior.groups:
        return sigma[None], np.zeros_like(of_subject)
    return sigma.T[_data("subject_group", of_subject)], np.arange(of_subject.size)


def _report_correlations(root: Any) -> None:
    inverse: Any = pt.linalg.inv(root)
    dims = ("parameter", "parameter_2")
    pm.Deterministic("correlation", pt.matmul(inverse, inverse.T), dims=dims)


def _of_sessions(layout: Layout, eta: Any) -> Any:
    """Parameters on the link scale: of the subjects, (S, P), or of their sessions if subjects have slopes."""
    if not isinstance(layout.study, SessionProblem):
        return eta
    owner, loading = _data("session_subject", layout.study.owner), _data("loading", layout.study.loading)
    # A product and a sum: PyTensor's matrix products take ten times longer to compile.
    return (loading * eta[owner][:, None, :]).sum(axis=2)


def _natural(eta: Any, code: Any) -> Any:
    """Link to natural scale, column by column."""
    positive = pt.eq(code, LINKS["log"])
    # exp sees only the columns that it is for: overflow elsewhere would make gradients NaN.
    exponential = pt.exp(pt.where(positive, eta, 0.0))
    return pt.where(pt.eq(code, LINKS["logit"]), pt.sigmoid(eta), pt.where(positive, exponential, eta))


def _report(layout: Layout, free: tuple[Any, Any, Any], links: Any) -> None:
    """Deterministics in raw reward units; parameters are those of the reference session."""
    problem, raw = layout.problem, layout.population.raw
    effects, log_sigma, eta = free
    theta = _natural(eta[:, : problem.n_parameters], links)
    for name, dims, columns in layout.population.slope_variables:
        slopes: Any = [eta[:, k] * factor for k, factor in columns]
        pm.Deterministic(name, pt.stack(slopes, axis=1) if "arm" in dims else slopes[0], dims=dims)
    columns: dict[str, list[Any]] = {}
    for k, (_, parameter, _) in enumerate(problem.scalars):
        columns.setdefault(parameter.name, []).append(theta[:, k] * problem.raw_factor()[k])
    for parameter in problem.model.parameters:
        found = columns.get(parameter.name, [])
        if parameter.kind == "bias":
            found = [pt.zeros_like(theta[:, 0]), *found]
        if parameter.per_arm:
            pm.Deterministic(parameter.name, pt.stack(found, axis=1), dims=("subject", "arm"))
        else:
            pm.Deterministic(parameter.name, found[0], dims="subject")
    empty: Any = pt.full(raw.shape, np.nan)
    sigma: Any = pt.exp(log_sigma)
    pm.Deterministic(
        "mu",
        pt.set_subtensor(empty[raw.row, raw.column], raw.factor * effects + raw.shift),
        dims=("parameter", "coefficient"),
    )
    pm.Deterministic("sigma", raw.sigma_factor * sigma, dims=layout.population.spread_dims)


def _choice_logp(choice: Any, theta: Any, *arrays: Any) -> Any:
    """Log-likelihood of all choices. They are in `arrays` too, since paths are made of them."""
    return SubjectLogLik()(theta, *arrays[N_TRIALS:])[0].sum()


def _choice_dist(theta: Any, *arrays_and_size: Any) -> Any:
    """Choices given the subject's own past; a missed one stays missed."""
    trials, tables = arrays_and_size[:N_TRIALS], arrays_and_size[N_TRIALS + N_LANES : -1]
    drawn = pm.Categorical.dist(p=ChoiceProbability()(theta, *trials, *tables))
    return pt.where(trials[1] < 0, -1, drawn)
