"""The controls of the page in a browser: links, rows, legends, tips, two cells, the address of the runs, updates."""

import csv
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import CHROMIUM
from helpers.report_page import Open, browser_of, render_six_cells
from helpers.reports import grid, make_cells, plan_of

from zeroinit.config.claims import Claim, ClaimTest
from zeroinit.report.cells import group_cells
from zeroinit.report.judgements import judge
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import render_page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")]
CURRENT = "document.querySelector('#nav [aria-current]').textContent"
TOP_OF = "(id) => Math.round(document.getElementById(id).getBoundingClientRect().top)"


@pytest.mark.parametrize("width", [1280, 390])
def test_links_lead_to_the_sections_and_the_current_one_is_marked(width: int, open_page: Open) -> None:
    page = open_page("#cell=3", width)
    links = page.locator("#nav a").all_inner_texts()
    assert links == ["Top", "Answer", "All inits", "Differences", "Map", "Table", "Two cells", "Boundary", "Caveats"]
    link = page.get_by_role("link", name="Two cells")
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{CURRENT} === 'Two cells'")
    assert 0 <= page.evaluate(TOP_OF, "compare") <= 60
    assert page.evaluate("document.activeElement.id") == "compare"
    assert page.url.endswith("#cell=3&at=compare")
    assert link.is_visible()
    page.get_by_role("link", name="Top").click()
    page.wait_for_function("scrollY === 0")
    again = open_page("#table", width)
    again.wait_for_function(f"{CURRENT} === 'Table'")
    assert again.evaluate("document.documentElement.scrollWidth") <= width


def test_a_row_opens_its_card_below_it(open_page: Open) -> None:
    page = open_page()
    rows = page.locator("#table-rows tbody tr")
    rows.nth(2).locator("td").last.click()
    assert rows.nth(3).inner_text().startswith("learns")
    assert (rows.count(), page.locator("#card-title").inner_text()) == (7, "init=init1, bias_scale.value=1.0")
    again = open_page("#" + page.url.partition("#")[2])
    assert again.locator("#table-rows tr.detail").inner_text() == page.locator("#table-rows tr.detail").inner_text()
    button = page.locator("button.row").nth(4)
    button.focus()
    page.keyboard.press("Enter")
    assert (rows.count(), button.get_attribute("aria-expanded")) == (7, "true")
    assert rows.nth(5).get_attribute("class") == "detail"
    page.keyboard.press("Escape")
    assert (rows.count(), button.get_attribute("aria-expanded")) == (6, "false")
    assert page.evaluate("document.activeElement === document.querySelectorAll('button.row')[4]")
    page.get_by_role("button", name="init=init0, bias_scale.value=0.1: ").click()
    assert rows.count() == 6


def test_keys_stay_at_the_left_and_heads_at_the_top(open_page: Open) -> None:
    for width, key in ((1280, "init1"), (390, "init1 \N{MIDDLE DOT} 1.0")):
        page = open_page("#rows=runs", width)
        box = page.locator("#table-rows")
        box.evaluate(
            "(node) => { node.style.maxHeight = '200px'; node.style.width = '340px'; node.scrollTo(90, 120); }"
        )
        assert box.evaluate("(node) => [node.scrollLeft > 20, node.scrollTop]") == [True, 120]
        position = box.bounding_box()
        head = page.locator("#table-rows th").first.bounding_box()
        cell = page.locator("#table-rows tbody .key", has_text=key).first.bounding_box()
        assert (head["x"], head["y"], cell["x"]) == pytest.approx((position["x"], position["y"], position["x"]), abs=1)
        assert ("Scroll the table sideways" in page.locator("#table-note").inner_text()) == (width == 390)


def test_an_entry_of_a_legend_hides_what_it_names(open_page: Open) -> None:
    page = open_page()
    entry = page.locator("#curves .legend").get_by_role("button", name="show init1")
    paths = page.locator("#curves .drawing > svg:last-child path")
    before = paths.count()
    assert entry.get_attribute("aria-pressed") == "true"
    entry.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#curves .entry[aria-pressed=false]')")
    assert paths.count() < before
    name = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(name) == "show init1"
    assert page.locator("#curves .entry[tabindex='0']").count() == 1
    page.keyboard.press("ArrowRight")
    assert page.evaluate(name) == "show init2"
    hidden = paths.count()
    again = open_page("#" + page.url.partition("#")[2])
    assert again.locator("#curves .drawing > svg:last-child path").count() == hidden
    page.go_back()
    page.wait_for_function("!document.querySelector('#curves .entry[aria-pressed=false]')")
    assert paths.count() == before


