"""Two studies of 50 subjects and 200 trials on which samplers are compared, as plain arrays for the peers.

*typical*: Rescorla-Wagner learners that the trials tell much of, in a task whose arms reverse every 25 trials. *hard*:
subjects of the *basic 2arm* experiment of Zhu et al. (2025); rates are uniform and weights begin at 0, so that many of
them are nearly uninformative, and no normal population fits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from experiments import Experiment

import hierrl as hr
from hierrl.models.model import Model
from hierrl.prior import Prior

FloatArray = npt.NDArray[np.float64]
PriorKind = Literal["weak", "empirical"]

NAMES = ("typical", "hard")
N_SUBJECTS, N_TRIALS = 50, 200
START = {"typical": 0.5, "hard": 0.0}
"""Value of an arm before the first trial."""
TYPICAL = {"alpha": (-0.5, 0.8), "beta": (1.2, 0.4)}
"""Mean and standard deviation of logit rates and log weights."""
PARAMETERS = ("alpha", "beta")


class Arrays(NamedTuple):
    """A study as the peers take it: T trials of S subjects, and the numbers of the prior of the population."""

    choice: npt.NDArray[np.int64]
    """(T, S), 0 or 1."""
    reward: FloatArray
    """(T, S)"""
    start: float
    fades: bool
    """Whether the value of the arm not chosen fades at the same rate."""
    mu: tuple[FloatArray, FloatArray]
    """Means and standard deviations (2,) of the population's mean: logit rate, log weight."""
    log_sigma: tuple[FloatArray, FloatArray]
    """Likewise of the logarithm of its standard deviation."""


class Study(NamedTuple):
    """Simulated behaviour and what is fitted to it."""

    name: str
    model: Model
    data: xr.Dataset

    @classmethod
    def of(cls, name: str, n_subjects: int = N_SUBJECTS, *, seed: int = 1) -> Study:
        """Simulate; the same seed gives the same subjects."""
        if name == "hard":
            data = Experiment("basic", "2arm").simulated(n_subjects, seed=seed)
            return cls(name, hr.model("forgetting_q"), data)
        model, rng = hr.model("rw", start=START[name]), np.random.default_rng(seed)
        alpha, beta = (rng.normal(*TYPICAL[parameter], n_subjects) for parameter in PARAMETERS)
        truth = {"alpha": 1 / (1 + np.exp(-alpha)), "beta": np.exp(beta)}
        task = hr.Bandit((0.8, 0.2), n_trials=N_TRIALS, reverse_every=25)
        return cls(name, model, hr.simulate(model, task, truth, random_seed=rng))

    def prior(self, kind: PriorKind) -> Prior:
        """The prior whose numbers everybody gets."""
        make: Any = hr.weak_prior if kind == "weak" else hr.empirical_prior
        return make(self.model, self.data)

    def arrays(self, kind: PriorKind) -> Arrays:
        """Behaviour and prior for the peers."""
        prior = self.prior(kind)
        mu = np.array([[x.item() for x in prior.mu(label)[1:]] for label in PARAMETERS])
        log_sigma = np.array([prior.log_sigma(label) for label in PARAMETERS])
        by_trial = (-1, N_TRIALS)
        return Arrays(
            choice=np.ascontiguousarray(self.data["choice"].values.reshape(by_trial).T),
            reward=np.ascontiguousarray(self.data["reward"].values.reshape(by_trial).T),
            start=START[self.name],
            fades=self.name == "hard",
            mu=(mu[:, 0], mu[:, 1]),
            log_sigma=(log_sigma[:, 0], log_sigma[:, 1]),
        )


@contextmanager
def saved(name: str, n_subjects: int = N_SUBJECTS) -> Iterator[dict[str, Any]]:
    """A study as a table in a file, and its model as JSON: what a fresh process needs to begin as a user would."""
    study = Study.of(name, n_subjects)
    columns = {"subject": "trial_subject", "choice": "choice", "reward": "reward"}
    table = pd.DataFrame({column: study.data[variable].values for column, variable in columns.items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "behaviour.csv"
        table.to_csv(path, index=False)
        yield {"study": name, "data": str(path), "model": study.model.to_json()}
