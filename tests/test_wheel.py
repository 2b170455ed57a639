"""The wheel, installed by pip into an environment of its own and run from an empty folder."""

import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*words: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_runs_a_shipped_sweep_from_an_empty_folder(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=ROOT)
    [wheel] = (tmp_path / "dist").iterdir()
    inside = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        f"zeroinit/{path.relative_to(ROOT)}" for name in ("conf", "sweeps") for path in ROOT.glob(f"{name}/**/*.*")
    }
    assert shipped < inside
    assert {"zeroinit/py.typed", "hydra_plugins/zeroinit/sweeper.py"} < inside
    assert not [name for name in inside if name.startswith(("tests", "benchmarks", "docs")) or "__pycache__" in name]
    assert [name for name in inside if name.endswith("licenses/LICENSE")]

    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    # the dependencies of this environment, but not its zeroinit: the .pth files of a folder named so are not read
    [packages] = (tmp_path / "env").glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "-q", wheel, cwd=tmp_path)

    empty = tmp_path / "empty"
    empty.mkdir()
    paths = run(python, "-c", "import zeroinit; print(zeroinit.CONF, zeroinit.SWEEPS)", cwd=empty)
    assert paths.split() == [str(packages / "zeroinit" / "conf"), str(packages / "zeroinit" / "sweeps")]
    words = ("arch=logistic", "init=zero,zero_normal", "bias_scale.value=1", "seed=0", "epochs=null", "steps=5")
    table = run(python.with_name("zeroinit"), "-cn", "quickstart", *words, cwd=empty)
    assert len([line for line in table.splitlines() if line.startswith("logistic")]) == 2
    assert [path.name for path in empty.iterdir()] == ["mlruns"]


def test_a_checkout_uses_its_own_conf_and_sweeps() -> None:
    import zeroinit

    assert (zeroinit.CONF, zeroinit.SWEEPS) == (ROOT / "conf", ROOT / "sweeps")
