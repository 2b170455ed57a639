"""What a sweep's file may claim, and how the command, the store and the page show claims."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import CHROMIUM, FLAGS, PATIENCE
from helpers.claims import BETTER, PRIOR, THREE, WAVE, WORSE, Claim, of
from helpers.reports import report, unpack

from zeroinit.config import Job
from zeroinit.config.claims import check_meant, parse_claims
from zeroinit.errors import BadInput
from zeroinit.report.manifest import Manifest, read_manifest
from zeroinit.report.page import render_page
from zeroinit.tracker.renamed import RENAMED_CLAIM_KEYS, RENAMED_CLAIM_TESTS, translate_config

# ---- what is accepted

BAD: dict[str, tuple[Any, str]] = {
    "no list": (
        {"statement": "so"},
        "claims={'statement': 'so'}: give a list of claims, each with the keys statement, test ",
    ),
    "no claim": (["so"], "claims[0]=so: give the keys statement, test and cells"),
    "test": (
        [PRIOR, PRIOR | {"test": "foo"}],
        "claims[1].test=foo: give superior, non_inferior, predicts_one_class, does_not_",
    ),
    "no test": (
        [{"statement": "so", "cells": {"init": "zero"}}],
        "claims[0].test is missing: give superior, non_inferior",
    ),
    "no statement": (
        [{"test": "predicts_one_class", "cells": {"init": "zero"}}],
        "claims[0].statement is missing: give a sentence",
    ),
    "no cells": (
        [{"test": "predicts_one_class", "statement": "so"}],
        "claims[0].cells is missing: give keys that choose cells",
    ),
    "no reference": (
        [PRIOR | {"test": "superior", "margin": 0}],
        "claims[0].reference is missing: give keys that choose",
    ),
    "no margin": ([WORSE], "claims[0].margin is missing: give percentage points of test accuracy"),
    "no order": ([PRIOR | {"test": "wakes_in_order"}], "claims[0].order is missing: give a list of layers"),
    "negative": (
        [WORSE | {"margin": -1}],
        "claims[0].margin=-1: give percentage points of test accuracy or R², a finite",
    ),
    "text": ([WORSE | {"margin": "half"}], "claims[0].margin=half: give percentage points"),
    "truth": ([WORSE | {"margin": True}], "claims[0].margin=True: give percentage points"),
    "share": (
        [WORSE | {"margin": 1, "reference": 0.97}],
        "claims[0].reference=0.97: give keys that choose the cells to",
    ),
    "unknown": ([PRIOR | {"said": "so"}], "claims[0].said: there is no such key; statement, source, cells, test,"),
    "idle": ([PRIOR | {"margin": 1}], "claims[0].margin=1: test=predicts_one_class takes none; leave it out"),
    "idle reference": (
        [WAVE | {"reference": 90}],
        "claims[0].reference=90: test=wakes_in_order takes none; leave it out",
    ),
    "empty": ([PRIOR | {"cells": {}}], "claims[0].cells={}: give keys that choose cells, each with a value or a list"),
    "no values": ([PRIOR | {"cells": {"init": []}}], "claims[0].cells={'init': []}: give keys that choose cells"),
    "nested": ([PRIOR | {"cells": {"arch": {"hidden": 3}}}], "claims[0].cells={'arch': {'hidden': 3}}: give keys"),
    "twice": ([WAVE | {"order": ["a", "a"]}], "claims[0].order=['a', 'a']: give a list of layers, each once"),
    "blank": ([PRIOR | {"statement": " "}], "claims[0].statement= : give a sentence"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_claim_is_refused(name: str) -> None:
    claims, said = BAD[name]
    with pytest.raises(BadInput) as error:
        parse_claims(claims)
    assert str(error.value).startswith(said)


def test_a_claim_must_be_about_keys_options_and_sizes_that_there_are() -> None:
    params = [{"init": "zero", "bias_scale.value": "1"}, {"init": "mine weight=own.rule", "bias_scale.value": "1"}]
    groups = {"init": ["default", "zero", "zero_normal"], "size": ["small", "paper"]}

    def options(group: str) -> list[str]:
        return groups.get(group, [])

    def said(claim: Claim) -> str:
        with pytest.raises(BadInput) as error:
            check_meant(parse_claims([claim]), params, options)
        return str(error.value)

    check_meant(
        parse_claims([PRIOR, WORSE | {"margin": 1} | {"size": "small"}, WORSE | {"margin": 1} | {"reference": 97}]),
        params,
        options,
    )
    check_meant(parse_claims([PRIOR | {"cells": {"init": ["mine weight=own.rule", "zero"]}}]), params, options)
    check_meant(
        parse_claims([PRIOR | {"cells": {"optimizer.momentum": 0.9}}]), params, options
    )  # of an option that was narrowed away
    assert said(PRIOR | {"cells": {"inti": "zero"}}) == (
        "claims[0].cells.inti: no run has such a key; give one that can be typed, such as init"
    )
    assert said(WORSE | {"margin": 1} | {"reference": {"bias_scale.valeu": 1}}).endswith("such as bias_scale.value")
    assert said(PRIOR | {"cells": {"seeds.init": 0}}) == (
        "claims[0].cells.seeds.init: it separates no cells, because a cell has all of its seeds; leave it out"
    )
    assert said(PRIOR | {"cells": {"save": True}}) == (
        "claims[0].cells.save: it separates no cells, because it changes no number of a run; leave it out"
    )
    assert said(PRIOR | {"cells": {"init": ["zero", "zero_norml"]}}) == (
        "claims[0].cells.init=zero_norml: there is no such option; give one of default, zero, zero_normal"
    )
    assert said(WORSE | {"margin": 1} | {"reference": {"init": "defalt"}}).startswith(
        "claims[0].reference.init=defalt: there is no such option"
    )
    assert said(PRIOR | {"size": "papr"}) == "claims[0].size=papr: give one of small, paper"
    del groups["size"]
    assert said(PRIOR | {"size": "paper"}).endswith("leave it out, as the sweep chooses no size")


def test_axes_that_a_single_run_would_leave_out_are_refused(zeroinit: Callable[..., Any]) -> None:
    axes = "hydra: {sweeper: {params: {init: 'zero,default', seed: '0,1'}}}"
    Path("mine.yaml").write_text(f"defaults: [config, override dataset: digits, _self_]\n{axes}\n")
    ended = zeroinit("-cd", ".", "-cn", "mine", "steps=1", "tracker=off")
    assert (ended.code, ended.err) == (
        2,
        "zeroinit: hydra.mode=null: mine has axes (init, seed), which a single run leaves out; give -m, or set it to "
        "MULTIRUN there\n",
    )
    assert zeroinit("-cd", ".", "-cn", "mine", "hydra.mode=RUN", "steps=1", "tracker=off").code == 0
    assert "4/4 runs" in zeroinit("-cd", ".", "-cn", "mine", "-m", "steps=1", "tracker=off").err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stps: 20", "stps=20: there is no such key, and no key refers to ${stps}; use steps"),
        (
            "optimiser: {lr: 0.1}",
            "optimiser.lr=0.1: there is no such key, and no key refers to ${optimiser}; use optimizer.lr",
        ),
        ("claim: []", "claim: there is no such key, and no key refers to ${claim}; use claims"),
    ],
)
def test_a_misspelt_key_of_a_sweeps_file_is_refused(typed: str, said: str, zeroinit: Callable[..., Any]) -> None:
    Path("mine.yaml").write_text(f"defaults: [config, override dataset: digits, _self_]\n{typed}\n")
    ended = zeroinit("-cd", ".", "-cn", "mine", "-m", "seed=0,1", "steps=1", "tracker=off")
    assert (ended.code, ended.err) == (2, f"zeroinit: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["claims=foo"], "claims=foo: give a list of claims"),
        (
            ["-m", "claims=[{statement:so,cells:{init:zero},test:foo}]", "seed=0,1"],
            "claims[0].test=foo: give superior, non_",
        ),
        (
            ["-m", "claims=[{statement:so,cells:{inti:zero},test:does_not_learn}]", "seed=0,1"],
            "claims[0].cells.inti: no run has such a key; give one that can be typed, such as init",
        ),
    ],
)
def test_it_stops_before_any_training(words: list[str], said: str, zeroinit: Callable[..., Any]) -> None:
    ended = zeroinit(*words, "dataset=digits", "steps=5")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")
    assert not Path("mlruns/mlflow.db").exists()


def test_a_claim_changes_no_identity(job_of: Callable[..., Job]) -> None:
    bare, claiming = (
        job_of(f"claims={text}") for text in ("[]", "[{statement:so,cells:{init:zero},test:does_not_learn}]")
    )
    assert claiming.config.claims
    assert (bare.config_hash, bare.cell_hash, bare.params) == (
        claiming.config_hash,
        claiming.cell_hash,
        claiming.params,
    )


# ---- the command, the store and the page

FILE = """# mine/claiming.yaml
# What wakes?
defaults: [config, size: tiny, override dataset: digits, _self_]
steps: 4
arch: {hidden: [8, 8]}
claims:
  - statement: From all zeros nothing is learnt.
    source: a book
    cells: {init: zero}
    test: predicts_one_class
  - statement: The layers wake from the output to the input.
    cells: {init: [zero_normal]}
    test: wakes_in_order
    order: [output, hidden2, hidden1]
    size: tiny
  - statement: They wake from the input to the output.
    cells: {init: zero_normal}
    test: wakes_in_order
    order: [hidden1, hidden2, output]
  - statement: Zero is as good as the default.
    cells: {init: zero}
    test: non_inferior
    reference: {init: default}
    margin: 0.5
  - statement: This is of another size.
    cells: {init: zero}
    test: does_not_learn
    size: large
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      init: default,zero,zero_normal
      seed: range(2)
