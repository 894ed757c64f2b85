"""The report: one page that needs nothing beside it, whose numbers are those of the fits."""

import importlib
import json
import os
import re
import shutil
import subprocess
import warnings
import xml.etree.ElementTree as ET
from html import unescape

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from hierrl.fits import SETTINGS
from hierrl.models.catalogue import CATALOGUE
from hierrl.report.equations import equations_of, mathml
from hierrl.report.figures import _numbered
from hierrl.report.grouping import by_model_of, typical_subject
from hierrl.report.models import model_part
from hierrl.report.parts import certainty, number, percent, span
from hierrl.report.population import contrasts_of, group_of
from hierrl.report.study import measures
from tests.pages import Page

QUIET = {"progress": False}
RW, STICKY = hr.model("rw"), hr.model("sticky")
FORMULA = {"alpha": "1 + group", "beta": "1"}


@pytest.fixture(scope="module")
def data():
    """Ten subjects in two groups, one of whom misses a dozen trials in a row and one of whom keeps to one arm."""
    truth = {"alpha": [0.2] * 5 + [0.5] * 5, "beta": 4.0}
    simulated = hr.simulate(RW, hr.Bandit((0.8, 0.2), n_trials=90, reverse_every=30), truth, random_seed=3)
    table = hr.to_table(simulated)[["subject", "trial", "choice", "reward"]]
    table["group"] = np.where(table["subject"] > 5, "fast", "slow")
    asleep = (table["subject"] == 2) & table["trial"].between(40, 51)
    table.loc[asleep, ["choice", "reward"]] = np.nan
    table.loc[table["subject"] == 7, "choice"] = table["choice"].dropna().iloc[0]
    return hr.behaviour(table, covariates=["group"])


@pytest.fixture(scope="module")
def fits(data):
    """Two models by maximum likelihood, and a posterior of one of them."""
    convex = hr.fit_convex(RW, data, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few draws need not be enough
        posterior = hr.fit_posterior(
            RW,
            data,
            start=convex,
            formula=FORMULA,
            method="marginal",
            draws=150,
            chains=2,
            random_seed=1,
            **QUIET,
        )
    return {
        "convex": convex,
        "ML <rw>": hr.fit_mle(RW, data, start=convex, **QUIET),
        "posterior": posterior,
        "sticky": hr.fit_mle(STICKY, data, **QUIET),
    }


@pytest.fixture(scope="module")
def path(fits, tmp_path_factory):
    return hr.report(
        fits, tmp_path_factory.mktemp("report") / "all.html", title="Learning & <speed>", random_seed=1
    )


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text(encoding="utf-8"))


def table_of(page: Page, caption: str) -> pd.DataFrame:
    head, *rows = page.tables[caption]
    return pd.DataFrame(rows, columns=head)


def test_page_is_well_formed_html(page):
    assert page.faults == []
    assert page.html.startswith("<!DOCTYPE html>") and '<html lang="en">' in page.html
    assert page.tags["title"] == page.tags["h1"] == page.tags["main"] == 1


def test_reader_of_pages_finds_what_is_wrong():
    page = Page('<p><div id="a"></div></p><span id="a"><b></span><a href="#b">x</a>')
    assert len(page.faults) == 6


def test_page_asks_for_nothing_outside_itself(page):
    assert {address.partition(",")[0] for _, address in page.asked} <= {"data:image/png;base64"}
    assert not page.tags.keys() & {"script", "link", "iframe", "img", "object", "embed", "base", "form"}
    assert "@import" not in page.html
    assert set(re.findall(r"url\((.)", page.html)) <= {"#"}
    assert set(re.findall(r'(\S+)="https?://', page.html)) <= {"xmlns", "xmlns:xlink"}


def test_page_can_be_read_without_seeing_it(page):
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert len(page.labels) > 8 and all(len(label) > 20 for label in page.labels)
    assert page.tags["caption"] == page.tags["table"]


def test_titles_and_names_are_escaped(page):
    assert (1, "Learning & <speed>") in page.headings
    assert "<speed>" not in page.html and "<rw>" not in page.html


