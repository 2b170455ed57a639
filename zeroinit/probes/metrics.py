"""The names of the metrics that probes write of a layer, known before anything is measured."""

from collections.abc import Collection, Iterator

# by probe; {} is the layer
OF_LAYERS = {
    "gradient": ("grad/{}/norm", "grad/{}/zeros", "grad/{}/p05", "grad/{}/p50", "grad/{}/p95"),
    "arrival": ("arrival/{}", "predicted_arrival/{}"),
    "symmetry": ("symmetry/{}/distinct", "symmetry/{}/cosine"),
    "pairs": ("symmetry/{}/clusters", "symmetry/{}/rank"),
    "weight": ("weight/{}/norm", "weight/{}/angle", "weight/{}/update"),
    "activation": ("activation/{}/dead", "activation/{}/saturated", "activation/{}/mean", "activation/{}/variance"),
}


def metrics_of_layers(probes: Collection[str], layers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give (layer, metric) for each metric that one of these probes may write of one of these layers."""
    for layer in layers:
        for probe in probes:
            for template in OF_LAYERS.get(probe, ()):
                yield layer, template.format(layer)
