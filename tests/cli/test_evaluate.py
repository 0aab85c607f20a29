"""`nat evaluate`: a published network, and those of a run, on the digits."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from command_line import nat
from in_process import here
from net_files import SMALL, config_of, published_names
from torch.nn.functional import interpolate

from nat_core import plugins
from nat_core.cli import cli
from nat_core.contracts import StaticNetwork
from nat_core.errors import ConfigError, NatError, ResourceError, StateError
from nat_core.evaluating import Subject, Words, of_finetuned
from nat_core.evaluating import evaluate as evaluated
from nat_core.journal import read
from nat_mbv3.network import MobileNetV3, initialise
from nat_mbv3.static import static_network

REPORT = (
    *("mean_class_accuracy", "mean_confidence", "calibration_error", "adaptive_calibration_error"),
    *("calibration_bins", "classes", "confusions"),
)


@pytest.fixture(scope="module")
def digits():
    return plugins.find("datasets", "digits")()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A random network of ten classes: config and weights."""
    folder = tmp_path_factory.mktemp("net")
    network = MobileNetV3(SMALL, 10)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        initialise(network)
        torch.nn.init.normal_(network.classifier.weight)
    (folder / "net.config").write_text(json.dumps(config_of(SMALL, 10)))
    torch.save({"state_dict": published_names(network.state_dict())}, folder / "net.weights")
    return folder / "net.config", folder / "net.weights"


def arguments(files, *words):
    return [str(word) for word in ("evaluate", "--net", files[0], "--weights", files[1], *words)]


def evaluate(files, *words):
    return nat(*arguments(files, *words))


def errors_of_a_loop(files, digits, side):
    """Shares of test images whose class is not the most likely one, and not among five."""
    _, network = static_network(*files)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (digits.mean, digits.std))
    images = torch.from_numpy(digits.test.images.copy())
    if side < digits.image_size:  # smaller pictures are whole numbers
        images = interpolate(images, (side, side), mode="bilinear", antialias=True)
        assert images.dtype == torch.uint8
    images = (images / 255 - mean) / std
    if side > digits.image_size:
        images = interpolate(images, (side, side), mode="bilinear")
    labels = torch.from_numpy(digits.test.labels.copy())[:, None]
    with torch.inference_mode():
        ranked = network(images).argsort(1, descending=True)
    return [float((ranked[:, :n] != labels).all(1).double().mean()) for n in (1, 5)]


def test_the_document(files, digits):
    """The errors are those of a plain loop over the test images."""
    result = evaluate(files, "--data", "digits", "--engine", "plain", "--device", "cpu", "--json").json
    _, network = static_network(*files)
    wrong, far_off = errors_of_a_loop(files, digits, 32)
    assert 0 < far_off < wrong < 1
    assert result.pop("seconds") > 0
    report = {name: result.pop(name) for name in REPORT}
    assert result == {
        "network": {"ks": [3, 5] * 5, "e": [3, 4] * 5, "d": [2] * 5, "r": 32, "w": 1.0},
        "data": "digits",
        "split": "test",
        "top1_error": pytest.approx(wrong),
        "top5_error": pytest.approx(far_off),
        "images": len(digits.test),
        "side": 32,
        "params": sum(p.numel() for p in network.parameters()),
    }
    counts = np.bincount(digits.test.labels).tolist()
    assert [(row["class"], row["images"]) for row in report["classes"]] == list(
        zip(digits.classes, counts, strict=True)
    )
    confused = sum(row["images"] for row in report["confusions"])
    assert confused == round(wrong * len(digits.test)) == sum(r["images"] - r["right"] for r in report["classes"])


@pytest.mark.parametrize("engine", ["plain", "torch"])
def test_pictures_shrink_as_those_of_the_estimator(files, digits, engine):
    result = evaluate(files, "--side", "6", "--engine", engine, "--json").json
    assert [result["top1_error"], result["top5_error"]] == pytest.approx(errors_of_a_loop(files, digits, 6))


