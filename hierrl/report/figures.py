"""Figures as SVG that stands in the page itself: no files beside it, sharp in print."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

import matplotlib as mpl
import xarray as xr

from hierrl.checks import PredictiveCheck
from hierrl.fits import data_of, problem_of
from hierrl.formulas.cells import EVERYBODY
from hierrl.plots import plot_comparison, plot_estimates, plot_population, plot_predictive_check, plot_subject
from hierrl.plots.axes import title_of
from hierrl.plots.estimates import AXIS, STEP
from hierrl.plots.groups import groups_of
from hierrl.plots.style import INK, colour_of, marker_of
from hierrl.report.parts import Gallery, Key, Picture
from hierrl.summary.intervals import NAME

TILE = 3.1
"""Inches of a picture of which three stand side by side on a wide screen, and one on a narrow one."""
RESOLUTION = 150
SETTINGS: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "hierrl"}
"""Letters as outlines look alike everywhere; names within the file are the same on every run."""
MOST_PARAMETERS = 12
"""Panels beyond are left to hr.plot_estimates and hr.plot_population."""
NAMES = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')
SHAPES = {
    "o": '<circle cx="6" cy="6" r="4"/>',
    "s": '<rect x="2.5" y="2.5" width="7" height="7"/>',
    "^": '<path d="M6 1.5 10.5 10h-9z"/>',
    "D": '<path d="M6 1 11 6 6 11 1 6z"/>',
    "v": '<path d="M6 10.5 1.5 2h9z"/>',
    "P": '<path d="M4.5 1h3v3.5H11v3H7.5V11h-3V7.5H1v-3h3.5z"/>',
}


class Pictures:
    """Makes pictures; what is named within each is told apart from the others'."""

    def __init__(self) -> None:
        self._n = 0

    def __call__(self, figure: Any, alt: str, *, legend: bool = True) -> Picture:
        """A figure of ours as a picture; its own legend is left out where the page has one."""
        for own in list(figure.legends) if not legend else ():
            own.remove()
        self._n += 1
        written = BytesIO()
        with mpl.rc_context(SETTINGS):
            figure.savefig(written, format="svg", dpi=RESOLUTION, metadata={"Date": None, "Creator": None})
        svg = written.getvalue().decode("utf-8")
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
        svg = _numbered(svg, f"p{self._n}")
        head = f'<svg role="img" aria-label="{escape(alt, quote=True)}" '
        return Picture(svg.strip().replace("<svg ", head, 1), alt, float(figure.get_figwidth()))


def _numbered(svg: str, prefix: str) -> str:
    """Names within a picture as numbers in their order: matplotlib makes some of them of places in memory."""
    numbers: dict[str, int] = {}

    def renamed(found: re.Match[str]) -> str:
        return f"{found[1]}{prefix}-{numbers.setdefault(found[2], len(numbers))}"

    return NAMES.sub(renamed, svg)


def key(text: str, *, marker: str = "o", colour: str = INK, filled: bool = True) -> Key:
    """An entry of a legend."""
    look = f'fill="{colour if filled else "#fff"}" stroke="{colour}" stroke-width="1.4"'
    mark = f'<svg class="mark" viewBox="0 0 12 12" aria-hidden="true"><g {look}>{SHAPES[marker]}</g></svg>'
    return Key(mark, text)


def bar(text: str, colour: str) -> Key:
    """An entry for a band or a line."""
    mark = (
        '<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">'
        f'<rect y="3" width="12" height="6" fill="{colour}"/></svg>'
    )
    return Key(mark, text)


def population_gallery(fit: xr.DataTree, draw: Pictures) -> Gallery:
    """The population of each parameter."""
    labels = list(problem_of(fit).labels)[:MOST_PARAMETERS]
    pictures = [
        draw(
            plot_population(fit, parameters=[label], figsize=(TILE, _population_height(fit))),
            f"Posterior density of the population median of {title_of(label)}, with median and mean and their {NAME}, "
            "a row for each group. The numbers are in the table.",
            legend=False,
        )
        for label in labels
    ]
    keys = (
        key(f"population median: a typical subject, 50 % and {NAME}"),
        key("population mean", filled=False),
    )
    return Gallery(
        tuple(pictures), "What the posterior says about the population. Curves are densities.", keys
    )


