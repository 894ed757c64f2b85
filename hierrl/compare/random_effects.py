r"""Random-effects model selection: each subject follows one of K models, which occur with unknown frequencies.

With log evidences :math:`\ell_{sk}` of the subjects and frequencies :math:`r \sim \text{Dirichlet}(1, \dots, 1)`,

.. math:: p(y | r) = \prod_s \sum_k r_k e^{\ell_{sk}}, \qquad
          q(r) = \text{Dirichlet}(\alpha), \quad \alpha_k = 1 + \sum_s g_{sk}, \quad
          g_{sk} \propto e^{\ell_{sk} + \psi(\alpha_k) - \psi(\sum_j \alpha_j)},

the variational posterior of Stephan et al. (2009). The Bayesian omnibus risk (Rigoux et al. 2014) is the posterior
probability that all models are equally frequent, with the free energy of :math:`q` as the log evidence that they are
not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import digamma, gammainc, gammaincinv, gammaln, logsumexp

FloatArray = npt.NDArray[np.float64]

ITERATIONS, TOLERANCE = 10_000, 1e-10
"""Of the variational updates, on the largest change of alpha."""

NODES = 400
"""Of a Gauss-Legendre rule over the quantiles of a gamma distribution: enough for six digits."""

FEWEST_MODELS = 2


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffects:
    """How frequent each model is among subjects, and who probably follows which. Printing it shows `table`."""

    table: pd.DataFrame
    """One row per model, the most frequent first: ``frequency`` (expected) and ``frequency_sd``, ``exceedance`` (the
    probability that it is the most frequent one), ``protected_exceedance`` (the same, allowing for all being equally
    frequent), ``attributed`` (subjects whose most probable model it is)."""
    attribution: pd.DataFrame
    """(subject, model): probability that the subject follows the model."""
    omnibus_risk: float
    """Bayesian omnibus risk: posterior probability that all models are equally frequent."""
    alpha: pd.Series
    """By model: parameters of the Dirichlet posterior of the frequencies."""
    criterion: str = "log evidence"
    """What stood in for a subject's log evidence."""

    def __repr__(self) -> str:
        return f"{self._heading}\n\n{self.table.round(3).to_string()}\n\n{self._reading}"

    def _repr_html_(self) -> str:
        return f"<p>{self._heading}</p>{self.table.round(3).to_html()}<p>{self._reading}</p>"

    @property
    def _heading(self) -> str:
        return f"Random-effects model selection: {len(self.attribution)} subjects, by {self.criterion}"

    @property
    def _reading(self) -> str:
        return (
            f"Bayesian omnibus risk {self.omnibus_risk:.3f}: the probability that all models are equally frequent and "
            "differences between them are chance."
        )


def random_effects(
    log_evidence: pd.DataFrame | Mapping[str, npt.ArrayLike], *, criterion: str = "log evidence"
) -> RandomEffects:
    r"""Random-effects Bayesian model selection from subject-wise log evidence.

    Every subject follows one of the models; the frequencies of the models among subjects have a uniform prior and
    the variational posterior Dirichlet(:math:`\alpha`) of Stephan et al. (2009). The exceedance probability of model k
    is :math:`P(r_k > r_j \text{ for all } j \ne k)`. The protected one (Rigoux et al. 2014) is
    :math:`(1 - \text{BOR}) \, P + \text{BOR} / K`, with BOR, the Bayesian omnibus risk, the posterior probability that
    all models are equally frequent.

    Parameters
    ----------
    log_evidence : DataFrame or mapping
        A row per subject and a column per model, in nats: log marginal likelihoods, or what stands in for them
        (minus half the BIC, a held-out log score).
    criterion : str
        What the numbers are, for the printed table.

    Returns
    -------
    RandomEffects
        ``.table`` by model, ``.attribution`` by subject and model, ``.omnibus_risk``.

    Raises
    ------
    ValueError
        If there are fewer than two models, no subject, or numbers that are not finite.

    Examples
    --------
    >>> import hierrl as hr
    >>> chosen = hr.random_effects({"rw": [-70.0, -64.0, -81.0], "forgetting": [-66.0, -61.0, -80.5]})
    >>> chosen.table["frequency"].round(2).to_dict()
    {'forgetting': 0.78, 'rw': 0.22}
    """
    table = _checked(log_evidence)
    evidence = table.to_numpy(dtype=np.float64)
    alpha, share, free_energy = variational(evidence)
    chance = exceedance(alpha)
    risk = omnibus_risk(evidence, free_energy)
    total = alpha.sum()
    found = pd.DataFrame(
        {
            "frequency": alpha / total,
            "frequency_sd": np.sqrt(alpha * (total - alpha) / (total**2 * (total + 1))),
            "exceedance": chance,
            "protected_exceedance": (1 - risk) * chance + risk / len(alpha),
            "attributed": np.bincount(share.argmax(axis=1), minlength=len(alpha)),
        },
        index=pd.Index(table.columns, name="model"),
    )
    return RandomEffects(
        found.sort_values("frequency", ascending=False, kind="stable"),
        pd.DataFrame(share, index=table.index, columns=pd.Index(table.columns, name="model")),
        risk,
        pd.Series(alpha, index=pd.Index(table.columns, name="model"), name="alpha"),
        criterion,
    )