def test_a_network_that_says_three(files, digits, tmp_path):
    """Its error is the share of other digits, whatever the side, the normalisation and the batch."""
    state = torch.load(files[1], weights_only=True)["state_dict"]
    state["classifier.linear.weight"] = torch.zeros(10, 1280)
    state["classifier.linear.bias"] = torch.eye(10)[3]
    torch.save(state, tmp_path / "three")
    words = ("--split", "val", "--side", "16", "--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--batch", "7")
    outcome = evaluate((files[0], tmp_path / "three"), *words, "--all", "--out", tmp_path / "confusion.csv")
    share = float((digits.val.labels != 3).mean())
    assert outcome.out.startswith(f"top-1 error {100 * share:.2f} %, top-5 error ")
    assert f"% of {len(digits.val):,} images (val of digits), at 16 pixels" in outcome.out
    counts = np.bincount(digits.val.labels)
    often = max(set(range(10)) - {3}, key=lambda label: counts[label])
    assert f"\n{often} is taken for 3: {counts[often]} of {counts[often]} images." in outcome.out
    rows = [
        line.split() for line in outcome.out.splitlines() if line[:1].isdigit() and line.rstrip().endswith(("%", "–"))
    ]
    assert rows[-1] == ["3", str(counts[3]), str(counts[3]), "100.0", "%", f"{100 * (1 - share):.1f}", "%"]
    assert len(rows) == 10
    table = list(csv.reader((tmp_path / "confusion.csv").read_text().splitlines()))
    assert table[0] == ["true class", *map(str, range(10))]
    assert [[int(n) for n in row[1:]] for row in table[1:]] == [[0, 0, 0, n, 0, 0, 0, 0, 0, 0] for n in counts]


def test_what_cannot_be_measured(files, tmp_path):
    (tmp_path / "seven").write_text(json.dumps(config_of(SMALL, 7)))
    state = torch.load(files[1], weights_only=True)["state_dict"]
    huge = {n: t * 1e30 if n.endswith("conv.weight") else t for n, t in state.items()}
    torch.save(huge, tmp_path / "huge")
    torch.save({n: t[:7] if n.startswith("classifier") else t for n, t in state.items()}, tmp_path / "seven.weights")
    wrong = {
        "tells 7 classes apart, and digits has 10": ((tmp_path / "seven", tmp_path / "seven.weights"), ()),
        "does not fit the network of": ((tmp_path / "seven", files[1]), ()),
        "outputs are not finite": ((files[0], tmp_path / "huge"), ()),
        "the space lite reads no networks that stand alone": (files, ("--space", "lite")),
        "options are set for 'foldr'": (files, ("-s", "foldr.image_size=3")),
        "errors.engine: unknown engine 'torhc'. Did you mean 'torch'": (files, ("--engine", "torhc")),
        "errors.device is 'gpu', which cannot be used here": (files, ("--device", "gpu")),
        "unknown evaluator 'error'. Did you mean 'errors'": (files, ("--evaluator", "error")),
    }
    for message, (pair, words) in wrong.items():
        with pytest.raises(ConfigError) as refusal:  # in this process: torch takes seconds to import
            CliRunner().invoke(cli, arguments(pair, *words), catch_exceptions=False)
        assert message in str(refusal.value)
    outcome = evaluate(files, "--mean", "0.5")
    assert outcome.code == ConfigError.exit_code
    assert "write three numbers" in outcome.err


def test_a_config_needs_its_weights(files):
    with pytest.raises(ConfigError, match=r"needs the --weights that belong to it"):
        CliRunner().invoke(cli, ["evaluate", "--net", str(files[0])], catch_exceptions=False)


def said(*words):
    """The document of a run's network, measured in this process."""
    result = CliRunner().invoke(cli, ["evaluate", *map(str, words), "--json"], catch_exceptions=False)
    assert not result.exit_code, result.output
    return json.loads(result.stdout)


def test_a_network_of_a_run_is_as_the_run_measured_it(tiny_run):
    """Any that it measured: on validation images as in the journal, and the front on test images as at its end."""
    run, outcome = tiny_run
    last = [r for r in read(run / "journal.jsonl") if r["kind"] == "measured" and r["iteration"] == 2]
    space = make_space()
    for record in last:
        name = space.describe(tuple(record["architecture"]))["architecture"]
        found = said(run, name)
        assert found["top1_error"] == pytest.approx(record["objectives"]["top1_error"], abs=1e-12)
        assert (found["run"], found["measured_by_run"], found["split"]) == (str(run), True, "val")
    member = outcome.json["front"][0]
    found = said(run, member["architecture"], "--split", "test", "--engine", "plain", "--device", "cpu")
    assert found["top1_error"] == pytest.approx(member["test"]["top1_error"], abs=1e-12)
    assert (found["data"], found["network"]["architecture"]) == ("digits", member["architecture"])


def make_space():
    return plugins.find("search_spaces", "mbv3")(
        resolutions=(16, 20), widths=(1.0,), depths=(2,), kernels=(3, 5), expands=(3,)
    )


def test_without_a_word_it_is_the_knee_and_all_splits_are_one(tiny_run):
    run, _ = tiny_run
    knee = json.loads(CliRunner().invoke(cli, ["pick", str(run), "--json"]).stdout)["picks"][0]["architecture"]
    by_split = {split: said(run, "--split", split) for split in ("train", "val", "test", "all")}
    assert {found["network"]["architecture"] for found in by_split.values()} == {knee}
    together = by_split.pop("all")
    assert together["images"] == 1797 == sum(found["images"] for found in by_split.values())
    wrong = sum(found["top1_error"] * found["images"] for found in by_split.values())
    assert together["top1_error"] * 1797 == pytest.approx(wrong)


