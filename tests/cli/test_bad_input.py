"""A user's mistakes: one clear message, the right exit code, no traceback, nothing lost."""

import pytest
from command_line import SMALL_SEARCH, TINY
from in_process import here

WRONG_WORDS = {
    "command": (("rnu",), ["rnu", "run"]),
    "space": (("run", "--space", "mbv4"), ["search space 'mbv4'", "'mbv3'"]),
    "surrogate": (("run", "--surrogate", "rfb"), ["surrogate 'rfb'", "'rbf'", "gp"]),
    "optimizer": (("run", "--optimizer", "nsga4"), ["'nsga3'", "optuna", "random"]),
    "objective": (("run", "--objective", "top1_error", "--objective", "mac"), ["'mac'", "'macs'", "params"]),
    "one objective": (("run", "--objective", "macs"), ["two"]),
    "option": (("run", "-s", "mbv3.width=1.0"), ["'width'", "'widths'", "kernels"]),
    "option value": (("run", "-s", "mbv3.kernels=4"), ["kernels", "3, 5, 7"]),
    "option type": (("run", "-s", "rbf.members=many"), ["rbf.members", "'many'", "int"]),
    "option not finite": (("run", "-s", "top1_error.learning_rate=nan"), ["top1_error.learning_rate is nan: a finite"]),
    "option of a misspelt part": (
        ("run", "--estimator", "top1_eror", "-s", "top1_error.epochs=1"),
        ["estimator 'top1_eror'", "'top1_error'"],
    ),
    "option of no part": (("run", "-s", "gp.members=3"), ["'gp'", "rbf"]),
    "setting": (("run", "-s", "iterations"), ["part.option=value"]),
    "search setting": (("run", "-s", "search.iteration=3"), ["search.iteration", "search.iterations"]),
    "preset": (("run", "--preset", "fast"), ["'fast'", "quick", "nat", "msunas"]),
    "data": (("run", "--data", "didgits"), ["'didgits'", "'digits'", "folder"]),
    "no data": (("run", "--data", ""), ["data is ''", "a variable that is not set"]),
    "no data to train on": (
        ("pretrain", "--space", "mbv3", "--data", "didgits", "--out", "o"),
        ["'didgits'", "/didgits' either"],
    ),
    "constraint": (("run", "--constraint", "macs<20"), ["macs<20", "<="]),
    "constraint name": (("run", "--constraint", "mac<=20"), ["'mac'", "'macs'"]),
    "infeasible": (("run", "--constraint", "macs<=1000"), ["macs<=1000", "smallest macs"]),
    "infeasible together": (
        ("run", "--constraint", "macs<=4e6", "--constraint", "params>=6.3e6"),
        ["macs<=4e+06", "params>=6.3e+06", "together"],
    ),
    "missing folder": (("run", "--data", "./nowhere"), ["nowhere"]),
    "run file": (("run", "nothing.toml"), ["nothing.toml"]),
    "architecture": (("cost", "0801100144"), ["0801100144", "23 digits"]),
    "no architecture": (("cost",), ["no architecture"]),
    "cost": (("cost", "--cost", "latencyy", "08011001440551052208877"), ["'latencyy'", "macs"]),
    "kind": (("plugins", "show", "surogate", "rbf"), ["surogate"]),
    "no checkpoint": (("run", "-s", "mbv3.weights=nothing.pth"), ["nothing.pth"]),
}


@pytest.fixture
def nat(warm):
    """The command line, without the seconds that its imports take."""
    return warm.nat


@pytest.mark.parametrize(("words", "said"), WRONG_WORDS.values(), ids=WRONG_WORDS)
def test_a_wrong_word(tmp_path, words, said, nat):
    outcome = nat(*words, cwd=tmp_path)
    assert outcome.code == 2, outcome
    assert not outcome.out
    for part in said:
        assert part in outcome.err, outcome.err
    assert not list(tmp_path.iterdir())


def test_an_infeasible_constraint_is_found_before_anything_is_trained(tmp_path, nat):
    """The nearest reachable value is exact: the smallest network of the default space on digits."""
    from nat_core import plugins

    outcome = nat("run", "--constraint", "macs<=1000", cwd=tmp_path)
    space = plugins.find("search_spaces", "mbv3")(image_size=8, classes=10, widths=[1.0])
    import numpy as np

    least = int(plugins.find("cost_models", "macs")(space)(np.zeros((1, 22), dtype=np.int64))[0])
    assert f"{least:,}" in outcome.err


