"""What the user hands in, read and checked before any work begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput, reading
from hierrl.cli.model_text import ModelText

if TYPE_CHECKING:
    import xarray as xr

    from hierrl.models import Model

NONE = "none"
"""What is written on the command line for "there is no such column"."""


@dataclass(frozen=True)
class Task:
    """One model to be fitted to the study, with the formulas that concern it."""

    name: str
    model: Model
    data: xr.Dataset
    formula: Mapping[str, str]

    def describe(self) -> str:
        """Parameters and formulas in a line."""
        parts = [f"{name} ~ {text}" for name, text in self.formula.items() if text != "1"]
        return f"{', '.join(self.model.names)}" + (f";  {',  '.join(parts)}" if parts else "")


def read_study(
    table: Path, *, columns: Mapping[str, str | None], arms: str | None, covariates: Iterable[str]
) -> xr.Dataset:
    """The behaviour in a file."""
    from hierrl.data import behaviour

    roles: dict[str, Any] = {role: False if name == NONE else name for role, name in columns.items()}
    with reading():
        return behaviour(table, **roles, arms=_arms(arms), covariates=list(dict.fromkeys(covariates)) or None)


def read_formulas(texts: Iterable[str]) -> dict[str, str]:
    """``"alpha ~ 1 + group"`` as parameter -> right-hand side; without ``~`` it is for all (key ``""``)."""
    found: dict[str, str] = {}
    for text in texts:
        left, tilde, right = text.partition("~")
        if not tilde and "=" in text:
            raise BadInput(f"The formula {text!r} has no tilde: write {text.replace('=', '~', 1)!r}.")
        name, side = (left.strip(), right.strip()) if tilde else ("", text.strip())
        if not side or (tilde and not name):
            raise BadInput(f"The formula {text!r} is incomplete: write it like 'alpha ~ 1 + group'.")
        if name in found:
            raise BadInput(f"There are two formulas for {name or 'all parameters'!r}; give one.")
        found[name] = side
    return found


def covariates_in(formulas: Mapping[str, str]) -> list[str]:
    """Names of the covariates that formulas use."""
    if not formulas:
        return []
    import formulae
    from formulae.categorical import ENCODINGS

    names: dict[str, None] = {}
    for text in formulas.values():
        try:
            terms = formulae.model_description(text).common_terms
        except Exception as error:  # formulae's parser raises what it likes
            reason = " ".join(str(error).split())
            raise BadInput(
                f"The formula {text!r} can't be read ({reason}). Write a right-hand side such as '1 + group'."
            ) from error
        found = {name for term in terms for name in term.var_names}
        names |= dict.fromkeys(sorted(name for name in found if name and name not in ENCODINGS))
    return list(names)


def make_tasks(
    data: xr.Dataset, asked: Sequence[ModelText], formulas: Mapping[str, str], *, certify: bool = False
) -> list[Task]:
    """The models, each checked against the data and its formulas."""
    from hierrl.formulas import design_matrices
    from hierrl.kernels.problem import prepare

    tasks = []
    with reading():
        models = {one.text: one.build() for one in asked}
        _check_known(formulas, models)
        for name, one in models.items():
            if certify and not one.supports.bound:
                raise ValueError(f"--certify: {name} can't be certified. {' '.join(one.supports.reasons)}")
            chosen = _formula_of(one, formulas)
            prepare(one, data)  # says what the model misses in the data
            design_matrices(one, data, chosen)
            tasks.append(Task(name, one, data, chosen))
    return tasks


def check_split(data: xr.Dataset, last: float | None) -> None:
    """Raise if nothing or everything would be held out."""
    if last is not None:
        from hierrl.data import split

        with reading():
            split(data, last=last)


def _check_known(formulas: Mapping[str, str], models: Mapping[str, Model]) -> None:
    from hierrl.data.table import nearest

    known = list(dict.fromkeys(name for model in models.values() for name in model.names))
    for name in formulas:
        if name and name not in known:
            raise ValueError(
                f"The formula for {name!r} fits no parameter: {' and '.join(models)} "
                f"{'have' if len(models) > 1 else 'has'} {', '.join(known)}.{nearest(name, known)}"
            )


def _formula_of(model: Model, formulas: Mapping[str, str]) -> dict[str, str]:
    everywhere = formulas.get("", "1")
    chosen = {name: formulas.get(name, everywhere) for name in model.names}
    return {name: text for name, text in chosen.items() if text != "1"}


def _arms(text: str | None) -> list[str] | list[int] | int | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise BadInput("--arms is empty: write all arms, as in --arms A,B,C, or their number.")
    numbers = [int(part) for part in parts if part.lstrip("-").isdecimal()]
    if len(parts) == 1 and numbers and numbers[0] > 1:
        return numbers[0]
    if len(parts) == 1:
        raise BadInput(
            f"--arms {text}: there must be at least two arms. Write all of them, as in --arms A,B."
        )
    return numbers if len(numbers) == len(parts) else parts
