"""`describe`: the methods paragraph and the parameter table of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr

from hierrl.describe.paragraph import paragraph
from hierrl.describe.tables import as_latex, as_markdown, escaped, parameter_table
from hierrl.fits import check_fit


@dataclass(frozen=True, repr=False)
class Description:
    """A fit in words and numbers; `describe` makes it.

    Attributes
    ----------
    table : DataFrame
        The parameters, see `describe`.
    parts : mapping of str to list of str
        Sentences on ``data``, ``model``, ``estimation``, ``prior``, ``checks``, ``caution`` and ``software``.
    """

    table: pd.DataFrame
    parts: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The paragraph."""
        return " ".join(sentence for sentences in self.parts.values() for sentence in sentences)

    def __repr__(self) -> str:
        return self.text

    def to_markdown(self) -> str:
        """Paragraph and table in markdown."""
        return f"{self.text}\n\n{as_markdown(self.table)}\n"

    def to_latex(self) -> str:
        """Paragraph and table in LaTeX; the table needs the package booktabs."""
        return f"{escaped(self.text)}\n\n{as_latex(self.table)}\n"

    def to_csv(self, path: str | Path) -> None:
        """Write the table, with all digits, to a file.

        Parameters
        ----------
        path : str or Path
        """
        self.table.to_csv(path, index=False)


def describe(fit: xr.DataTree) -> Description:
    r"""Describe a fit for a methods and a results section: a paragraph and a table of parameters.

    The paragraph tells data, model with its equation, estimation, priors, what the fit found when it checked itself,
    and versions and seed, all as the fit has them on record: nothing stands there that was not computed. Where
    estimates are shrunken it says what not to do with them. It is a draft: check it, and shorten what your readers
    know.

    Parameters
    ----------
    fit : DataTree
        From `fit_convex`, `fit_mle` or `fit_posterior`.

    Returns
    -------
    Description
        ``text``: the paragraph, also what is printed; ``parts``: its sentences by topic. ``table``: of a posterior a
        row for each number of the population, with posterior mean, standard deviation, 95 % ETI, R-hat and effective
        sample size; of a point fit a row for each parameter with median, quartiles, mean and standard deviation over
        subjects, the median standard error (link scale), and the number of estimates on a bound. Raw reward units.
        ``to_markdown()``, ``to_latex()``, ``to_csv(path)``.

    Raises
    ------
    TypeError
        If this is not a fit.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> told = hr.describe(hr.fit_mle(hr.model("rw"), data))
    >>> told.parts["data"][1]
    'Outcomes: reward 0 or 1, 74% are 1.'
    >>> told.table["parameter"].tolist()
    ['alpha', 'beta']
    """
    check_fit(fit)
    return Description(parameter_table(fit), paragraph(fit))
