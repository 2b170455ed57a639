"""One MNIST FNN run on one core, tracked, against three ways in which such a run is usually written.

    pip install -e '.[benchmarks]'
    python benchmarks/single_run.py --root FOLDER [--epochs 1] [--repeats 3]

FOLDER holds MNIST/raw. All train 784-500-10 (ELU) with Adam in batches of 128 on the 53,000 examples of our split and
evaluate on its 7,000 for validation and the 10,000 of the test set after each epoch; ours also before the first, with
gradient histograms, everything kept in MLflow. Imports, files, data sets and the database are ready before the first
time is taken; all threads and workers share one core. The rivals, each in the words of its own documentation:

    files       a PNG file an example, decoded by PIL in a Dataset, DataLoader with one worker: as published
    torchvision datasets.MNIST with ToTensor, DataLoader with two workers (the quickstart tutorial of PyTorch)
    lightning   Trainer over a TensorDataset, no logger, no bar (the quickstart of Lightning, whose version is printed)
    lightning+  the same with what makes it comparable: its MLFlowLogger, the loss every 50 steps and both accuracies
"""

import argparse
import logging
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import datasets, transforms

from zeroinit import CONF
from zeroinit.build import check, load, open_tracker, set_up_torch
from zeroinit.config.compose import job_of
from zeroinit.rng import stream
from zeroinit.sweep.runner import run_jobs


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ELU(), nn.Linear(500, 10))


class Files(Dataset[tuple[Tensor, int]]):
    """A PNG file an example, in a folder a class."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*/*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path = self.paths[index]
        image: Tensor = transforms.functional.to_tensor(Image.open(path))
        return image, int(path.parent.name)


def write_files(folder: Path, images: Tensor, labels: Tensor) -> None:
    for index, (image, label) in enumerate(zip(images.squeeze(1).numpy(), labels.tolist(), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{index}.png")


def plain_loop(train: DataLoader, splits: Sequence[DataLoader], epochs: int) -> float:  # type: ignore[type-arg]
    """The loop of the PyTorch quickstart tutorial, which evaluates on each of the splits; the accuracy on the last."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    accuracy = 0.0
    for _ in range(epochs):
        model.train()
        for inputs, labels in train:
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        for split in splits:
            hits = 0
            with torch.no_grad():
                for inputs, labels in split:
                    hits += int((model(inputs).argmax(1) == labels).sum())
            accuracy = hits / len(split.dataset)  # type: ignore[arg-type]
    return accuracy


def lightning_run(train: TensorDataset, splits: Sequence[TensorDataset], epochs: int, tracked: bool) -> float:
    import lightning
    from lightning.pytorch.loggers import MLFlowLogger

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.hits = net(), [0] * len(splits)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            if tracked:
                self.log("train/loss", loss)
            return loss

        def on_validation_epoch_start(self) -> None:
            self.hits = [0] * len(splits)

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int, dataloader_idx: int = 0) -> None:
            self.hits[dataloader_idx] += int((self.net(batch[0]).argmax(1) == batch[1]).sum())

        def on_validation_epoch_end(self) -> None:
            if tracked:
                for name, hits, split in zip(("val", "test"), self.hits, splits, strict=True):
                    self.log(f"{name}/accuracy", hits / len(split))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=MLFlowLogger("lightning", tracking_uri="sqlite:///mlruns/mlflow.db") if tracked else False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, DataLoader(train, 128, shuffle=True), [DataLoader(split, 1000) for split in splits])
    return module.hits[-1] / len(splits[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    root, epochs = arguments.root.absolute(), arguments.epochs
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.chdir(tempfile.mkdtemp())
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = ["dataset=mnist", f"dataset.root={root}", f"epochs={epochs}"]
        cfg = compose("config", words, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        job = job_of(cfg)
    check([job])
    tracker = open_tracker(job, "benchmark")
    data = load(job.config, set_up_torch(job.config))
    for name in ("train", "val", "test"):
        write_files(Path(name), *getattr(data, name))

    def ours() -> float:
        [record] = run_jobs([job], tracker, lambda share, accuracy: None)
        return record.last("test/accuracy")

    published, tests = (datasets.MNIST(root, train=part, transform=transforms.ToTensor()) for part in (True, False))
    order = torch.randperm(len(published), generator=stream("split", 0)).tolist()
    parts = [Subset(published, order[: len(data.train[0])]), Subset(published, order[len(data.train[0]) :])]
    tensors = [TensorDataset(inputs.float() / 255, labels) for inputs, labels in (data.train, data.val, data.test)]

    def files() -> float:
        train = DataLoader(Files(Path("train")), 128, shuffle=True, num_workers=1)
        splits = [DataLoader(Files(Path(name)), 1000, num_workers=1) for name in ("val", "test")]
        return plain_loop(train, splits, epochs)

    def torchvision() -> float:
        train = DataLoader(parts[0], 128, shuffle=True, num_workers=2)
        return plain_loop(train, [DataLoader(part, 1000, num_workers=2) for part in (parts[1], tests)], epochs)

    ways: dict[str, Callable[[], float]] = {"ours": ours, "files": files, "torchvision": torchvision}
    versions = f"torch {torch.__version__}"
    try:
        import lightning

        ways["lightning"] = lambda: lightning_run(tensors[0], tensors[1:], epochs, tracked=False)
        ways["lightning+"] = lambda: lightning_run(tensors[0], tensors[1:], epochs, tracked=True)
        versions += f", lightning {lightning.__version__}"
    except ImportError:
        print("lightning is not installed: pip install -e '.[benchmarks]'")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(arguments.repeats):
        for name, way in ways.items():
            torch.manual_seed(repeat)
            started = time.perf_counter()
            accuracy = way()
            seconds[name].append(time.perf_counter() - started)
            print(f"{repeat + 1} {name:12} {seconds[name][-1]:7.2f} s   test accuracy {accuracy:.1%}", flush=True)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name in ways:
        print(f"{name:12} {median[name]:7.2f} s  {median[name] / median['ours']:5.2f}x")
    print(f"median of {arguments.repeats}, {epochs} epoch(s), 1 core of {platform.machine()}, {versions}")


if __name__ == "__main__":
    main()