def test_estimates_and_certificates_of_every_subject_are_those_of_the_fit(page, fits):
    for name in ("ML <rw>", "convex", "sticky"):
        shown, stats = table_of(page, f"{name}: every subject"), fits[name]["fit_stats"]
        assert shown["subject"].tolist() == [str(s) for s in stats["subject"].values]
        for label in stats["parameter"].values:
            expected = [number(v) for v in fits[name]["posterior"][label].values.ravel()]
            assert [cell.split()[0] for cell in shown[label]] == expected
        proven = ["proven" in cell for cell in shown["certificate"]]
        assert proven == (stats["gap"].values <= 1e-3).tolist()
        held = np.array(
            [["on a bound" in cell for cell in shown[label]] for label in stats["parameter"].values]
        ).T
        assert (held == stats["at_bound"].values).all()


def test_intervals_of_subjects_are_quantiles_of_their_draws(page, fits):
    shown = table_of(page, "posterior: every subject")
    draws = fits["posterior"]["posterior"]["beta"].stack(sample=("chain", "draw"))
    ends = np.quantile(draws.transpose("subject", "sample").values, [0.025, 0.975], axis=1).T
    expected = [f"✓ {number(m)}" for m in draws.mean("sample").values]
    assert [cell.split()[0] for cell in shown["beta"]] == [text.removeprefix("✓ ") for text in expected]
    assert [cell.split(maxsplit=1)[1] for cell in shown["beta"]] == [span(*pair) for pair in ends]


def test_population_and_contrast_are_those_of_the_posterior(page, fits):
    population = fits["posterior"]["population"]
    shown = table_of(page, "posterior: the population in the units of the data, with 95 % ETI")
    assert shown["group"].tolist() == ["fast", "slow", "everybody"]
    for row, cell in enumerate(["group=fast", "group=slow"]):
        for column, name in (("typical subject", "median"), ("average subject", "mean")):
            draws = population[name].sel(parameter="alpha", cell=cell).values.ravel()
            expected = f"{number(draws.mean())} {span(*np.quantile(draws, [0.025, 0.975]))}"
            assert shown[column][row] == expected
    difference = (population["median"].sel(parameter="alpha", cell="group=slow")
                  - population["median"].sel(parameter="alpha", cell="group=fast")).values.ravel()  # fmt: skip
    shown = table_of(page, "posterior: differences, with 95 % ETI")
    assert shown["difference"].tolist()[0] == "slow − fast"
    assert (
        shown["estimate"][0]
        == f"{number(difference.mean())} {span(*np.quantile(difference, [0.025, 0.975]))}"
    )
    assert shown["direction"][0] == certainty(max((difference > 0).mean(), (difference < 0).mean()))
    assert f"alpha, slow minus fast: {number(difference.mean())} (95 % ETI" in page.text


def test_odd_subjects_are_named_with_what_to_do(page):
    assert "1 subject chose the same arm on every trial: 7." in page.text
    assert "1 subject missed 10 or more trials in a row: 2." in page.text
    assert "Leave subjects out only by a rule" in page.text


def test_models_are_compared_by_the_estimator_that_both_have(page, fits):
    comparison = hr.compare_models({"rw": fits["ML <rw>"], "sticky": fits["sticky"]}, by="subject")
    shown = table_of(page, "Models, the best first")
    assert shown["model"].tolist() == comparison.table.index.tolist()
    assert shown["score"].tolist() == [f"{s:,.1f}".replace("-", "−") for s in comparison.table["score"]]


def test_checks_are_those_of_the_best_fit(page, fits):
    check = hr.predictive_check(fits["posterior"], by="group", random_seed=1, **QUIET)
    for sentence in check.sentences:
        assert sentence.partition(": ")[2] in page.text


def test_methods_versions_and_seed_are_there(page, fits):
    assert hr.describe(fits["posterior"]).parts["estimation"][0] in page.text
    made = table_of(page, "How each fit was made").set_index("fit")
    assert made.loc["posterior", "seed"] == "1"
    assert f"convex, ML <rw> and sticky: made with hierrl {hr.__version__}, numpy" in page.text
    assert re.search(rf"posterior: made with hierrl {hr.__version__}, numpy .*nutpie \d.*pymc \d", page.text)
    assert "Seed of the checks and comparisons in this report: 1." in page.text


def test_the_same_fits_and_seed_give_the_same_page(fits, tmp_path):
    first, second = (
        hr.report(fits["sticky"], tmp_path / f"{n}.html", random_seed=4).read_text(encoding="utf-8")
        for n in "ab"
    )
    different = [
        pair for pair in zip(first.splitlines(), second.splitlines(), strict=True) if len(set(pair)) > 1
    ]
    assert not different, different[0]


