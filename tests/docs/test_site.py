"""The site builds strictly, in seconds, and asks no network for anything."""

import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.browser import CHROMIUM, FLAGS, PATIENCE
from helpers.pages import ROOT

MAX_SECONDS = 40  # on two busy cores; 4 s on a quiet machine
MAX_PICTURE_BYTES = 200_000
# what makes a browser fetch: not the address that a link names
FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]*)\"|<link\b[^>]*\bhref=\"([^\"]*)\"", re.I)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    started = time.monotonic()
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert time.monotonic() - started < MAX_SECONDS
    return folder


def test_every_link_leads_to_a_page_and_an_anchor(site: Path) -> None:
    """Those of the built pages, navigation and docstrings included."""
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    anchors = {path: {*re.findall(r'\bid="([^"]+)"', text)} for path, text in pages.items()}
    assert len(pages) > 30
    for path, text in pages.items():
        if path.name == "404.html":
            continue
        for target in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text):
            if re.match(r"https?:|mailto:|javascript:", target):
                continue
            name, _, anchor = unquote(target).partition("#")
            linked = (path.parent / name).resolve() if name else path
            linked = linked / "index.html" if linked.is_dir() else linked
            assert linked.exists(), f"{path.name}: {target}"
            if anchor and linked in anchors and not anchor.startswith("__"):
                assert anchor in anchors[linked], f"{path.name}: {target}"


def test_no_page_fetches_anything_from_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        for sources in FETCHED.findall(path.read_text()):
            assert not re.match(r"(?:https?:)?//", "".join(sources)), f"{path}: {sources}"


def test_the_pictures_of_reports_are_small() -> None:
    for name in ("page.png", "tutorial-page.png", "class-flower.png"):
        assert (ROOT / "docs" / name).stat().st_size < MAX_PICTURE_BYTES


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_search_works_from_the_file_system(site: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.fill("input[data-md-component=search-query]", "non-inferiority")
        page.wait_for_selector(".md-search-result__link")
        links = page.locator(".md-search-result__link").all()
        assert any("statistics.html" in (link.get_attribute("href") or "") for link in links)
        browser.close()
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in requests)


def test_pages_link_to_the_reports_of_sweeps_that_were_trained_here() -> None:
    """A page names a sweep by its command, and a page of results by its own name."""
    link_reports = runpy.run_path(str(ROOT / "docs" / "hooks.py"))["link_reports"]
    names = ("lab_xor", "figure3")
    command, page = "    zeroinit -cn lab_xor size=small\n", "# figure3\n\n## Cells\n"
    assert link_reports(command, "laboratory.md", names) == (
        f"{command}\n[The report of these runs](reports/lab_xor.html)\n"
    )
    assert "](../reports/figure3.html)\n\n## Cells" in link_reports(page, "results/figure3.md", names)
    assert link_reports(page, "results/figure4.md", names) == page
    assert link_reports("    zeroinit -cn gap_which\n", "gap.md", names) == "    zeroinit -cn gap_which\n"
