"""`nat export` as a user has it: every format, run where there is no nat; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import tomllib

import clean_environment
import numpy as np
import pytest
from click.testing import CliRunner
from command_line import nat
from PIL import Image

from nat_core import plugins
from nat_core.cli import cli
from nat_core.cli.saved import saved_front
from nat_core.errors import ConfigError, ResourceError, StateError

RUNTIMES = {
    "state-dict": ("torch", "safetensors"),
    "pt2": ("torch",),
    "torchscript": ("torch",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "executorch": ("executorch", "torch"),
}
NEEDS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"), "executorch": ("executorch",)}


def require(form):
    for module in NEEDS.get(form, ()):
        pytest.importorskip(module, reason=f"the package {module} is not here")


def asked(*words):
    """What a command does, in this process; a refusal is raised."""
    result = CliRunner().invoke(cli, [str(w) for w in words], catch_exceptions=False)
    assert not result.exit_code, result.output
    return result


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """The knee of the tiny run in a format, exported once: the folder, and what was said."""
    done = {}

    def make(form, *words):
        if (form, *words) not in done:
            require(form)
            out = tmp_path_factory.mktemp("exported") / form
            done[form, *words] = (
                out,
                json.loads(asked("export", tiny_run[0], "--format", form, "--out", out, "--json", *words).stdout),
            )
        return done[form, *words]

    return make


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Python that has what a format's card names, and no nat."""
    made = {}

    def make(form):
        packages = ("numpy", "pillow", *RUNTIMES[form])
        if packages not in made:
            python = clean_environment.make(tmp_path_factory.mktemp("environment") / form, *packages)
            without = clean_environment.run(python, "-c", "import nat_core", cwd=python.parent)
            assert "No module named 'nat_core'" in without.stderr
            made[packages] = python
        return made[packages]

    return make


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty validation pictures as files, and their rows in the split."""
    data = plugins.find("datasets", "digits")()
    folder = tmp_path_factory.mktemp("pictures")
    rows = np.linspace(0, len(data.val) - 1, 40).astype(int)
    for row in rows:
        Image.fromarray(data.val.images[row].transpose(1, 2, 0)).save(folder / f"{row:04d}.png")
    return data, rows, sorted(folder.iterdir())


def answers_of_the_framework(run, architecture, data, rows):
    """The likeliest class of each picture, by the parts of the run themselves."""
    from nat_core.contracts import Split
    from nat_core.parts import about_data
    from nat_core.taking import take

    saved = saved_front(run)
    network = take(saved.config, run, saved.space.parse(architecture), {}).network()
    evaluator = plugins.find("evaluators", "errors")(data, mean=about_data(data)["mean"], std=about_data(data)["std"])
    return evaluator.logits(network, Split(data.val.images[rows], data.val.labels[rows])).argmax(1)


@pytest.mark.parametrize("form", RUNTIMES)
def test_every_format_runs_where_there_is_no_nat(exported, environment, pictures, tiny_run, form):
    folder, about = exported(form)
    data, rows, files = pictures
    done = clean_environment.run(environment(form), folder / "classify.py", *files, cwd=files[0].parent)
    assert done.returncode == 0, done.stderr
    told = [line.split("\t") for line in done.stdout.splitlines() if line.startswith(str(files[0].parent))]
    assert [line[0] for line in told] == [str(file) for file in files]
    found = [data.classes.index(line[1].rpartition(" ")[0]) for line in told]
    expected = answers_of_the_framework(tiny_run[0], about["network"]["architecture"], data, rows)
    assert found == list(expected)
    assert len(set(found)) > 1  # a network that says the same of everything would prove nothing


@pytest.mark.parametrize("form", RUNTIMES)
def test_the_files_compute_what_the_network_computes(exported, form):
    folder, about = exported(form)
    parity = about["parity"]
    assert parity["images"] == 359
    assert parity["max_logit_error"] <= 1e-3
    assert parity["top1_agreement"] == 1.0
    assert parity["top1_error"]["file"] == parity["top1_error"]["framework"] == about["objectives"]["top1_error"]
    assert about["latency"]["file_ms"] > 0 < about["latency"]["eager_ms"]
    assert about["on_front"] is True
    assert {*about["files"], "README.md", "classes.txt", "classify.py", "model.json"} == {
        p.name for p in folder.iterdir() if p.name != "__pycache__"
    }
    assert not list(folder.parent.glob(".*"))


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_in_8_bits(exported, environment, pictures, form):
    """Smaller, as its card says; what that costs is measured by running it, and said; it runs where there is no nat."""
    folder, about = exported(form, "--quantize", "int8")
    plain, exact = exported(form)
    assert (about["precision"], exact["precision"]) == ("int8", "fp32")
    sizes = [sum((f / name).stat().st_size for name in exact["files"]) for f in (folder, plain)]
    assert sizes[0] < sizes[1] / 2
    parity = about["parity"]
    assert parity["top1_error"]["framework"] == exact["parity"]["top1_error"]["framework"]
    assert parity["max_logit_error"] > exact["parity"]["max_logit_error"]
    assert 0.5 < parity["top1_agreement"] <= 1  # the answers are the network's own, most of them
    errors = parity["top1_error"]
    card = (folder / "README.md").read_text()
    said = [f"{100 * errors[which]:.2f} %" for which in ("file", "framework")]
    assert f"top-1 error of these files {said[0]}, of the framework {said[1]}" in card
    assert "in int8" in card
    done = clean_environment.run(environment(form), folder / "classify.py", *pictures[2], cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith(str(pictures[2][0].parent)) for line in done.stdout.splitlines()) == len(pictures[2])


def test_the_card_and_its_form_for_programs(exported, tiny_run):
    folder, about = exported("onnx")
    run = tomllib.loads((tiny_run[0] / "run.toml").read_text())
    said = dict(about)
    assert str(folder) == said.pop("folder")
    assert json.loads((folder / "model.json").read_text()) == said
    assert about["classes"] == [str(i) for i in range(10)]
    assert (folder / "classes.txt").read_text().split("\n") == about["classes"]
    assert about["input"]["mean"] == run["context"]["mean"]
    assert about["provenance"]["data_fingerprint"] == plugins.find("datasets", "digits")().fingerprint
    card = (folder / "README.md").read_text()
    for text in ("pip install numpy pillow onnxruntime", "red, green, blue", "before softmax", str(tiny_run[0].name)):
        assert text in card


def test_a_taken_place_is_refused_and_an_export_may_be_replaced(exported, tiny_run, tmp_path):
    folder, _ = exported("onnx")
    words = ("export", tiny_run[0], "--format", "onnx", "--images", 20)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ConfigError, match=r"mine holds other files, such as thesis\.txt"):
        asked(*words, "--out", tmp_path / "mine", "--force")
    (tmp_path / "notes").write_text("x")
    with pytest.raises(ConfigError, match=r"notes is no folder"):
        asked(*words, "--out", tmp_path / "notes")
    copy = shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ConfigError, match="holds an exported network already; --force replaces it"):
        asked(*words, "--out", copy)
    asked(*words, "--out", copy, "--force")
    assert json.loads((copy / "model.json").read_text())["parity"]["images"] == 20
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "mine", "notes"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written(tiny_run, tmp_path):
    require("onnx")
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError, match=r"cannot write .*out: Permission denied"):
        asked("export", tiny_run[0], "--format", "onnx", "--out", tmp_path / "out")


def test_a_full_disk_leaves_nothing(tiny_run, tmp_path, monkeypatch):
    import errno

    from nat_core.exporting import folder as folders

    require("onnx")

    class Full(folders.Disk):
        def write(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

    real = folders.write
    monkeypatch.setattr("nat_core.exporting.write", lambda *a: real(*a[:3], Full()))
    with pytest.raises(ResourceError, match=r"cannot write .*out: No space left on device\. Nothing was left there"):
        asked("export", tiny_run[0], "--format", "onnx", "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_words_that_make_no_sense(tiny_run, tmp_path):
    out = ("--out", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"unknown exporter 'onx'\. Did you mean 'onnx'"):
        asked("export", tiny_run[0], "--format", "onx", *out)
    instead = r"--quantize sets the option 'quantize' of what computes here \(pt2\): these have it: onnx, openvino$"
    with pytest.raises(ConfigError, match=instead):
        asked("export", tiny_run[0], "--format", "pt2", "--quantize", "int8", *out)
    require("onnx")
    with pytest.raises(ConfigError, match=r"onnx\.quantize is 'int4'"):
        asked("export", tiny_run[0], "--format", "onnx", "--quantize", "int4", *out)
    with pytest.raises(StateError, match="holds no run"):
        asked("export", tmp_path, "--format", "onnx", *out)
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_finished_evaluation(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    lines = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if json.loads(line)["kind"] == "measured")
    (run / "journal.jsonl").write_text("".join(lines[:first]))
    with pytest.raises(StateError, match="has no measured architecture yet; `nat resume"):
        asked("export", run, "--format", "onnx")


def test_an_architecture_off_the_front_and_one_never_measured(tiny_run, tmp_path):
    require("onnx")
    run, front = tiny_run[0], tiny_run[1].json["front"]
    records = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    space = saved_front(run).space
    names = {space.describe(tuple(r["architecture"]))["architecture"] for r in records if r["kind"] == "measured"}
    off = min(names - {point["architecture"] for point in front})
    never = next(
        name
        for row in space.sample(50, np.random.default_rng(0)).tolist()
        if (name := space.describe(tuple(row))["architecture"]) not in names
    )
    for name, known in (
        (off, "it was measured"),
        (never, "the run has not measured it with these weights, its newest"),
    ):
        done = asked("export", run, name, "--format", "onnx", "--images", 20, "--out", tmp_path / name)
        assert f"It is not on the front of the run ({known})" in done.stdout
        about = json.loads((tmp_path / name / "model.json").read_text())
        assert about["on_front"] is False
        assert (about["objectives"] is None) == (name == never)
        assert about["network"]["architecture"] == name
    assert "not on the front" in (tmp_path / off / "README.md").read_text()


def test_a_finetuned_network(tiny_run, tmp_path):
    require("onnx")
    tuned = tmp_path / "tuned"
    short = ("-s", "finetune.epochs=2", "-s", "finetune.batch_size=256")
    asked("finetune", tiny_run[0], *short, "--out", tuned, "--json")
    about = json.loads(asked("export", tuned, "--format", "onnx", "--out", tmp_path / "out", "--json").stdout)
    noted = json.loads((tuned / "network.json").read_text())
    assert about["finetuned"]["errors"] == noted["errors"]
    best = noted["errors"][noted["kept"]]["top1_error"]
    assert about["parity"]["top1_error"]["file"] == about["parity"]["top1_error"]["framework"] == best
    assert about["parity"]["top1_agreement"] == 1.0
    with pytest.raises(ConfigError, match="holds one network, of nat finetune: leave the architecture out"):
        asked("export", tuned, about["network"]["architecture"], "--format", "onnx")


def test_a_finetuned_network_of_photos_from_another_folder(tuned, tmp_path, monkeypatch):
    """Its run is found, the card says the photos' name, and nothing says where on this machine they were."""
    monkeypatch.chdir(tmp_path)
    asked("export", os.path.relpath(tuned.folder), "--format", "state-dict", "--out", "out")
    model, card = ((tmp_path / "out" / name).read_text() for name in ("model.json", "README.md"))
    assert card.startswith("# photos: 3 classes\n")
    assert "- data: photos, fingerprint " in card
    provenance = json.loads(model)["provenance"]
    assert (provenance["run"], provenance["data_fingerprint"]) == ("run", tuned.about["data_fingerprint"])
    assert str(tuned.run.parent) not in model + card


