"""A training that is cut short anywhere and goes on comes to the same weights, byte by byte."""

from __future__ import annotations

import errno
import itertools
import math
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toyrun import KILLED, Failing, forked

from nat_core import checkpoints, plugins
from nat_core.contracts import ResumableLearner, ResumablePretrainer
from nat_core.encoding import as_encodings
from nat_core.errors import ResourceError
from nat_core.journal import Journal, read
from nat_core.pretraining import PretrainConfig, Pretraining, pretrain
from nat_core.weights import WeightStore
from nat_estimators import snapshot, training
from nat_estimators.adaptation import adapt
from nat_estimators.batches import batches
from nat_estimators.schedule import Recipe, Schedule

SHORT = Schedule(4, 4, 20, 0.05, 0.9, 4e-5, 0.0, 0.0, 0)  # 24 steps
ALL = as_encodings([(r, d, h) for r in (0, 1) for d in (0, 1, 2) for h in ((0, 1) if d else (0,))], 3)
STEPS = 24


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch):
    monkeypatch.setattr(training, "STRETCH", 5)
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)


class Memory:
    """A checkpoint that keeps every state, and may begin with one."""

    def __init__(self, begin=None):
        self.begin, self.kept = begin, {}

    def load(self):
        return self.begin

    def offer(self, state, done, total):
        assert total == STEPS
        self.kept[done] = state()


class Steps(list):
    """The steps that were done."""

    def __call__(self, _what, done, _total):
        self.append(done)


def trained(space, data, checkpoint, schedule=SHORT, net=None, progress=None, iteration=0, iterations=2):
    net = net or space.supernet(4)
    losses(space, data, checkpoint, schedule, net, progress, iteration, iterations)
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def losses(space, data, checkpoint, schedule=SHORT, net=None, progress=None, iteration=0, iterations=2):
    net = net or space.supernet(4)
    train = batches(data.train, data, torch.device("cpu"))
    return adapt(
        net,
        space,
        train,
        data.augmentation,
        ALL,
        schedule,
        iteration,
        iterations,
        Steps() if progress is None else progress,
        checkpoint,
    )


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


RECIPES = {
    "plain": SHORT,
    "no momentum": replace(SHORT, momentum=0.0),
    "average": replace(SHORT, ema=0.9),
    "sandwich": replace(SHORT, sandwich=2, distillation=0.5, label_smoothing=0.1),
    "pictures": replace(SHORT, recipe=Recipe(9, 0.2, 1.0, 0.5)),
    "bf16": replace(SHORT, precision="bf16"),
    "fp16": replace(SHORT, precision="fp16", ema=0.9),
}


@pytest.mark.parametrize("name", RECIPES)
def test_from_any_stretch_it_comes_to_the_same_weights(space, data, name):
    schedule, whole = RECIPES[name], Memory()
    expected = trained(space, data, None, schedule)
    assert same(trained(space, data, whole, schedule), expected)
    assert list(whole.kept) == [5, 10, 15, 20]
    for done, state in whole.kept.items():
        steps = Steps()
        assert same(trained(space, data, Memory(state), schedule, progress=steps), expected)
        assert steps == list(range(done, STEPS))


def test_the_loss_of_each_epoch_is_the_same_wherever_it_was_cut_short(space, data):
    """Stretches of 5 steps, epochs of 6: a state may lie in the middle of one."""
    whole = Memory()
    expected = losses(space, data, whole)
    assert len(expected) == SHORT.warmup_epochs
    assert all(0 < loss < 10 for loss in expected)
    for state in whole.kept.values():
        assert losses(space, data, Memory(state)) == expected


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps(space, data, monkeypatch):
    monkeypatch.setattr(training.Training, "_step", lambda _self, _course, step: torch.tensor(float(step)))
    assert losses(space, data, None) == [2.5, 8.5, 14.5, 20.5]
    assert losses(space, data, None, replace(SHORT, warmup_epochs=0)) == []


class Faulty(torch.nn.Module):
    """A supernet with a fault at some calls, counted over both lives, or with too many pictures at once."""

    def __init__(self, net, calls=(), above=None, done=0):
        super().__init__()
        self.net, self.calls, self.above, self.done = net, calls, above, itertools.count(done)

    def forward(self, images, architecture):
        if self.above and len(images) > self.above:
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits = self.net(images, architecture)
        return logits * math.nan if next(self.done) in self.calls else logits


