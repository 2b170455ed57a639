"""Charts as data, one file a view: a renderer draws them, and computes, sorts and names nothing."""

from zeroinit.report.views.boxes import make_boxes
from zeroinit.report.views.curves import make_curves
from zeroinit.report.views.differences import make_differences
from zeroinit.report.views.gradients import make_gradients
from zeroinit.report.views.map import choose_axes, make_map
from zeroinit.report.views.neurons import make_neurons
from zeroinit.report.views.observed import Observed
from zeroinit.report.views.view import Facet, Mark, Scale, View
from zeroinit.report.views.wavefront import make_wavefront

__all__ = [
    "Facet",
    "Mark",
    "Observed",
    "Scale",
    "View",
    "choose_axes",
    "make_boxes",
    "make_curves",
    "make_differences",
    "make_gradients",
    "make_map",
    "make_neurons",
    "make_wavefront",
]
