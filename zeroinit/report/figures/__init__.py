"""The figures of a sweep: pure functions of data to a Figure; the only files that know the plotting library."""

from zeroinit.report.figures.accuracy import comparison_figure
from zeroinit.report.figures.boxes import boxes_figure
from zeroinit.report.figures.gradients import difference_figure, gradient_figure
from zeroinit.report.figures.maps import axes_of, map_figure
from zeroinit.report.figures.neurons import neurons_figure
from zeroinit.report.figures.style import colours, png
from zeroinit.report.figures.wave import wave_figure

__all__ = [
    "axes_of",
    "boxes_figure",
    "colours",
    "comparison_figure",
    "difference_figure",
    "gradient_figure",
    "map_figure",
    "neurons_figure",
    "png",
    "wave_figure",
]
