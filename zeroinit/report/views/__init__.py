"""The views of a sweep: each chart described once, as data. Renderers draw them; they compute and name nothing."""