def _population_height(fit: xr.DataTree) -> float:
    return 1.0 + 0.62 * fit["population"].sizes["cell"]


def estimates_gallery(fits: Mapping[str, xr.DataTree], group: str | None, draw: Pictures) -> Gallery:
    """Every subject under the fits of one model."""
    first = next(iter(fits.values()))
    labels = list(problem_of(first).labels)[:MOST_PARAMETERS]
    levels = groups_of(data_of(first), group)
    steps = len(fits) + any("population" in fit.children for fit in fits.values())
    pictures = [
        draw(
            plot_estimates(
                fits, parameters=[label], group=group, figsize=(max(TILE, AXIS + STEP * steps), 2.9)
            ),
            f"Estimates of {title_of(label)} of every subject under {', '.join(fits)}, linked by lines, with median "
            "and quartiles over subjects. The numbers are in the tables.",
            legend=False,
        )
        for label in labels
    ]
    keys = [
        key(level, marker=levels.markers[level], colour=levels.colours[level])
        for level in (levels.levels if group else ())
    ]
    keys.append(key("large marks: median and quartiles over subjects"))
    if any("population" in fit.children for fit in fits.values()):
        keys.append(key(f"population median, {NAME}", marker="D", filled=False))
    subjects = "Thin lines" if len(fits) > 1 else "Small dots"
    words = f"{subjects} are subjects. Open triangles lie beyond the end of the axis."
    return Gallery(tuple(pictures), words, tuple(keys))


def check_gallery(check: PredictiveCheck, draw: Pictures) -> Gallery:
    """What subjects did over what the model does."""
    panels = list(_panels(check))
    pictures = [
        draw(
            plot_predictive_check(check, statistics=names, figsize=(TILE, 2.3)),
            f"{title}: observed means over the model's 95 % predictive intervals. {' '.join(_told(check, names))}",
            legend=False,
        )
        for title, names in panels
    ]
    colours = colour_of(check.groups) if check.groups != (EVERYBODY,) else {}
    markers = marker_of(check.groups)
    keys = [key(level, marker=markers[level], colour=colour) for level, colour in colours.items()]
    shape = markers[check.groups[0]]
    keys += [
        bar(f"model, {NAME}", "#C9C9C9"),
        key("observed, within", marker=shape),
        key("observed, outside", marker=shape, filled=False),
    ]
    return Gallery(
        tuple(pictures), "What subjects did (marks) over what the model does in their place.", tuple(keys)
    )


def _panels(check: PredictiveCheck) -> Iterator[tuple[str, Sequence[str]]]:
    """Single numbers share a picture, all else has its own."""
    names = list(map(str, check.observed.data_vars))
    single = [name for name in names if check.observed[name].size == check.observed.sizes["subject"]]
    if single:
        yield "Single numbers", single
    for name in names:
        if name not in single:
            yield check.title(name), [name]


def _told(check: PredictiveCheck, names: Sequence[str]) -> list[str]:
    return [text for text in check.sentences if text.partition(" (")[0].partition(":")[0] in names]


def comparison_gallery(comparison: Any, draw: Pictures) -> Gallery:
    """Models side by side."""
    best = comparison.table.index[0]
    picture = draw(
        plot_comparison(comparison),
        f"Differences in score between {', '.join(map(str, comparison.table.index))}; {best} predicts best. "
        "The numbers are in the table.",
    )
    return Gallery((picture,), "Differences to the best model, with one and two standard errors.")


def subject_gallery(fit: xr.DataTree, name: str, subject: Any, draw: Pictures) -> Gallery:
    """One subject's trials."""
    picture = draw(
        plot_subject(fit, subject),
        f"Choices and rewards of subject {subject} trial by trial, and values and choice probabilities by {name}.",
    )
    words = f"Subject {subject}, whose choices {name} predicts about as well as the median subject's."
    return Gallery((picture,), words)
