"""What replications depend on, as JSON knows it: two runs with the same record are the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.fits import MODEL, SETTINGS
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.simulate import Bandit, Recorded

DIGITS = 16
"""Of a fingerprint."""


def fingerprint(data: xr.Dataset) -> str:
    """A short text that changes with any value, label or name of a Dataset."""
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        values = data[name].values
        digest.update(f"{name} {data[name].dims} {values.shape}".encode())
        digest.update(
            json.dumps(values.tolist(), default=str).encode()
            if values.dtype == object
            else np.ascontiguousarray(values).tobytes()
        )
    return digest.hexdigest()[:DIGITS]


def task_record(task: Bandit | Recorded) -> str:
    """A task in words; recorded behaviour with its fingerprint."""
    return f"{task!r} {fingerprint(task.data)}" if isinstance(task, Recorded) else repr(task)


def model_record(model: Model) -> Any:
    """A model as JSON."""
    return json.loads(model.to_json())


def truth_record(truth: Any) -> Any:
    """Where true values come from: a prior, a fit, or values and ranges by name."""
    if truth is None:
        return None
    if isinstance(truth, Prior):
        return json.loads(truth.to_json())
    if isinstance(truth, xr.DataTree):
        settings = json.loads(truth.attrs[SETTINGS])
        posterior = fingerprint(truth["posterior"].to_dataset())
        return {"fit": settings["estimator"], "model": json.loads(truth.attrs[MODEL]), "values": posterior}
    return {str(name): as_list(truth[name]) for name in truth}


def covariates_record(covariates: Mapping[str, Any] | pd.DataFrame | None) -> Any:
    """Covariates of the subjects by name."""
    return (
        None
        if covariates is None
        else {str(name): np.asarray(covariates[name]).tolist() for name in covariates}
    )


def as_list(value: Any) -> Any:
    """A value as JSON has it; ranges stay apart from two values."""
    return {"range": list(map(float, value))} if isinstance(value, tuple) else np.asarray(value).tolist()
