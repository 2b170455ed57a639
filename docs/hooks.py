"""Hooks of the site's build: pages whose text is outside docs/."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add RESULTS.md, which `zeroinit-results` writes, as the page of results."""
    files.append(File.generated(config, "results.md", content=(ROOT / "RESULTS.md").read_text()))
    return files
