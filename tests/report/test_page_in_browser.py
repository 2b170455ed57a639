"""The page of a sweep in a browser: its parts, its address, its keyboard, its contrast and its files."""

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import CHROMIUM, FLAGS, PATIENCE
from helpers.report_page import Open
from helpers.reports import grid, plan_of

from zeroinit.report.cells import group_cells
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import render_page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")]
THEMES = ("light", "dark")
MIN_CONTRAST, MIN_LARGE_CONTRAST = 4.5, 3  # of text, WCAG 2.1 AA

# the contrast of each element that has a text of its own, with the nearest background behind it
CONTRASTS = """
() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const background = (node) => {
    for (let parent = node; parent; parent = parent.parentElement) {
      const colour = channels(getComputedStyle(parent).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  return [...document.body.querySelectorAll("*")].filter((node) => !node.closest("svg, script, noscript, [hidden]")
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())).map((node) => {
    const style = getComputedStyle(node);
    const [low, high] = [luminance(channels(style.color)), luminance(background(node))].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    return [node.tagName, node.textContent.slice(0, 30), (high + 0.05) / (low + 0.05), isLarge];
  });
}
"""
NAMES = """
() => [...document.querySelectorAll("button, select, input, a, [role=button], [tabindex]")].map((node) => [
  node.outerHTML.slice(0, 80),
  node.getAttribute("aria-label") || document.getElementById(node.getAttribute("aria-labelledby"))?.textContent
    || node.labels?.[0]?.textContent || node.textContent,
])
"""


def state_of(page: Any) -> dict[str, str]:
    return dict(page.evaluate("() => Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"))


def test_the_answer_comes_first_and_then_each_part_in_its_order(open_page: Open) -> None:
    page = open_page()
    assert page.locator("h1").inner_text() == "Why do they learn?"
    titles = page.locator("h2:visible").all_inner_texts()
    assert titles == [
        "Answer",
        "All inits over training",
        "Differences from the baseline",
        "Map of all cells",
        "Table",
        "Two cells compared",
        "Decision boundary during training",
        "Caveats, and how to repeat it",
    ]
    assert "init0" in page.locator("#answer").inner_text()
    assert page.locator("#compare").inner_text().count("4 of 500") >= 2
    page.get_by_role("img", name="Weight gradients of hidden1").scroll_into_view_if_needed()
    assert "zeroinit -cn sweep" in page.locator("#commands code").inner_text()
    assert page.locator("#facts dt").first.inner_text() == "finished runs"


