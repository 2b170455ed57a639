"""Hooks of the site's build: the live reports of the sweeps that a page names, as far as they were trained here.

`./dev reports` trains sweeps and keeps their reports in mlruns/reports/, which is not committed.
"""

import re
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
    """Put a link to its report below the command of a sweep; on a page of results, below the question."""
    above = "../" * page.file.src_uri.count("/")

    def link(name: str) -> str:
        is_there = files.get_file_from_path(f"reports/{name}.html") is not None
        return f"\n[The report of these runs]({above}reports/{name}.html){{ .report }}\n" if is_there else ""

    if page.file.src_uri.startswith("results/"):
        head, _, rest = markdown.partition("\n## ")
        return f"{head}{link(Path(page.file.src_uri).stem)}\n## {rest}"
    return COMMAND.sub(lambda match: match[0] + link(match[1]), markdown)