def _checked(log_evidence: Any) -> pd.DataFrame:
    table = pd.DataFrame(log_evidence)
    if table.shape[1] < FEWEST_MODELS or table.empty:
        raise ValueError(
            f"random_effects() chooses between at least two models from at least one subject; found {table.shape[1]} "
            f"models (columns) and {table.shape[0]} subjects (rows)."
        )
    bad = ~np.isfinite(table.to_numpy(dtype=np.float64))
    if bad.any():
        row, column = (int(place[0]) for place in np.nonzero(bad))
        raise ValueError(
            f"Log evidence must be finite; found {table.iloc[row, column]} for subject {table.index[row]!r} and model "
            f"{table.columns[column]!r} ({int(bad.sum())} such). Leave such subjects out."
        )
    return table.rename_axis(index=table.index.name or "subject")


def variational(evidence: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Dirichlet parameters (K,), attribution (S, K) and free energy of log evidence (S, K)."""
    alpha = np.ones(evidence.shape[1])
    for _ in range(ITERATIONS):
        share = _attribution(evidence, alpha)
        new = 1.0 + share.sum(axis=0)
        change, alpha = np.abs(new - alpha).max(), new
        if change < TOLERANCE:
            break
    share = _attribution(evidence, alpha)
    return alpha, share, _free_energy(evidence, alpha, share)


def _attribution(evidence: FloatArray, alpha: FloatArray) -> FloatArray:
    log_share = evidence + digamma(alpha) - digamma(alpha.sum())
    return np.exp(log_share - logsumexp(log_share, axis=1, keepdims=True))


def _free_energy(evidence: FloatArray, alpha: FloatArray, share: FloatArray) -> float:
    """Lower bound on the log evidence that the frequencies are unknown: E_q[log p(y, m, r)] plus entropies."""
    log_r = digamma(alpha) - digamma(alpha.sum())
    entropy = -(share * np.log(np.maximum(share, np.finfo(float).tiny))).sum()
    prior = _log_constant(np.ones_like(alpha))
    posterior = _log_constant(alpha) + ((alpha - 1) * log_r).sum()
    return float((share * (evidence + log_r)).sum() + entropy + prior - posterior)


def _log_constant(alpha: FloatArray) -> float:
    """Logarithm of the normalising constant of a Dirichlet density."""
    return float(gammaln(alpha.sum()) - gammaln(alpha).sum())


def omnibus_risk(evidence: FloatArray, free_energy: float) -> float:
    """Posterior probability that all K models are equally frequent, both cases being equally likely before."""
    equal = (logsumexp(evidence, axis=1) - np.log(evidence.shape[1])).sum()
    return float(1.0 / (1.0 + np.exp(np.clip(free_energy - equal, -700, 700))))


def exceedance(alpha: FloatArray) -> FloatArray:
    r"""Probabilities (K,) that each frequency is the largest under Dirichlet(alpha).

    Frequencies are independent gamma variables divided by their sum, so
    :math:`P_k = \int_0^1 \prod_{j \ne k} F_j(F_k^{-1}(u)) \, du`.
    """
    node, weight = np.polynomial.legendre.leggauss(NODES)
    u, weight = (node + 1) / 2, weight / 2
    chance = np.empty(alpha.size)
    for k in range(alpha.size):
        x = gammaincinv(alpha[k], u)
        others = [gammainc(alpha[j], x) for j in range(alpha.size) if j != k]
        chance[k] = weight @ np.prod(others, axis=0)
    return chance / chance.sum()
