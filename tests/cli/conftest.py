import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import SMALL_SEARCH, TINY
from PIL import Image


@pytest.fixture
def small_folder(tmp_path):
    """Two classes of 30 noisy pictures, and a file that is no picture."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for name, level in (("dark", 60), ("light", 190)):
        (root / name).mkdir(parents=True)
        for i in range(30):
            pixels = np.clip(rng.normal(level, 25, (24, 30, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02d}.png")
    (root / "dark" / "notes.jpg").write_text("not a picture")
    return root


@pytest.fixture(scope="session")
def tuned(tmp_path_factory):
    """A network of a run on photos, fine-tuned: run and `--out` were named from where both are, and that is left."""
    from nat_core.cli import cli

    home, rng = tmp_path_factory.mktemp("tuned"), np.random.default_rng(1)
    for label in range(3):
        (home / "photos" / f"class {label}").mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(90 + 30 * label, 60, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(home / "photos" / f"class {label}" / f"{i:02d}.png")
    data = ("--data", "./photos", "-s", "folder.image_size=16", "-s", "folder.split_seed=3")
    run = ("run", "--out", "run", *data, *TINY, *SMALL_SEARCH)
    finetune = ("finetune", "run", "-s", "finetune.epochs=2", "-s", "finetune.batch_size=8", "--out", "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for words in (run, finetune):
            result = CliRunner().invoke(cli, words, catch_exceptions=False)
            assert not result.exit_code, result.output
    about = json.loads((home / "out" / "network.json").read_text())
    return SimpleNamespace(folder=home / "out", run=home / "run", photos=home / "photos", about=about)


@pytest.fixture
def described(tuned, tmp_path):
    """Copies the fine-tuned network, with a description that lacks some of what it says, or says other things."""

    def described(*lacking, **changes):
        folder = tmp_path / "copy"
        folder.mkdir()
        (folder / "network.safetensors").write_bytes((tuned.folder / "network.safetensors").read_bytes())
        about = {name: value for name, value in (tuned.about | changes).items() if name not in lacking}
        (folder / "network.json").write_text(json.dumps(about))
        return folder

    return described


@pytest.fixture
def grown(tuned):
    """The photos with one more, for a while."""
    more = tuned.photos / "class 0" / "more.png"
    Image.fromarray(np.full((16, 16, 3), 7, dtype=np.uint8)).save(more)
    yield tuned.photos
    more.unlink()
