"""The data of a page, as its scripts read them; numbers that are undefined are null."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from zeroinit.report.answer import summarize
from zeroinit.report.cells import NOT_RUN, Cell, independent_keys, list_scores, naming_keys
from zeroinit.report.comparisons import compare_with_baseline
from zeroinit.report.histories import CellHistograms, GradientHistograms
from zeroinit.report.judgements import judge
from zeroinit.report.manifest import Manifest, training_commands
from zeroinit.report.page.charts import DARK_SCALES, DARK_TILES, ColumnPool, describe_curves, list_dark_colours
from zeroinit.report.page.claims import describe_claim
from zeroinit.report.page.details import describe_cells
from zeroinit.report.page.extras import Extras, RunLinks
from zeroinit.report.page.first_cell import choose_first_cell
from zeroinit.report.page.gradients import describe_gradients, observe
from zeroinit.report.page.map import describe_map
from zeroinit.report.page.metrics import DetailLevel, final_values, remove_overflow
from zeroinit.report.page.pairs import describe_layers, describe_wavefronts
from zeroinit.report.page.planes import describe_planes
from zeroinit.report.page.table import describe_table
from zeroinit.report.page.terms import define_terms
from zeroinit.report.tables import CellRow, caption, explain_marks, summarize_cells
from zeroinit.report.views.differences import make_differences
from zeroinit.report.views.observed import Observed
from zeroinit.tracker import Record
from zeroinit.tracker.scores import name_scores
from zeroinit.tracker.tags import Tag

# outcomes of runs that have no number at their end
OUTCOMES_WITHOUT_RESULT = ("failed", "killed", "running", "incomplete", NOT_RUN, "diverged")
FACTS = {  # what the page says of the runs: {label: tag}
    "device": Tag.DEVICE,
    "processor": Tag.CPU,
    "instructions": Tag.CPU_CAPABILITY,
    "kernels": Tag.KERNELS,
    "commit": Tag.GIT_COMMIT,
}
MAX_VALUES = 3  # of a fact


class Content:
    """All that the page of a sweep may show."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        cells: Sequence[Cell],
        histograms: Sequence[GradientHistograms | None] | CellHistograms,
        notes: Sequence[str],
        extras: Extras,
    ) -> None:
        """Take what `render_page` is given."""
        self.judgements = judge(manifest.claims, cells)
        cells = remove_overflow(cells)
        self.name, self.manifest, self.cells, self._histograms = name, manifest, cells, histograms
        self.extras = extras
        self.comparisons = compare_with_baseline(cells, manifest.baseline)
        self.rows = summarize_cells(cells, manifest.baseline)
        self.scores = list_scores(cells)
        self.score = name_scores(self.scores)
        self.commands, unknown = training_commands(manifest, cells)
        self.marks = explain_marks(self.rows, self.judgements)
        self.notes = [
            *_note_unfinished(cells),
            *self.marks,
            *_note_unknown_commands(unknown),
            *manifest.notes,
            *notes,
        ]
        self.finals = [final_values(cell) for cell in cells]

    @cached_property
    def records(self) -> list[Record]:
        """The finished runs."""
        return [record for cell in self.cells for record in cell.finished]

    def format_result(self, row: CellRow) -> str:
        """Return the test score of a cell, with its name if the cells have several scores."""
        name = f"{row.score.label} " if len(self.scores) > 1 and row.result.n else ""
        return name + row.result.percent(digits=1)

    def select(self, indices: Sequence[int]) -> "Content":
        """Return the content of the page of some of the cells."""
        cells = [self.cells[index] for index in indices]
        histograms = [self._histograms[index] for index in indices]
        return Content(self.name, self.manifest, cells, histograms, (), self.extras.select(indices))

    def _observe(self, level: DetailLevel) -> list[Observed | None]:
        """Return the weight gradients of each cell, which take time to read if the runs are many."""
        if not level.steps:
            return [None] * len(self.cells)
        return [
            observe(cell, histograms, level) if (histograms := self._histograms[index]) else None
            for index, cell in enumerate(self.cells)
        ]

    def at(self, level: DetailLevel, full: DetailLevel) -> dict[str, Any]:
        """Return the data with the detail of a level; `full` is the level of small sweeps."""
        keys = naming_keys(self.cells)
        pool = ColumnPool()
        varying = independent_keys([cell.params for cell in self.cells], keys)
        layers, layer_parts = describe_layers(self.cells, self.extras.units, level, pool)
        gradients = self._observe(level)
        wavefront, wavefront_parts = describe_wavefronts(gradients, pool)
        forest = make_differences(self.cells, self.manifest.baseline)
        data = {
            "sweep": self.name,
            "question": self.manifest.question or _compose_question(self.cells, varying),
            "answer": summarize(self.comparisons, self.judgements, self.manifest.baseline),
            "baseline": self.manifest.baseline,
            "commands": self.commands,
            "conditions": _describe_conditions(self.cells, keys, self.manifest.baseline),
            "notes": self.notes,
            "marks": " ".join(self.marks),
            "omissions": _describe_omissions(level, full),
            "first_cell": choose_first_cell(self.comparisons, self.extras.units),
            "claims": [describe_claim(judgement) for judgement in self.judgements],
            "curves": describe_curves(self.cells, level, pool),
            "differences": pool.add_view(forest) if forest else None,
            "map": describe_map(self, level, pool),
            "table": describe_table(self, level, pool),
            "cells": describe_cells(self, level, gradients, layer_parts, wavefront_parts),
            "label_keys": " \N{MIDDLE DOT} ".join(varying),
            "layers": layers,
            "wavefront": wavefront,
            "gradients": describe_gradients([of_cell.gradients for of_cell in gradients if of_cell]),
            "plane": describe_planes(self.extras.snapshots) if level.steps else {},
            "facts": _describe_facts(self.records),
            "links": _describe_links(self.extras.links),
            "watch": _describe_watch(self.extras.watch_seconds),
        }
        texts = dict.fromkeys(_texts_of(data))
        dark = {"dark": list_dark_colours(texts), "dark_tiles": DARK_TILES, "dark_scales": DARK_SCALES}
        shared = {"glossary": define_terms(texts, self.cells, self.scores), **dark}
        return data | shared | {"columns": pool.columns}