def test_a_network_that_the_run_has_not_measured(tiny_run):
    run, _ = tiny_run
    known = {tuple(r["architecture"]) for r in read(run / "journal.jsonl") if "architecture" in r}
    space = make_space()
    new = next(a for a in map(tuple, space.sample(50, np.random.default_rng(0)).tolist()) if a not in known)
    name = space.describe(new)["architecture"]
    found = said(run, name)
    assert found["measured_by_run"] is False
    assert 0 < found["top1_error"] < 1
    text = CliRunner().invoke(cli, ["evaluate", str(run), name]).stdout
    assert text.startswith(f"{name} of {run}, which the run has not measured with these weights, its newest\n")


def test_other_data_with_other_classes(tiny_run, small_folder):
    with pytest.raises(ConfigError, match=r"tells 10 classes apart, and .*photos has 2"):
        said(tiny_run[0], "--data", small_folder, "-s", "folder.image_size=16")


def test_other_data_of_the_same_classes_are_normalised_as_those_of_the_run(tiny_run, digits, tmp_path):
    """The digits as files: the network makes the same errors on them."""
    from PIL import Image

    for name, split in (("train", digits.train), ("val", digits.val)):
        for i, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            folder = tmp_path / "photos" / name / digits.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:04}.png")
    size = f"folder.image_size={digits.image_size}"
    found = said(tiny_run[0], "--data", tmp_path / "photos", "-s", size, "-s", "folder.cache=memory")
    assert found["images"] == len(digits.val)
    assert found["top1_error"] == said(tiny_run[0])["top1_error"]


def test_what_a_run_cannot_be_asked(tiny_run, tmp_path, files):
    run = tiny_run[0]
    cases = [
        ((), ConfigError, "say what to measure"),
        ((tmp_path,), StateError, "holds no run"),
        ((run, "nonsense"), ConfigError, "cannot read an architecture"),
        ((run, "{'ks': 3}"), ConfigError, "this is not JSON"),
        ((run, "--net", files[0], "--weights", files[1]), ConfigError, "leave --net and --weights out"),
        ((run, "--space", "lite"), ConfigError, "leave --space out"),
        ((run, "-s", "eror.threads=2"), ConfigError, "options are set for 'eror'"),
        ((run, "-s", "digits.split_seed=5"), StateError, "its data changed since it began"),
        ((run, "--out", tmp_path), ConfigError, "is a folder; give a file"),
        ((run, "--out", tmp_path / "no" / "file.csv"), ConfigError, f"there is no folder {tmp_path / 'no'}"),
    ]
    for words, kind, text in cases:
        with pytest.raises(NatError) as refusal:
            said(*words)
        assert type(refusal.value) is kind
        assert text in str(refusal.value)


def test_a_finetuned_network_is_measured_on_the_data_of_its_run(tuned):
    """On validation images, of the splits that it was trained with: the error is the one that was written then."""
    found = said(tuned.folder)
    assert (found["data"], found["split"], found["images"]) == ("photos", "val", 9)
    assert found["top1_error"] == tuned.about["errors"][tuned.about["kept"]]["top1_error"]
    assert said(tuned.folder, "--split", "test")["split"] == said("--net", tuned.folder)["split"] == "test"
    with pytest.raises(ConfigError, match="tells 3 classes apart, and digits has 10"):
        said(tuned.folder, "--data", "digits")


NEWER = ("data_options", "data_fingerprint")  # an older description lacks them


def split_as(folder, photos, *settings):
    """The fingerprint of photos that are given beside a fine-tuned network: it changes with the splits."""
    return of_finetuned(folder, str(photos), Words(settings=settings)).data.fingerprint


def test_photos_given_beside_a_finetuned_network_are_prepared_as_its_own(tuned, described, tmp_path):
    trained, alone = tuned.about["data_fingerprint"], described(run=str(tmp_path / "gone"))
    assert split_as(tuned.folder, tuned.photos) == split_as(alone, tuned.photos) == trained
    assert split_as(alone, tuned.photos, "folder.split_seed=0") != trained
    assert said(alone, "--data", tuned.photos)["split"] == "val"
    with pytest.raises(ConfigError, match=r"the run in .*gone, which is not there: say with --data what to measure it"):
        said(alone)
    with pytest.raises(ConfigError, match="options are set for 'foldr'"):
        said(alone, "--data", tuned.photos, "-s", "foldr.image_size=16")


