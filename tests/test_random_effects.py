"""Random-effects model selection against enumeration, quadrature and drawing."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp
from scipy.stats import beta

import hierrl as hr
from hierrl.compare.random_effects import exceedance, variational


def enumerated(evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Exact expected frequencies, attribution and log evidence: the sum over who follows which of K models.

    Given the counts n of an assignment the frequencies are Dirichlet(1 + n), and its prior probability is
    Gamma(K) prod Gamma(1 + n_k) / Gamma(K + S).
    """
    n_subjects, n_models = evidence.shape
    log_mass, frequency, chosen = [], [], []
    for assignment in product(range(n_models), repeat=n_subjects):
        count = np.bincount(assignment, minlength=n_models)
        prior = gammaln(n_models) - gammaln(n_models + n_subjects) + gammaln(1 + count).sum()
        log_mass.append(prior + evidence[np.arange(n_subjects), assignment].sum())
        frequency.append((1 + count) / (n_models + n_subjects))
        chosen.append(np.eye(n_models)[list(assignment)])
    total = logsumexp(log_mass)
    mass = np.exp(np.array(log_mass) - total)
    return mass @ np.array(frequency), np.tensordot(mass, np.array(chosen), axes=1), float(total)


@pytest.fixture(scope="module")
def evidence() -> pd.DataFrame:
    """Seven subjects, three models; some decided, some not."""
    rng = np.random.default_rng(4)
    return pd.DataFrame(rng.normal(0, 2.5, (7, 3)) - 80 + [1.5, 0, 0], columns=["a", "b", "c"])


def test_frequencies_and_attribution_are_near_those_of_all_assignments(evidence):
    """The variational posterior is an approximation: near, not equal."""
    found = hr.random_effects(evidence)
    frequency, attribution, _ = enumerated(evidence.to_numpy())
    np.testing.assert_allclose(found.table["frequency"][["a", "b", "c"]], frequency, atol=0.05)
    np.testing.assert_allclose(found.attribution, attribution, atol=0.13)


def test_free_energy_is_a_lower_bound_of_the_log_evidence_and_near_it(evidence):
    _, _, exact = enumerated(evidence.to_numpy())
    free_energy = variational(evidence.to_numpy())[2]
    assert exact - 0.6 < free_energy < exact


def test_omnibus_risk_is_near_that_of_exact_evidences(evidence):
    _, _, exact = enumerated(evidence.to_numpy())
    equal = (logsumexp(evidence.to_numpy(), axis=1) - np.log(3)).sum()
    assert hr.random_effects(evidence).omnibus_risk == pytest.approx(
        1 / (1 + np.exp(exact - equal)), abs=0.12
    )


def test_two_models_by_quadrature_over_their_frequency():
    """p(y | r) is a product over subjects of a mixture of two; the posterior of r is integrated numerically."""
    gain = np.array([4.0, 3.0, 5.0, -1.0, 2.0, 6.0, 3.5, -4.0, 2.5, 1.0])

    def likelihood(r: float) -> float:
        return float(np.exp(np.log(r * np.exp(gain) + 1 - r).sum() - 20))

    whole = quad(likelihood, 0, 1)[0]
    frequency = quad(lambda r: r * likelihood(r), 0, 1)[0] / whole
    larger = quad(likelihood, 0.5, 1)[0] / whole
    equal = likelihood(0.5)
    found = hr.random_effects({"one": gain, "other": np.zeros(10)})
    assert found.table.loc["one", "frequency"] == pytest.approx(frequency, abs=0.03)
    assert found.table.loc["one", "exceedance"] == pytest.approx(larger, abs=0.05)
    assert found.omnibus_risk == pytest.approx(equal / (equal + whole), abs=0.05)


@pytest.mark.parametrize("alpha", [[1.0, 1.0], [8.0, 3.0, 2.5], [30.0, 28.0, 5.0, 1.2], [400.0, 380.0]])
def test_exceedance_is_the_share_of_drawn_frequencies(alpha):
    drawn = np.random.default_rng(0).dirichlet(alpha, 200_000).argmax(axis=1)
    share = np.bincount(drawn, minlength=len(alpha)) / drawn.size
    np.testing.assert_allclose(exceedance(np.array(alpha)), share, atol=0.004)


def test_exceedance_of_two_models_is_that_of_a_beta_distribution():
    np.testing.assert_allclose(exceedance(np.array([12.3, 9.1]))[0], beta(12.3, 9.1).sf(0.5), atol=1e-6)


def test_decided_subjects_are_counted():
    """With overwhelming evidence alpha is one plus the counts, and two models exceed as a beta distribution says."""
    found = hr.random_effects({"a": [0.0] * 6 + [-200.0] * 2, "b": [-200.0] * 6 + [0.0] * 2})
    assert found.alpha.to_dict() == pytest.approx({"a": 7.0, "b": 3.0})
    assert found.table.loc["a", "exceedance"] == pytest.approx(beta(7, 3).sf(0.5), abs=1e-6)
    assert found.table["attributed"].to_dict() == {"a": 6, "b": 2}
    assert found.table["frequency_sd"].tolist() == pytest.approx([beta(7, 3).std()] * 2)


def test_protected_exceedance_lies_between_exceedance_and_chance(evidence):
    found = hr.random_effects(evidence)
    table, risk = found.table, found.omnibus_risk
    np.testing.assert_allclose(table["protected_exceedance"], (1 - risk) * table["exceedance"] + risk / 3)
    assert table["protected_exceedance"].sum() == pytest.approx(1)


def test_no_evidence_means_no_difference_and_the_order_of_models_does_not_matter():
    flat = hr.random_effects(pd.DataFrame(np.full((9, 3), -50.0), columns=list("xyz")))
    np.testing.assert_allclose(flat.table["frequency"], 1 / 3)
    assert flat.omnibus_risk >= 0.5
    rng = np.random.default_rng(1)
    values = pd.DataFrame(rng.normal(0, 3, (20, 3)), columns=list("xyz"))
    pd.testing.assert_frame_equal(
        hr.random_effects(values).table.sort_index(),
        hr.random_effects(values[["z", "x", "y"]]).table.sort_index(),
    )


def test_constants_of_subjects_do_not_matter(evidence):
    shifted = evidence.add(np.linspace(-500, 500, 7), axis=0)
    pd.testing.assert_frame_equal(hr.random_effects(shifted).table, hr.random_effects(evidence).table)


def test_it_prints_the_table_the_criterion_and_the_risk(evidence):
    text = repr(hr.random_effects(evidence, criterion="minus half the BIC"))
    assert "7 subjects, by minus half the BIC" in text
    assert "Bayesian omnibus risk" in text
    assert "<table" in hr.random_effects(evidence)._repr_html_()


def test_a_single_model_and_missing_evidence_are_refused(evidence):
    with pytest.raises(ValueError, match=r"at least two models .* found 1 models \(columns\) and 7 subjects"):
        hr.random_effects(evidence[["a"]])
    evidence = evidence.copy()
    evidence.loc[3, "b"] = np.nan
    with pytest.raises(ValueError, match=r"must be finite; found nan for subject 3 and model 'b' \(1 such\)"):
        hr.random_effects(evidence)
