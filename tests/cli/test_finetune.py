"""`nat finetune` as a user has it: to the end, killed and gone on with, refused; and the words of `nat run`."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal

import pytest
import torch
from click.testing import CliRunner
from command_line import TINY, interrupt, nat, start
from in_process import here
from safetensors.torch import load_file

from nat_core import plugins
from nat_core.cli import cli
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError, NatError, ResourceError, StateError
from nat_core.journal import Journal, read
from nat_core.parts import make

SHORT = ("-s", "finetune.epochs=3", "-s", "finetune.batch_size=256", "-s", "finetune.distillation=0.3")


@pytest.fixture(scope="module")
def whole(tiny_run, tmp_path_factory):
    """The knee of the tiny run, fine-tuned and tested: the folder, what was printed, and the run's files before."""
    run, out = tiny_run[0], tmp_path_factory.mktemp("finetuned") / "out"
    before = contents(run)
    outcome = nat("finetune", run, *SHORT, "--out", out, "--test", "--json")
    assert outcome.code == 0, outcome.err
    return out, outcome, before


def contents(folder):
    files = (f for f in sorted(folder.rglob("*")) if f.is_file() and not {"finetuned", "lock"} & set(f.parts))
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def asked(*words):
    """What a command does, in this process; a refusal is raised."""
    result = CliRunner().invoke(cli, [str(w) for w in words], catch_exceptions=False)
    assert not result.exit_code, result.output
    return result


def ask(*words):
    return asked(*words).stdout


def knee(run):
    return json.loads(ask("pick", run, "--json"))["picks"][0]


def test_what_it_says_and_writes(tiny_run, whole):
    folder, outcome, before = whole
    run, said = tiny_run[0], outcome.json
    picked = knee(run)
    assert said["network"]["architecture"] == picked["architecture"]
    assert said["errors"]["before"]["top1_error"] == pytest.approx(picked["objectives"]["top1_error"])
    assert said["errors"]["after"]["top1_error"] < said["errors"]["before"]["top1_error"]
    assert said["kept"] == "after"
    assert said["folder"] == str(folder)
    assert [row["loss"] > 0 and row["seconds"] > 0 for row in said["epochs"]] == [True] * 3
    assert "epoch 3/3: loss" in outcome.err
    written = json.loads((folder / "network.json").read_text())
    assert written == {k: v for k, v in said.items() if k not in {"folder", "epochs"}}
    assert contents(run) == before


def test_it_says_which_data_it_was_trained_on_and_where_its_run_is(tuned):
    """Run and photos were named as they are seen from their folder."""
    options = {"path": str(tuned.photos), "image_size": 16, "split_seed": 3}
    photos = plugins.find("datasets", "folder")(**options)
    assert (tuned.about["run"], tuned.about["data"]) == (str(tuned.run), "folder")
    assert (tuned.about["data_options"], tuned.about["data_fingerprint"]) == (options, photos.fingerprint)


def test_the_weights_are_those_of_the_plain_network(whole):
    """Loaded without anything of nat's training, they give the errors that are written beside them."""
    folder, outcome, _ = whole
    said, data = outcome.json, plugins.find("datasets", "digits")()
    space = make({"mbv3": said["space_options"]}, plugins.registry().find("search_spaces", said["space"]), {})
    network = space.supernet(10).subnet(space.parse(said["network"])).eval()
    network.load_state_dict(load_file(folder / "network.safetensors"))
    mean, std = (torch.tensor(said[name]).view(3, 1, 1) for name in ("mean", "std"))
    for split, errors in ((data.val, said["errors"]["after"]), (data.test, said["test"])):
        images = (torch.from_numpy(split.images.copy()) / 255 - mean) / std
        images = torch.nn.functional.interpolate(images, said["input"][1:], mode="bilinear")
        with torch.inference_mode():
            ranked = network(images).argsort(1, descending=True)
        labels = torch.from_numpy(split.labels.copy())[:, None]
        found = [float((ranked[:, :n] != labels).all(1).double().mean()) for n in (1, 5)]
        assert [errors["top1_error"], errors["top5_error"]] == pytest.approx(found)


def test_it_can_be_measured_on_other_data(whole, tmp_path):
    folder, outcome, _ = whole
    found = json.loads(ask("evaluate", "--net", folder, "--engine", "plain", "--json"))
    assert {name: found[name] for name in outcome.json["test"]} == outcome.json["test"]
    assert found["network"] == outcome.json["network"]
    for words, text in (
        (("--net", tmp_path), "it has no network.json"),
        (("--net", folder, "--weights", folder / "network.safetensors"), "holds its own weights"),
    ):
        with pytest.raises(NatError, match=text):
            ask("evaluate", *words)
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "network.safetensors").write_bytes((folder / "before.safetensors").read_bytes())
    with pytest.raises(StateError, match="is not what was saved: the same `nat finetune` makes it again"):
        ask("evaluate", "--net", damaged)


