"""Training one network alone: what learns, who teaches, and that it gives the same wherever it was cut."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nat_core import durable, plugins
from nat_core.contracts import StaticNetwork, SubnetEstimator
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError, FailureBudgetError, StateError
from nat_core.finetuning import FinetuneConfig, Finetuning, finetune
from nat_core.journal import Journal, read
from nat_core.testing import FineTunerContract

SHORT = {"epochs": 3, "batch_size": 20, "learning_rate": 0.05, "device": "cpu"}
SMALL, LARGEST = (0, 0, 0), (0, 2, 1)


def made(space, data, **options):
    return plugins.find("finetuners", "finetune")(space, data, **SHORT | options)


def silent(_what, _done, _total):
    pass


@pytest.fixture
def begun(space, data, estimator):
    """A fine-tuner of a network of the toy supernet, and what was asked of that."""

    def begun(architecture=SMALL, **options):
        asked, source = [], estimator()

        def subnet(architecture):
            asked.append(architecture)
            return source.network(architecture)

        tuner = made(space, data, **options)
        tuner.begin(architecture, subnet)
        return tuner, asked

    return begun


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_it_learns(begun):
    tuner, asked = begun(epochs=12)
    losses = [tuner.train(epoch, silent) for epoch in range(tuner.epochs)]
    assert asked == [SMALL]
    assert losses[-1] < losses[0] / 2


def test_what_it_begins_with_is_measured_as_the_estimator_does(space, data, estimator):
    """The network is handed over with its statistics measured again, so its error is the one that the search saw."""
    source = estimator()
    assert isinstance(source, SubnetEstimator)
    source.adapt(as_encodings([SMALL, LARGEST], 3), 0, 1, silent)
    (measured,) = source(as_encodings([SMALL], 3))
    tuner = made(space, data)
    tuner.begin(SMALL, source.network)
    evaluator = plugins.find("evaluators", "errors")(data, device="cpu")
    found = evaluator(StaticNetwork(tuner.network, {}, 8, 4), data.val)
    assert found["top1_error"] == pytest.approx(measured.value)


def test_the_largest_network_teaches_and_does_not_learn(begun):
    tuner, asked = begun(distillation=0.5)
    teacher = tuner._taken.teachers[0]
    before = state(teacher)
    tuner.train(0, silent)
    assert sorted(asked) == sorted([SMALL, LARGEST])
    assert all(bool((tensor == before[name]).all()) for name, tensor in teacher.state_dict().items())
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_takes_the_same_pictures(space, data, estimator):
    """A space that calls the side by another name has no teacher of the same side; alone its networks learn."""
    side, *others = space.variables
    space = replace(space, variables=(replace(side, name="side"), *others))
    subnet = estimator().network
    with pytest.raises(ConfigError, match="take 12 and 8 pixels"):
        made(space, data, distillation=0.5).begin(SMALL, subnet)
    made(space, data).begin(SMALL, subnet)


def test_what_is_taught_is_learnt(begun):
    """With nothing but the teacher's answers, the network comes to answer as the teacher does."""
    tuner, _ = begun(distillation=1.0, epochs=12)
    teacher = tuner._taken.teachers[0]
    with torch.no_grad():  # a teacher that says red, whatever it sees
        for parameter in teacher.parameters():
            parameter.zero_()
        teacher[-1].bias.copy_(torch.tensor([9.0, 0, 0, 0]))
    for epoch in range(tuner.epochs):
        tuner.train(epoch, silent)
    with torch.inference_mode():
        said = tuner.network(torch.randn(50, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert float((said.argmax(1) == 0).float().mean()) > 0.9


def test_the_largest_network_has_no_teacher(begun):
    tuner, asked = begun(LARGEST, distillation=0.5)
    assert asked == [LARGEST]
    tuner.train(0, silent)


def test_the_file_holds_the_network_alone(begun, tmp_path):
    tuner, _ = begun(distillation=0.5)
    tuner.save(tmp_path / "file")
    assert load_file(tmp_path / "file").keys() == tuner.network.state_dict().keys()


def test_a_loss_that_is_not_finite_fails_and_says_what_to_do(begun):
    tuner, _ = begun(rollbacks=1)
    with torch.no_grad():
        next(tuner.network.parameters()).fill_(float("inf"))
    with pytest.raises(FailureBudgetError, match="set a lower learning_rate"):
        tuner.train(0, silent)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "finetune.epochs is 0"),
        ({"batch_size": 1}, "finetune.batch_size is 1"),
        ({"distillation": 1.5}, "finetune.distillation is 1.5"),
        ({"threads": -1}, "finetune.threads is -1"),
        ({"device": "gpu"}, "finetune.device is 'gpu'"),
        ({"training_precision": "int8"}, "finetune.training_precision: unknown word 'int8'"),
    ],
)
def test_wrong_options(space, data, options, text):
    with pytest.raises(ConfigError, match=text):
        made(space, data, **options)


def test_data_and_spaces_that_cannot_be_used(space, data):
    with pytest.raises(ConfigError, match="two training images at least"):
        made(space, replace(data, train=replace(data.train, images=data.train.images[:1], labels=np.zeros(1, int))))
    with pytest.raises(ConfigError, match="needs a space with a supernet"):
        made(object(), data)


class Killed(BaseException):
    pass