def test_a_slower_pace_is_kept(space, data, caplog):
    """After a rollback at step 7 the learning rate is halved for good."""
    whole = Memory()
    expected = trained(space, data, whole, net=Faulty(space.supernet(4), calls=(7,)))
    assert caplog.text.count("taken back") == 1
    assert not same(expected, trained(space, data, None, net=Faulty(space.supernet(4))))
    for state in list(whole.kept.values())[1:]:
        again = trained(space, data, Memory(state), net=Faulty(space.supernet(4)))
        assert same(again, expected)


def test_the_rollbacks_are_counted_on(space, data):
    whole, schedule = Memory(), replace(SHORT, rollbacks=1)
    trained(space, data, whole, schedule, net=Faulty(space.supernet(4), calls=(7,)))
    with pytest.raises(Exception, match="after 1 rollbacks"):
        trained(space, data, Memory(whole.kept[10]), schedule, net=Faulty(space.supernet(4), calls=(3,)))


def test_what_memory_sufficed_for_is_kept(space, data, caplog):
    """The parts of a batch make a difference in the last bits, so they are those of the first life."""
    whole = Memory()
    expected = trained(space, data, whole, net=Faulty(space.supernet(4), above=10))
    assert caplog.text.count("out of memory") == 1
    caplog.clear()
    again = trained(space, data, Memory(whole.kept[15]), net=Faulty(space.supernet(4)))
    assert same(again, expected)
    assert "out of memory" not in caplog.text


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ({"schedule": replace(SHORT, learning_rate=0.04)}, "schedule and course"),
        ({"schedule": replace(SHORT, ema=0.9)}, "schedule"),
        ({"iterations": 3}, "course"),
        ({"iteration": 1}, "course"),
        ({"weights": 1}, "weights at the beginning"),
        ({"stretch": 6}, "steps in a stretch"),
        ({"torch": "1.0"}, "version of PyTorch"),
    ],
)
def test_of_another_training_it_is_left_out(space, data, what, word, monkeypatch, caplog):
    whole, others = Memory(), dict(what)
    trained(space, data, whole)
    space = replace(space, seed=others.pop("weights", 0))
    monkeypatch.setattr(training, "STRETCH", others.pop("stretch", 5))
    if version := others.pop("torch", ""):
        monkeypatch.setattr(training.torch, "__version__", version)
    expected = trained(space, data, None, **others)
    assert same(trained(space, data, Memory(whole.kept[10]), **others), expected)
    assert f"its {word} changed: beginning anew" in caplog.text


def test_what_is_no_state_is_left_out_and_nothing_of_it_is_taken(space, data, caplog):
    """The engine gives only what it verified; this is about what another version may have written."""
    whole = Memory()
    expected = trained(space, data, whole)
    state = whole.kept[10]
    facts = snapshot.facts(state)
    like = snapshot.load(state)
    fewer = {name: tensor for name, tensor in like.items() if name != "momentum.3"}
    wider = like | {"supernet.heads.1.bias": torch.zeros(5)}
    lower = like | {"supernet.stem.0.weight": like["supernet.stem.0.weight"].half()}
    wrong = [snapshot.pack(tensors, facts) for tensors in (fewer, wider, lower)]
    wrong += [snapshot.pack(like, {k: v for k, v in facts.items() if k != name}) for name in facts]
    wrong += [b"", b"{}", b"\0" * 100, b"\xff" * 100, state[:-1], state[:200], snapshot.pack(like, {"belongs": [1]})]
    for content in wrong:
        caplog.clear()
        assert same(trained(space, data, Memory(content)), expected)
        assert "that state cannot be used" in caplog.text


def test_no_checkpoint_where_nothing_is_learnt(space, data):
    whole = Memory()
    assert same(trained(space, data, whole, replace(SHORT, warmup_epochs=0)), space.supernet(4).state_dict())
    assert not whole.kept


# In a run ------------------------------------------------------------------------------------------------------------


def adapted(make, folder, progress, disk=checkpoints.DISK, **options):
    """Iterations 0 and 1 of a run; what is in the file of the last."""
    folder.mkdir(exist_ok=True)
    estimator = make(**{"warmup_epochs": 4, "epochs": 3, "ema": 0.9} | options)
    with Journal(folder / "journal.jsonl") as journal:
        store = WeightStore(folder / "weights", {"top1_error": estimator}, journal, disk, {"config": options})
        for iteration in (0, 1):
            store.advance(iteration, 1, ALL[: 4 + iteration], progress)
    assert not list(folder.rglob("*.unfinished"))
    return (folder / "weights" / "0001" / "top1_error").read_bytes()


def dying_at(call):
    calls = itertools.count()

    def progress(_what, _done, _total):
        if next(calls) == call:
            os._exit(KILLED)

    return progress