"""


def read_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.usefixtures("database")
def test_a_sweep_ends_with_its_claims_and_the_store_judges_again(
    zeroinit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine/size").mkdir(parents=True)
    Path("mine/claiming.yaml").write_text(FILE)
    for size in ("tiny", "large"):
        Path(f"mine/size/{size}.yaml").write_text("# @package _global_\nepochs: null\n")
    ended = zeroinit("-cd", "mine", "-cn", "claiming", "init=zero,zero_normal")
    assert ended.code == 0, ended.err
    table = ended.out[ended.out.index("\nverdict ") : ended.out.index("\nCharts: ")]
    for words in (
        ["supported", "From all zeros nothing is learnt.", "init=zero", "a book"],
        ["supported", "in 2 of 2 runs: output 1, hidden2 2, hidden1 3"],
        ["refuted", "They wake from the input to the output.", "in 0 of 2 runs"],
        ["undetermined", "Zero is as good as the default.", "no such cell in this sweep"],
    ):
        [line] = [line for line in table.splitlines() if all(word in " ".join(line.split()) for word in words[:2])]
        assert all(word in " ".join(table.split()) for word in words), line
    assert "another size" not in table

    [stored] = Path("mlruns/artifacts/claiming").glob("*/artifacts/claims.csv")
    assert [row["verdict"] for row in read_rows(stored.read_bytes())] == [
        "supported",
        "supported",
        "refuted",
        "undetermined",
    ]
    report("claiming", "--to", "there", monkeypatch=monkeypatch)
    assert Path("there/claims.csv").read_bytes() == stored.read_bytes()
    page = unpack(Path("there/report.html").read_bytes())
    assert [row["statement"] for row in page["claims"]] == [row["statement"] for row in read_rows(stored.read_bytes())]
    assert page["claims"][0]["difference"] is None


def test_a_manifest_from_before_there_were_claims_is_readable() -> None:
    planned = [("a", "b", {"init": "zero", "seed": "0"}), ("c", "b", {"init": "zero", "seed": "1"})]
    manifest = Manifest("Why?", "zeroinit", planned, parse_claims([PRIOR]), "small")
    assert read_manifest(manifest.to_json()) == manifest
    written = json.loads(manifest.to_json())
    old = {key: value for key, value in written.items() if key not in ("claims", "size")}
    again = read_manifest(json.dumps(old | {"runs": [["a", "b"]]}).encode())
    assert (list(again.claims), again.size, again.planned) == ([], "", planned[:1])


def test_the_claims_of_an_old_manifest_are_translated() -> None:
    cells = {"cell": {"init": "zero"}}
    old = [
        {"says": "so", "is": "better_than", "other": {"init": "default"}, "points": 1, "size": "paper"} | cells,
        {"says": "so", "is": "as_good_as", "other": 97.5, "points": 0.5, "source": "a book"} | cells,
        {"says": "so", "is": "at_the_prior"} | cells,
        {"says": "so", "is": "does_not_learn"} | cells,
        {"says": "so", "is": "arrives_in_order", "order": ["output"]} | cells,
    ]
    new = {"statement": "so", "cells": {"init": "zero"}}
    expected = [
        new | {"test": "superior", "reference": {"init": "default"}, "margin": 1, "size": "paper"},
        new | {"test": "non_inferior", "reference": 97.5, "margin": 0.5, "source": "a book"},
        new | {"test": "predicts_one_class"},
        new | {"test": "does_not_learn"},
        new | {"test": "wakes_in_order", "order": ["output"]},
    ]
    written = json.loads(Manifest("Why?", "zeroinit", []).to_json())
    claims = read_manifest(json.dumps(written | {"claims": old}).encode()).claims
    assert claims == parse_claims(expected)
    assert [claim.to_dict() for claim in claims] == expected
    assert translate_config({"claims": old})["claims"] == expected


@pytest.mark.parametrize("key", RENAMED_CLAIM_KEYS)
def test_an_old_key_of_a_claim_is_refused_with_its_new_name(key: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_claims([{key: 1}])
    assert str(error.value) == f"claims[0].{key}: its name is now {RENAMED_CLAIM_KEYS[key]}"


@pytest.mark.parametrize("test", RENAMED_CLAIM_TESTS)
def test_an_old_test_of_a_claim_is_refused_with_its_new_name(test: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_claims([PRIOR | {"test": test}])
    assert str(error.value) == f"claims[0].test={test}: its name is now {RENAMED_CLAIM_TESTS[test]}"


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_distinguishes_verdicts_without_colour() -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    claims = [WORSE | {"margin": points, "source": "a book"} for points in (0.5, 0.4)] + [BETTER | {"margin": 0.1}]
    cells = of(THREE)
    for name, of_page in (("claiming", parse_claims(claims)), ("bare", [])):
        manifest = Manifest("Why?", "", [], of_page)
        Path(f"{name}.html").write_bytes(render_page(name, manifest, cells, [None] * len(cells), []))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 360, "height": 700})
        opened.set_default_timeout(PATIENCE)
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.goto(Path("claiming.html").absolute().as_uri())
        opened.locator("#claims").wait_for()
        words = opened.locator("#judged .verdict").all_inner_texts()
        assert words == ["✓ supported", "? undetermined", "✗ refuted"]
        assert (
            "0.20 ± 0.25 points behind init=default, claimed: at most 0.5 behind"
            in opened.locator("#judged").inner_text()
        )
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        opened.goto(Path("bare.html").absolute().as_uri())
        opened.locator("#map-chart .tile").first.wait_for()
        assert not opened.locator("#claims").is_visible()
        assert wrong == []
        browser.close()