@pytest.fixture
def training(space, data, estimator):
    """A training of the toy supernet's smallest network in a folder, as `nat finetune` builds it of a run."""

    def training(folder):
        tuner = made(space, data, distillation=0.3, epochs=2)
        tuner.begin(SMALL, estimator().network)
        evaluator = plugins.find("evaluators", "errors")(data, device="cpu")
        toy = plugins.Offer("search_spaces", "toy", "toys", "1", factory=type(space))
        config = SimpleNamespace(space="toy", data="toy", seed=0, options={"toy": {"seed": 3}})
        run = SimpleNamespace(folder=Path("run"), config=config, parts=SimpleNamespace(space=toy, data=None))
        weights = {"iteration": 3, "sha256": "0" * 64}
        return Finetuning(folder, FinetuneConfig(), {}, run, data, space, SMALL, weights, tuner, evaluator)

    return training


def outcome(folder):
    """What a user gets, without when it happened."""
    files = ("network.safetensors", "before.safetensors", "network.json")
    records = [{k: v for k, v in r.items() if k not in {"seconds", "saving"}} for r in read(folder / "finetune.jsonl")]
    return [(folder / name).read_bytes() for name in files], records


@pytest.mark.slow
def test_killed_at_every_durable_step_it_comes_to_the_same(training, tmp_path, monkeypatch):
    """Before each file that is put in place, and before each record."""
    whole = tmp_path / "whole" / "out"
    list(finetune(training(whole), silent, test=True))
    for kill in itertools.count():
        folder = tmp_path / str(kill) / "out"
        with monkeypatch.context() as patch:
            kill_at(patch, kill)
            try:
                list(finetune(training(folder), silent, test=True))
                break
            except Killed:
                pass
        list(finetune(training(folder), silent, test=True))
        assert outcome(folder) == outcome(whole) or losses_lost(folder, whole)
    assert kill > 15


def losses_lost(folder, whole):
    """A loss is noted after its epoch is recorded: a kill between the two loses it, and nothing else."""
    (files, records), (wanted, all_records) = outcome(folder), outcome(whole)
    without = [{**r, "loss": None} if r["kind"] == "epoch" else r for r in all_records]
    return (
        files == wanted
        and len(records) == len(without)
        and all(record in (a, b) for record, a, b in zip(records, all_records, without, strict=True))
    )


def kill_at(patch, call):
    """Raise in place of the n-th system call that makes something durable."""
    calls, disk = itertools.count(), durable.Disk

    def killing(method):
        def step(self, *arguments):
            if next(calls) == call:
                raise Killed
            return method(self, *arguments)

        return step

    for name in ("write", "replace"):
        patch.setattr(disk, name, killing(getattr(disk, name)))


def test_the_test_split_is_looked_at_when_asked_and_once(training, tmp_path):
    folder = tmp_path / "run" / "out"
    list(finetune(training(folder), silent))
    assert json.loads((folder / "network.json").read_text())["test"] is None
    assert json.loads((folder / "network.json").read_text())["space_options"] == {"seed": 3}
    untested = (folder / "network.safetensors").read_bytes()
    list(finetune(training(folder), silent, test=True))
    found = json.loads((folder / "network.json").read_text())["test"]
    assert found == training(folder).evaluator(
        StaticNetwork(loaded(training(folder), folder), {}, 8, 4), training(folder).data.test
    )
    blind = training(folder)
    object.__setattr__(blind, "evaluator", None)  # it would fail if anything were measured
    list(finetune(blind, silent, test=True))
    assert json.loads((folder / "network.json").read_text())["test"] == found
    assert (folder / "network.safetensors").read_bytes() == untested


def test_it_does_not_go_on_with_other_data(training, tmp_path):
    """A run whose data changed may have gone on all the same; a journal of an older version does not say."""
    folder, other = tmp_path / "out", training(tmp_path / "out")
    next(finetune(training(folder), silent))
    object.__setattr__(other, "data", replace(other.data, fingerprint="another"))
    with pytest.raises(StateError, match=r"its data changed since it began \(was toy, is another\)"):
        list(finetune(other, silent))
    records = read(folder / "finetune.jsonl")
    (folder / "finetune.jsonl").unlink()
    with Journal(folder / "finetune.jsonl") as journal:
        for record in records:
            journal.append(**{name: value for name, value in record.items() if name != "data"})
    assert [epoch.number for epoch in finetune(training(folder), silent)] == [0, 1]


def loaded(training, folder):
    training.tuner.load(folder / "network.safetensors")
    return training.tuner.network


class TestFinetune(FineTunerContract):
    @pytest.fixture
    def make(self, begun, monkeypatch):
        monkeypatch.setattr("nat_estimators.training.STRETCH", 2)
        return lambda: begun(distillation=0.5)[0]


class TestAveragedAndMixed(FineTunerContract):
    @pytest.fixture
    def make(self, begun, monkeypatch):
        monkeypatch.setattr("nat_estimators.training.STRETCH", 2)
        return lambda: begun(ema=0.9, mixup=0.4, randaugment=5)[0]


class Unsaved(nn.Module):
    """A fine-tuner that forgets to save."""

    epochs = 2

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(1, 1).eval()

    def train(self, epoch, progress):
        del epoch, progress
        nn.init.ones_(self.network.weight)
        return 1.0

    def save(self, file):
        save_file({"nothing": torch.zeros(1)}, file)

    def load(self, file):
        assert file.exists()


def test_the_contract_notices_one_that_forgets(tmp_path):
    with pytest.raises(AssertionError):
        FineTunerContract().test_what_is_saved_is_the_whole_state(Unsaved, tmp_path)
    with pytest.raises(AssertionError):
        FineTunerContract().test_the_network_is_the_one_that_learns(Unsaved, tmp_path)