def test_an_init_of_any_name_can_be_hidden(tmp_path: Path) -> None:
    names = ("a|b", "100%&c=d:1")
    runs = grid(2, 1, 2)
    for run in runs:
        run.params["init"] = names[int(run.params["init"][-1])]
    path = tmp_path / "report.html"
    cells = group_cells(plan_of(*runs), runs)
    path.write_bytes(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 2, []))
    off = "document.querySelectorAll('#curves .entry[aria-pressed=false]').length"
    with browser_of(path) as open_at:
        page = open_at()
        for number, name in enumerate(names, 1):
            page.locator("#curves .legend").get_by_role("button", name=f"show {name}").click()
            page.wait_for_function(f"{off} === {number}")
        again = open_at("#" + page.url.partition("#")[2])
        again.wait_for_function(f"{off} === 2")
        again.locator("#curves .legend").get_by_role("button", name=f"show {names[0]}").click()
        again.wait_for_function(f"{off} === 1")
        open_at("#hidden=%25")


def test_a_tip_covers_no_tile_of_its_panel(open_page: Open) -> None:
    page = open_page("#map")
    tile = page.get_by_role("button", name="init=init1, bias_scale.value=1.0: ")
    tile.hover()
    tip = page.locator("#tooltip")
    assert tip.inner_text() == "50.0%, 51.0% (n = 2); 2 learns"
    box = tip.bounding_box()
    for other in page.locator("#map-chart .tile").all():
        position = other.bounding_box()
        assert box["y"] + box["height"] <= position["y"] or box["y"] >= position["y"] + position["height"]
    page.mouse.move(0, 0)
    assert not tip.is_visible()


def test_two_cells_share_their_axes(open_page: Open) -> None:
    page = open_page("#cell=0&with=3")
    for name in ("A: init0 wakes", "Neurons that differ", "Weight gradients of hidden1"):
        chart = page.locator("#compare-parts").get_by_role("img", name=name)
        chart.wait_for(state="attached")
        assert chart.locator("xpath=..").locator(".legend").count() == 1
    headings = page.locator("#compare-parts svg text", has_text="init=init1").all_text_contents()
    assert [heading.partition(":")[0] for heading in headings] == ["B", "B"]


def test_the_first_metric_of_layers_is_the_one_that_differs_most(tmp_path: Path) -> None:
    runs = grid(3, 1, 1)
    for run, (dead, saturated) in zip(runs, ((0.2, 0.1), (0.3, 0.9), (0.2, 0.1)), strict=True):
        for step in (0, 10):
            run.metrics += [("activation/hidden1/dead", dead, step), ("activation/hidden1/saturated", saturated, step)]
    for run in runs:
        run.metrics.append(("activation/hidden1/variance", 2, 0))
        run.metrics.append(("activation/hidden1/variance", 1, 10))
    path = tmp_path / "report.html"
    cells = group_cells(plan_of(*runs), runs)
    path.write_bytes(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 3, []))
    with browser_of(path) as open_at:
        for hash_of_cells, kind in (
            ("#cell=0&with=1", "saturated"),
            ("#cell=0&with=2", "variance"),  # no metric differs, and the others are constant
            ("#cell=0&with=none", "variance"),
            ("#cell=0&with=1&kind=activation/{layer}/dead", "dead"),
        ):
            page = open_at(hash_of_cells)
            assert page.get_by_label("metric of each layer").input_value() == f"activation/{{layer}}/{kind}"


def test_the_reader_gives_the_address_of_the_runs(open_page: Open) -> None:
    page = open_page("#rows=runs")
    field = page.get_by_label("address of MLflow's UI")
    assert field.input_value() == "http://127.0.0.1:5000"
    for typed, address in (
        ("http://127.0.0.1:5003/#/experiments/7", "http://127.0.0.1:5003"),
        ("localhost:81", "http://localhost:81"),
        ("javascript:alert(1)", "http://127.0.0.1:5000"),
        ("", "http://127.0.0.1:5000"),
    ):
        field.fill(typed)
        field.press("Enter")
        for link in (page.locator("#table-rows a").first, page.locator("#card a").first):
            assert link.get_attribute("href").startswith(f"{address}/#/experiments/7/runs/")


