"""The page: contents set in the template, with its style inside."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from hierrl.report.contents import Contents
from hierrl.report.parts import LIGHTS

TEMPLATE, STYLE = "page.html.jinja", "page.css"


@cache
def _read(name: str) -> str:
    return (files("hierrl.report") / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read(TEMPLATE))


def render(contents: Contents) -> str:
    """The HTML of a report."""
    return _template().render(it=contents, style=_read(STYLE), lights=LIGHTS)
