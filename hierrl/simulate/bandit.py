"""`Bandit`: tasks in which arms pay with odds or around means that may reverse or drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.simulate.recorded import Recorded
from hierrl.simulate.schedule import FloatArray, Schedule, frame_of


@dataclass(frozen=True)
class Bandit:
    """A bandit task.

    Parameters
    ----------
    odds : sequence of float in [0, 1], (m,)
        Chance of each arm to pay ``amounts[1]`` rather than ``amounts[0]``.
    means : sequence of float, (m,)
        Instead of `odds`: mean of each arm's payoff, with normal noise of standard deviation `sd`.
    n_trials : int, range or sequence of int
        Trials of a session: a number; a range to draw from, for each session; or one number for each subject.
    n_sessions : int
        Sessions of each subject; each begins with the arms as they are given here.
    amounts : (float, float)
        What is paid on a loss and on a win, with `odds`.
    sd : float
        Noise of payoffs, with `means`.
    limits : (float, float), optional
        Means (or odds) that drift are reflected here, and payoffs drawn around means are cut here.
    drift : float
        Standard deviation of the change of each arm's mean (or odds) from trial to trial.
    reverse_every : int, optional
        The arms reverse after every so many trials of a session.
    reverse_chance : float
        The arms reverse after each trial with this chance.
    reverse_after : int, optional
        The arms reverse after so many choices of the best arm in a row.
    shuffle : bool
        A reversal deals the places of the arms at random, perhaps as they were; otherwise each arm takes the
        place of the next one (two arms: they swap).
    shown : int, optional
        So many arms, at random, are available on each trial; all if not given.
    forgone : bool
        What the arms not chosen would have paid is shown too.
    missed : float
        Share of trials without a choice, at random.
    arms : sequence of str or int, optional
        Labels; 0 ... m - 1 if not given.

    Raises
    ------
    ValueError
        If the description contradicts itself or a number is out of range.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=range(150, 201), reverse_every=25, missed=0.03)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 5}, n_subjects=20, random_seed=1)
    >>> data.sizes["subject"]
    20
    """

    odds: Sequence[float] | None = None
    means: Sequence[float] | None = None
    n_trials: int | range | Sequence[int] = 200
    n_sessions: int = 1
    amounts: tuple[float, float] = (0.0, 1.0)
    sd: float = 1.0
    limits: tuple[float, float] | None = None
    drift: float = 0.0
    reverse_every: int | None = None
    reverse_chance: float = 0.0
    reverse_after: int | None = None
    shuffle: bool = False
    shown: int | None = None
    forgone: bool = False
    missed: float = 0.0
    arms: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        for name in ("odds", "means", "amounts", "limits", "arms", "n_trials"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | np.integer | range):
                object.__setattr__(self, name, tuple(np.asarray(value).tolist()))
        self._check_payoffs()
        self._check_numbers()

    @classmethod
    def zhu_2arm(cls, n_trials: int = 200) -> Bandit:
        """Two arms with odds .9 and .1, dealt anew after each trial with chance .02 (Zhu et al. 2025)."""
        return cls((0.9, 0.1), n_trials=n_trials, reverse_chance=0.02, shuffle=True)

    @classmethod
    def zhu_10arm(cls, n_trials: int = 200) -> Bandit:
        """Ten arms with fixed odds from .05 to 1 (Zhu et al. 2025)."""
        return cls((0.30, 0.27, 0.95, 0.67, 0.69, 0.29, 0.42, 0.05, 0.73, 1.00), n_trials=n_trials)

    @staticmethod
    def recorded(data: xr.Dataset, *, by: str | None = None) -> Recorded:
        """The schedule of recorded behaviour, to be played again: see `Recorded`."""
        return Recorded(data, by=by)

    @property
    def size(self) -> int | None:
        """The number of subjects, if `n_trials` says it."""
        return len(self.n_trials) if isinstance(self.n_trials, tuple) else None

    @property
    def base(self) -> FloatArray:
        """(m,) odds or means at the start of a session."""
        return np.array(self.odds if self.means is None else self.means, dtype=np.float64)

    def schedule(self, n_subjects: int, rng: np.random.Generator) -> Schedule:
        """Draw payoffs, missed trials and arms shown for so many subjects."""
        m = self.base.size
        frame = frame_of(self._lengths(n_subjects, rng), list(self.arms or range(m)))
        n = frame.sizes["trial"]
        starts = frame["trial_number"].values == 1
        order, reversal = self._order(starts, rng)
        expected = np.take_along_axis(self._drifted(starts, rng), order, axis=1)
        if self.shown is not None:
            rank = rng.random((n, m)).argsort(axis=1).argsort(axis=1)
            frame["available"] = (("trial", "arm"), rank < self.shown)
        if self.reverse_every is not None or self.reverse_chance > 0:
            frame["reversal"] = ("trial", reversal, {"level": "trial"})
        return Schedule(
            frame=frame,
            reward=self._payoffs(expected, rng),
            missed=rng.random(n) < self.missed,
            tells_forgone=self.forgone,
            expected=self._mean_payoff(expected),
            turn=self._turns(n, rng),
            streak=self.reverse_after or 0,
        )

    def _lengths(self, n_subjects: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        shape = (n_subjects, self.n_sessions)
        if isinstance(self.n_trials, range):
            return rng.choice(np.array(self.n_trials, dtype=np.int64), shape)
        each = np.array(self.n_trials, dtype=np.int64).reshape(-1, 1)
        return np.broadcast_to(each, shape).copy()

    def _order(self, starts: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Any, Any]:
        """(n, m): whose odds each arm has on the trial; (n,): whether that has just changed."""
        n, m, row = starts.size, self.base.size, np.arange(starts.size)
        first = np.maximum.accumulate(np.where(starts, row, 0))
        turns = rng.random(n) < self.reverse_chance
        if self.reverse_every is not None:
            turns |= (row - first) % self.reverse_every == 0
        turns &= ~starts
        if self.shuffle:
            dealt = rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
            dealt[starts] = np.arange(m)
            order = dealt[np.maximum.accumulate(np.where(turns | starts, row, 0))]
        else:
            count = np.cumsum(turns)
            order = (np.arange(m) + (count - count[first])[:, None]) % m
        changed = np.append(False, (order[1:] != order[:-1]).any(axis=1)) & ~starts
        return order, changed

    def _drifted(self, starts: npt.NDArray[np.bool_], rng: np.random.Generator) -> FloatArray:
        """(n, m) odds or means on each trial, before reversals: a random walk between reflecting limits."""
        shape = (starts.size, self.base.size)
        if self.drift == 0:
            return np.broadcast_to(self.base, shape)
        walk = np.cumsum(rng.normal(0.0, self.drift, shape), axis=0)
        walk -= walk[np.maximum.accumulate(np.where(starts, np.arange(starts.size), 0))]
        low, high = self.limits or ((0.0, 1.0) if self.means is None else (-np.inf, np.inf))
        if np.isinf(low):
            return self.base + walk
        folded = (self.base + walk - low) % (2 * (high - low))
        return low + np.minimum(folded, 2 * (high - low) - folded)

    def _payoffs(self, expected: FloatArray, rng: np.random.Generator) -> FloatArray:
        if self.means is None:
            lose, win = self.amounts
            return np.where(rng.random(expected.shape) < expected, win, lose)
        low, high = self.limits or (-np.inf, np.inf)
        return np.clip(rng.normal(expected, self.sd), low, high)

    def _mean_payoff(self, expected: FloatArray) -> FloatArray:
        lose, win = self.amounts
        return lose + (win - lose) * expected if self.means is None else expected

    def _turns(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64] | None:
        if self.reverse_after is None:
            return None
        m = self.base.size
        if self.shuffle:
            return rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
        return np.tile((np.arange(m) + 1) % m, (n, 1))

    def _check_payoffs(self) -> None:
        if (self.odds is None) == (self.means is None):
            raise ValueError(f"Give either odds or means; found odds={self.odds}, means={self.means}.")
        name, base = ("odds", self.odds) if self.means is None else ("means", self.means)
        if self.base.ndim != 1 or self.base.size < 2 or not np.isfinite(self.base).all():
            raise ValueError(f"{name} must be two or more numbers, one for each arm; found {base}.")
        low, high = self.limits or ((0.0, 1.0) if name == "odds" else (-np.inf, np.inf))
        if not low < high or (self.base < low).any() or (self.base > high).any():
            raise ValueError(f"{name} must lie within [{low:g}, {high:g}]; found {base}.")
        if name == "odds" and not 0 <= low < high <= 1:
            raise ValueError(f"The limits of odds must lie within [0, 1]; found {self.limits}.")
        if self.arms is not None and len(set(self.arms)) != self.base.size:
            raise ValueError(f"{name} has {self.base.size} arms; arms={self.arms} must name each once.")

    def _check_numbers(self) -> None:
        lengths = [self.n_trials] if isinstance(self.n_trials, int | np.integer) else list(self.n_trials)
        m, size = self.base.size, {"n_sessions": self.n_sessions}
        size |= {name: getattr(self, name) for name in ("reverse_every", "reverse_after")}
        size |= {f"n_trials={self.n_trials}": min(lengths, default=0), "shown": self.shown}
        for name, number in size.items():
            if number is not None and not (isinstance(number, int | np.integer) and number >= 1):
                raise ValueError(f"{name} must be a whole number of at least 1; found {number}.")
        for name in ("missed", "reverse_chance"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie within [0, 1); found {getattr(self, name)}.")
        if self.shown is not None and not 2 <= self.shown <= m:
            raise ValueError(f"shown must lie within 2..{m}, the number of arms; found {self.shown}.")
        if self.drift < 0 or self.sd < 0:
            raise ValueError(f"drift and sd must not be negative; found {self.drift} and {self.sd}.")
        if (self.reverse_every is not None) + (self.reverse_chance > 0) + (
            self.reverse_after is not None
        ) > 1:
            raise ValueError("Give one of reverse_every, reverse_chance and reverse_after only.")
