"""Models as they are written on the command line: ``rw+lapse+choice_trace``, ``subvalue+beta=0:20``.

After the name come options, each after a plus sign. Some switch something on (`SWITCHES`), some have a value
(``start=0.5``, ``missed=decay``, ``context=COLUMN``, ``regressor=COLUMN``). Whatever else has a value is a parameter:
a number fixes it, ``LOW:HIGH`` are its bounds, a name stands for the parameter that is used in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput

if TYPE_CHECKING:
    from hierrl.models import Model

SWITCHES: dict[str, dict[str, Any]] = {
    "lapse": {"lapse": True},
    "bias": {"bias": True},
    "choice_trace": {"choice_trace": True},
    "sticky": {"sticky": True},
    "per_arm": {"per_arm": True},
    "signed": {"signed": True},
    "unsigned": {"signed": False},
    "start": {"start": "start"},
}
VALUED = ("start", "missed", "context", "regressor")
MISSED = ("hold", "decay")
EXAMPLE = "Write it like rw+lapse, rw+choice_trace+bias or subvalue+alpha=0.3+beta=0:20."


@dataclass(frozen=True)
class ModelText:
    """What was written, taken apart."""

    text: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns of the table that the model needs besides the usual ones."""
        context = self.options.get("context")
        return [*self.options.get("regressors", ()), *([context] if context else [])]

    def build(self) -> Model:
        """The model; with options it is called as it was written, which tells its fits apart."""
        from hierrl.models import model

        try:
            found = model(self.name, **self.options)
            return replace(found, name=self.text) if self.options else found
        except (ValueError, TypeError, KeyError) as error:
            where = f"--model {self.text}: " if self.options else ""
            raise BadInput(where + " ".join(str(error).split())) from error


def read_models(texts: Iterable[str]) -> list[ModelText]:
    """The models that were asked for, each once."""
    found: list[ModelText] = []
    for text in texts:
        one = read_model(text)
        if any((one.name, one.options) == (other.name, other.options) for other in found):
            raise BadInput(f"The model {one.text} is named twice; name each --model once.")
        found.append(one)
    return found


def read_model(text: str) -> ModelText:
    """A model with its options.

    Examples
    --------
    >>> read_model("rw+lapse+beta=0:20").options
    {'lapse': True, 'bounds': {'beta': (0.0, 20.0)}}
    """
    name, *parts = (part.strip() for part in text.split("+"))
    if not name or not all(parts) or any(sign in text for sign in "[](),"):
        raise BadInput(f"The model {text!r} can't be read. {EXAMPLE}")
    options: dict[str, Any] = {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            _put(options, _switch(key, text), text)
        elif not key or not value:
            raise BadInput(f"--model {text}: the option {part!r} is incomplete. {EXAMPLE}")
        elif key in VALUED:
            _put(options, _valued(key, value, text), text)
        else:
            _about_parameter(options, key, value, text)
    return ModelText("+".join([name, *parts]), name, options)


def _switch(key: str, text: str) -> dict[str, Any]:
    if key in SWITCHES:
        return SWITCHES[key]
    from difflib import get_close_matches

    near = get_close_matches(key, SWITCHES, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise BadInput(
        f"--model {text}: there is no option {key!r}.{meant} Options are {', '.join(SWITCHES)}; with a value "
        f"{', '.join(f'{name}=...' for name in VALUED)}, and PARAMETER=NUMBER, PARAMETER=LOW:HIGH."
    )


def _valued(key: str, value: str, text: str) -> dict[str, Any]:
    if key == "missed" and value not in MISSED:
        raise BadInput(f"--model {text}: missed={value} is not one of {' and '.join(MISSED)}.")
    if key == "regressor":
        return {"regressors": [value]}
    number = _number(value) if key == "start" else None
    return {key: value if number is None else number}


def _put(options: dict[str, Any], new: dict[str, Any], text: str) -> None:
    for name, value in new.items():
        if name == "regressors" and value[0] not in options.get(name, []):
            options[name] = [*options.get(name, []), *value]
        elif name in options:
            raise BadInput(f"--model {text}: {name} is said twice.")
        else:
            options[name] = value


def _about_parameter(options: dict[str, Any], name: str, value: str, text: str) -> None:
    """A number, bounds, or another parameter in its place."""
    low, colon, high = value.partition(":")
    if colon:
        ends = _number(low), _number(high)
        if None in ends:
            raise BadInput(f"--model {text}: the bounds {name}={value} must be two numbers, LOW:HIGH.")
        kind, meant = "bounds", ends
    elif (number := _number(value)) is not None:
        kind, meant = "fixed", number
    else:
        kind, meant = "shared", value
    if any(name in options.get(one, {}) for one in ("bounds", "fixed", "shared")):
        raise BadInput(f"--model {text}: {name} is said twice.")
    options.setdefault(kind, {})[name] = meant


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
