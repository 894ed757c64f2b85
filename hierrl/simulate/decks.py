"""`Decks`: tasks with decks of cards that are drawn without replacement, such as the Iowa gambling task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hierrl.simulate.schedule import FloatArray, Schedule, frame_of


@dataclass(frozen=True)
class Decks:
    """A task with a deck of cards for each arm; a card is a gain and a loss, both told.

    A deck is `gains` and `losses` in random order, then the same cards in another order, and so on: what it pays
    depends on how often it was chosen, not on the trial.

    Parameters
    ----------
    gains, losses : sequence of sequences of float, (m, k)
        Cards of each deck; gains of 0 or more, losses of 0 or less.
    n_trials : int
        Trials of a session.
    n_sessions : int
        Sessions of each subject; each begins with fresh decks.
    shuffle : bool
        Cards of a deck are in random order, drawn for each subject and round; otherwise always as they are given.
    missed : float
        Share of trials without a choice, at random.
    arms : sequence of str or int, optional
        Labels; 0 ... m - 1 if not given.

    Raises
    ------
    ValueError
        If decks are not of one size, or a number is out of range.

    Examples
    --------
    >>> import hierrl as hr
    >>> data = hr.simulate(hr.model("rw"), hr.Decks.iowa(), {"alpha": 0.2, "beta": 0.01}, n_subjects=5, random_seed=1)
    >>> data.sizes["trial"], sorted(set(data["gain"].values.tolist()))
    (500, [50.0, 100.0])
    """

    gains: Sequence[Sequence[float]]
    losses: Sequence[Sequence[float]]
    n_trials: int = 100
    n_sessions: int = 1
    shuffle: bool = True
    missed: float = 0.0
    arms: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        for name in ("gains", "losses"):
            object.__setattr__(self, name, tuple(tuple(map(float, deck)) for deck in getattr(self, name)))
        sizes = {len(deck) for deck in (*self.gains, *self.losses)}
        if len(self.gains) < 2 or len(self.gains) != len(self.losses) or len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                f"gains and losses must be two or more decks with as many cards each; found "
                f"{[len(deck) for deck in self.gains]} gains and {[len(deck) for deck in self.losses]} losses."
            )
        cards = np.array([self.gains, self.losses])
        if not np.isfinite(cards).all() or (cards[0] < 0).any() or (cards[1] > 0).any():
            raise ValueError("Gains must be 0 or more and losses 0 or less.")
        for name in ("n_trials", "n_sessions"):
            number = getattr(self, name)
            if not isinstance(number, int | np.integer) or number < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; found {number}.")
        if not 0 <= self.missed < 1:
            raise ValueError(f"missed must lie within [0, 1); found {self.missed}.")
        if self.arms is not None and len(set(self.arms)) != len(self.gains):
            raise ValueError(f"There are {len(self.gains)} decks; arms={self.arms} must name each once.")

    @classmethod
    def iowa(cls, n_trials: int = 100) -> Decks:
        """The payoffs of Bechara et al. (1994) by ten cards: A and B gain 1,000 and lose 1,250, C and D 500 and 250.

        A and C lose often, B and D once in ten cards. (There the order of cards was fixed; here it is random.)
        """
        losses = (
            (-150.0, -300.0, -200.0, -250.0, -350.0, *[0.0] * 5),
            (-1250.0, *[0.0] * 9),
            (-25.0, -75.0, -25.0, -75.0, -50.0, *[0.0] * 5),
            (-250.0, *[0.0] * 9),
        )
        gains = ((100.0,) * 10, (100.0,) * 10, (50.0,) * 10, (50.0,) * 10)
        return cls(gains, losses, n_trials=n_trials, arms=("A", "B", "C", "D"))

    @property
    def size(self) -> int | None:
        """The number of subjects: any."""
        return None

    @property
    def labels(self) -> list[Any]:
        """Of the decks."""
        return list(self.arms or range(len(self.gains)))

    def schedule(self, n_subjects: int, rng: np.random.Generator) -> Schedule:
        """Draw the orders of cards and missed trials for so many subjects."""
        lengths = np.full((n_subjects, self.n_sessions), self.n_trials, dtype=np.int64)
        frame = frame_of(lengths, self.labels)
        gain, loss = self._dealt(n_subjects * self.n_sessions, rng)
        mean = np.array(self.gains).mean(axis=1) + np.array(self.losses).mean(axis=1)
        return Schedule(
            frame=frame,
            reward=gain + loss,
            gain=gain,
            loss=loss,
            missed=rng.random(frame.sizes["trial"]) < self.missed,
            expected=np.tile(mean, (frame.sizes["trial"], 1)),
            by_card=True,
        )

    def _dealt(self, n_sessions: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Gains and losses (sessions * trials, m) of the cards of each session in the order in which they lie."""
        m, k = len(self.gains), len(self.gains[0])
        rounds = -(-self.n_trials // k)
        card = np.tile(np.arange(k), (n_sessions, rounds, m, 1))
        card = rng.permuted(card, axis=3) if self.shuffle else card
        deck = np.arange(m)[:, None]
        dealt = (np.array(cards)[deck, card] for cards in (self.gains, self.losses))
        gain, loss = (
            one.transpose(0, 1, 3, 2).reshape(n_sessions, rounds * k, m)[:, : self.n_trials].reshape(-1, m)
            for one in dealt
        )
        return gain, loss
