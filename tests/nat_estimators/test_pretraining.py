"""Pretraining: what its phases teach, and that it gives the same wherever it was cut."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from nat_core import plugins
from nat_core.contracts import Measurement
from nat_core.encoding import as_architectures, as_encodings
from nat_core.errors import ConfigError, StateError
from nat_core.journal import read
from nat_core.pretraining import PretrainConfig, Pretraining, pretrain
from nat_core.testing import PretrainerContract
from nat_estimators.engines import parity

SHORT = {"batch_size": 20, "device": "cpu"}


def made(space, data, method="sandwich", **options):
    return plugins.find("pretrainers", method)(space, data, **SHORT | options)


def training(folder, space, data, method="sandwich", **options):
    options = {"epochs": 3, **options} if method == "sandwich" else options
    config = PretrainConfig("toy", "toy", method, 0, {method: {k: str(v) for k, v in options.items()}})
    return Pretraining(folder, config, {}, data, space, made(space, data, method, **options))


def silent(_what, _done, _total):
    pass


class Killed(BaseException):
    pass


def killing_at(call):
    calls = itertools.count()

    def progress(_what, _done, _total):
        if next(calls) == call:
            raise Killed

    return progress


def test_a_sandwich_learns(tmp_path, space, data):
    epochs = list(pretrain(training(tmp_path, space, data, epochs=12), silent))
    assert [epoch.number for epoch in epochs] == list(range(12))
    assert epochs[-1].loss < 0.7 * epochs[0].loss
    assert epochs[-1].errors.keys() == {"largest", "smallest"}
    assert max(epochs[-1].errors.values()) < 0.2
    assert (tmp_path / "supernet.safetensors").read_bytes() == (tmp_path / "weights" / "0011" / "supernet").read_bytes()


def test_killed_at_any_step_it_gives_the_same(tmp_path, space, data):
    whole = list(pretrain(training(tmp_path / "whole", space, data), silent))
    expected = (tmp_path / "whole" / "supernet.safetensors").read_bytes()
    for call in (0, 3, 6, 11, 17):  # of 18 steps in three epochs
        folder = tmp_path / str(call)
        with pytest.raises(Killed):
            list(pretrain(training(folder, space, data), killing_at(call)))
        again = list(pretrain(training(folder, space, data), silent))
        assert (folder / "supernet.safetensors").read_bytes() == expected
        assert [(e.errors, e.loss) for e in again] == [(e.errors, e.loss) for e in whole]


def test_done_is_done(tmp_path, space, data):
    first = list(pretrain(training(tmp_path, space, data), silent))
    again = training(tmp_path, space, data)
    assert list(pretrain(again, killing_at(0))) == first
    again.result.unlink()
    assert list(pretrain(training(tmp_path, space, data), killing_at(0))) == first
    assert again.result.exists()


def test_damaged_weights_are_made_again(tmp_path, space, data, caplog):
    done = training(tmp_path, space, data)
    list(pretrain(done, silent))
    expected = done.result.read_bytes()
    done.result.unlink()
    (tmp_path / "weights" / "0002" / "supernet").write_bytes(b"damaged")
    list(pretrain(training(tmp_path, space, data), silent))
    assert done.result.read_bytes() == expected
    assert "making them again from iteration 1" in caplog.text


def test_a_damaged_result_is_made_again(tmp_path, space, data):
    done = training(tmp_path, space, data)
    first = list(pretrain(done, silent))
    expected, records = done.result.read_bytes(), read(tmp_path / "pretrain.jsonl")
    done.result.write_bytes(b"damaged")
    assert list(pretrain(training(tmp_path, space, data), killing_at(0))) == first
    assert done.result.read_bytes() == expected
    assert read(tmp_path / "pretrain.jsonl") == records


def test_a_damaged_result_that_cannot_be_made_again_is_an_error(tmp_path, space, data):
    list(pretrain(training(tmp_path, space, data), silent))
    again = training(tmp_path, space, data)
    again.result.write_bytes(b"damaged")
    again.pretrainer.save = lambda file: file.write_bytes(b"other")
    with pytest.raises(StateError, match=r"supernet\.safetensors was damaged, and could not be made again"):
        list(pretrain(again, silent))
    for file in (tmp_path / "weights").glob("*/supernet"):
        file.write_bytes(b"damaged")
    with pytest.raises(StateError, match=r"weights of iteration 2 in .* cannot be used \(.*\), nor can those before"):
        list(pretrain(training(tmp_path, space, data), silent))


def test_the_smallest_network_is_that_of_the_smallest_width(data):
    """Largest and smallest differ in all but the side of their pictures."""
    choices = {"kernels": [3, 5], "depths": [2, 3], "expands": [3, 4], "classes": 4}
    space = plugins.find("search_spaces", "mbv3")(widths=[1.0, 1.2], resolutions=[8, 12], **choices)
    pretrainer, asked = made(space, data), []
    pretrainer.estimator = lambda X: asked.extend(as_architectures(X)) or [Measurement(0.5)] * len(X)
    assert pretrainer.measure() == {"largest": 0.5, "smallest": 0.5}
    largest, smallest = ({k: set(np.ravel(v).tolist()) for k, v in space.describe(a).items()} for a in asked)
    del largest["architecture"], smallest["architecture"]
    assert largest == {"ks": {5}, "e": {4}, "d": {3}, "r": {12}, "w": {1.2}}
    assert smallest == {"ks": {3}, "e": {3}, "d": {2}, "r": {12}, "w": {1.0}}


def test_no_rounding_of_an_engine_can_stop_it(space, data, monkeypatch):
    """What a network answers on few and noisy pictures can be all rounding, and there is no option to mend that."""
    monkeypatch.setattr(parity, "TOLERANCE", {"fp32": 0.0})
    assert made(space, data).measure().keys() == {"largest", "smallest"}


def test_a_folder_of_another_training_is_refused(tmp_path, space, data):
    list(pretrain(training(tmp_path, space, data, epochs=1), silent))
    with pytest.raises(StateError, match="its config changed since it began"):
        list(pretrain(training(tmp_path, space, data, epochs=2), silent))
    with pytest.raises(StateError, match="its data changed"):
        list(pretrain(training(tmp_path, space, replace(data, fingerprint="other"), epochs=1), silent))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files, such as thesis\.tex"):
        list(pretrain(training(tmp_path / "other", space, data), silent))


def test_progressive_shrinking_needs_a_space_that_shrinks(space, data):
    with pytest.raises(ConfigError, match="--method sandwich"):
        made(space, data, "progressive")


def test_phases_of_progressive_shrinking(data):
    """The largest network alone; then each phase draws what it may, and the largest teaches."""
    space = plugins.find("search_spaces", "mbv3")(widths=[1.0], resolutions=[8, 12], classes=4)
    pretrainer = made(space, data, "progressive", largest_epochs=2, phase_epochs=1, networks=2)
    names = [pretrainer.phase(epoch) for epoch in range(pretrainer.epochs)]
    later = ["kernels", "depths from 3", "depths from 2", "expansions from 4", "expansions from 3"]
    assert names == ["largest network", "largest network", *later]
    allowed = {"kernels": ({4}, {6}), "depths from 3": ({3, 4}, {6}), "depths from 2": ({2, 3, 4}, {6})}
    allowed |= {"expansions from 4": ({2, 3, 4}, {4, 6}), "expansions from 3": ({2, 3, 4}, {3, 4, 6})}
    for phase in pretrainer.phases[1:]:
        X = phase.sample(60, np.random.default_rng(0))
        assert (space.canonicalize(X) == X).all()
        described = [space.describe(tuple(row)) for row in X.tolist()]
        assert {k for d in described for k in d["ks"]} == {3, 5, 7}
        depths, expands = ({v for d in described for v in d[key]} for key in ("d", "e"))
        assert (depths, expands) == allowed[phase.name]
        for lesson in phase.teach([tuple(row) for row in X.tolist()], space):
            assert lesson.teacher is not None
            assert {network[0] for network in lesson.networks} == {lesson.teacher[0]}
            assert set(space.describe(lesson.teacher)["e"]) == {6}
    (alone,) = {lesson.networks for lesson in pretrainer.phases[0].teach([(0,) * 22], space)}
    assert space.describe(alone[0])["d"] == [4] * 5


def test_a_fixed_choice_has_no_phase():
    space = plugins.find("search_spaces", "mbv3")(kernels=[3], depths=[2, 3], expands=[6])
    assert [name for name, _ in space.shrinking()] == ["depths from 2"]


def test_progressive_shrinking_learns_and_is_read_by_the_space(tmp_path, data):
    small = {"widths": [1.0], "resolutions": [8], "kernels": [3, 5], "depths": [2], "expands": [3], "classes": 4}
    mbv3 = plugins.find("search_spaces", "mbv3")
    options = {"largest_epochs": 1, "phase_epochs": 1, "batch_size": 60}
    done = training(tmp_path, mbv3(**small), data, "progressive", **options)
    epochs = list(pretrain(done, silent))
    assert [epoch.phase for epoch in epochs] == ["largest network", "kernels"]
    loaded = mbv3(**small, weights=str(done.result)).supernet(4).state_dict()
    written = load_file(done.result)
    assert loaded.keys() == written.keys()
    assert all((loaded[name].numpy() == written[name]).all() for name in loaded)


@pytest.mark.parametrize(
    ("method", "option", "value", "text"),
    [
        ("sandwich", "epochs", 0, "sandwich.epochs is 0: it has to be at least 1"),
        ("sandwich", "networks", 0, "sandwich.networks is 0"),
        ("sandwich", "learning_rate", -1.0, "sandwich.learning_rate is -1.0"),
        ("sandwich", "training_precision", "int8", "sandwich.training_precision: unknown word 'int8'"),
        ("progressive", "pace", -1.0, "progressive.pace is -1.0"),
        ("progressive", "mixup", -1.0, "progressive.mixup is -1.0"),
    ],
)
def test_impossible_options(data, method, option, value, text):
    space = plugins.find("search_spaces", "mbv3")(widths=[1.0], resolutions=[8])
    with pytest.raises(ConfigError, match=text):
        made(space, data, method, **{option: value})


def test_rows_of_a_checkpoint_space_are_a_whole(space, data):
    """An epoch of a sandwich draws from the whole space, not from an archive."""
    pretrainer = made(space, data, epochs=1, networks=3)
    rows = as_encodings(space.sample(1, np.random.default_rng(0)), 3)
    pretrainer.train(0, silent)
    assert len(set(pretrainer.estimator.supernet.called)) > 5 * len(rows)


class TestSandwich(PretrainerContract):
    @pytest.fixture
    def make(self, space, data, monkeypatch):
        monkeypatch.setattr("nat_estimators.training.STRETCH", 2)
        return lambda: made(space, data, epochs=2)


class TestProgressive(PretrainerContract):
    @pytest.fixture
    def make(self, data):
        small = {"widths": [1.0], "resolutions": [8], "kernels": [3, 5], "depths": [2], "expands": [3], "classes": 4}
        space = plugins.find("search_spaces", "mbv3")(**small)
        return lambda: made(space, data, "progressive", largest_epochs=1, phase_epochs=1, batch_size=60)


class TestAveragedSandwich(PretrainerContract):
    @pytest.fixture
    def make(self, space, data, monkeypatch):
        monkeypatch.setattr("nat_estimators.training.STRETCH", 2)
        return lambda: made(space, data, epochs=2, ema=0.9, randaugment=5, cutmix=1.0)