def test_claims_are_saved_with_typed_columns(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    claim = Claim('It is "good", they say.', ClaimTest.SUPERIOR, {"init": "init1"}, {"init": "init0"}, margin=0.5)
    path.write_bytes(render_six_cells([claim]))
    with browser_of(path) as open_at:
        page = open_at()
        with page.expect_download() as download:
            page.get_by_role("button", name="save the table of claims as CSV").click()
        head, first, *_ = csv.reader(Path(download.value.path()).read_text().splitlines())
    [columns, *_] = [judgement.columns() for judgement in judge([claim], make_cells({"init": ["init0", "init1"]}))]
    assert head == [*columns]
    row = dict(zip(head, first, strict=True))
    assert (row["claim"], row["statement"], row["verdict"]) == ("1", 'It is "good", they say.', "refuted")
    assert (row["test"], row["cells"], row["reference"]) == ("superior", "init=init1", "init=init0")
    assert (row["margin"], row["difference"], row["low"], row["n"]) == ("0.5", "0", "0", "2")


def test_the_tables_of_two_cells_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(render_six_cells())
    with browser_of(path) as open_at:
        page = open_at("#cell=0&with=1")
        with page.expect_download() as download:
            page.get_by_role("button", name="save the table of keys as CSV").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert page.get_by_role("button", name="save the table of distinct neurons as CSV").is_visible()
    assert lines[0] == "key,A,B"
    assert lines[1].startswith(("init,init0,", "bias_scale.value,"))


# ---- updates


def mark(page: Any) -> None:
    page.evaluate("window.isOld = true")


def test_an_update_keeps_what_the_reader_sees_and_can_be_paused(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(render_six_cells(watch_seconds=1))
    with browser_of(path) as open_at:
        page = open_at("#watch=paused&rows=runs")
        assert page.locator("#watch").inner_text().startswith("updated at ")
        mark(page)
        page.wait_for_timeout(2500)
        assert page.evaluate("window.isOld")
        page.get_by_role("link", name="Map").click()
        page.evaluate("() => { scrollBy(0, 120); document.getElementById('table-rows').scrollTop = 40; }")
        page.get_by_text("columns", exact=True).last.click()
        position = page.evaluate(TOP_OF, "map")
        page.locator("#watch").get_by_role("button", name="resume updates").evaluate("(node) => node.click()")
        page.wait_for_function("!window.isOld && document.querySelector('#table-rows tr')")
        assert page.evaluate(TOP_OF, "map") == pytest.approx(position, abs=2)
        assert page.locator("#table-controls details").get_attribute("open") is not None
        assert "rows=runs" in page.url
        assert "paused" not in page.locator("#watch").inner_text()
        path.write_bytes(render_six_cells())
        page.wait_for_function("document.getElementById('watch').textContent.includes('has ended')")
        mark(page)
        page.wait_for_timeout(2500)
        assert page.evaluate("window.isOld")
        assert page.evaluate(TOP_OF, "map") == pytest.approx(position, abs=2)


# ---- on paper


def test_on_paper_are_light_charts_without_controls_that_fit(open_page: Open) -> None:
    page = open_page("#row=2&sheet=open", theme="dark")
    page.get_by_role("img", name="Weight gradients").wait_for(state="attached")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.evaluate("document.body.style.width = '700px'; document.body.style.margin = 0")  # a page of paper is narrow
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    for control in ("#nav", "#theme", ".controls", ".exports", "#card .close"):
        assert not page.locator(control).first.is_visible(), control
    for part in ("#card", "#table-rows tr.detail", "#curves figure"):
        assert page.locator(part).is_visible(), part
    widths = page.locator(".drawing svg").evaluate_all("(all) => all.map((svg) => svg.getBoundingClientRect().right)")
    assert max(widths) <= 700
    assert page.locator("#table-rows").evaluate("(node) => getComputedStyle(node).maxHeight") == "none"