def test_names_in_a_picture_do_not_depend_on_where_objects_lie_in_memory():
    def picture(name: str) -> str:
        return f'<g id="{name}"/><use href="#{name}" clip-path="url(#{name})"/><g id="b"/>'

    assert _numbered(picture("p12"), "p1") == _numbered(picture("p99"), "p1")
    assert (
        _numbered(picture("a"), "p1")
        == '<g id="p1-0"/><use href="#p1-0" clip-path="url(#p1-0)"/><g id="p1-1"/>'
    )


def test_a_single_point_fit_has_no_population_and_without_checks_none(fits, tmp_path):
    page = Page(hr.report(fits["sticky"], tmp_path / "one.html", checks=False).read_text(encoding="utf-8"))
    assert page.faults == []
    titles = [title for level, title in page.headings if level == 2]
    assert titles == ["At a glance", "What can be believed", "Data", "Model", "Subjects", "Methods", "Words"]
    assert "mle: every subject" in page.tables


def test_a_posterior_alone_has_no_comparison(fits, tmp_path):
    page = Page(
        hr.report(fits["posterior"], str(tmp_path / "post.html"), checks=False).read_text(encoding="utf-8")
    )
    assert page.faults == []
    assert "Population" in [title for _, title in page.headings]
    assert "Comparison" not in [title for _, title in page.headings]


def test_models_without_a_common_estimator_are_not_compared_and_it_says_so(fits, tmp_path):
    mixed = {"rw": fits["convex"], "sticky": fits["sticky"]}
    page = Page(hr.report(mixed, tmp_path / "mixed.html", checks=False).read_text(encoding="utf-8"))
    assert "so that their scores can't be compared" in page.text


def test_missing_groups_one_subject_and_one_trial_are_no_obstacle(tmp_path):
    rows = {
        "subject": ["a"] * 30 + ["b"],
        "choice": [0, 1, 1] * 10 + [1],
        "reward": [1.0, 0.0, 1.0] * 10 + [0.0],
    }
    table = pd.DataFrame(rows).assign(group=["x"] * 30 + [None])
    for name, part in (("two", table), ("one", table.query("subject == 'a'"))):
        fit = hr.fit_mle(RW, hr.behaviour(part, covariates=["group"]), **QUIET)
        page = Page(hr.report({"fit": fit}, tmp_path / f"{name}.html").read_text(encoding="utf-8"))
        assert page.faults == []
        assert ("1 subject made fewer than 20 choices" in page.text) == (name == "two")


def test_measures_of_subjects_are_what_a_loop_counts(data):
    found = measures(data)
    for s, subject in enumerate(data["subject"].values):
        rows = np.flatnonzero(data["trial_subject"].values == subject)
        choice, reward = data["choice"].values[rows], data["reward"].values[rows]
        made = [c for c in choice if c >= 0]
        pairs = [(a, b) for a, b in zip(choice, choice[1:], strict=False) if a >= 0 and b >= 0]
        assert found["trials missed"][s] == pytest.approx(np.mean(choice < 0))
        assert found["reward per choice"][s] == pytest.approx(np.nanmean(reward))
        assert found["choices of the favourite arm"][s] == max(made.count(0), made.count(1)) / len(made)
        assert found["choices of the same arm as before"][s] == pytest.approx(
            np.mean([a == b for a, b in pairs])
        )


def test_fits_that_differ_in_bounds_only_are_of_one_model(data, fits):
    narrow = hr.fit_mle(hr.model("rw", bounds={"beta": (0, 20)}), data, **QUIET)
    grouped = by_model_of({"wide": fits["ML <rw>"], "sticky": fits["sticky"], "narrow": narrow})
    assert {title: list(those) for title, those in grouped.items()} == {
        "rw": ["wide", "narrow"],
        "sticky": ["sticky"],
    }