def test_a_second_call_tells_the_same_and_looks_at_nothing_again(tiny_run, whole):
    folder, outcome, _ = whole
    before = contents(folder)
    architecture = json.dumps(outcome.json["network"])  # in any form that the space reads
    again = json.loads(ask("finetune", tiny_run[0], architecture, *SHORT, "--out", folder, "--test", "--json"))
    assert again == outcome.json
    assert contents(folder) == before
    assert [r["kind"] for r in read(folder / "finetune.jsonl")].count("tested") == 1


def test_a_lost_result_is_made_again(tiny_run, whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "out")
    (folder / "network.safetensors").write_bytes(b"damaged")
    ask("finetune", tiny_run[0], *SHORT, "--out", folder)
    assert contents(folder) == contents(whole[0])


@pytest.mark.slow
def test_killed_it_goes_on_and_gives_the_same_weights(tiny_run, whole, tmp_path):
    """In the default folder, and named by its text form; without --test nothing is tested."""
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    picked = knee(run)["architecture"]
    process = start("finetune", run, picked, *SHORT)
    for line in process.stderr:
        if line.startswith("epoch 1/3"):
            break
    process.kill()
    process.communicate(timeout=60)
    (folder,) = (run / "finetuned").iterdir()
    assert not (folder / "network.safetensors").exists()
    said = json.loads(ask("finetune", run, picked, *SHORT, "--json"))
    assert said["folder"] == str(folder)
    assert said["test"] is None
    assert (folder / "network.safetensors").read_bytes() == (whole[0] / "network.safetensors").read_bytes()
    assert contents(run) == whole[2]


