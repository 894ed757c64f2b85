"""Write the table of other packages' models into docs/coming_from.md: ``python docs/make_tables.py``."""

from pathlib import Path

from hierrl.models.aliases import ALIASES, Alias

PAGE = Path(__file__).parent / "coming_from.md"
BEGIN, END = "<!-- begin aliases -->\n", "<!-- end aliases -->"


def alias_table() -> str:
    """Their name, our call, their parameters in ours; names that stand for the same are in one row."""
    rows: dict[str, list[str]] = {}
    for name, alias in ALIASES.items():
        rows.setdefault(f"{_call(alias)} | {_parameters(alias)}", []).append(
            f"`{name}`"
        )
    lines = [f"| {', '.join(names)} | {rest} |" for rest, names in rows.items()]
    return (
        "\n".join(
            [
                "| hBayesDM | here | its parameters, in ours |",
                "| :-- | :-- | :-- |",
                *lines,
            ]
        )
        + "\n"
    )


def with_table(page: str) -> str:
    """The page with the table of today."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{alias_table()}\n{END}{rest.split(END)[1]}"


def _call(alias: Alias) -> str:
    options = "".join(f", {name}={value!r}" for name, value in alias.options.items())
    return f'`hr.model("{alias.model}"{options})`'


def _parameters(alias: Alias) -> str:
    return ", ".join(
        f"`{theirs}` = `{ours}`" for theirs, ours in alias.parameters.items()
    )


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
