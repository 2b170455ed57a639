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
from zeroinit.config.claims import check_claims, check_meant
from zeroinit.errors import BadInput
from zeroinit.report.manifest import Manifest, read_manifest
from zeroinit.report.page import render_page

# ---- what is accepted

BAD: dict[str, tuple[Any, str]] = {
    "no list": ({"says": "so"}, "claims={'says': 'so'}: give a list of claims, each with the keys says, cell and is"),
    "no claim": (["so"], "claims[0]=so: give the keys says, cell and is"),
    "is": ([PRIOR, PRIOR | {"is": "foo"}], "claims[1].is=foo: give better_than, as_good_as, at_the_prior, does_not_"),
    "no is": ([{"says": "so", "cell": {"init": "zero"}}], "claims[0].is is missing: give better_than, as_good_as"),
    "no says": ([{"is": "at_the_prior", "cell": {"init": "zero"}}], "claims[0].says is missing: give a sentence"),
    "no cell": ([{"is": "at_the_prior", "says": "so"}], "claims[0].cell is missing: give keys that choose cells"),
    "no other": ([PRIOR | {"is": "better_than", "points": 0}], "claims[0].other is missing: give keys that choose"),
    "no points": ([WORSE], "claims[0].points is missing: give percentage points of test accuracy"),
    "no order": ([PRIOR | {"is": "arrives_in_order"}], "claims[0].order is missing: give a list of layers"),
    "negative": ([WORSE | {"points": -1}], "claims[0].points=-1: give percentage points of test accuracy, a finite"),
    "text": ([WORSE | {"points": "half"}], "claims[0].points=half: give percentage points"),
    "truth": ([WORSE | {"points": True}], "claims[0].points=True: give percentage points"),
    "share": ([WORSE | {"points": 1, "other": 0.97}], "claims[0].other=0.97: give keys that choose the cells to"),
    "unknown": ([PRIOR | {"said": "so"}], "claims[0].said: there is no such key; says, source, cell, is, other,"),
    "idle": ([PRIOR | {"points": 1}], "claims[0].points=1: is=at_the_prior takes none; leave it out"),
    "idle other": ([WAVE | {"other": 90}], "claims[0].other=90: is=arrives_in_order takes none; leave it out"),
    "empty": ([PRIOR | {"cell": {}}], "claims[0].cell={}: give keys that choose cells, each with a value or a list"),
    "no values": ([PRIOR | {"cell": {"init": []}}], "claims[0].cell={'init': []}: give keys that choose cells"),
    "nested": ([PRIOR | {"cell": {"arch": {"hidden": 3}}}], "claims[0].cell={'arch': {'hidden': 3}}: give keys"),
    "twice": ([WAVE | {"order": ["a", "a"]}], "claims[0].order=['a', 'a']: give a list of layers, each once"),
    "blank": ([PRIOR | {"says": " "}], "claims[0].says= : give a sentence"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_claim_is_refused(name: str) -> None:
    claims, said = BAD[name]
    with pytest.raises(BadInput) as error:
        check_claims(claims)
    assert str(error.value).startswith(said)


def test_a_claim_must_be_about_keys_options_and_sizes_that_there_are() -> None:
    params = [{"init": "zero", "bias_scale.value": "1"}, {"init": "mine weight=own.rule", "bias_scale.value": "1"}]
    groups = {"init": ["default", "zero", "zero_normal"], "size": ["small", "paper"]}

    def options(group: str) -> list[str]:
        return groups.get(group, [])

    def said(claim: Claim) -> str:
        with pytest.raises(BadInput) as error:
            check_meant([claim], params, options)
        return str(error.value)

    check_meant([PRIOR, WORSE | {"size": "small"}, WORSE | {"other": 97}], params, options)
    check_meant([PRIOR | {"cell": {"init": ["mine weight=own.rule", "zero"]}}], params, options)
    check_meant([PRIOR | {"cell": {"optimizer.momentum": 0.9}}], params, options)  # of an option that was narrowed away
    assert said(PRIOR | {"cell": {"inti": "zero"}}) == (
        "claims[0].cell.inti: no run has such a key; give one that can be typed, such as init"
    )
    assert said(WORSE | {"other": {"bias_scale.valeu": 1}}).endswith("such as bias_scale.value")
    assert said(PRIOR | {"cell": {"seeds.init": 0}}).startswith("claims[0].cell.seeds.init: it separates no cells")
    assert said(PRIOR | {"cell": {"init": ["zero", "zero_norml"]}}) == (
        "claims[0].cell.init=zero_norml: there is no such option; give one of default, zero, zero_normal"
    )
    assert said(WORSE | {"other": {"init": "defalt"}}).startswith(
        "claims[0].other.init=defalt: there is no such option"
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
        (["-m", "claims=[{says:so,cell:{init:zero},is:foo}]", "seed=0,1"], "claims[0].is=foo: give better_than, as_"),
        (
            ["-m", "claims=[{says:so,cell:{inti:zero},is:does_not_learn}]", "seed=0,1"],
            "claims[0].cell.inti: no run has such a key; give one that can be typed, such as init",
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
    bare, claiming = (job_of(f"claims={text}") for text in ("[]", "[{says:so,cell:{init:zero},is:does_not_learn}]"))
    assert claiming.values["claims"]
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
  - says: From all zeros nothing is learnt.
    source: a book
    cell: {init: zero}
    is: at_the_prior
  - says: The layers wake from the output to the input.
    cell: {init: [zero_normal]}
    is: arrives_in_order
    order: [output, hidden2, hidden1]
    size: tiny
  - says: They wake from the input to the output.
    cell: {init: zero_normal}
    is: arrives_in_order
    order: [hidden1, hidden2, output]
  - says: Zero is as good as the default.
    cell: {init: zero}
    is: as_good_as
    other: {init: default}
    points: 0.5
  - says: This is of another size.
    cell: {init: zero}
    is: does_not_learn
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
    table = ended.out[ended.out.index("\nverdict ") : ended.out.index("\nPage ")]
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
    assert [row["says"] for row in page["claims"]] == [row["says"] for row in read_rows(stored.read_bytes())]
    assert page["claims"][0]["difference"] is None


def test_a_manifest_from_before_there_were_claims_is_readable() -> None:
    planned = [("a", "b", {"init": "zero", "seed": "0"}), ("c", "b", {"init": "zero", "seed": "1"})]
    manifest = Manifest("Why?", "zeroinit", planned, [PRIOR], "small")
    assert read_manifest(manifest.to_json()) == manifest
    written = json.loads(manifest.to_json())
    old = {key: value for key, value in written.items() if key not in ("claims", "size")}
    again = read_manifest(json.dumps(old | {"runs": [["a", "b"]]}).encode())
    assert (list(again.claims), again.size, again.planned) == ([], "", planned[:1])


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_distinguishes_verdicts_without_colour() -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    claims = [WORSE | {"points": points, "source": "a book"} for points in (0.5, 0.4)] + [BETTER | {"points": 0.1}]
    cells = of(THREE)
    for name, of_page in (("claiming", claims), ("bare", [])):
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
        words = opened.locator("#judged .judged").all_inner_texts()
        assert words == ["✓ supported", "? undetermined", "✗ refuted"]
        assert "-0.20 ± 0.25 points, claimed at least -0.5" in opened.locator("#judged").inner_text()
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        opened.goto(Path("bare.html").absolute().as_uri())
        opened.locator(".map button").first.wait_for()
        assert not opened.locator("#claims").is_visible()
        assert wrong == []
        browser.close()
