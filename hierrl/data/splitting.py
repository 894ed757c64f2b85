"""`split`: the same rows twice, with complementary scored trials."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from numbers import Integral, Real
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.table import counted, listed, nearest, plain
from hierrl.data.validity import check_behaviour, session_starts, subject_index

Flags = npt.NDArray[np.bool_]
Pair = tuple[xr.Dataset, xr.Dataset]


@overload
def split(
    data: xr.Dataset,
    *,
    last: float | None = None,
    sessions: int | Hashable | Iterable[Hashable] | None = None,
    folds: None = None,
    random_seed: None = None,
) -> Pair: ...


@overload
def split(
    data: xr.Dataset, *, folds: int, random_seed: int | np.random.Generator | None = None
) -> list[Pair]: ...


def split(
    data: xr.Dataset,
    *,
    last: float | None = None,
    sessions: int | Hashable | Iterable[Hashable] | None = None,
    folds: int | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> Pair | list[Pair]:
    """Hold out trials: fit on ``train``, score on ``test``.

    Both have all rows, so that values run through the whole session; they differ in ``scored``. Every scored
    trial of `data` is scored in exactly one of them, and what was not scored stays so in both. A subject
    whose scored trials would all be held out keeps them in ``train`` and isn't tested; ``attrs["notes"]``
    says so.

    Parameters
    ----------
    data : Dataset
        From `behaviour`.
    last : float in (0, 1)
        Hold out this fraction of each subject's scored trials, at the end (rounded to whole trials).
    sessions : list of labels, or int
        Hold out the sessions of these labels; or, if a number, the last ones of each subject.
    folds : int >= 2
        Each trial is held out once in k pairs: by sessions if every subject has at least k of them with
        scored trials, otherwise in blocks of consecutive scored trials of each subject.
    random_seed : int or Generator, optional
        Deal each subject's sessions or blocks to the folds at random; without it they go in order.

    Returns
    -------
    (train, test), or a list of k such pairs
        Datasets like `data`; ``attrs["split"]`` (JSON) says how they were made.

    Raises
    ------
    ValueError
        If not exactly one of `last`, `sessions`, `folds` is given, one is out of range, or nothing would be
        held out.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> data = hr.behaviour(pd.DataFrame({"subject": 1, "choice": [0, 1, 1, 0], "reward": 1}))
    >>> train, test = hr.split(data, last=0.25)
    >>> train["scored"].values.tolist(), test["scored"].values.tolist()
    ([True, True, True, False], [False, False, False, True])
    """
    check_behaviour(data)
    given = {"last": last, "sessions": sessions, "folds": folds}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"split() needs exactly one of last=, sessions= and folds=; found {', '.join(given) or 'none'}. "
            "For instance hr.split(data, last=0.25)."
        )
    if random_seed is not None and folds is None:
        raise ValueError(
            "random_seed= deals blocks or sessions to folds; last= and sessions= leave nothing to chance."
        )
    if folds is not None:
        return _folds(data, folds, random_seed)
    if last is not None:
        return _pair(data, _last(data, last), {"last": float(last)})
    return _pair(data, *_sessions(data, sessions))


def _pair(data: xr.Dataset, held: Flags, how: dict) -> Pair:
    """Train and test, with `held` = the scored trials of the test."""
    scored, subject = data["scored"].values, subject_index(data)
    size = data.sizes["subject"]
    left = np.bincount(subject[scored & ~held], minlength=size)
    total = np.bincount(subject[scored], minlength=size)
    whole = (left == 0) & (total > 0)
    held = scored & held & ~whole[subject]
    if not held.any():
        raise ValueError(
            f"This split ({_words(how)}) holds out nothing: every subject needs scored trials besides those "
            "held out. Hold out less, or other sessions."
        )
    notes = json.loads(data.attrs.get("notes", "[]"))
    if whole.any():
        notes.append(
            f"Split ({_words(how)}): {counted(int(whole.sum()), 'subject')} would have nothing left to be "
            f"fitted to and stayed in train, untested: {listed(data['subject'].values[whole])}."
        )
    train, test = (
        data.assign(scored=("trial", mask)).assign_attrs(
            notes=json.dumps(notes, ensure_ascii=False),
            split=json.dumps(how | {"part": part}, ensure_ascii=False),
        )
        for part, mask in (("train", scored & ~held), ("test", held))
    )
    return train, test


def _words(how: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in how.items())


def _rank(group: npt.NDArray[np.int64], scored: Flags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each trial how many scored ones of its group come before, and how many there are in the group.

    `group` is an index that never decreases.
    """
    before = np.append(0, np.cumsum(scored))[:-1]
    first = np.searchsorted(group, np.arange(group[-1] + 1))
    return before - before[first][group], np.bincount(group, weights=scored).astype(np.int64)[group]