def test_a_finetuned_network_is_given_the_colours_that_it_was_trained_with(described, tmp_path, monkeypatch, tuned):
    """The file and the framework alike, whatever the data are now; an older description is read as well."""
    mean, std = [2.0, 0.1, 0.1], [0.05, 1.0, 1.0]
    older = described("data_options", "data_fingerprint", mean=mean, std=std, run="run")
    monkeypatch.chdir(tuned.run.parent)
    about = json.loads(asked("export", older, "--format", "state-dict", "--out", tmp_path / "out", "--json").stdout)
    assert (about["input"]["mean"], about["input"]["std"]) == (mean, std)
    assert about["provenance"]["run"] == "run"
    expected = json.loads(asked("evaluate", older, "--json").stdout)
    assert about["parity"]["top1_error"]["framework"] == expected["top1_error"]
    assert about["parity"]["top1_error"]["framework"] != tuned.about["errors"][tuned.about["kept"]]["top1_error"]
    assert about["parity"]["top1_agreement"] == 1.0


def test_a_finetuned_network_whose_photos_changed_is_refused(tuned, grown, described, tmp_path):
    out = tmp_path / "out"
    changed = r"photos changed since .* \(sha256 was .*…, is .*…\): .* begin a new run on what is there"
    for folder in (tuned.folder, described("data_options", "data_fingerprint")):
        with pytest.raises(StateError, match=changed):
            asked("export", folder, "--format", "state-dict", "--out", out)
    assert (grown / "class 0" / "more.png").exists()
    assert not out.exists()


