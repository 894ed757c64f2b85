"""`Recursion`: a model that the user writes as what happens on one trial."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from hierrl.models import equations
from hierrl.models.abilities import Abilities
from hierrl.models.channels import _NAME
from hierrl.models.model import (
    RESERVED,
    Model,
    Parameter,
    _as_pair,
    _check_bound,
)
from hierrl.models.notation import TEXT, Text
from hierrl.models.recursion.declared import ALWAYS, KINDS, OUTCOMES, column_of, kind_of, start_of

if TYPE_CHECKING:
    from hierrl.models.recursion.unrolled import Unrolled

Step = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]
Updates = Literal["outcomes", "choices", "trials"]
Start = float | str | tuple[str, float | str]

NO_HULL = (
    "A recursion is any update, and the relaxation knows only sums of channels: start from hr.fit_mle, which searches "
    "from spread starting points instead."
)

_DEFINED: dict[str, Recursion] = {}
"""By fingerprint, what this process has defined."""


class Recursion(Model):
    r"""A model of your own: what one subject does on one trial, written in PyTensor.

    The state :math:`s` is a few numbers, most often one for each arm. Before trial t it gives the logits (or the
    choice probabilities), afterwards it learns:

    .. math:: P(\text{choice}_t = i) = \frac{e^{x_i(s_t, \theta)}}{\sum_{j\ \text{shown}} e^{x_j(s_t, \theta)}},
              \qquad s_{t+1} = f(s_t, \text{trial}_t, \theta).

    The functions are called once, with symbols. What they return is written out as plain arithmetic and compiled,
    together with its first and second derivatives, which are exact. Every fit but `fit_convex`, simulation, latents
    and comparisons take the model as they take any other.

    Parameters
    ----------
    name : str
        What tables, plots and saved fits call it.
    parameters : mapping of str to str or tuple
        Name -> kind, or (kind, lowest, highest). Kinds are ``"rate"`` (in [0, 1]), ``"weight"`` (not negative, [0, 50]
        if not told otherwise), ``"signed"`` (a weight of either sign, [-50, 50]), ``"start"`` (a state's start, in the
        range of the scaled rewards), ``"lapse"`` ([0, 1]) and ``"bias"`` (one for each arm, 0 for the first, within
        10). The kind chooses link and weak prior.
    states : mapping of str to float, str or tuple
        Name -> value at the start of each session: a number, or the name of a parameter. A state has one value for
        each arm; ``("scalar", 0.0)`` makes it a single number.
    update : callable
        ``update(state, trial, p)`` returns a dict with the new value of every state. All three arguments are dicts of
        PyTensor scalars, or vectors over arms. `trial` holds ``choice`` (index of the arm), ``chosen`` (vector: 1 for
        the arm chosen, else 0), ``reward``, ``known`` (whether the outcome is known), ``available`` (vector: 1 for
        arms shown) and `columns`; `p` the parameters on their natural scale.
    logits : callable, optional
        ``logits(state, trial, p)`` returns a vector over arms. It must not look at the choice or the outcome of the
        trial, which it is not given.
    probabilities : callable, optional
        In place of `logits`: positive numbers that are divided by their sum over the arms shown. For mixtures of
        policies, ``(1 - mix) * softmax(...) + mix * softmax(...)``.
    columns : sequence of str or (str, "arm")
        Further variables of the behaviour that the functions read, by trial or by trial and arm. ``gain``, ``loss`` and
        ``forgone`` (by arm; 0 for the arm chosen) are outcomes.
    context : str, optional
        A column by trial, such as the stimulus shown: each of its values has a state of its own, and `update` sees that
        of the trial. ``trial["since"]`` says how many trials ago the context's state was last updated in this session
        (0 if never), for what fades meanwhile.
    updates : {"outcomes", "choices", "trials"}
        On which trials the state is updated: those with a known outcome (the others leave it as it is), those with a
        choice (where an outcome is unknown, it is 0 and so is ``known``), or all (after a missed choice ``chosen`` is
        all 0, too, and ``choice`` is -1).
    scale : bool
        Whether rewards are divided by the largest absolute reward of the fitted data (``reward_scale``) before `update`
        sees them, as channels do. Without it they come as they are, and default bounds and priors mean them.
    units : mapping of str to int
        Power of the reward unit that a parameter or state carries: ``{"q": 1, "beta": -1}`` for values in reward units
        and a weight per unit of reward. Those are reported in raw units; what isn't named is a number without unit, on
        the scaled rewards. Start parameters take the unit of their state.
    per_arm : sequence of str
        Parameters with a value for each arm: vectors in `p`.
    bounds : mapping of str to (float, float)
        Overrides of bounds, as in `Model`.
    n_arms : int
        Number of arms with which the functions are tried when the model is made, 2 or more.

    Raises
    ------
    ValueError, TypeError
        If a kind or name is unknown, a function asks for what there is not, returns something of another shape, or uses
        an operation that can't be written out.

    Notes
    -----
    Rows that are missed, forced or held out are treated as everywhere: state resets where a session starts, forced and
    held-out choices are learned from and not scored, a missed choice isn't scored.

    A saved fit holds names, parameters, states and a fingerprint of the functions, not the functions themselves.
    To use it, run the code that makes the model first.

    Second derivatives of a large model take long to compile: where the numbers of the state times the pairs of
    parameters exceed 400, they are central differences of the exact gradients.

    Examples
    --------
    >>> import hierrl as hr
    >>> mine = hr.Recursion(
    ...     name="mine",
    ...     parameters={"alpha": "rate", "beta": "weight"},
    ...     states={"q": 0.0},
    ...     update=lambda state, trial, p: {
    ...         "q": state["q"] + p["alpha"] * trial["chosen"] * (trial["reward"] - state["q"])
    ...     },
    ...     logits=lambda state, trial, p: p["beta"] * state["q"],
    ... )
    >>> mine
    Recursion(mine: alpha (rate), beta (weight); states q)
    """

    declared: dict[str, tuple[str, float | None, float | None]]
    """Parameter -> what its kind is called, and the bounds given with it."""
    starts: dict[str, tuple[float | str, bool]]
    """State -> start, and whether it has a value for each arm."""
    update: Step
    logits: Step | None
    probabilities: Step | None
    columns: tuple[tuple[str, bool], ...]
    """Names, and whether they have a value for each arm."""
    context: str | None
    updates: Updates
    scale: bool
    units: dict[str, int]
    per_arm: tuple[str, ...]
    n_arms: int

    def __init__(
        self,
        *,
        name: str | None,
        parameters: Mapping[str, str | tuple[str, float, float]],
        states: Mapping[str, Start],
        update: Step,
        logits: Step | None = None,
        probabilities: Step | None = None,
        columns: Sequence[str | tuple[str, str]] = (),
        context: str | None = None,
        updates: Updates = "outcomes",
        scale: bool = True,
        units: Mapping[str, int] | None = None,
        per_arm: Sequence[str] = (),
        bounds: Mapping[str, tuple[float, float]] | None = None,
        n_arms: int = 2,
    ):
        given = {
            "name": name,
            "declared": {key: kind_of(key, value) for key, value in parameters.items()},
            "starts": {key: start_of(key, value) for key, value in states.items()},
            "update": update,
            "logits": logits,
            "probabilities": probabilities,
            "columns": tuple(column_of(each) for each in columns),
            "context": context,
            "updates": updates,
            "scale": bool(scale),
            "units": dict(units or {}),
            "per_arm": (per_arm,) if isinstance(per_arm, str) else tuple(per_arm),
            "bounds": {},
            "n_arms": n_arms,
            # What a model of channels has and this one has not.
            "channels": (),
            "regressors": (),
            "bias": False,
            "lapse": False,
            "missed": "hold",
            "fixed": {},
        }
        for key, value in given.items():
            object.__setattr__(self, key, value)
        self._check_functions()
        self._check_names()
        self._set_bounds(bounds or {})
        fingerprint = self.fingerprint  # calls the functions, which may be wrong
        if name is not None:
            _DEFINED[fingerprint] = self

    def _check_functions(self) -> None:
        for which in ("update", "logits", "probabilities"):
            function = getattr(self, which)
            if function is not None and not callable(function):
                raise TypeError(
                    f"{which} must be a function of (state, trial, p); found {type(function).__name__}."
                )
        if (self.logits is None) == (self.probabilities is None):
            found = "neither" if self.logits is None else "both"
            raise ValueError(f"A recursion needs either logits= or probabilities=; found {found}.")
        if self.updates not in ("outcomes", "choices", "trials"):
            raise ValueError(f"updates={self.updates!r} is not one of ('outcomes', 'choices', 'trials').")
        if not (isinstance(self.n_arms, int) and self.n_arms >= 2):
            raise ValueError(f"n_arms must be a whole number of 2 or more; found {self.n_arms!r}.")

    def _check_names(self) -> None:
        known = {"parameters": self.declared, "states": self.starts}
        for what, names in known.items():
            if not names:
                raise ValueError(f"The recursion {self.name!r} has no {what}; it needs at least one.")
            for name in names:
                if not _NAME.match(name) or (what == "parameters" and name in RESERVED):
                    raise ValueError(
                        f"{name!r} can't be the name of one of the {what}: use letters, digits and _, and no "
                        "dimension or column of a fit."
                    )
        for name, (begin, _) in self.starts.items():
            if isinstance(begin, str) and begin not in self.declared:
                raise ValueError(
                    f"The state {name!r} starts at {begin!r}, which is no parameter of this model."
                )
        for name in (*self.per_arm, *self.units):
            if name not in self.declared and (name in self.per_arm or name not in self.starts):
                raise ValueError(
                    f"{name!r} in per_arm= or units= is not among the parameters ({', '.join(self.declared)})"
                    f" and states ({', '.join(self.starts)})."
                )
        for name, (begin, by_arm) in self.starts.items():
            if not by_arm and isinstance(begin, str) and self.parameter(begin).per_arm:
                raise ValueError(f"The scalar state {name!r} can't start at {begin!r}, which is per arm.")
        if self.units and not self.scale:
            raise ValueError(
                "units= are those of scaled rewards; with scale=False nothing is scaled: leave them out."
            )
        for name, _ in self.columns:
            if name in (*ALWAYS, "since"):
                raise ValueError(f"trial[{name!r}] is always there: leave it out of columns=.")

    def _set_bounds(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        kinds = {parameter.name: parameter for parameter in self.parameters}
        given = {name: _as_pair(name, pair) for name, pair in dict(bounds).items()}
        declared = {name: (low, high) for name, (_, low, high) in self.declared.items() if low is not None}
        for name, (low, high) in {**declared, **given}.items():
            if high is not None:
                _check_bound(name, low, high, kinds)  # type: ignore[arg-type]
        object.__setattr__(self, "bounds", given)
        vars(self).pop("parameters", None)  # was filled without the bounds

    @property
    def is_linear(self) -> bool:
        """Not that anybody knew: what the author's functions make of rewards may depend on their scale."""
        return False

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters in the order in which they were declared."""
        begun_by = {begin: name for name, (begin, _) in self.starts.items() if isinstance(begin, str)}
        found = []
        for name, (word, low, high) in self.declared.items():
            kind, link, default = KINDS[word]
            pair = self.bounds.get(name, default if low is None else (low, high))
            unit = self.units.get(name, self.units.get(begun_by.get(name, ""), 0))
            found.append(Parameter(name, kind, link, kind == "bias" or name in self.per_arm, unit, *pair))  # type: ignore[arg-type]
        return tuple(found)

    @cached_property
    def supports(self) -> Abilities:
        """That there is no convex relaxation, and why."""
        return Abilities(False, False, (NO_HULL,), self, 0)

    @property
    def reads(self) -> frozenset[str]:
        """What a task or data must hold for the functions."""
        return frozenset(name for name, _ in self.columns) | ({self.context} if self.context else set())

    def equations(self, script: Text = TEXT) -> list[str]:
        """What can be said without reading the author's functions: how states become choices, and where they start."""
        return equations.of_recursion(self, script)

    @property
    def inputs(self) -> dict[str, bool]:
        """What the functions find in `trial` -> whether it has a value for each arm."""
        return {**ALWAYS, **({"since": False} if self.context else {}), **dict(self.columns)}

    @cached_property
    def fingerprint(self) -> str:
        """Of what the functions compute, whatever their text."""
        text = "\n".join(
            [*self.unrolled(self.n_arms).statements(), json.dumps(self._record(), sort_keys=True)]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def unrolled(self, n_arms: int) -> Unrolled:
        """The recursion written out for a number of arms."""
        from hierrl.models.recursion.unrolled import unroll  # loads PyTensor

        made = vars(self).setdefault("_unrolled", {})
        if n_arms not in made:
            made[n_arms] = unroll(self, n_arms)
        return made[n_arms]

    def replace(self, **changes: Any) -> Recursion:
        """The recursion with some arguments changed; bounds of parameters that are gone are dropped."""
        keep = {**self._arguments(), **changes}
        keep["bounds"] = {k: v for k, v in keep["bounds"].items() if k in keep["parameters"]}
        return Recursion(**keep)

    def to_json(self) -> str:
        """All but the functions, with their fingerprint, as JSON text."""
        record = {**self._record(), "bounds": self.bounds, "fingerprint": self.fingerprint}
        return json.dumps({"recursion": record}, sort_keys=True)

    def _record(self) -> dict[str, Any]:
        """The arguments that can be written down, apart from bounds."""
        skipped = ("update", "logits", "probabilities", "bounds")
        return {name: value for name, value in self._arguments().items() if name not in skipped}

    def _arguments(self) -> dict[str, Any]:
        same = (
            *("name", "update", "logits", "probabilities", "updates", "scale", "units", "per_arm"),
            *("bounds", "n_arms", "context"),
        )
        return {
            **{key: getattr(self, key) for key in same},
            "parameters": {
                name: word if low is None else (word, low, high)
                for name, (word, low, high) in self.declared.items()
            },
            "states": {
                name: begin if by_arm else ("scalar", begin) for name, (begin, by_arm) in self.starts.items()
            },
            "columns": [
                (name, "arm") if by_arm and name not in OUTCOMES else name for name, by_arm in self.columns
            ],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recursion) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name} ({word})" for name, (word, _, _) in self.declared.items())
        return f"Recursion({self.name}: {parameters}; states {', '.join(self.starts)})"


def from_record(record: Mapping[str, Any]) -> Recursion:
    """The recursion of a saved fit, if this process has defined it."""
    known = _DEFINED.get(record["fingerprint"])
    if known is None:
        names = [each.name for each in _DEFINED.values()]
        found = (
            f"one called {record['name']!r} is defined, but its functions or declarations differ"
            if record["name"] in names
            else f"defined are {', '.join(map(repr, names))}"
            if names
            else "none is defined"
        )
        raise LookupError(
            f"This fit is of the recursion {record['name']!r} (parameters {', '.join(record['parameters'])}), whose "
            f"functions are not in the file; in this process {found}. Run the code that makes it "
            f"(hr.Recursion(name={record['name']!r}, ...)) before using the fit."
        )
    bounds = {name: tuple(pair) for name, pair in record["bounds"].items()}
    return known if bounds == known.bounds else known.replace(bounds=bounds)
