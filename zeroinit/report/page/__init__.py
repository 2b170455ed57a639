"""The page of a sweep: one HTML file that contains its data and its scripts, and loads nothing."""

from zeroinit.report.page.extras import Extras, RunLinks
from zeroinit.report.page.metrics import curve_metrics
from zeroinit.report.page.render import render_page
from zeroinit.report.page.snapshots import read_snapshots

__all__ = ["Extras", "RunLinks", "curve_metrics", "read_snapshots", "render_page"]