def test_killed_in_the_middle_of_adaptations_a_run_comes_to_the_same_file(estimator, tmp_path):
    """Of 42 steps, in two iterations; each process dies after some steps more, until one comes to the end."""
    expected, rng = adapted(estimator, tmp_path / "whole", Steps()), np.random.default_rng(4)
    for life in range(4):
        folder, lives, most = tmp_path / str(life), 0, int(rng.integers(6, 16))
        while forked(lambda: adapted(estimator, folder, dying_at(most))):  # noqa: B023
            lives += 1
            assert lives < 9
        assert lives >= 2  # without checkpoints no process would ever come beyond its first steps
        assert (folder / "weights" / "0001" / "top1_error").read_bytes() == expected
        assert told(folder) == told(tmp_path / "whole")
    assert [len(found["top1_error"]) for found in told(tmp_path / "whole")] == [4, 3]


def told(folder):
    """The losses in the journal."""
    return [record["losses"] for record in read(folder / "journal.jsonl")]


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        (None, {}),
        ([], {"odd": []}),
        (np.array([1.5, math.nan, math.inf], np.float32), {"odd": [1.5, None, None]}),
        (["high"], {"odd": []}),
        (3, {"odd": []}),
    ],
)
def test_whatever_a_learner_says_of_its_losses_the_run_goes_on(tmp_path, said, recorded):
    odd = SimpleNamespace(adapt=lambda *_: said, save=lambda file: file.write_bytes(b"x"), load=lambda _file: None)
    with Journal(tmp_path / "journal.jsonl") as journal:
        WeightStore(tmp_path / "weights", {"odd": odd}, journal).advance(0, 1, ALL[:4], Steps())
    assert told(tmp_path) == [recorded]


def test_damaged_it_begins_anew(estimator, tmp_path, caplog):
    expected = adapted(estimator, tmp_path / "whole", Steps())
    assert forked(lambda: adapted(estimator, tmp_path / "cut", dying_at(17))) == KILLED
    (file,) = (tmp_path / "cut").rglob("*.unfinished/top1_error")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    steps = Steps()
    assert adapted(estimator, tmp_path / "cut", steps) == expected
    assert steps[0] == 0
    assert "is damaged: it is left out, and the phase begins anew" in caplog.text


def test_with_other_options_it_begins_anew(estimator, tmp_path, caplog):
    expected = adapted(estimator, tmp_path / "whole", Steps(), learning_rate=0.02)
    assert forked(lambda: adapted(estimator, tmp_path / "cut", dying_at(17))) == KILLED
    assert adapted(estimator, tmp_path / "cut", Steps(), learning_rate=0.02) == expected
    assert "is of another phase: its config changed" in caplog.text


def test_a_full_disk_in_the_middle_of_an_adaptation_is_warned_of(estimator, tmp_path, caplog):
    """Until the weights themselves have to be written."""
    with pytest.raises(ResourceError, match="cannot write"):
        adapted(estimator, tmp_path / "full", Steps(), Failing(4, 0, errno.ENOSPC, for_ever=True))  # after the trial
    assert caplog.text.count("The training goes on.") == 1
    assert adapted(estimator, tmp_path / "full", Steps()) == adapted(estimator, tmp_path / "whole", Steps())


def test_the_estimators_of_this_package_are_resumable(estimator, space, data):
    assert isinstance(estimator(), ResumableLearner)
    assert isinstance(plugins.find("pretrainers", "sandwich")(space, data), ResumablePretrainer)


# In pretraining ------------------------------------------------------------------------------------------------------


def pretrained(folder, space, data, progress):
    options = {"epochs": 2, "batch_size": 8, "device": "cpu"}
    config = PretrainConfig("toy", "toy", "sandwich", 0, {"sandwich": options})
    pretrainer = plugins.find("pretrainers", "sandwich")(space, data, **options)
    return list(pretrain(Pretraining(folder, config, {}, data, space, pretrainer), progress))


def test_killed_in_the_middle_of_epochs_pretraining_comes_to_the_same(space, data, tmp_path):
    """Two epochs of 15 steps: the same file, errors and losses."""
    whole = pretrained(tmp_path / "whole", space, data, Steps())
    for most in (6, 11):
        folder, lives = tmp_path / str(most), 0
        while (code := forked(lambda: pretrained(folder, space, data, dying_at(most)))) == KILLED:  # noqa: B023
            lives += 1
            assert lives < 9
        assert code == 0
        assert lives >= 2
        again = pretrained(folder, space, data, Steps())
        assert [(e.loss, e.errors) for e in again] == [(e.loss, e.errors) for e in whole]
        result = (folder / "supernet.safetensors").read_bytes()
        assert result == (tmp_path / "whole" / "supernet.safetensors").read_bytes()
        assert not list(folder.rglob("*.unfinished"))