@pytest.mark.parametrize("command", ["resume", "front"])
def test_a_folder_without_a_run(tmp_path, command, nat):
    outcome = nat(command, tmp_path / "nothing")
    assert outcome.code == 3
    assert "holds no run" in outcome.err


LEFT = {  # what is in a folder, and what is said of it
    "nothing": ((), "`nat run --out LEFT` starts one there"),
    "a start that was cut short": (("lock", ".run.toml.draft"), "`nat run --out LEFT` starts one there"),
    "photos": (("cats/1.png", "dogs/1.png"), "neither run.toml nor journal.jsonl, but other files, such as cats"),
    "a pretraining": (("pretrain.toml", "pretrain.jsonl"), "a pretraining, and no run: the same nat pretrain goes on"),
    "a supernet": (("pretrain.toml", "pretrain.jsonl"), "--space lite --data DATA -s lite.weights=LEFT/supernet.safe"),
    "a pretraining's journal": (("pretrain.jsonl",), "-s SPACE.weights=LEFT/supernet.safetensors` begins with its"),
    "a fine-tuning": (("finetune.jsonl", "lock"), "a fine-tuning, and no run: the same nat finetune goes on with it"),
    "a fine-tuned network": (("network.json",), "a fine-tuning, and no run: the same nat finetune goes on with it"),
}


@pytest.mark.parametrize(("files", "said"), LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("command", ["resume", "front"])
def test_advice_for_a_folder_without_a_run_is_for_what_it_holds(tmp_path, command, files, said):
    """To start a run there is advised only where one would start."""
    folder = tmp_path / "left"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('space = "nat-core:lite"' if name == "pretrain.toml" else "")
    outcome = here(command, folder)
    assert outcome.code == 3
    assert said.replace("LEFT", str(folder)).replace("--space lite", "--space nat-core:lite") in outcome.err
    assert ("starts one there" in outcome.err) == ("starts one there" in said)


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    outcome = here("resume", tmp_path / "file")
    assert (outcome.code, "is a file: it holds no run" in outcome.err) == (3, True)


def test_a_changed_config_is_refused_and_named(tiny_run, nat):
    folder = tiny_run[0]
    before = _tree(folder)
    outcome = nat("run", "--out", folder, *TINY, *SMALL_SEARCH, "--seed", "7")
    assert outcome.code == 3
    assert "seed" in outcome.err
    assert _tree(folder) == before


def test_an_edited_run_file_is_refused(tmp_path, tiny_run, nat):
    folder = _copy(tiny_run[0], tmp_path)
    text = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(text.replace("seed = 0", "seed = 5"))
    outcome = nat("resume", folder)
    assert outcome.code == 3
    assert "config" in outcome.err


@pytest.mark.parametrize("content", [b"", b"not toml [", b'space = "mbv3"\nwhat = 1\nseed = "x"\n'])
def test_a_damaged_run_file_is_refused(tmp_path, tiny_run, content, nat):
    folder = _copy(tiny_run[0], tmp_path)
    (folder / "run.toml").write_bytes(content)
    before = _tree(folder)
    outcome = nat("resume", folder)
    assert outcome.code == 3, outcome
    assert _tree(folder) == before


def test_a_damaged_journal_is_refused(tmp_path, tiny_run, nat):
    folder = _copy(tiny_run[0], tmp_path)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"1", b"2", 1)
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    before = _tree(folder)
    for words in (("resume", folder), ("front", folder)):
        outcome = nat(*words)
        assert outcome.code == 3
        assert "line 4" in outcome.err
    assert _tree(folder) == before


def test_a_missing_journal_is_not_a_fresh_start(tmp_path, tiny_run, nat):
    folder = _copy(tiny_run[0], tmp_path)
    (folder / "journal.jsonl").unlink()
    assert nat("resume", folder).code == 3
    assert not (folder / "journal.jsonl").exists()


