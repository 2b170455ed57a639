"""The figures of a sweep: views drawn by matplotlib, the only files that know the plotting library."""

from zeroinit.report.figures.render import draw_view, save_figure

__all__ = ["draw_view", "save_figure"]