@pytest.mark.slow
def test_begun_before_its_run_went_on_it_keeps_to_the_weights_that_it_began_with(tiny_run, tmp_path):
    run, out = shutil.copytree(tiny_run[0], tmp_path / "run"), tmp_path / "out"
    picked, whole = knee(run)["architecture"], (run / "journal.jsonl").read_bytes()
    records = read(run / "journal.jsonl")
    last = records.index(next(r for r in records if r["kind"] == "adapted" and r["iteration"] == 2))
    (run / "journal.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:last]))
    process = start("finetune", run, picked, *SHORT, "--out", out)
    for line in process.stderr:
        if line.startswith("epoch 1/3"):
            break
    process.kill()
    process.communicate(timeout=60)
    begun = read(out / "finetune.jsonl")[0]["weights"]["iteration"]
    (run / "journal.jsonl").write_bytes(whole)  # by now the run has measured the network again
    assert begun == 1
    new = json.loads(ask("finetune", run, picked, *SHORT, "--out", tmp_path / "new", "--json"))
    assert new["run_weights"]["iteration"] == 2
    said = json.loads(ask("finetune", run, picked, *SHORT, "--out", out, "--json"))
    assert said["run_weights"]["iteration"] == begun


def test_stopped_by_a_signal_it_says_how_to_go_on(tiny_run, tmp_path):
    process = start("finetune", tiny_run[0], "-s", "finetune.epochs=500", "--out", tmp_path / "out")
    for line in process.stderr:
        if line.startswith("epoch 1/500"):
            break
    outcome = interrupt(process, signal.SIGINT)
    assert outcome.code == 130
    assert "the same command goes on" in outcome.err
    assert "Traceback" not in outcome.err


def test_training_that_does_not_help_changes_nothing(tiny_run, tmp_path):
    words = ("-s", "finetune.epochs=2", "-s", "finetune.learning_rate=2", "-s", "finetune.batch_size=256")
    out = tmp_path / "out"
    said = ask("finetune", tiny_run[0], *words, "--out", out)
    assert "kept as it was" in said
    assert (out / "network.safetensors").read_bytes() == (out / "before.safetensors").read_bytes()


def test_weights_that_are_no_longer_kept(tiny_run, tmp_path):
    """A network measured with an old version is taken out of the newest, and that is said."""
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    records = read(run / "journal.jsonl")
    (run / "journal.jsonl").unlink()
    with Journal(run / "journal.jsonl") as journal:
        for record in records:
            old = {"weights": 0} if record["kind"] == "measured" else {}
            journal.append(**(record | old))
    assert not (run / "weights" / "0000").exists()
    words = ("-s", "finetune.epochs=1", "-s", "finetune.batch_size=2000")
    outcome = asked("finetune", run, *words, "--json")
    assert json.loads(outcome.stdout)["run_weights"]["iteration"] == 2
    assert "the weights of iteration 0, which measured this network, are no longer kept" in outcome.stderr


def not_measured(run):
    """An architecture of the run's space that the run never looked at, as text."""
    space = plugins.find("search_spaces", "mbv3")(
        resolutions=(16, 20), widths=(1.0,), depths=(2,), kernels=(3, 5), expands=(3,)
    )
    known = {tuple(r["architecture"]) for r in read(run / "journal.jsonl") if "architecture" in r}
    n = len(space.variables)
    tops = ([len(v.choices) - 1 if i < k else 0 for i, v in enumerate(space.variables)] for k in range(n))
    rows = (tuple(space.canonicalize(as_encodings([row], n))[0].tolist()) for row in tops)
    return space.describe(next(row for row in rows if row not in known))["architecture"]


def test_what_is_refused(tiny_run, whole, tmp_path):
    run, out = tiny_run[0], tmp_path / "out"
    cases = [
        ((tmp_path / "none",), StateError, "holds no run"),
        ((run, "01012"), ConfigError, "cannot read an architecture from '01012'"),
        ((run, "{'ks': 3}"), ConfigError, "this is not JSON"),
        ((run, not_measured(run)), ConfigError, "has not measured"),
        ((run, "-s", "finetune.epoch=3"), ConfigError, "Did you mean 'epochs'"),
        ((run, "-s", "finetune.epochs=0"), ConfigError, "finetune.epochs is 0: it has to be at least 1"),
        ((run, "-s", "finetuned.epochs=3"), ConfigError, "options are set for 'finetuned'"),
        ((run, "-s", "search.iterations=3"), ConfigError, "write part.option=value, such as finetune.epochs=40"),
        ((run, "--method", "fintune"), ConfigError, "unknown finetuner 'fintune'. Did you mean 'finetune'?"),
        ((run, "--engine", "tensorrt"), ConfigError, "unknown engine 'tensorrt'"),
        ((run, "-s", "digits.split_seed=5"), StateError, "its data changed since it began"),
    ]
    for words, kind, text in cases:
        with pytest.raises(kind, match=r".*") as refusal:
            ask("finetune", *words, "--out", out)
        assert text in str(refusal.value)
        assert not out.exists()
    with pytest.raises(StateError, match="its config changed since it began"):
        ask("finetune", run, "-s", "finetune.epochs=4", "--out", whole[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files, such as notes\.txt"):
        ask("finetune", run, *SHORT, "--out", tmp_path / "other")


@pytest.mark.parametrize(("damage", "text"), [(lambda f: f.unlink(), "is missing"), (bool, "is not what was saved")])
def test_weights_that_are_gone(tiny_run, tmp_path, damage, text):
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    for file in (run / "weights").glob("*/top1_error"):
        if damage is bool:
            file.write_bytes(file.read_bytes()[:-1])
        else:
            damage(file)
    with pytest.raises(StateError, match=text):
        ask("finetune", run, *SHORT)
    assert not (run / "finetuned").exists()


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_memory_that_does_not_suffice_to_measure(tiny_run, tmp_path, monkeypatch, error):
    def logits(*_words):
        raise error

    monkeypatch.setattr("nat_estimators.measuring.Errors.logits", logits)
    outcome = here("finetune", tiny_run[0], *SHORT, "--out", tmp_path / "out")
    assert outcome.code == ResourceError.exit_code
    assert "memory does not suffice to train and measure this network: set fewer images at a time" in outcome.err
    assert "-s errors.batch_size=16" in outcome.err


def test_a_space_without_a_supernet(tmp_path, shared):
    table = shared / "reference" / "nas_bench_macro" / "nas-bench-macro_cifar10.json"
    run = tmp_path / "run"
    size = ("-s", "search.iterations=0", "-s", "search.initial=4", "-s", f"nas-bench-macro.table={table}")
    ask("run", "--space", "nas-bench-macro", *size, "--out", run)
    with pytest.raises(ConfigError, match="measured no networks on pictures: there is none to take out of it"):
        ask("finetune", run)


@pytest.fixture
def resolved():
    """The config of `nat run` with some words."""

    def resolved(*words):
        return json.loads(ask("run", "--dry-run", "--json", *TINY, *words))["config"]

    return resolved


def test_device_and_engine_are_options_of_the_estimator(resolved):
    options = resolved("--device", "cpu", "--engine", "plain")["options"]["top1_error"]
    assert (options["device"], options["engine"]) == ("cpu", "plain")
    by_name = resolved("--engine", "torch", "-s", "top1_error.engine=plain")["options"]["top1_error"]
    assert by_name["engine"] == "plain"
    assert "device" not in by_name


def test_what_measures_has_no_such_option():
    with pytest.raises(NatError, match=r"--device sets the option 'device' of what computes here \(ofa-predictor\)"):
        ask("run", "--estimator", "ofa-predictor", "-s", "ofa-predictor.weights=x", "--device", "cuda")


def test_an_engine_that_is_unknown(resolved):
    with pytest.raises(ConfigError, match="unknown engine 'torhc'"):
        resolved("--engine", "torhc")
