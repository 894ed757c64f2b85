"""``hierrl models``: what can be fitted by name, and what is known of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hierrl.cli.complaints import plain_errors, reading
from hierrl.cli.pages import Page

if TYPE_CHECKING:
    from hierrl.models import Model

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="One of them, or hBayesDM's name for it: equations, parameters, data it needs.",
        show_default=False,
    ),
]


def models(name: Name = None) -> None:
    """List the models that have a name, or show one.

    The list gives parameters, a sentence and hBayesDM's names; with NAME it is the equations, the parameters with
    their ranges, what the convex step can do, and the columns that the data must have.

    [bold]Examples[/]

      hierrl models

      hierrl models forgetting_q

      hierrl models bandit4arm_lapse
    """
    with plain_errors(debug=False):
        page = Page()
        if name is None:
            _list(page)
        else:
            _show(page, name)


def _list(page: Page) -> None:
    from hierrl.models import model
    from hierrl.models.aliases import names_elsewhere
    from hierrl.models.catalogue import CATALOGUE

    elsewhere = names_elsewhere()
    for name, entry in CATALOGUE.items():
        page.title(name, ", ".join(model(name).names))
        page.say(entry.summary)
        if name in elsewhere:
            page.say("hBayesDM: " + ", ".join(elsewhere[name]))
    page.title("More", "hierrl models NAME shows one; hierrl fit TABLE --model NAME fits it.")
    page.say("Others are composed in Python: hr.model(NAME, lapse=True, ...), hr.Model, hr.Recursion.")


def _show(page: Page, name: str) -> None:
    from hierrl.models import model
    from hierrl.models.aliases import ALIASES
    from hierrl.models.catalogue import CATALOGUE
    from hierrl.models.equations import capability, equations, legend

    with reading():
        found = model(name)
    entry = CATALOGUE[ALIASES[name].model if name in ALIASES else name]
    page.title(name, entry.summary)
    page.title("Equations")
    for line in equations(found):
        page.say(line)
    page.say("; ".join(f"{symbol}: {meaning}" for symbol, meaning in legend(found)).replace("`", ""))
    _parameters(page, found)
    page.title("Convex step")
    page.say(_sentence(capability(found)))
    _data(page, found)
    _elsewhere(page, name)
    page.title("Source", entry.source)


def _parameters(page: Page, model: Model) -> None:
    import pandas as pd

    from hierrl.models.meanings import meanings

    rows = [(m.name, m.range, m.unit or "-", m.text.replace("`", "")) for m in meanings(model)]
    page.title("Parameters")
    page.table(pd.DataFrame(rows, columns=["parameter", "range", "unit", "meaning"]))
    for name, value in model.fixed.items():
        page.say(f"{name} is fixed at {value:g}.")
    page.say("Ranges hold in point fits, for rewards divided by the largest absolute reward of the data.")


def _data(page: Page, model: Model) -> None:
    from hierrl.models.meanings import needs

    page.title("Data it needs")
    for column, text in needs(model):
        page.say(f"{column}: {text}")


def _elsewhere(page: Page, name: str) -> None:
    from hierrl.models.aliases import ALIASES, alike, call, names_elsewhere, translation

    others = [name] if name in ALIASES else names_elsewhere().get(name, [])
    if others:
        page.title("hBayesDM")
    for names, alias in alike(others):
        page.say(f"{', '.join(names)}: {call(alias)} with {translation(alias)}. {alias.note}".rstrip())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
