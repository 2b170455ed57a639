"""Hooks of the site's build: the live reports of the sweeps that a page names, as far as they were trained here.

`./dev reports` trains sweeps and keeps their reports in mlruns/reports/, which is not committed.
"""

import re
from collections.abc import Collection
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPORTS = Path(__file__).parents[1] / "mlruns" / "reports"
COMMAND = re.compile(r"^ {4}zeroinit -cn (\w+)[^\n]*\n", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reports."""
    for path in sorted(REPORTS.glob("*/report.html")):
        files.append(File.generated(config, f"reports/{path.parent.name}.html", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link to the reports of the sweeps that a page names."""
    return link_reports(
        markdown, page.file.src_uri, {Path(uri).stem for uri in files.src_uris if uri.startswith("reports/")}
    )


def link_reports(markdown: str, source: str, names: Collection[str]) -> str:
    """Return the page with a link below the command of each sweep; on a page of results, below the question.

    Args:
        markdown: the page.
        source: its path in docs/.
        names: the sweeps that have a report.
    """
    above = "../" * source.count("/")

    def link(name: str) -> str:
        return f"\n[The report of these runs]({above}reports/{name}.html)\n" if name in names else ""

    if source.startswith("results/"):
        return markdown.replace("\n## ", f"{link(Path(source).stem)}\n## ", 1)
    return COMMAND.sub(lambda match: match[0] + link(match[1]), markdown)