def test_typical_subject_has_the_median_log_likelihood_per_choice(data, fits):
    stats = fits["sticky"]["fit_stats"]
    scored = pd.Series(data["scored"].values).groupby(data["trial_subject"].values).sum()
    each = (stats["loglik"].to_series() / scored).sort_values()
    assert typical_subject(fits["sticky"]) == each.index[(len(each) - 1) // 2]


def test_slopes_within_subjects_are_contrasted_between_groups_on_the_link_scale(fits):
    cells = [f"group={g}, drug={d}" for g in ("a", "b") for d in ("off", "on")]
    rng = np.random.default_rng(0)
    alpha = rng.uniform(0.2, 0.8, (1, 200, 4))
    slope = np.repeat(rng.normal([0.5, -0.3], 0.1, (1, 200, 2)), 2, axis=2)
    median = xr.DataArray(
        np.stack([alpha, slope], axis=2),
        dims=("chain", "draw", "parameter", "cell"),
        coords={"parameter": ["alpha", "alpha:drug[on]"], "cell": cells},
    )
    population = xr.Dataset(
        dict.fromkeys(("median", "mean"), median) | {"sigma": median.isel(cell=0, drop=True)}
    )
    fit = fits["posterior"].copy()
    fit["population"] = xr.DataTree(population.assign_attrs(slopes=json.dumps(["alpha:drug[on]"])))
    fit.attrs[SETTINGS] = json.dumps(
        json.loads(fit.attrs[SETTINGS]) | {"formula": {"alpha": "1 + group * drug"}}
    )
    found = contrasts_of(fit).query("quantity == 'mu'").set_index(["parameter", "contrast"])["mean"]
    assert found.index.tolist() == [("alpha", "b - a"), ("alpha", "on - off"), ("alpha:drug[on]", "b - a")]
    assert found["alpha:drug[on]", "b - a"] == pytest.approx((slope[..., 2] - slope[..., 0]).mean())


def test_groups_are_those_of_the_formula_or_the_only_ones_in_the_data(fits, data):
    assert group_of(fits["posterior"]) == group_of(fits["sticky"]) == "group"
    plain = fits["sticky"].copy()
    plain["constant_data"] = xr.DataTree(data.drop_vars(["choice", "group"]))
    assert group_of(plain) is None


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_model_is_told_in_mathml_and_words(name):
    model = hr.model(name)
    lines = equations_of(model)
    for line in lines:
        ET.fromstring(line.replace("&#160;", " "))
    whole, latex = "".join(lines), "".join(dict.fromkeys(model.latex.split(" \\\\\n")))  # each line once
    for command, element in ((r"\leftarrow", "←"), (r"\frac", "<mfrac>"), (r"\alpha", "α"), (r"\beta", "β")):
        assert whole.count(element) == latex.count(command), command
    assert whole.count("<mi>Q</mi>") == latex.count("Q")
    part = model_part(model, ["fit"], reward_scale=1.0)
    assert [one.name for one in part.parameters] == list(model.names)
    assert all(len(one.meaning) > 15 for one in part.parameters)


def test_mathml_of_an_equation():
    found = mathml(r"Q^{(1)}_c \leftarrow (1 - \alpha_{\mathrm{pos}}) \frac{r_c'}{2} \text{ if } x \ge 0.5")
    text = re.sub(r"<[^>]+>", "", found).replace("&#160;", " ")
    assert text == "Qc(1)←(1−αpos)rc′2 if x≥0.5"
    assert "<msubsup><mi>Q</mi><mi>c</mi><mrow>" in found
    assert '<msub><mi>α</mi><mrow><mi mathvariant="normal">pos</mi></mrow></msub>' in found


def test_latex_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"No MathML is known for the LaTeX command \\int"):
        mathml(r"\int x")
    with pytest.raises(ValueError, match="ends before '}'"):
        mathml(r"{x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"), (-2.5, "−2.50"), (1234.5, "1,234"), (50.0, "50"), (0.0, "0"), (0.00022, "0.00022"),
        (3e-9, "3.0e−09"), (float("nan"), "–"), (7, "7"), (True, "yes"), ("x", "x"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_digits(value, text):
    assert number(value) == text


def test_ends_of_an_interval_have_the_same_decimals():
    assert span(0.00701, 0.1402) == "0.007 to 0.140"
    assert span(-1.5, 22.0) == "−1.5 to 22.0"
    assert span(0.0, 0.0) == "0 to 0"
    assert percent(0.0292) == "2.9 %" and percent(0.5) == "50 %" and percent(0.0) == "0 %"


def test_nothing_is_overwritten_unless_forced(fits, tmp_path):
    there = tmp_path / "there.html"
    there.write_text("mine")
    with pytest.raises(
        FileExistsError, match="exists already. Choose another path, or overwrite it with force=True"
    ):
        hr.report(fits["sticky"], there)
    assert there.read_text() == "mine"
    hr.report(fits["sticky"], there, checks=False, force=True)
    assert there.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["there.html"]


def test_what_cannot_be_reported_is_refused(fits, data, tmp_path):
    out, one = tmp_path / "x.html", fits["sticky"]
    with pytest.raises(ValueError, match="must end in .html; found"):
        hr.report(one, tmp_path / "x.pdf")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        hr.report(one, tmp_path / "no" / "x.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        hr.report(one, tmp_path / "folder.html")
    with pytest.raises(TypeError, match="takes a fit, or fits with names.*found list"):
        hr.report([one], out)
    with pytest.raises(TypeError, match="found dict"):
        hr.report({"a": {}}, out)
    with pytest.raises(ValueError, match="needs at least one fit"):
        hr.report({}, out)
    with pytest.raises(TypeError, match="title= must be text; found int"):
        hr.report(one, out, title=3)
    train, _ = hr.split(data, last=0.5)
    with pytest.raises(ValueError, match="score different trials"):
        hr.report({"a": one, "b": hr.fit_mle(RW, train, **QUIET)}, out)
    assert not out.exists()


def test_the_name_is_the_function_even_after_its_module_was_imported():
    importlib.import_module("hierrl.report")
    assert callable(hr.report)


def browser() -> str:
    found = next(
        (name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
    )
    if found is None:
        pytest.skip(
            "needs a headless browser: none of chromium, chromium-browser, google-chrome is on the path"
        )
    return found


PROBE = """<script>
const wide = [...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll, svg, .wide")
  && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + "." + one.className);
parent.postMessage(JSON.stringify({width: innerWidth, page: document.documentElement.scrollWidth, wide,
  math: document.querySelector("math").getBoundingClientRect().height,
  tiny: [...document.querySelectorAll(".tile svg")].filter((one) => one.getBoundingClientRect().width < 250).length,
}), "*");
</script>"""
"""What is wider than the page, measured by the browser and told to the page around it."""
FRAME = """<body><script>onmessage = (one) => { document.body.dataset.found = one.data; };</script>
<iframe src="probed.html" style="width: %dpx; height: 900px; border: 0"></iframe></body>"""


def run_browser(tmp_path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", *arguments]
    home = {**os.environ, "HOME": str(tmp_path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=home)


@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_the_page_within_its_width(path, tmp_path, width):
    probed, frame = tmp_path / "probed.html", tmp_path / "frame.html"
    html = path.read_text(encoding="utf-8")
    probed.write_text(html.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    frame.write_text(FRAME % width)  # windows themselves can't be that narrow
    run = run_browser(
        tmp_path, "--window-size=1300,1000", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()
    )
    assert "CONSOLE" not in run.stderr
    found = json.loads(unescape(re.search(r'data-found="([^"]+)"', run.stdout)[1]))
    assert found["width"] == width
    assert found["page"] <= width and found["wide"] == []
    assert found["math"] > 10 and found["tiny"] == 0


def test_a_browser_prints_the_page(path, tmp_path):
    pdf = tmp_path / "report.pdf"
    run_browser(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", path.as_uri())
    assert pdf.read_bytes().startswith(b"%PDF") and pdf.stat().st_size > 50_000


def test_long_tables_of_subjects_are_printed_only_if_they_are_opened(tmp_path):
    """Fitted to 151 subjects of ten trials: one more than is printed."""
    task = hr.Bandit((0.8, 0.2), n_trials=10)
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=151, random_seed=1)
    path = hr.report(hr.fit_mle(hr.model("rw"), data, progress=False), tmp_path / "r.html", checks=False)
    pages = {}
    for name, change in (
        ("closed", ("", "")),
        ("opened", ('<details class="long">', '<details class="long" open>')),
    ):
        html, pdf = tmp_path / f"{name}.html", tmp_path / f"{name}.pdf"
        text = path.read_text(encoding="utf-8")
        assert change[0] in text
        html.write_text(text.replace(*change) if change[0] else text, encoding="utf-8")
        run_browser(tmp_path, f"--print-to-pdf={pdf}", html.as_uri())
        pages[name] = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 0 < pages["closed"] < pages["opened"]