def test_a_finetuned_network_and_options_of_its_photos(tuned, tmp_path):
    """What is set for them is used: they may stand elsewhere by now."""
    words = ("export", tuned.folder, "--format", "state-dict", "--out", tmp_path / "out")
    with pytest.raises(StateError, match="photos changed since"):
        asked(*words, "-s", "folder.split_seed=4")
    moved = shutil.copytree(tuned.photos, tmp_path / "moved")
    asked(*words, "-s", f"folder.path={moved}", "--images", 5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"run": "/gone"}, "came from the run in /gone, which is not there: its pictures are needed to compare"),
        ({"data": "digits"}, r"was trained on digits, and the run in .*run is on folder"),
        ({"classes": ["a", "b", "c"]}, "knows other classes than photos has now"),
    ],
)
def test_a_finetuned_network_without_its_run(described, tmp_path, changes, text):
    with pytest.raises(ConfigError, match=text):
        asked("export", described(**changes), "--format", "state-dict", "--out", tmp_path / "out")


def test_from_a_shell(tiny_run, tmp_path):
    """Progress on stderr, the result on stdout, and a place in the run by default."""
    require("onnx")
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    done = nat("export", "run", "--format", "onnx", "--images", "20", cwd=tmp_path)
    assert done.code == 0, done.err
    (out,) = (run / "exported").iterdir()
    assert out.name.endswith("-onnx")
    assert "20 validation images: the files and nat agree on" in done.out
    assert f"The files are in {out.relative_to(tmp_path)}" in done.out
    assert "timing it" in done.err
    again = nat("export", "run", "--format", "onnx", cwd=tmp_path)
    assert again.code == 2
    assert "--force replaces it" in again.err
