"""``hierrl models``: what can be fitted by name."""

from __future__ import annotations

from hierrl.cli.pages import Page


def models() -> None:
    """List the models that have a name, with their parameters."""
    import pandas as pd

    from hierrl.models import model
    from hierrl.models import models as catalogue

    page = Page()
    rows = [(name, ", ".join(model(name).names), text) for name, text in catalogue().items()]
    page.table(pd.DataFrame(rows, columns=["model", "parameters", "what it says"]))
    page.say("Fit one: hierrl fit TABLE --model NAME. Compose others in Python with hierrl.Model.")