def test_an_older_description_of_a_finetuned_network(tuned, described, tmp_path, monkeypatch):
    """It says the run as that was named, and neither the options of the data nor their fingerprint."""
    older, trained = described(*NEWER, run="run"), tuned.about["data_fingerprint"]
    monkeypatch.chdir(tuned.run.parent)
    assert said(older)["data"] == "photos"
    assert split_as(older, tuned.photos) == trained
    monkeypatch.chdir(tmp_path)  # from here the run is not found
    assert split_as(older, tuned.photos, "folder.image_size=16", "folder.split_seed=3") == trained


def test_a_finetuned_network_whose_photos_changed(tuned, grown, described):
    """What it is measured on by default has to be what it was trained on; what is given is the user's."""
    for folder in (tuned.folder, described(*NEWER)):
        was = tuned.about["data_fingerprint"][:12]
        with pytest.raises(StateError, match=rf"photos changed since .* was trained on it \(sha256 was {was}…, is "):
            said(folder)
    assert said(tuned.folder, "--data", grown)["data"] == str(grown)


def test_photos_that_have_moved(tuned, tmp_path):
    """Those that are given take their place if they are the same; else it is said what can be done."""
    run, gone = shutil.copytree(tuned.run, tmp_path / "run"), tmp_path / "photos"
    moved, less = (shutil.copytree(tuned.photos, tmp_path / name) for name in ("moved", "less"))
    (less / "class 1" / "00.png").unlink()
    about = (run / "run.toml").read_text()
    assert str(tuned.photos) in about
    (run / "run.toml").write_text(about.replace(str(tuned.photos), str(gone)))
    expected = f"the run in {run} expects its pictures in {gone}, and there is no such folder: "
    back = "move them back, or put a link there"
    anywhere = f"{expected}say with --data NEW where they are now, or {back}"
    mine = ("-s", "folder.split_seed=3")
    assert said(run, "--data", moved)["top1_error"] == said(run, "--data", moved, *mine)["top1_error"]
    assert said(run, "--data", moved)["top1_error"] == said(tuned.run)["top1_error"]
    assert said(run, "-s", f"folder.path={moved}")["top1_error"] == said(tuned.run)["top1_error"]
    for words, kind, text in (
        (("evaluate", run), ConfigError, anywhere),
        (("evaluate", run, "--data", "digits"), ConfigError, anywhere),
        (("evaluate", run, "--data", tmp_path / "no"), ConfigError, f"there is no folder '{tmp_path / 'no'}'"),
        (
            ("evaluate", run, "--data", less),
            StateError,
            f"there is no folder {gone} any more, and {less} took its place",
        ),
        (("resume", run), ConfigError, f"{expected}{back}"),
        (("finetune", run), ConfigError, f"{expected}{back}"),
        (("export", run, "--format", "state-dict"), ConfigError, f"{expected}{back}"),
    ):
        with pytest.raises(kind) as refusal:
            CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
        assert text in str(refusal.value)


def test_photos_of_a_finetuned_network_that_have_moved(tuned, described, tmp_path):
    options = tuned.about["data_options"] | {"path": str(tmp_path / "photos")}
    folder = described(data_options=options)
    with pytest.raises(
        ConfigError, match=r"expects its pictures in .*photos, and .*: say with --data NEW where they are"
    ):
        said(folder)
    assert said(folder, "--data", tuned.photos)["split"] == "val"


@pytest.mark.parametrize("side", [20_000_000, 3_000_000_000])
def test_memory_that_does_not_suffice(files, tuned, side):
    """A real allocation, of more than any machine can address: one line, as a run says it."""
    for words in (("--net", files[0], "--weights", files[1]), (tuned.folder,), (tuned.run,)):
        outcome = here("evaluate", *words, "--side", side, "--device", "cpu")
        assert (outcome.code, outcome.out) == (ResourceError.exit_code, "")
        assert f"memory does not suffice to measure at {side} pixels: choose a smaller --side, fewer" in outcome.err
        assert "--batch" in outcome.err


def test_a_folder_beside_weights(files, tuned, tmp_path):
    for folder, text in (
        (tuned.folder, "holds its own weights"),
        (tmp_path, "is a folder without a fine-tuned network"),
    ):
        with pytest.raises(ConfigError, match=text):
            said("--net", folder, "--weights", files[1])


def test_an_evaluator_that_tells_errors_alone(digits):
    class Coarse:
        def __call__(self, network, split):
            return {"top1_error": network.side / len(split)}

    network = StaticNetwork(None, {}, 32, 10)
    subject = Subject(network, digits, "digits", Coarse())
    assert evaluated(subject, "val", None) == ({"top1_error": 32 / len(digits.val)}, None)
    with pytest.raises(ConfigError, match="one split at a time"):
        evaluated(subject, "all", None)