def test_a_start_that_was_cut_short_goes_on(tmp_path, tiny_run, nat):
    """Killed before `run.toml` was in place: the journal knows what the run is."""
    folder = _copy(tiny_run[0], tmp_path)
    (folder / "run.toml").rename(folder / ".run.toml.draft")
    assert nat("resume", folder).code == 3
    outcome = nat("run", "--out", folder, "--json", *TINY, *SMALL_SEARCH)
    assert outcome.json["front"] == tiny_run[1].json["front"]
    assert (folder / "run.toml").read_text() == (tiny_run[0] / "run.toml").read_text()


def test_a_refusal_leaves_a_torn_tail_alone(tmp_path, tiny_run, nat):
    folder = _copy(tiny_run[0], tmp_path)
    with (folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"kind":"meas')
    before = _tree(folder)
    assert nat("run", "--out", folder, "--seed", "3", *TINY, *SMALL_SEARCH).code == 3
    assert _tree(folder) == before


def test_changed_data_are_refused(tmp_path, small_folder, nat):
    words = ("run", "--data", small_folder, "--out", tmp_path / "r", "--json", *TINY, *SMALL_SEARCH)
    assert nat(*words).code == 0
    next((small_folder / "light").glob("*.png")).unlink()
    outcome = nat("resume", tmp_path / "r")
    assert outcome.code == 3
    assert "data" in outcome.err
    assert "--accept data" in outcome.err
    assert nat("resume", tmp_path / "r", "--accept", "data").code == 0


def test_other_files_in_the_folder_are_left_alone(tmp_path, nat):
    (tmp_path / "thesis.txt").write_text("precious")
    for words in ((), ("--dry-run",)):
        outcome = nat("run", "--out", tmp_path, *words, *TINY)
        assert outcome.code == 2
        assert "holds other files and no run" in outcome.err
        assert not outcome.out
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_rehearsal_looks_at_the_folder_and_makes_none(tmp_path, tiny_run, nat):
    (tmp_path / "file").write_text("")
    refused = nat("run", "--dry-run", "--out", tmp_path / "file", *TINY)
    assert refused.code == 2
    assert "is a file; a run needs a folder" in refused.err
    for out in (tmp_path / "new", _copy(tiny_run[0], tmp_path)):
        before = _tree(tmp_path)
        assert nat("run", "--dry-run", "--out", out, *TINY, *SMALL_SEARCH).code == 0
        assert _tree(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_two_processes_on_one_folder(tmp_path, nat, warm):
    first = warm.start("run", "--out", tmp_path / "r", *TINY, *SMALL_SEARCH)
    while not (tmp_path / "r" / "journal.jsonl").exists():
        assert first.poll() is None, first.communicate()
    second = nat("run", "--out", tmp_path / "r", *TINY, *SMALL_SEARCH)
    assert second.code == 4
    assert f"process {first.pid}" in second.err
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err


def test_no_permission_to_write(tmp_path, nat):
    (tmp_path / "file").write_text("")
    outcome = nat("run", "--out", tmp_path / "file" / "r", *TINY, *SMALL_SEARCH)
    assert outcome.code == 4
    assert str(tmp_path / "file") in outcome.err


def test_a_full_disk_stops_the_run_and_resume_goes_on(tmp_path, tiny_run, nat, warm):
    """A file size limit gives a real EFBIG in the middle of the weights."""
    full = warm.nat("run", "--out", tmp_path / "r", *TINY, *SMALL_SEARCH, largest=4_000_000)
    assert full.code == 4, full.err
    assert str(tmp_path / "r") in full.err
    assert not list((tmp_path / "r" / "weights").rglob("*.draft"))
    resumed = nat("resume", tmp_path / "r", "--json")
    assert resumed.json["front"] == tiny_run[1].json["front"]


def test_a_pickle_in_the_place_of_weights_is_not_run(tmp_path, nat):
    import pickle

    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    (tmp_path / "weights.pth").write_bytes(pickle.dumps({"state_dict": Payload()}))
    outcome = nat("run", "-s", f"mbv3.weights={tmp_path / 'weights.pth'}", "-s", "mbv3.widths=1.0", cwd=tmp_path)
    assert outcome.code == 2
    assert "weights.pth" in outcome.err
    assert not canary.exists()


def _tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


def _copy(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "copy")