def _last(data: xr.Dataset, last: float) -> Flags:
    if not isinstance(last, Real) or isinstance(last, bool) or not 0 < last < 1:
        raise ValueError(
            f"last= is the fraction of each subject's trials to hold out, between 0 and 1; found {last!r}."
        )
    rank, total = _rank(subject_index(data), data["scored"].values)
    n_held = np.floor(last * total + 0.5).astype(np.int64)  # half a trial is rounded up
    return rank >= total - np.minimum(n_held, total - 1)


def _sessions(data: xr.Dataset, sessions: object) -> tuple[Flags, dict]:
    session = data["trial_session"].values
    if isinstance(sessions, Integral) and not isinstance(sessions, bool):
        return _last_sessions(data, int(sessions)), {"sessions": int(sessions)}
    several = (
        list(sessions) if isinstance(sessions, Iterable) and not isinstance(sessions, str) else [sessions]
    )
    labels: list = [plain(label) for label in several]
    known = pd.unique(session).tolist()
    unknown = [label for label in labels if label not in known]
    if unknown or not labels:
        what = f"no session is called {unknown[0]!r}" if unknown else "the list is empty"
        raise ValueError(
            f"sessions= must list labels of sessions to hold out, or give a number: {what}. The sessions "
            f"are {listed(known)}.{nearest(unknown[0], known) if unknown else ''}"
        )
    return np.isin(session, labels), {"sessions": labels}


def _last_sessions(data: xr.Dataset, n: int) -> Flags:
    if n < 1:
        raise ValueError(
            "sessions= as a number says how many sessions of each subject to hold out, at least 1; found "
            f"{n}."
        )
    subject = subject_index(data)
    session = np.cumsum(session_starts(data)) - 1
    last = np.searchsorted(subject, np.arange(data.sizes["subject"]), side="right") - 1
    return session > session[last][subject] - n


def _folds(data: xr.Dataset, folds: int, random_seed: int | np.random.Generator | None) -> list[Pair]:
    if not isinstance(folds, Integral) or isinstance(folds, bool) or folds < 2:
        raise ValueError(f"folds= is a whole number of folds, at least 2; found {folds!r}.")
    scored, subject = data["scored"].values, subject_index(data)
    starts = session_starts(data)
    session, owner = np.cumsum(starts) - 1, subject[starts]
    session_scored = np.bincount(session, weights=scored) > 0
    place, n_sessions = _rank(owner, session_scored)
    if n_sessions.min() >= folds:
        by, unit, n_units = "session", place[session], n_sessions[session]
    else:
        rank, total = _rank(subject, scored)
        if total.max() < folds:
            raise ValueError(
                f"folds={folds}: no subject has that many scored trials (at most {total.max()}). Use fewer "
                "folds."
            )
        by, unit, n_units = "block", rank * folds // np.maximum(total, 1), np.full_like(rank, folds)
    if random_seed is not None:
        unit = _shuffled(unit, n_units, subject=subject, rng=np.random.default_rng(random_seed))
    fold = unit * folds // n_units
    return [_pair(data, fold == k, {"folds": int(folds), "fold": k, "by": by}) for k in range(folds)]


def _shuffled(
    unit: npt.NDArray[np.int64],
    n_units: npt.NDArray[np.int64],
    *,
    subject: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Sessions or blocks numbered at random within each subject."""
    first = np.flatnonzero(np.append(True, subject[1:] != subject[:-1]))
    shuffled = [rng.permutation(int(n)) for n in n_units[first]]
    start = np.append(0, np.cumsum([order.size for order in shuffled]))[:-1]
    # Trials after the last scored one are numbered past the last unit; they are scored nowhere.
    return np.concatenate(shuffled)[start[subject] + np.minimum(unit, n_units - 1)]
