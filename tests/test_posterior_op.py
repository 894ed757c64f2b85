"""The Ops: the likelihood in a graph is the one of the kernels, and gradients are right."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hierrl as hr
from hierrl.kernels.informed import informed_coordinates, informed_map, informed_pullback
from hierrl.kernels.problem import prepare
from hierrl.kernels.symbols import pack_tables, unpack_tables
from hierrl.posterior.model import trial_data
from hierrl.posterior.op import ChoiceProbability, PopulationMean, SubjectLogLik
from tests.builders import random_behaviour, random_theta
from tests.vocabulary import few_examples, models

SLOWLY = pytensor.compile.mode.Mode(linker="py", optimizer=None)
"""Runs ``perform`` and compiles nothing."""


def arrays_of(problem, group="lanes"):
    """The inputs of the likelihood after theta; or of the probabilities, group "trials"."""
    behaviour = [values for name, values in trial_data(problem).items() if name.startswith(group)]
    return [*behaviour, *pack_tables(problem.tables)]


def evaluated(op, theta, problem, group="lanes"):
    """Outputs of an Op by its ``perform``."""
    node = op.make_node(theta, *arrays_of(problem, group))
    return pytensor.function([], node.outputs, mode=SLOWLY)()


@few_examples
@given(model=models(), seed=st.integers(0, 1000))
def test_likelihood_and_gradient_are_those_of_the_kernels_for_every_model(model, seed):
    problem = prepare(model, random_behaviour(3, 20, 3, rich=True, seed=seed))
    theta = random_theta(problem, seed=seed)
    value, gradient = evaluated(SubjectLogLik(), theta, problem)
    expected = problem.derivatives(theta, order=1)
    np.testing.assert_allclose(value, expected[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-10)


@few_examples
@given(model=models())
def test_tables_survive_packing(model):
    tables = prepare(model, random_behaviour(2, 10, 3, rich=True)).tables
    for name, before, after in zip(tables._fields, tables, unpack_tables(*pack_tables(tables)), strict=True):
        np.testing.assert_array_equal(before, after, err_msg=name)


def test_choice_probabilities_are_those_of_the_kernels():
    problem = prepare(hr.model("subvalue", bias=True, lapse=True), random_behaviour(4, 30, 3, rich=True))
    theta = random_theta(problem)
    (probability,) = evaluated(ChoiceProbability(), theta, problem, "trials")
    np.testing.assert_allclose(probability, problem.probabilities(theta), atol=1e-12)


def test_gradient_of_the_graph_agrees_with_differences():
    problem = prepare(hr.model("subvalue", lapse=True), random_behaviour(2, 30, 2))
    theta, step = random_theta(problem), 1e-6
    x = pt.dmatrix()
    total = (SubjectLogLik()(x, *arrays_of(problem))[0] * np.array([1.0, -2.0])).sum()
    gradient = pytensor.function([x], pt.grad(total, x), mode=SLOWLY)(theta)
    value = pytensor.function([x], total, mode=SLOWLY)
    for place in np.ndindex(theta.shape):
        shift = np.zeros_like(theta)
        shift[place] = step
        slope = (value(theta + shift) - value(theta - shift)) / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_second_derivatives_are_refused_and_not_taken_for_zero():
    problem = prepare(hr.model("rw"), random_behaviour(2, 10, 2))
    x = pt.dmatrix()
    slope = pt.grad(SubjectLogLik()(x, *arrays_of(problem))[0].sum(), x)
    with pytest.raises(pytensor.gradient.NullTypeGradError, match="second derivatives of the likelihood"):
        pt.grad(slope.sum(), x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_theta_that_is_not_finite_gives_no_finite_likelihood_and_no_crash(bad):
    problem = prepare(hr.model("subvalue"), random_behaviour(2, 20, 3))
    theta = random_theta(problem)
    theta[0, 0] = bad
    value, _ = evaluated(SubjectLogLik(), theta, problem)
    assert not np.isfinite(value[0])
    assert np.isfinite(value[1])


def random_population(n_subjects, n, n_groups, seed):
    """Arguments of the informed map: z, mean, precision, group, curvature, pull."""
    rng = np.random.default_rng(seed)
    z, mean, pull = rng.normal(size=(3, n_subjects, n))
    root = rng.normal(size=(n_groups, n, n + 1))
    rank_one = rng.normal(size=(n_subjects, n, 1))  # a curvature may be singular
    group = rng.integers(0, n_groups, n_subjects)
    return z, mean, root @ root.transpose(0, 2, 1), group, rank_one @ rank_one.transpose(0, 2, 1), pull


sizes = {"n": st.integers(1, 6), "n_groups": st.integers(1, 3), "seed": st.integers(0, 1000)}


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_informed_coordinates_are_the_inverse_of_the_map(n, n_groups, seed):
    z, *rest = random_population(5, n, n_groups, seed)
    np.testing.assert_allclose(
        informed_coordinates(informed_map(z, *rest)[0], *rest), z, rtol=1e-6, atol=1e-7
    )


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_informed_map_is_conditional_mean_plus_scaled_noise(n, n_groups, seed):
    z, mean, precision, group, curvature, pull = random_population(4, n, n_groups, seed)
    eta, log_jacobian = informed_map(z, mean, precision, group, curvature, pull)
    for s in range(4):
        a = curvature[s] + precision[group[s]]
        root = np.linalg.cholesky(a)
        expected = np.linalg.solve(a, pull[s] + precision[group[s]] @ mean[s]) + np.linalg.solve(root.T, z[s])
        np.testing.assert_allclose(eta[s], expected, rtol=1e-7, atol=1e-7)
        assert log_jacobian[s] == pytest.approx(-0.5 * np.linalg.slogdet(a)[1], abs=1e-8)


def test_without_sites_the_informed_map_is_the_non_centred_one():
    rng = np.random.default_rng(1)
    z, mean, sigma = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.array([0.4, 1.7])
    nothing = (np.zeros(3, dtype=np.int64), np.zeros((3, 2, 2)), np.zeros((3, 2)))
    eta, log_jacobian = informed_map(z, mean, np.diag(sigma**-2)[None], *nothing)
    np.testing.assert_allclose(eta, mean + sigma * z)
    np.testing.assert_allclose(log_jacobian, np.log(sigma).sum())


@settings(deadline=None, max_examples=15)
@given(n=st.integers(1, 4), n_groups=st.integers(1, 2), seed=st.integers(0, 1000))
def test_gradient_of_the_informed_map_agrees_with_differences(n, n_groups, seed):
    arguments = list(random_population(3, n, n_groups, seed))
    arguments[2] = arguments[2] + 0.5 * np.eye(n)  # away from singular, where differences are poor
    rng = np.random.default_rng(seed + 1)
    eta_bar, jacobian_bar = rng.normal(size=(3, n)), rng.normal(size=3)

    def scalar(changed):
        eta, log_jacobian = informed_map(*changed)
        return (eta * eta_bar).sum() + (log_jacobian * jacobian_bar).sum()

    gradients = informed_pullback(*arguments, eta_bar, jacobian_bar)
    for position, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        if position == 2:  # precisions are symmetric
            direction = direction + direction.transpose(0, 2, 1)
        ends = [
            [a + h * direction if k == position else a for k, a in enumerate(arguments)]
            for h in (1e-6, -1e-6)
        ]
        slope = (scalar(ends[0]) - scalar(ends[1])) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_population_means_and_their_gradient():
    rng = np.random.default_rng(0)
    effects, design, owner = rng.normal(size=3), rng.normal(size=(5, 3)), np.array([0, 0, 1])
    x, weight = pt.dvector(), rng.normal(size=(5, 2))
    mean = PopulationMean()(x, design, owner)
    gradient = pt.grad((mean * weight).sum(), x)
    found, slope = pytensor.function([x], [mean, gradient], mode=SLOWLY)(effects)
    np.testing.assert_allclose(
        found, np.stack([design[:, :2] @ effects[:2], design[:, 2] * effects[2]], axis=1)
    )
    np.testing.assert_allclose(slope, (design * weight[:, owner]).sum(axis=0))


COMPILE = """
import hierrl as hr
from hierrl.posterior.compiled import logp_and_gradient
from hierrl.posterior.layout import lay_out
from hierrl.posterior.model import write_model
from hierrl.prior import weak_prior
from tests.builders import random_behaviour
data = random_behaviour({subjects}, 30, {arms})
model = hr.model("{model}")
pm_model = write_model(lay_out(model, data, prior=weak_prior(model, data)))
point = pm_model.initial_point()
logp_and_gradient(pm_model)(*point.values())
"""


@pytest.mark.slow
def test_a_second_process_with_another_study_compiles_nothing(tmp_path):
    def machine_code():
        return {file.name for file in (tmp_path / "numba").glob("*.nbc")}

    def run(**study):
        flags = {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path}"}
        command = [sys.executable, "-c", COMPILE.format(**study)]
        subprocess.run(command, check=True, env={**os.environ, **flags}, cwd=Path(__file__).parents[1])

    run(subjects=3, arms=2, model="rw")
    first = machine_code()
    assert first
    run(subjects=7, arms=4, model="subvalue")
    assert machine_code() == first
