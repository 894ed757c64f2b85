"""Write what is derived into the pages of docs/models: equations, parameters, abilities, names elsewhere.

    python docs/make_models.py              # the derived parts, between the markers of each page
    python docs/make_models.py --examples   # also run each page's example and show what it prints

A test checks that the first would change nothing, and that the examples still print what is shown.
"""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path

import pandas as pd
import xarray as xr
from running import execute

import hierrl as hr
from hierrl.convex.steps import uncontained
from hierrl.kernels.problem import prepare
from hierrl.models.aliases import alike, call, names_elsewhere, translation
from hierrl.models.catalogue import CATALOGUE
from hierrl.models.equations import capability, legend
from hierrl.models.meanings import meanings, needs
from hierrl.models.notation import LATEX

FOLDER = Path(__file__).parent / "models"
BEGIN, END = (
    "<!-- derived by docs/make_models.py -->",
    "<!-- end of what is derived -->",
)
EXAMPLE = re.compile(
    r"(```python\n(?P<code>.*?)```\n)(\n```text\n.*?```\n)?", re.DOTALL
)

RANGES = (
    "Ranges are the bounds of point fits, for rewards divided by the largest absolute reward of the data; `bounds=` "
    "changes them. Estimates are reported in the unit given here. Posteriors know no bounds but the link, on whose "
    "scale subjects are normally distributed."
)
EVERY_MODEL = (
    "Missed, forced and held-out choices, unknown outcomes, sessions and arms that are not shown mean what they mean "
    "[for every model](options.md#what-the-data-may-hold)."
)


def main() -> None:
    """Rewrite the pages whose derived part has changed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--examples",
        action="store_true",
        help="run the examples and show what they print",
    )
    run = parser.parse_args().examples
    for path in pages():
        text = path.read_text()
        new = renewed(path)
        new = EXAMPLE.sub(shown, new) if run else new
        if new != text:
            path.write_text(new)
            print(f"changed: {path.name}")


def pages() -> list[Path]:
    """Those with a derived part: the index, and one for each model."""
    return [FOLDER / "index.md", *(FOLDER / f"{name}.md" for name in CATALOGUE)]


def renewed(path: Path) -> str:
    """The text of a page with its derived part made anew."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(
            f"{path} must have the lines {BEGIN!r} and {END!r}, each once."
        )
    before, rest = text.split(BEGIN)
    part = index() if path.stem == "index" else derived(path.stem)
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{rest.split(END)[1]}"


def shown(block: re.Match[str]) -> str:
    """A block of code followed by what it prints."""
    return f"{block[1]}\n```text\n{execute(block['code'], 'example', {})}```\n"


def derived(name: str) -> str:
    """All that follows from the parts of a model."""
    return "\n\n".join(
        [
            "## Equations",
            _equations(name),
            "## Parameters",
            _parameters(name),
            RANGES,
            "## What the convex step can do",
            _abilities(name),
            "## Data it needs",
            _data(name),
            EVERY_MODEL,
            *_elsewhere(name),
            "## Source",
            f"{CATALOGUE[name].source}; see the [references](references.md).",
        ]
    )


def index() -> str:
    """The table of models, and the order in which the documentation shows them."""
    elsewhere = names_elsewhere()
    rows = [
        (f"[`{name}`]({name}.md)", entry.summary, _codes(elsewhere.get(name, [])))
        for name, entry in CATALOGUE.items()
    ]
    order = "\n".join(["options", *CATALOGUE, "adding", "references"])
    return _table(("model", "what it says", "in hBayesDM"), rows) + (
        f"\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{order}\n```"
    )


def _equations(name: str) -> str:
    model = hr.model(name)
    told = [
        (r"[\dots]" if symbol == "[...]" else symbol, meaning)
        for symbol, meaning in legend(model, LATEX)
    ]
    where = "; ".join(f"${symbol}$: {meaning}" for symbol, meaning in told)
    return f"$$\n{model.latex}\n$$\n\n{where}."


def _parameters(name: str) -> str:
    model = hr.model(name)
    rows = []
    for one in meanings(model):
        arm = "i" if model.parameter(one.name).kind == "bias" else ""
        symbol = f"${LATEX.parameter(one.name, arm)}$"
        rows.append(
            (f"`{one.name}`", symbol, one.range, one.unit or "-", one.link, one.text)
        )
    return _table(("parameter", "symbol", "range", "unit", "link", "meaning"), rows)


def _abilities(name: str) -> str:
    model = hr.model(name)
    sentence = capability(model)
    lines = [f"{sentence[0].upper()}{sentence[1:].rstrip('.')}."]
    if model.supports.bound:
        lines.append("`fit_convex` gives the bound, `fit_mle(certify=1e-3)` the proof.")
        signs = model.supports.sign_cases
        if signs:
            lines.append(
                f"That makes up to {2**signs} convex problems for each subject, one for each case of signs."
            )
    else:
        lines.append(
            "`fit_convex` estimates the parameters all the same; `certify=` is refused."
        )
    reason = uncontained(prepare(model, _any_data()))
    falling = '[Falling kernels](../certificate.md) (`relaxation="monotone"`)'
    lines.append(
        f"{falling} contain the model too."
        if not reason
        else f"{falling} give no bound. {reason}"
    )
    return re.sub(r"learner='(\w+)'", r'`learner="\1"`', " ".join(lines))


def _data(name: str) -> str:
    return "\n".join(f"- `{column}`: {text}" for column, text in needs(hr.model(name)))


def _elsewhere(name: str) -> list[str]:
    others = names_elsewhere().get(name, [])
    if not others:
        return []
    rows = [
        (_codes(names), f"`{call(alias)}`", _codes(translation(alias).split(", ")))
        for names, alias in alike(others)
    ]
    notes = dict.fromkeys(alias.note for _, alias in alike(others) if alias.note)
    table = _table(("hBayesDM", "here", "its parameters in those of this page"), rows)
    return ["## Names elsewhere", table, "`hr.model` takes these names too.", *notes]


def _codes(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(
        f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)
    )


@cache
def _any_data() -> xr.Dataset:
    """A few trials with every column that a model of the catalogue may need."""
    table = pd.DataFrame(
        {
            "subject": "a",
            "choice": [0, 1, 0, 1],
            "gain": [1.0, 0.0, 1.0, 1.0],
            "loss": [0.0, -1.0, 0.0, 0.0],
            "forgone": [0.0, 1.0, 1.0, 0.0],
        }
    )
    return hr.behaviour(table, forgone="forgone")


if __name__ == "__main__":
    main()
