"""`Bandit`: tasks in which arms pay with odds or around means that may reverse or drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.simulate.description import check_numbers, check_payoffs
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
    loss_odds : sequence of float in [0, 1], (m,), optional
        Chance of each arm to take `loss` too, whether or not it pays: gain and loss are separate, and both are told.
    loss : float
        What is taken then, not above 0.
    sd : float
        Noise of payoffs, with `means`.
    step : float, optional
        Payoffs around means are rounded to multiples of it: points, cents.
    limits : (float, float), optional
        Means (or odds) that drift are reflected here, and payoffs drawn around means are cut here.
    drift : float
        Standard deviation of the change of each arm's mean (or odds, also those of a loss) from trial to trial.
    reverse_every : int, optional
        The arms reverse after every so many trials of a session.
    reverse_chance : float
        The arms reverse after each trial with this chance.
    reverse_after : int, optional
        The arms reverse after so many choices of the best arm in a row.
    shuffle : bool
        A reversal deals the places of the arms at random, perhaps as they were; otherwise each arm takes the
        place of the next one (two arms: they swap).
    shown : int, or sequence of sequences of arms, optional
        So many arms, at random, are available on each trial; or one of these sets, each once in every block of as many
        trials as there are sets, in random order (probabilistic selection: ``(("A", "B"), ("C", "D"), ("E", "F"))``).
        All if not given.
    forgone : bool
        What the arms not chosen would have paid is shown too.
    shared : bool
        All subjects get the same payoffs, reversals and arms shown, drawn once.
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
    loss_odds: Sequence[float] | None = None
    loss: float = -1.0
    sd: float = 1.0
    step: float | None = None
    limits: tuple[float, float] | None = None
    drift: float = 0.0
    reverse_every: int | None = None
    reverse_chance: float = 0.0
    reverse_after: int | None = None
    shuffle: bool = False
    shown: int | Sequence[Sequence[Any]] | None = None
    forgone: bool = False
    shared: bool = False
    missed: float = 0.0
    arms: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        for name in ("odds", "means", "amounts", "loss_odds", "limits", "arms", "n_trials"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | np.integer | range):
                object.__setattr__(self, name, tuple(np.atleast_1d(value).tolist()))
        if self.shown is not None and not isinstance(self.shown, int | np.integer | float):
            object.__setattr__(self, "shown", tuple(tuple(one) for one in self.shown))
        check_payoffs(self)
        check_numbers(self)

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

    @property
    def labels(self) -> list[Any]:
        """Of the arms."""
        return list(self.arms or range(self.base.size))

    def schedule(self, n_subjects: int, rng: np.random.Generator) -> Schedule:
        """Draw payoffs, missed trials and arms shown for so many subjects."""
        if self.shared:
            return self._for_all(n_subjects, rng)
        frame = frame_of(self._lengths(n_subjects, rng), self.labels)
        n = frame.sizes["trial"]
        starts = frame["trial_number"].values == 1
        order, reversal = self._order(starts, rng)
        expected = np.take_along_axis(self._drifted(self.base, starts, rng), order, axis=1)
        if self.shown is not None:
            frame["available"] = (("trial", "arm"), self._available(starts, rng))
        if self.reverse_every is not None or self.reverse_chance > 0:
            frame["reversal"] = ("trial", reversal, {"level": "trial"})
        schedule = Schedule(
            frame=frame,
            reward=self._payoffs(expected, rng),
            missed=rng.random(n) < self.missed,
            tells_forgone=self.forgone,
            expected=self._mean_payoff(expected),
            turn=self._turns(n, rng),
            streak=self.reverse_after or 0,
        )
        return schedule if self.loss_odds is None else self._with_losses(schedule, starts, order, rng)

    def _for_all(self, n_subjects: int, rng: np.random.Generator) -> Schedule:
        """One schedule, and who misses a trial on it drawn for each subject."""
        length = self.n_trials[0] if isinstance(self.n_trials, tuple) else self.n_trials
        one = replace(self, shared=False, n_trials=length).schedule(1, rng)
        frame = frame_of(np.tile(self._lengths_in(one), (n_subjects, 1)), self.labels)
        frame = frame.assign(
            {
                name: (var.dims, _repeated(var.values, n_subjects), var.attrs)
                for name, var in one.frame.items()
            }
        )
        names = ("reward", "gain", "loss", "expected", "turn")
        arrays = {
            name: _repeated(getattr(one, name), n_subjects)
            for name in names
            if getattr(one, name) is not None
        }
        return replace(one, frame=frame, missed=rng.random(frame.sizes["trial"]) < self.missed, **arrays)

    @staticmethod
    def _lengths_in(one: Schedule) -> npt.NDArray[np.int64]:
        return np.bincount(one.frame["trial_session"].values)[1:].astype(np.int64)

    def _with_losses(
        self, schedule: Schedule, starts: npt.NDArray[np.bool_], order: Any, rng: np.random.Generator
    ) -> Schedule:
        """Losses with odds of their own, which change places with the rest."""
        assert schedule.expected is not None
        odds = np.take_along_axis(
            self._drifted(np.array(self.loss_odds, dtype=float), starts, rng), order, axis=1
        )
        loss = np.where(rng.random(odds.shape) < odds, self.loss, 0.0)
        gain, expected = schedule.reward, schedule.expected + self.loss * odds
        return replace(schedule, reward=gain + loss, gain=gain, loss=loss, expected=expected)

    def _available(self, starts: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """(n, m) arms shown."""
        n, m = starts.size, self.base.size
        if isinstance(self.shown, int | np.integer):
            rank = rng.random((n, m)).argsort(axis=1).argsort(axis=1)
            return rank < self.shown
        assert self.shown is not None
        sets = np.array([[label in one for label in self.labels] for one in self.shown])
        row = np.arange(n)
        position = row - np.maximum.accumulate(np.where(starts, row, 0))
        block = np.cumsum(position % len(sets) == 0)
        dealt = np.lexsort((rng.random(n), block))  # rows of a block in random order
        turn = np.empty(n, dtype=np.int64)
        turn[dealt] = position % len(sets)
        return sets[turn]

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

    def _drifted(
        self, base: FloatArray, starts: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> FloatArray:
        """(n, m) odds or means on each trial, before reversals: a random walk between reflecting limits."""
        shape = (starts.size, base.size)
        if self.drift == 0:
            return np.broadcast_to(base, shape)
        walk = np.cumsum(rng.normal(0.0, self.drift, shape), axis=0)
        walk -= walk[np.maximum.accumulate(np.where(starts, np.arange(starts.size), 0))]
        low, high = self.limits or ((0.0, 1.0) if self.means is None else (-np.inf, np.inf))
        if np.isinf(low):
            return base + walk
        folded = (base + walk - low) % (2 * (high - low))
        return low + np.minimum(folded, 2 * (high - low) - folded)

    def _payoffs(self, expected: FloatArray, rng: np.random.Generator) -> FloatArray:
        if self.means is None:
            lose, win = self.amounts
            return np.where(rng.random(expected.shape) < expected, win, lose)
        low, high = self.limits or (-np.inf, np.inf)
        paid = np.clip(rng.normal(expected, self.sd), low, high)
        return paid if self.step is None else np.round(paid / self.step) * self.step

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


def _repeated(values: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Rows of one subject for n of them."""
    return np.tile(values, (n, *[1] * (values.ndim - 1)))