def test_the_address_holds_the_state_and_the_back_button_works(open_page: Open) -> None:
    page = open_page()
    before = page.locator("#card-title").inner_text()
    page.get_by_role("button", name="init=init2, bias_scale.value=0.1: ").click()
    page.get_by_label("single seeds").check()
    page.get_by_label("a row per seed").check()
    page.get_by_label("filter").fill("init1 0.1")
    page.get_by_role("button", name=re.compile("^seed")).click()
    page.get_by_role("combobox", name="rows").select_option("")
    page.get_by_role("button", name="dark mode").click()
    state = state_of(page)
    assert {
        "lines": "runs",
        "rows": "runs",
        "filter": "init1 0.1",
        "sort": "seed",
        "theme": "dark",
    }.items() <= state.items()
    assert page.locator("#table-rows tbody tr").count() == 2
    again = open_page("#" + page.url.partition("#")[2])
    assert state_of(again) == state
    assert again.locator("#card-title").inner_text() == page.locator("#card-title").inner_text() != before
    assert again.locator("#table-rows").inner_text() == page.locator("#table-rows").inner_text()
    assert again.evaluate("document.documentElement.dataset.theme") == "dark"
    link = again.locator("#table-rows a").first.get_attribute("href")
    assert link.startswith("http://127.0.0.1:5000/#/experiments/7/runs/1")
    assert link.endswith("?workflowType=machine_learning")
    page.go_back()
    assert "theme" not in state_of(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.go_back()
    assert "y" not in state_of(page)


def test_an_address_of_another_sweep_or_version_opens_the_page(open_page: Open) -> None:
    page = open_page("#cell=99&with=77&colour=nothing&x=a&y=b&unknown=1")
    assert page.locator("#card-title").inner_text() == "init=init1, bias_scale.value=1.0"
    assert open_page("#cell=3").locator("#card-title").inner_text() == "init=init1, bias_scale.value=0.1"


def test_the_keyboard_reaches_every_tile_and_row_with_one_stop(open_page: Open) -> None:
    page = open_page("#cell=0")
    for container, items in (("#map-chart", ".tile"), ("#table-rows tbody", "button.row")):
        assert page.locator(f"{container} {items}").count() == 6
        assert page.locator(f"{container} {items}[tabindex='0']").count() == 1
    tile = page.locator("#map-chart .tile[tabindex='0']")
    tile.focus()
    label = "document.activeElement.getAttribute('aria-label')"
    start = page.evaluate(label)
    moved = {start}
    for key in ("ArrowDown", "ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
        moved.add(page.evaluate(label))
    assert len(moved) >= 5
    assert page.locator("#map-chart .tile[tabindex='0']").count() == 1
    for key in ("Enter", "ArrowDown", "Space"):
        top = page.evaluate("scrollY")
        page.keyboard.press(key)
        page.wait_for_timeout(100)  # a page that scrolls takes a moment
    assert page.evaluate("scrollY") == top
    assert page.evaluate(label).startswith(page.locator("#card-title").inner_text())
    outline = page.evaluate("getComputedStyle(document.activeElement).strokeWidth")
    assert outline == "4px"
    page.locator("button.row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert (
        page.locator("#table-rows tr[aria-current=true]").inner_text() == page.locator("tbody tr").nth(1).inner_text()
    )


def test_a_term_is_defined_on_focus_and_on_hover(open_page: Open) -> None:
    page = open_page()
    term = page.locator("button.term", has_text="n").first
    for show in (term.focus, term.hover):
        page.keyboard.press("Escape")
        page.mouse.move(0, 0)
        assert not page.locator("#tooltip").is_visible()
        show()
        assert page.locator("#tooltip").is_visible()
        assert page.locator("#tooltip").inner_text() == page.evaluate(
            "document.querySelector('[aria-describedby=tooltip]') && document.getElementById('tooltip').textContent"
        )
    page.keyboard.press("Escape")
    assert not page.locator("#tooltip").is_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", THEMES)
def test_texts_have_contrast_and_controls_have_names(theme: str, width: int, open_page: Open) -> None:
    page = open_page("#rows=runs&row=2&sheet=open", width, theme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [part for part in contrasts if part[2] < (MIN_LARGE_CONTRAST if part[3] else MIN_CONTRAST)] == []
    assert [html for html, name in page.evaluate(NAMES) if not (name or "").strip()] == []


def test_on_a_phone_the_result_of_a_tap_is_visible(open_page: Open) -> None:
    page = open_page(width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator("#card").is_visible()
    tile = page.get_by_role("button", name="init=init1, bias_scale.value=0.1: ")
    tile.scroll_into_view_if_needed()
    tile.click()
    box = page.locator("#card").bounding_box()
    assert (box["y"] < 800, box["y"] + box["height"]) == (True, 800)
    assert page.locator("#card-title").inner_text() == "init=init1, bias_scale.value=0.1"
    page.get_by_role("button", name="close").click()
    assert not page.locator("#card").is_visible()


def test_charts_and_tables_can_be_taken_away(open_page: Open) -> None:
    page = open_page()
    saved = {}
    for part, kind in (("curves", "SVG"), ("curves", "PNG"), ("map", "SVG"), ("differences", "SVG")):
        with page.expect_download() as download:
            page.locator(f"#{part}").get_by_role("button", name=f"save as {kind}").click()
        saved[part, kind] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename.endswith(f".{kind.lower()}")
    assert saved["curves", "PNG"].startswith(b"\x89PNG")
    for (_, kind), content in saved.items():
        assert kind == "PNG" or (content.startswith(b"<svg") and b"var(--" not in content.replace(b"var(--plot", b""))
    assert b"Test accuracy ends" in saved["curves", "SVG"]
    page.get_by_label("filter").fill("init2")
    with page.expect_download() as download:
        page.get_by_role("button", name="save the table of cells as CSV").click()
    head, *rows = Path(download.value.path()).read_text().splitlines()
    assert head == "init,bias_scale.value,n,test accuracy,minus init0,test loss,outcome"
    assert [row.split(",")[0] for row in rows] == ["init2", "init2"]
    assert [row.split(",")[2:] for row in rows] == [["2", "0.505", "0", "0.495", "learns"]] * 2  # numbers alone


def test_a_filter_by_key_and_value_is_exact(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    runs = grid(11, 1, 1)  # init1 and init10
    path = tmp_path / "report.html"
    manifest, cells = Manifest("", "", plan_of(*runs)), group_cells(plan_of(*runs), runs)
    path.write_bytes(render_page("sweep", manifest, cells, [None] * len(cells), []))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(path.as_uri())
        for typed, count in (("init=init1", 1), ("init1", 2), ("init=init", 11), ("init=init1 nothing", 0)):
            page.get_by_label("filter").fill(typed)
            page.wait_for_function(f"() => document.querySelectorAll('#table tbody tr').length === {count}")
        browser.close()


def test_columns_are_sorted_and_chosen(open_page: Open) -> None:
    page = open_page()
    heads = page.locator("#table-rows th")
    page.locator("#table-rows").get_by_role("button", name="bias_scale.value", exact=True).click()
    firsts = page.locator("#table-rows tbody tr td:nth-child(2)")
    assert firsts.all_inner_texts() == ["0.1"] * 3 + ["1.0"] * 3
    page.get_by_role("button", name="bias_scale.value \N{BLACK UP-POINTING TRIANGLE}").click()
    assert firsts.all_inner_texts() == ["1.0"] * 3 + ["0.1"] * 3
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    page.get_by_text("columns", exact=True).last.click()
    page.get_by_role("checkbox", name="test loss").uncheck()
    page.get_by_role("checkbox", name="hidden1: neurons that differ").check()
    names = heads.all_inner_texts()
    assert "test loss" not in names
    assert "hidden1: neurons that differ" in names


# the ends of the lines with this label in the first plane, in units of its axes, which go from -1.2 to 5.2
LINES = """
(style) => {
  const svg = document.querySelector("#plane-charts .drawing > svg:last-child");
  const frame = svg.querySelector("rect").getBBox();
  const unit = ([x, y]) => [-1.2 + 6.4 * (x - frame.x) / frame.width, 5.2 - 6.4 * (y - frame.y) / frame.height];
  const widthOf = (path) => path.parentElement.closest("[stroke-width]")?.getAttribute("stroke-width");
  const endsOf = (path) => [0, path.getTotalLength()].map((length) => path.getPointAtLength(length));
  return [...svg.querySelectorAll("g path")].filter((path) => widthOf(path) === style)
    .map((path) => endsOf(path).map(({ x, y }) => unit([x, y])));
}
"""


def test_the_plane_shows_the_boundary_and_the_neurons_and_plays(open_page: Open) -> None:
    page = open_page()
    slider, step = page.locator("#step"), page.locator("#plane-controls output")
    page.locator("#plane-charts svg path").first.wait_for(state="attached")
    assert step.inner_text() == "10"
    for at, total in (("10", 3), ("0", 1)):
        assert step.inner_text() == at
        [boundary] = page.evaluate(LINES, "2.6")
        assert [sum(end) for end in boundary] == pytest.approx([total] * 2, abs=0.1)
        neurons = page.evaluate(LINES, "1.2")
        assert [x + y for x, y in neurons[0]] == pytest.approx([0, 0], abs=0.1)
        assert [x - y for x, y in neurons[1]] == pytest.approx([-0.5, -0.5], abs=0.1)
        slider.focus()
        page.keyboard.press("ArrowLeft")
    assert state_of(page)["step"] == "0"
    page.get_by_role("button", name="play").click()
    page.wait_for_function("document.querySelector('#plane-controls output').textContent === '10'")
    page.get_by_role("button", name="play").wait_for()
    assert page.locator("#plane-charts td").first.inner_text() == "1, 1"
