"""The view in which MLflow's UI opens a sweep: which charts come first, the lines in them, and the runs in the list.

The UI reads a view from a tag of the experiment, and its link has the name of the view. The UI adds the charts of all
metrics that the view does not name, below the others.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from zeroinit.tracker.scores import Score

VIEW = "zeroinit"  # the name of the view in the link
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
_LINE_CHART = {  # what the UI itself gives a new chart
    **{"type": "LINE", "deleted": False, "isGenerated": True, "runsCountToCompare": 10, "range": {}},
    **{"lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "ignoreOutliers": False},
    **{"xAxisKey": "step", "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": []},
    **{"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True},
}


def encode_view(keys: Sequence[str], score: Score) -> str:
    """Return the tag's value: the test score first, and a line for each combination of the values of the keys.

    Args:
        keys: Params whose values distinguish the lines.
        score: The score of the runs.
    """
    charts = {"test": (score.name, "loss"), "train": ("loss", score.name)}  # the first ones, by section
    state = {
        "searchFilter": "tags.kind = 'run'",  # without the summary
        "runsHiddenMode": "SHOWALL",  # the UI shows ten runs otherwise
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [_group_key(key) for key in keys]},
        "useGroupedValuesInCharts": True,
        "compareRunCharts": [_chart(section, name) for section, names in charts.items() for name in names],
        "compareRunSections": [_section(section) for section in charts],
        "isAccordionReordered": True,
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def link_of(experiment_id: str, address: str = "") -> str:
    """Return the link to the charts of an experiment, in the UI at this address, or from another page of the UI."""
    query = f"workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={VIEW}"
    base = f"{base_of(address)}/" if address else ""
    return f"{base}#/experiments/{experiment_id}/runs?{query}"


def base_of(address: str) -> str:
    """Return the address of a UI without user, password and a slash at its end."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _group_key(key: str) -> dict[str, str]:
    return {"mode": "param", "groupByData": key}


def _section(name: str) -> dict[str, Any]:
    flags = {"display": True, "isReordered": True, "deleted": False, "isGenerated": True}
    return {"uuid": f"section-{name}", "name": name, **flags, "columns": 2, "cardHeight": 420}


def _chart(section: str, name: str) -> dict[str, Any]:
    metric = f"{section}/{name}"
    where = {"uuid": f"chart-{metric}", "metricSectionId": f"section-{section}"}
    return {**where, **_LINE_CHART, "metricKey": metric, "displayName": metric}
