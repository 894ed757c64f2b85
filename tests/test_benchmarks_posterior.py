"""The peers of the posterior benchmark sample our model: same log-density at any point; scores and pages are right."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from hierrl.kernels.problem import prepare

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
N_SUBJECTS = 4


@pytest.fixture(autouse=True)
def in_folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def case(name: str):
    """A study, its arrays, and two points: mean, log standard deviation, non-centred subjects."""
    study = importlib.import_module("posterior_studies").Study.of(name, N_SUBJECTS)
    rng = np.random.default_rng(7)
    points = [
        (rng.normal(size=2), rng.normal(-0.5, 0.3, 2), rng.normal(size=(N_SUBJECTS, 2))) for _ in range(2)
    ]
    return study, study.arrays("weak"), points


def our_density(study, arrays, point) -> float:
    """Log-density by our kernels; the subjects' coordinates are standard normal, as the peers have them."""
    mu, log_sigma, z = point
    eta = mu + np.exp(log_sigma) * z
    loglik = prepare(study.model, study.data).link_derivatives(eta, order=0)[0]
    population = norm.logpdf(mu, *arrays.mu).sum() + norm.logpdf(log_sigma, *arrays.log_sigma).sum()
    return float(loglik.sum() + population + norm.logpdf(z).sum())


@pytest.mark.parametrize("name", ["typical", "hard"])
def test_numpyro_samples_our_density(name):
    jax = pytest.importorskip("jax")
    density = pytest.importorskip("numpyro.infer.util").log_density
    study, arrays, points = case(name)
    peer = importlib.import_module("posterior_numpyro")
    for point in points:
        with jax.enable_x64(True):
            values = dict(zip(("mu", "log_sigma", "z"), map(jax.numpy.asarray, point), strict=True))
            theirs = float(density(peer.model(arrays), (), {}, values)[0])
        np.testing.assert_allclose(theirs, our_density(study, arrays, point), rtol=1e-10)


@pytest.mark.parametrize("name", ["typical", "hard"])
def test_pymc_with_scan_samples_our_density(name):
    study, arrays, points = case(name)
    model = importlib.import_module("posterior_pymc").model(arrays)
    density = model.compile_logp(mode="FAST_COMPILE")
    for point in points:
        theirs = density(dict(zip(("mu", "log_sigma", "z"), point, strict=True)))
        np.testing.assert_allclose(theirs, our_density(study, arrays, point), rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["typical", "hard"])
@pytest.mark.filterwarnings("ignore")
def test_stan_samples_our_density(name):
    pytest.importorskip("stan")
    study, arrays, points = case(name)
    model = importlib.import_module("posterior_stan").build(arrays)
    theirs = [
        model.log_prob([*mu, *log_sigma, *z[:, 0], *z[:, 1]], adjust_transform=False)
        for mu, log_sigma, z in points
    ]
    ours = [our_density(study, arrays, point) for point in points]
    np.testing.assert_allclose(np.diff(theirs), np.diff(ours), rtol=1e-8)


def test_draws_of_pystan_are_sorted_into_their_chains():
    peer = importlib.import_module("posterior_stan")
    draws = np.random.default_rng(1).normal(
        size=(3, 5, peer.CHAINS)
    )  # (parameter, draw, chain), as it holds them
    np.testing.assert_array_equal(peer.by_chain(draws.reshape(3, -1)), draws.transpose(2, 1, 0))


def test_seconds_within_seconds_count_once():
    pytest.importorskip("numpyro")
    covered = importlib.import_module("posterior_numpyro").covered
    assert covered([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (7.0, 8.0)]) == pytest.approx(6.0)


def test_flat_posterior_means_are_those_of_a_fine_sum():
    experiments = importlib.import_module("experiments")
    accuracy = importlib.import_module("posterior_accuracy")
    experiment = experiments.Experiment("basic", "2arm")
    data = experiment.simulated(2, seed=4)
    problem = prepare(experiment.model(), data)
    middles = (np.arange(150) + 0.5) / 150
    nodes = np.stack(np.meshgrid(middles, 5 * middles, indexing="ij"), axis=-1).reshape(-1, 2)
    loglik = np.array([problem.loglik(np.stack([node, node])) for node in nodes])
    weight = np.exp(loglik - loglik.max(axis=0)).T
    wanted = weight @ nodes / weight.sum(axis=1, keepdims=True)
    found = accuracy.flat_means(experiment.model(), data, 5.0)
    np.testing.assert_allclose(found["natural"], wanted, rtol=1e-3)
    on_link = accuracy.from_link(weight @ accuracy.to_link(nodes) / weight.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found["link"], on_link, rtol=3e-3)


def test_runs_of_ours_that_did_not_converge_do_not_count():
    tables = importlib.import_module("posterior_tables")
    good, bad = {"seed": 1, "rhat": 1.004, "rate": 10.0}, {"seed": 2, "rhat": 1.02, "rate": 50.0}
    only_caches = {"seed": 0, "rhat": 1.0, "rate": 99.0}
    runs = {"nuts": [only_caches, good, bad], "numpyro32": [bad]}
    assert tables.best_rate(runs, ("nuts",)) == 10.0
    assert tables.best_rate(runs, ("numpyro32",)) == 50.0
    assert tables.best_rate({"nuts": [bad]}, ("nuts",)) is None


def test_a_result_replaces_that_of_the_same_run_only(tmp_path):
    posterior = importlib.import_module("posterior")
    path = tmp_path / "results.json"
    for seed, rate in ((1, 1.0), (2, 2.0), (1, 3.0)):
        posterior.store(path, "hard", "nuts", {"seed": seed, "rate": rate})
    known = posterior.json.loads(path.read_text())["parts"]["hard"]["nuts"]
    assert [(run["seed"], run["rate"]) for run in known] == [(2, 2.0), (1, 3.0)]


def test_page_has_a_place_for_every_part():
    posterior, page = importlib.import_module("posterior"), importlib.import_module("posterior_page")
    text = page.PAGE.read_text()
    for name in (*posterior.PARTS, "settings", "claims"):
        assert f"<!-- begin {name} -->" in text