def _describe_links(links: RunLinks | None) -> dict[str, str] | None:
    """Return the address of MLflow's UI, the path of a run in it, and what to do before the links work."""
    if links is None:
        return None
    hint = f"{links.hint}. It prints its address; the links work while it runs at:" if links.hint else ""
    return {"address": links.address, "path": links.path("RUN_ID"), "hint": hint}


def _describe_watch(seconds: float | None) -> dict[str, Any] | None:
    """Return when the page was made, and after how many seconds it loads itself again; None for never."""
    if seconds is None:
        return None
    return {"seconds": seconds, "updated": datetime.now().astimezone().strftime("%H:%M:%S")}


def _texts_of(value: Any) -> Iterable[str]:
    """Yield every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list | tuple) and value and not isinstance(value[0], int):  # numbers are many
        for item in value:
            yield from _texts_of(item)


def _describe_conditions(cells: Sequence[Cell], keys: Sequence[str], baseline: str) -> str:
    """Return what all cells share, and what the numbers of the table are."""
    fixed = [f"{key}={cells[0].params[key]}" for key in keys if len({cell.params.get(key) for cell in cells}) == 1]
    return " ".join([*fixed, caption(cells, baseline)])


def _describe_omissions(level: DetailLevel, full: DetailLevel) -> list[str]:
    """Return what the page leaves out to stay small."""
    omissions = []
    if level.steps < full.steps:
        omissions.append(f"histograms at {level.steps} steps a cell" if level.steps else "no histograms")
    if level.points < full.points:
        omissions.append(f"curves of {level.points} points" if level.points else "no curves")
    if level.points and not level.has_seeds:
        omissions.append("no curves of single seeds")
    if level.metrics is not None:
        omissions.append(f"{level.metrics} metrics")
    return omissions


def _note_unfinished(cells: Sequence[Cell]) -> list[str]:
    """Return a line on a sweep some of whose runs have no result, because they still train, failed or never ran."""
    planned = sum(cell.outcomes.total() for cell in cells)
    missing = sum(cell.outcomes[outcome] for cell in cells for outcome in OUTCOMES_WITHOUT_RESULT)
    return [f"{planned - missing} of {planned} runs have finished."] if missing else []


def _note_unknown_commands(count: int) -> list[str]:
    """Return a line on the runs that no command on the page trains."""
    runs = "1 run was" if count == 1 else f"{count} runs were"
    return [f"{runs} trained by an earlier command that was not recorded."] if count else []


def _compose_question(cells: Sequence[Cell], varying: Sequence[str]) -> str:
    """Return the question of a grid from the command line."""
    data = " and ".join(sorted({cell.params.get("dataset", "") for cell in cells}))
    if not varying:
        return f"How does one configuration train on {data}?"
    return f"How {'does' if len(varying) == 1 else 'do'} {', '.join(varying)} affect training on {data}?"


def _describe_facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return (label, text) of versions, machine, dates and seconds of the finished runs."""
    if not records:
        return []
    dates = sorted({datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d") for record in records})
    seconds = sum(
        float(record.tags.get(Tag.TRAIN_SECONDS, 0)) / float(record.tags.get(Tag.STACK_SIZE) or 1) for record in records
    )
    names = sorted({name for record in records for name in record.tags if name.startswith("version.")})
    facts = [("finished runs", f"{len(records)}"), ("date", " to ".join(dict.fromkeys((dates[0], dates[-1]))))]
    facts += [("seconds of training", f"{seconds:,.3g} in all")] if seconds else []
    tags = FACTS | {name.removeprefix("version."): name for name in names}
    for label, tag in tags.items():
        values = dict.fromkeys(value for record in records if (value := record.tags.get(tag)))
        shown = [re.sub(r"^([0-9a-f]{12})[0-9a-f]{28}$", r"\1", value) for value in values][:MAX_VALUES]
        more = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
        facts += [(label, f"{', '.join(shown)}{more}")] if shown else []
    return facts
