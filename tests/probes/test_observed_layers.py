"""The layers, heads and recurrent units that probes see in nets of all kinds."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from zeroinit import build
from zeroinit.config import Job
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.symmetry import audit
from zeroinit.observed_layers import hidden_layers, observed_layers, unit_groups
from zeroinit.probes import measures
from zeroinit.sweep import runner
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off

PROBES = "[gradient,first_gradient,weight,symmetry,pairs,activation,noise_scale,curvature,snapshot]"


class Tokens(nn.Module):
    """Pixels as tokens of an embedding, and one layer that mixes them."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 8)
        self.kind = kind
        if kind == "attention":
            self.mix: nn.Module = nn.MultiheadAttention(8, 2, batch_first=True)
        elif kind == "transformer":
            self.mix = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, activation=nn.GELU())
        else:
            self.mix = getattr(nn, kind)(8, 6, batch_first=True)
        self.head = nn.Linear(6 if kind in ("LSTM", "GRU", "RNN") else 8, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embedding((inputs[:, 0, :2].flatten(1) * 16).long())
        mixed = self.mix(tokens, tokens, tokens)[0] if self.kind == "attention" else self.mix(tokens)
        mixed = mixed[0] if isinstance(mixed, tuple) else mixed
        logits: Tensor = self.head(mixed.mean(1))
        return logits


class Parametrised(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(
            nn.Flatten(),
            weight_norm(nn.Linear(64, 6)),
            nn.Tanh(),
            spectral_norm(nn.Linear(6, 6)),
            nn.ReLU(),
            nn.Linear(6, num_classes),
        )


class Own(nn.Module):
    """No layer at all."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(64, num_classes) / 8)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.table


class Keeps(Off):
    """A tracker that keeps nothing, and has probes watch as if it did."""

    is_persistent = True


LAYERS = {  # {net: (layers in call order, hidden layers)}
    "Tokens +arch.kind=attention": (
        ["embedding", "mix.query", "mix.key", "mix.value", "mix.out_proj", "head"],
        ["mix.heads", "mix.out_proj"],
    ),
    "Tokens +arch.kind=transformer": (
        [
            *("embedding", "mix.self_attn.query", "mix.self_attn.key", "mix.self_attn.value"),
            *("mix.self_attn.out_proj", "mix.linear1", "mix.linear2", "head"),
        ],
        ["mix.self_attn.heads", "mix.self_attn.out_proj", "mix.linear1", "mix.linear2"],
    ),
    "Tokens +arch.kind=LSTM": (["embedding", "mix.weight_ih_l0", "mix.weight_hh_l0", "head"], ["mix.units_l0"]),
    "Tokens +arch.kind=GRU": (["embedding", "mix.weight_ih_l0", "mix.weight_hh_l0", "head"], ["mix.units_l0"]),
    "Tokens +arch.kind=RNN": (["embedding", "mix.weight_ih_l0", "mix.weight_hh_l0", "head"], ["mix.units_l0"]),
    "Parametrised": (["1", "3", "5"], ["1", "3"]),
    "Own": ([], []),
}


@pytest.fixture
def net_job(job_of: Callable[..., Job]) -> Callable[..., Job]:
    def job(net: str, *overrides: str) -> Job:
        target, *words = net.split()
        return job_of(
            *("dataset=digits", "dataset.max_examples=100", "dataset.batch_size=20", "steps=3", "init.other=keep"),
            *("probe.first_steps=2", "probe.curvature=[0]", "probe.examples=8", "arch=logistic"),
            *(f"arch._target_=test_observed_layers.{target}", *words, *overrides),
        )

    return job


def run(job: Job) -> Record:
    [record] = runner.run_jobs([job], Keeps(), lambda share, score: None)
    assert record.status == "FINISHED", record.tags["error"]
    return record


@pytest.mark.parametrize("net", LAYERS)
def test_each_probe_measures_the_layers_or_says_why_not(net: str, net_job: Callable[..., Job]) -> None:
    layers, hidden = LAYERS[net]
    job = net_job(net, f"probe.measure={PROBES}", "early_stop=true")
    record = run(job)
    names = list(dict.fromkeys(name for name, _, _ in record.metrics))

    def list_layers(start: str, end: str) -> list[str]:
        ours = [name for name in names if name.startswith(start) and name.endswith(end)]
        return [name.removeprefix(start).removesuffix(end) for name in ours]

    assert list_layers("grad/", "/norm") == list_layers("weight/", "/norm") == layers
    assert sorted(list_layers("first_gradient/", "")) == sorted(layers)
    assert list_layers("symmetry/", "/distinct") == list_layers("symmetry/", "/clusters") == hidden
    skipped = record.tags.get("skipped_probes", "")
    assert "after step" not in skipped  # each reason is known before the training
    for probe, start in {"activation": "activation/", "snapshot": "", "curvature": "curvature/"}.items():
        has_result = any(name.startswith(start) for name in names) if start else "snapshots.npz" in record.files
        assert has_result != (f"{probe} is left out" in skipped), probe
    assert ("symmetry and pairs leave out the rows of embedding, mix" in skipped) == ("embedding" in layers)
    assert any(name.startswith("noise_scale/") for name in names)
    assert "not checked" not in record.tags.get("lint_findings", "")
    assert list(audit(job.config, build.load(job.config, torch.device("cpu"))).units) == hidden


@pytest.mark.parametrize("net", ["Tokens +arch.kind=attention", "Tokens +arch.kind=LSTM", "Parametrised"])
def test_probes_change_no_number(net: str, net_job: Callable[..., Job]) -> None:
    """Not even those of a spectral norm, which iterates whenever its weight is read in train mode."""
    observed, plain = (run(net_job(net, f"probe.measure={probes}")) for probes in (PROBES, "[]"))
    assert observed.history("train/loss") == plain.history("train/loss")
    assert observed.history("test/loss") == plain.history("test/loss")


def test_the_gradients_of_query_key_and_value_are_those_of_their_rows(net_job: Callable[..., Job]) -> None:
    """From zero weights the value has its first gradient before the key, and the key before the query."""
    record = run(net_job("Tokens +arch.kind=attention", "init=zero_normal", "steps=6", "probe.first_steps=6"))
    first = {name: step for name, step, _ in record.metrics if name.startswith("first_gradient/mix")}
    assert first == {
        "first_gradient/mix.out_proj": 2,
        "first_gradient/mix.value": 3,
        "first_gradient/mix.key": 4,
        "first_gradient/mix.query": 5,
    }
    norms = {layer: dict(record.history(f"grad/mix.{layer}/norm")) for layer in ("query", "value")}
    assert norms["value"][3] > 0
    assert norms["query"][3] == 0


@pytest.mark.parametrize("kind", ["attention", "LSTM", "GRU", "RNN"])
def test_units_are_copies_if_they_compute_the_same(kind: str) -> None:
    """From constant weights all heads, or cells, are one; a single number of one row is the difference."""
    model = Tokens((1, 8, 8), 10, kind)
    for parameter in model.mix.parameters():
        nn.init.constant_(parameter, 0.1)
    [group] = unit_groups(model)
    assert measures.count_distinct(group.units().unsqueeze(0)).item() == 1
    weight = model.mix.in_proj_weight if kind == "attention" else model.mix.weight_hh_l0
    with torch.no_grad():
        weight[5 if kind == "attention" else -2, 0] = 0.2  # a row of the query, or of the last gate
    units = group.units()
    assert measures.count_distinct(units.unsqueeze(0)).item() == 2
    assert len(units) == (2 if kind == "attention" else 6)
    assert units.numel() == sum(parameter.numel() for parameter in model.mix.parameters()) - (
        sum(parameter.numel() for parameter in model.mix.out_proj.parameters()) if kind == "attention" else 0
    )
    changed = (units - 0.1).abs().sum(1)
    assert changed.argmax() == (1 if kind == "attention" else 4)
    if kind != "attention":  # a state of the changed cell is another one, and the others are still equal
        states = model.mix(torch.randn(3, 4, 8))[0].detach().numpy()
        assert len(np.unique(states[0, -1].round(5))) == 2


def test_layers_of_a_plain_net_are_its_modules() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 4), nn.Linear(4, 2))
    assert [layer.name for layer in observed_layers(net)] == ["0", "3", "4"]
    assert hidden_layers(net) == ["0", "3"]
    assert unit_groups(net) == []


def test_attention_without_dropout_draws_nothing(net_job: Callable[..., Job]) -> None:
    job = net_job("Tokens +arch.kind=transformer")
    data = build.load(job.config, torch.device("cpu"))
    assert not [draws for draws in audit(job.config, data).drawn if draws.phase == "forward"]
    assert lint.check_init(job.config, data) == []
