"""Part a0: which CPU kernels give which bits on this processor, and at which price."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gpu_parts.files import Row, add_row, read_rows

VARIANTS = {  # by name: the variables that choose kernels
    "portable, COMPATIBLE": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"},
    "portable, AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "portable, no MKL_CBWR": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "native": {},
}
STEPS = 20


def probe_kernels(out: Path, script: Path, smoke: bool) -> bool:
    """Run each variant, with `smoke` one, in a process of its own, side by side; a row for each."""
    path = out / "kernels.jsonl"
    there = {row["variant"] for row in read_rows(path)}
    started, wanted = {}, list(VARIANTS)[:1] if smoke else list(VARIANTS)
    for variant, variables in VARIANTS.items():
        if variant in wanted and variant not in there:
            environment = {key: value for key, value in os.environ.items() if key not in VARIANTS["portable, AVX2"]}
            environment |= variables | {"ZEROINIT_KERNELS": "native", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(script), "--part", "one-kernel", "--out", str(out)]
            started[variant] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    for variant, process in started.items():
        printed, _ = process.communicate()
        if process.returncode == 0:
            add_row(path, {"variant": variant, **json.loads(printed.splitlines()[-1])})
    return len(read_rows(path)) >= len(wanted)


def describe_kernels() -> Row:
    """Train four small nets on random data and return hashes of their final weights, with seconds for each."""
    import torch

    from zeroinit.arch import FNN, MnistCNN
    from zeroinit.init import default_
    from zeroinit.kernels import cpu_name, kernel_settings
    from zeroinit.rng import stream

    torch.set_num_threads(1)
    row: Row = {
        "cpu": cpu_name(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "settings": kernel_settings(),
        "torch": torch.__version__,
    }
    nets = {"fnn": lambda: FNN((1, 14, 14), 10, [100], "elu"), "mnist_cnn": lambda: MnistCNN((1, 8, 8), 10, "elu")}
    shapes = {"fnn": (1, 14, 14), "mnist_cnn": (1, 8, 8)}
    for name, make in nets.items():
        inputs = torch.rand(STEPS, 64, *shapes[name], generator=stream("data", 0))
        labels = torch.randint(10, (STEPS, 64), generator=stream("data", 1))
        for init in ("default", "zero_normal"):
            model, drawn_from, started = make(), stream("init", 0), time.perf_counter()
            with torch.no_grad():
                for parameter in model.parameters():
                    if init == "default":
                        default_(parameter, fan_in=max(1, parameter[0].numel()), generator=drawn_from)
                    elif parameter.dim() == 1:
                        parameter.normal_(generator=drawn_from)
                    else:
                        parameter.zero_()
            optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
            for batch, truth in zip(inputs, labels, strict=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), truth).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            content = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
            row[f"{name} {init}"] = hashlib.sha256(content).hexdigest()[:16]
            row[f"{name} {init} seconds"] = round(time.perf_counter() - started, 3)
    return row
