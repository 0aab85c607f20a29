"""Adapting a supernet: what is drawn, how fast it learns, and that it is the same whenever it is done again."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from nat_core import plugins
from nat_core.encoding import Variable, as_encodings
from nat_core.errors import ConfigError, FailureBudgetError, ResourceError
from nat_estimators.adaptation import adapt
from nat_estimators.batches import batches
from nat_estimators.drawing import drawn, lessons, picked
from nat_estimators.losses import loss
from nat_estimators.schedule import Recipe, Schedule
from nat_estimators.training import parts, shuffled

SHORT = Schedule(2, 1, 20, 0.05, 0.9, 4e-5, 0.0, 0.0, 0)
ALL = as_encodings([(r, d, h) for r in (0, 1) for d in (0, 1, 2) for h in ((0, 1) if d else (0,))], 3)


def silent(_what, _done, _total):
    pass


def trained(space, data, X=ALL, schedule=SHORT, iteration=0, iterations=2, progress=silent, net=None):
    net = net or space.supernet(4)
    train = batches(data.train, data, torch.device("cpu"))
    adapt(net, space, train, data.augmentation, X, schedule, iteration, iterations, progress)
    return net


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_drawn_from_the_marginals(space):
    """Each variable as often as in its column, and independent of the others."""
    X = as_encodings([(0, 1, 1), (0, 1, 1), (0, 2, 0), (1, 2, 0)], 3)
    n = 20_000
    rows = np.array(drawn(X, space, n, np.random.default_rng(0)))
    for column, probability in ((0, 1 / 4), (1, 1 / 2), (2, 1 / 2)):
        high = rows[:, column] == [1, 2, 1][column]
        assert abs(high.sum() - n * probability) < 5 * math.sqrt(n * probability * (1 - probability))
    cells = {(r, d, h): p / 4 for r, p in ((0, 3 / 4), (1, 1 / 4)) for d in (1, 2) for h in (0, 1)}
    chi_square = sum(((rows == cell).all(1).sum() - n * p) ** 2 / (n * p) for cell, p in cells.items())
    assert chi_square < 24.3  # 7 degrees of freedom: exceeded once in a thousand
    assert set(map(tuple, rows.tolist())) == set(cells)


def test_drawn_is_canonical_and_repeatable(space):
    X = as_encodings([(0, 0, 0), (1, 2, 1)], 3)
    rows = drawn(X, space, 500, np.random.default_rng(1))
    canonical = space.canonicalize(np.array(rows))
    assert (canonical == rows).all()
    assert {r[1] for r in rows} == {0, 2}
    assert rows == drawn(X, space, 500, np.random.default_rng(1))
    assert drawn(X, space, 0, np.random.default_rng(1)) == []
    assert all(type(i) is int for i in rows[0])


def test_drawn_in_a_real_space_is_canonical():
    space = plugins.find("search_spaces", "mbv3")(depths=[2, 4])
    X = space.sample(30, np.random.default_rng(0))
    rows = as_encodings(drawn(X, space, 300, np.random.default_rng(2)), 22)
    assert (space.canonicalize(rows) == rows).all()
    assert len(np.unique(rows, axis=0)) > 290


def test_one_cosine_over_the_run():
    schedule = replace(SHORT, warmup_epochs=3, epochs=2)
    n, iterations = 1000, 4
    assert [schedule.steps(i, n) for i in range(iterations + 1)] == [150, 100, 100, 100, 100]
    rates = [schedule.rate(i, s, iterations, n) for i in range(iterations + 1) for s in range(schedule.steps(i, n))]
    total = 550
    assert len(rates) == total
    cosine = [0.05 * (1 + math.cos(math.pi * t / total)) / 2 for t in range(total)]
    np.testing.assert_allclose(rates[30:], cosine[30:], rtol=1e-12)
    np.testing.assert_allclose(rates[:30], [c * (t + 1) / 30 for t, c in enumerate(cosine[:30])], rtol=1e-12)
    assert max(rates) <= 0.05
    assert rates[-1] < 1e-5
    assert all(a >= b for a, b in itertools.pairwise(rates[30:]))


def test_steps_of_small_data_and_of_no_epochs():
    assert SHORT.steps(0, 7) == 2
    assert SHORT.steps(1, 59) == 2
    assert replace(SHORT, warmup_epochs=0).steps(0, 100) == 0
    assert SHORT.rate(0, 0, 0, 7) > 0


def test_shuffled():
    epochs = [torch.cat([shuffled(10, 4, 2 * e + i, (0, "order")) for i in (0, 1)]) for e in range(50)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 8
    assert not torch.equal(epochs[0], epochs[1])
    assert set(torch.cat(epochs).tolist()) == set(range(10))
    assert torch.equal(shuffled(10, 4, 7, (0, "order")), epochs[3][4:])


def test_the_same_state_rows_and_iteration_give_the_same_weights(space, data):
    first, again = trained(space, data), trained(space, data)
    assert same(first, again)
    assert not first.training
    assert not same(first, space.supernet(4))
    twice, other_way = (trained(space, data, iteration=1, net=net) for net in (first, again))
    assert same(twice, other_way)


def test_what_the_weights_depend_on(space, data):
    base = trained(space, data)
    others = {
        "iteration": trained(space, data, iteration=1, schedule=replace(SHORT, epochs=2)),
        "iterations": trained(space, data, iterations=5),
        "X": trained(space, data, X=ALL[:3]),
        "seed": trained(space, data, schedule=replace(SHORT, seed=1)),
        "rate": trained(space, data, schedule=replace(SHORT, learning_rate=0.01)),
        "smoothing": trained(space, data, schedule=replace(SHORT, label_smoothing=0.1)),
        "decay": trained(space, data, schedule=replace(SHORT, weight_decay=0.1)),
        "distillation": trained(space, data, schedule=replace(SHORT, distillation=0.5)),
        "sandwich": trained(space, data, schedule=replace(SHORT, sandwich=2)),
        "taught sandwich": trained(space, data, schedule=replace(SHORT, sandwich=2, distillation=0.5)),
        "average": trained(space, data, schedule=replace(SHORT, ema=0.9)),
        "precision": trained(space, data, schedule=replace(SHORT, precision="bf16")),
        "randaugment": trained(space, data, schedule=replace(SHORT, recipe=Recipe(randaugment=9))),
        "mixup": trained(space, data, schedule=replace(SHORT, recipe=Recipe(mixup=0.2))),
        "cutmix": trained(space, data, schedule=replace(SHORT, recipe=Recipe(cutmix=1.0))),
        "whole space": trained(space, data, schedule=replace(SHORT, whole_space=0.5)),
    }
    assert [name for name, net in others.items() if same(base, net)] == []


def test_each_iteration_draws_anew(space, data):
    schedule = replace(SHORT, epochs=2)
    calls = [trained(space, data, schedule=schedule, iteration=i).called for i in (0, 1, 2, 1)]
    assert calls[1] == calls[3]
    assert len({tuple(c) for c in calls}) == 3


def test_global_randomness_is_left_alone_and_plays_no_part(space, data):
    base = trained(space, data)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the state that has to stay untouched
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert same(base, trained(space, data))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numbers).all()  # noqa: NPY002


def test_loss_falls(space, data):
    schedule = replace(SHORT, warmup_epochs=30)
    train = batches(data.train, data, torch.device("cpu"))
    images, losses = train.plain(torch.arange(120), 8), []
    for net in (space.supernet(4), trained(space, data, schedule=schedule, iterations=0)):
        with torch.no_grad():
            losses.append(functional.cross_entropy(net.train()(images, (0, 1, 0)), train.labels).item())
    assert losses[0] > 1.0
    assert losses[1] < 0.3 * losses[0]


def test_progress_and_the_side_of_each_step(space, data):
    steps = []
    net = trained(space, data, progress=lambda *step: steps.append(step))
    assert steps == [("adapt", i, 12) for i in range(12)]
    assert len(net.called) == 12
    assert {a[0] for a in net.called} == {0, 1}


def test_no_epochs_no_change(space, data):
    net = trained(space, data, schedule=replace(SHORT, warmup_epochs=0))
    assert same(net, space.supernet(4))
    assert not net.training


def test_distillation_by_hand():
    student, teacher = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    hard = functional.cross_entropy(student, labels, label_smoothing=0.1)
    soft = -(teacher.softmax(1) * student.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss(student, labels, teacher, 0.25, 0.1), 0.75 * hard + 0.25 * soft)
    torch.testing.assert_close(loss(student, labels, None, 0.25, 0.1), hard)
    shares = functional.one_hot(labels, 4).float()
    torch.testing.assert_close(loss(student, shares, None, 0.0, 0.1), hard)


def test_the_teacher_learns_nothing(space, data):
    """At distillation 1 no label reaches the network that is drawn, nor its teacher: only the teacher's head moves."""
    net = trained(space, data, X=ALL[:1], schedule=replace(SHORT, distillation=1.0, weight_decay=0.0))
    fresh = space.supernet(4)
    assert not torch.equal(net.heads[0].weight, fresh.heads[0].weight)
    assert torch.equal(net.heads[1].weight, fresh.heads[1].weight)  # the teacher's classifier


def test_the_teacher_is_the_largest_network_at_the_same_side(space, data):
    schedule = replace(SHORT, distillation=0.5)
    net = trained(space, data, X=ALL[:3], schedule=schedule)
    teachers, students = net.called[0::2], net.called[1::2]
    assert teachers == [(a[0], 2, 1) for a in students]
    assert len(set(students)) == 3
    itself = trained(space, data, X=ALL[4:5], schedule=schedule)
    assert itself.called == [(0, 2, 1)] * 12  # asked once: it learns from the labels alone


def test_the_teacher_of_each_width_shares_its_weights(data):
    space = plugins.find("search_spaces", "mbv3")(resolutions=[16, 20], kernels=[3], expands=[3, 4], depths=[2, 3])
    net = space.supernet(4)
    called = []
    net.register_forward_pre_hook(lambda _net, arguments: called.append(arguments[1]))
    X = space.sample(6, np.random.default_rng(0))
    X[:3, 1], X[3:, 1] = 0, 1
    schedule = replace(SHORT, warmup_epochs=1, batch_size=30, distillation=0.5)
    trained(space, data, X=X, schedule=schedule, net=net, iterations=0)
    for teacher, student in zip(called[0::2], called[1::2], strict=True):
        assert teacher[:2] == student[:2]
        described = space.describe(teacher)
        assert described["d"] == [3] * 5
        assert set(described["e"]) == {4}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("warmup_epochs", -1),
        ("epochs", -1),
        ("batch_size", 0),
        ("batch_size", 1),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("momentum", -0.5),
        ("weight_decay", -1e-5),
        ("label_smoothing", 1.5),
        ("distillation", 2),
        ("seed", -1),
        ("sandwich", -1),
        ("ema", 1.5),
        ("rollbacks", -1),
    ],
)
def test_impossible_options(option, value):
    with pytest.raises(ConfigError, match=rf"top1_error\.{option} is {value}: it has to be at least"):
        replace(SHORT, **{option: value})


def test_unknown_words():
    with pytest.raises(ConfigError, match=r"top1_error\.draw: unknown word 'archives'\. Did you mean 'archive'\?"):
        replace(SHORT, draw="archives")
    with pytest.raises(ConfigError, match=r"top1_error\.training_precision: unknown word 'fp8'"):
        replace(SHORT, precision="fp8")
    with pytest.raises(ConfigError, match=r"top1_error\.randaugment is 31"):
        replace(SHORT, recipe=Recipe(randaugment=31))


def test_the_archive_itself(space):
    """Only its own rows, where the marginals would also make others of them."""
    X = as_encodings([(0, 1, 0), (1, 2, 1)], 3)
    for draw, wanted in (("archive", 2), ("marginals", 8)):
        schedule = replace(SHORT, draw=draw)
        found = {lesson.networks for lesson in lessons(X, space, schedule, 300, np.random.default_rng(0))}
        assert len(found) == wanted
    assert picked(X, space, 5, np.random.default_rng(3)) == picked(X, space, 5, np.random.default_rng(3))


def test_a_sandwich(space, data):
    """Largest first, smallest, then what is drawn: each once, for pictures of one side."""
    schedule = replace(SHORT, sandwich=2, distillation=1.0)
    for lesson in lessons(ALL, space, schedule, 100, np.random.default_rng(0)):
        side = lesson.networks[0][0]
        assert lesson.networks[:2] == ((side, 2, 1), (side, 0, 0))
        assert lesson.teacher == lesson.networks[0]
        assert 2 <= len(lesson.networks) == len(set(lesson.networks)) <= 4
        assert {network[0] for network in lesson.networks} == {side}
    net = trained(space, data, schedule=schedule)
    assert net.called[:2] in ([(0, 2, 1), (0, 0, 0)], [(1, 2, 1), (1, 0, 0)])
    assert len(net.called) > 24  # the teacher in place is not asked a second time


@pytest.mark.parametrize("draw", ["marginals", "archive"])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_networks_is_drawn_from_the_whole_space(share, draw):
    """An archive of one network teaches that one alone; the others come from everywhere."""
    space = plugins.find("search_spaces", "mbv3")(depths=[2, 4])
    X = space.sample(1, np.random.default_rng(0))
    schedule = replace(SHORT, draw=draw, whole_space=share)
    found = [lesson.networks[0] for lesson in lessons(X, space, schedule, 2000, np.random.default_rng(1))]
    assert sum(network != tuple(X[0]) for network in found) == pytest.approx(share * 2000, abs=100)
    rows = as_encodings(found, 22)
    assert (space.canonicalize(rows) == rows).all()
    if share == 1:
        assert all(set(rows[:, i].tolist()) >= set(range(len(v.choices))) for i, v in enumerate(space.variables[:2]))
    sides = lessons(X, space, replace(schedule, sandwich=2), 200, np.random.default_rng(1))
    assert (len({lesson.networks[0][0] for lesson in sides}) > 1) == (share > 0)
    with pytest.raises(ConfigError, match=r"whole_space is 1\.5: it has to be at least 0 and at most 1"):
        replace(SHORT, whole_space=1.5)


@pytest.mark.parametrize("sandwich", [0, 2])
def test_the_largest_network_learns_first(space, data, sandwich):
    """Alone in the first half of the warm-up, and in no other iteration."""
    schedule = replace(SHORT, sandwich=sandwich, distillation=1.0, largest_first=0.5)
    assert (schedule.steps(0, 120), schedule.alone(0, 120), schedule.alone(1, 120)) == (12, 6, 0)
    found = lessons(ALL, space, schedule, 300, np.random.default_rng(0), 150)
    assert {lesson.networks for lesson in found[:150]} == {((0, 2, 1),), ((1, 2, 1),)}
    later = lessons(ALL, space, schedule, 300, np.random.default_rng(0))
    assert found[150:] == later[150:]
    assert len({lesson.networks for lesson in found[150:]}) > 2
    assert len(found) == len(later) == 300
    called = trained(space, data, schedule=schedule, iterations=0).called
    assert {network[1:] for network in called[:6]} == {(2, 1)}


def test_training_pictures_may_be_smaller_than_those_measured_on(space, data, monkeypatch):
    """Every step's pictures are; what a network is measured on stays."""
    seen = set()
    forward = type(space.supernet(4)).forward

    def watched(net, images, architecture):
        seen.add((space.input_shape(architecture)[1], images.shape[-1]))
        return forward(net, images, architecture)

    monkeypatch.setattr(type(space.supernet(4)), "forward", watched)
    trained(space, data)
    assert seen == {(8, 8), (12, 12)}
    seen.clear()
    trained(space, data, schedule=replace(SHORT, training_side=0.7, sandwich=1))
    assert seen == {(8, 8), (12, 8)}
    schedule = replace(SHORT, training_side=0.88)
    assert [schedule.side(side) for side in (4, 24, 48, 64, 96)] == [4, 24, 40, 56, 88]
    with pytest.raises(ConfigError, match=r"training_side is 1\.2: it has to be at least 0 and at most 1"):
        replace(SHORT, training_side=1.2)


@pytest.mark.parametrize("options", [{"sandwich": 2}, {"distillation": 0.5}, {"largest": 0.5}, {"largest_first": 1.0}])
def test_what_decides_the_side_has_to_be_named_resolution(space, data, options):
    """Networks that learn together would take pictures of another side than their own."""
    side, *others = space.variables
    other = replace(space, variables=(replace(side, name="side"), *others))
    with pytest.raises(ConfigError, match=r"take 12 and 8 pixels: .* named 'resolution' alone .* side, depth, head$"):
        trained(other, data, X=ALL[:3], schedule=replace(SHORT, **options))
    trained(other, data)  # each network alone, at its own
    one = replace(space, variables=(Variable("side", (8,)), *others))
    trained(one, data, X=ALL[:3], schedule=replace(SHORT, **options))


def test_a_sandwich_sums_the_gradients(space, data):
    """One step of plain descent on the whole data, by hand."""
    schedule = Schedule(1, 1, 120, 0.1, 0.0, 0.0, 0.0, 0.5, 0, sandwich=1)
    one = as_encodings([(0, 1, 0)], 3)
    net = trained(space, data, X=one, schedule=schedule, iterations=0)
    by_hand, train = space.supernet(4).train(), batches(data.train, data, torch.device("cpu"))
    seen = by_hand_pictures(train, data, schedule)
    teacher = by_hand(seen[0], (0, 2, 1))
    total = functional.cross_entropy(teacher, seen[1])
    for other in ((0, 0, 0), (0, 1, 0)):
        total = total + loss(by_hand(seen[0], other), seen[1], teacher.detach(), 0.5, 0.0)
    total.backward()
    rate = schedule.rate(0, 0, 0, 120)
    for p, q in zip(net.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(p, q - rate * (0 if q.grad is None else q.grad))


def by_hand_pictures(train, data, schedule):
    from nat_core.seeding import rng
    from nat_estimators.augmentation import Augmenter

    rows = shuffled(120, 120, 0, (schedule.seed, "adapt 0 order"))
    augment = Augmenter(train, data.augmentation, schedule.recipe, 4)
    return augment(rows, 8, rng(schedule.seed, "adapt 0 step", 0))


def test_the_average_lags_behind_and_is_the_state(space, data):
    """Nearer to the beginning than the last weights are; and at decay 0 nothing but those."""
    start = space.supernet(4)
    last, average = (trained(space, data, schedule=replace(SHORT, ema=e)) for e in (0.0, 0.99))

    def distance(net):
        return sum((p - q).square().sum() for p, q in zip(net.parameters(), start.parameters(), strict=True)).item()

    assert 0 < distance(average) < distance(last)
    assert same(last, trained(space, data, schedule=replace(SHORT, ema=1e-9)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_too(space, data, precision):
    schedule = replace(SHORT, warmup_epochs=20, precision=precision)
    net, again = (trained(space, data, schedule=schedule, iterations=0) for _ in range(2))
    assert same(net, again)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    train = batches(data.train, data, torch.device("cpu"))
    with torch.no_grad():
        right = net.train()(train.plain(torch.arange(120), 8), (0, 1, 0)).argmax(1) == train.labels
    assert right.float().mean() > 0.9


def test_pictures_of_a_recipe_are_the_same_again_and_leave_torch_alone(space, data):
    schedule = replace(SHORT, recipe=Recipe(randaugment=9, mixup=0.2, cutmix=1.0, mixed=0.8))
    before = torch.get_rng_state()
    first = trained(space, data, schedule=schedule)
    torch.manual_seed(11)
    assert same(first, trained(space, data, schedule=schedule))
    torch.set_rng_state(before)
    trained(space, data, schedule=schedule)
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_labels_are_shares_of_two_pictures(data):
    from nat_estimators.augmentation import Augmenter

    train = batches(data.train, data, torch.device("cpu"))
    rows = torch.arange(40)
    for recipe in (Recipe(mixup=1.0, mixed=1.0), Recipe(cutmix=1.0, mixed=1.0)):
        images, labels = Augmenter(train, data.augmentation, recipe, 4)(rows, 8, np.random.default_rng(0))
        assert images.shape == (40, 3, 8, 8)
        torch.testing.assert_close(labels.sum(1), torch.ones(40))
        assert (labels.count_nonzero(1) <= 2).all()
        assert (labels.count_nonzero(1) == 2).any()
    _, labels = Augmenter(train, data.augmentation, Recipe(mixup=1.0, mixed=0.0), 4)(rows, 8, np.random.default_rng(0))
    assert torch.equal(labels, train.labels[rows])


def test_randaugment_changes_each_picture_by_itself(data):
    from nat_core.contracts import Augmentation
    from nat_estimators.augmentation import Augmenter

    one = batches(data.train, data, torch.device("cpu"))
    whole = Augmentation(min_scale=1.0, flip=False)
    images, _ = Augmenter(one, whole, Recipe(randaugment=20), 4)(
        torch.zeros(12, dtype=torch.long), 8, np.random.default_rng(0)
    )
    assert len({tuple(image.flatten().tolist()) for image in images}) > 6


class Failing(torch.nn.Module):
    """A supernet that misbehaves in chosen calls, counted from the first."""

    def __init__(self, net, fault, calls=(), above=None):
        super().__init__()
        self.net, self.fault, self.calls, self.above, self.n = net, fault, set(calls), above, 0

    def forward(self, images, architecture):
        self.n += 1
        logits = self.net(images, architecture)
        if self.n in self.calls or (self.above is not None and len(images) > self.above):
            return self.fault(logits)
        return logits


def nan(logits):
    return logits * math.nan


def raising(error):
    def fault(_logits):
        raise error

    return fault


def test_a_loss_that_is_not_finite_is_taken_back(space, data, caplog):
    """The weights are those of a training at half the rate from the beginning, as if nothing had been."""
    net = Failing(space.supernet(4), nan, calls=[3])
    trained(space, data, net=net)
    assert "the loss was not finite in steps 0 … 11" in caplog.text
    assert "0.5 of the learning rate (1 of 3)" in caplog.text
    assert same(net.net, trained(space, data, schedule=replace(SHORT, learning_rate=0.025)))


def test_a_gradient_that_is_not_finite_in_the_last_step_is_seen(space, data, caplog):
    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x):
            return x.clone()

        @staticmethod
        def backward(_ctx, gradient):
            return gradient * math.nan

    net = Failing(space.supernet(4), Poison.apply, calls=[12])
    trained(space, data, net=net)
    assert "taken back" in caplog.text
    assert all(t.isfinite().all() for t in net.state_dict().values())


def test_a_loss_that_stays_bad_fails_the_phase_and_leaves_the_last_good_weights(space, data):
    net = Failing(space.supernet(4), nan, above=0)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(FailureBudgetError, match=r"after 2 rollbacks.*learning_rate"):
        trained(space, data, net=net, schedule=replace(SHORT, rollbacks=2))
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not net.training


def test_a_rollback_goes_back_one_stretch_only(space, data, caplog):
    schedule = replace(SHORT, warmup_epochs=8)  # 48 steps: 32 and 16
    net = Failing(space.supernet(4), nan, calls=[40])
    steps = []
    trained(space, data, net=net, schedule=schedule, progress=lambda _what, step, _n: steps.append(step))
    assert steps == [*range(40), *range(32, 48)]
    assert "steps 32 … 47" in caplog.text


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: f"{type(error).__name__} {str(error)[:24]}")
def test_out_of_memory_halves_what_is_computed_at_once(space, data, caplog, error):
    """Where batch normalisation plays no part the result is that of the whole batch."""
    whole, halved = space.supernet(4), Failing(space.supernet(4), raising(error), above=6)
    for net in (whole, halved):
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.forward = lambda x: x
        trained(space, data, net=net, schedule=replace(SHORT, warmup_epochs=1))
    assert [line for line in ("10 pictures", "5 pictures") if line in caplog.text] == ["10 pictures", "5 pictures"]
    for p, q in zip(whole.parameters(), halved.net.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def _raise_from(cause):
    try:
        raise cause
    except RuntimeError as error:
        raise RuntimeError("the kernel failed") from error


def test_a_chained_failure_of_memory_is_recognised():
    from nat_core.machine import out_of_memory

    with pytest.raises(RuntimeError) as caught:
        _raise_from(MEMORY[0])
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("shapes differ"))


def test_too_little_memory_for_two_pictures_is_an_error(space, data):
    net = Failing(space.supernet(4), raising(MEMORY[0]), above=1)
    with pytest.raises(ResourceError, match="memory does not suffice to train on 2 pictures at once"):
        trained(space, data, net=net)


def test_another_error_passes(space, data):
    with pytest.raises(RuntimeError, match="shapes differ"):
        trained(space, data, net=Failing(space.supernet(4), raising(RuntimeError("shapes differ")), above=1))


def test_parts():
    for n in range(2, 40):
        for at_once in range(2, 45):
            found = parts(n, at_once)
            rows = [i for part in found for i in range(n)[part]]
            sizes = [part.stop - part.start for part in found]
            assert rows == list(range(n))
            assert min(sizes) >= 2
            assert max(sizes) <= max(at_once, 3)
    assert parts(1, 64) == [slice(0, 1)]


def test_every_option_reaches_the_schedule(estimator):
    options = {
        "draw": "archive",
        "sandwich": 2,
        "ema": 0.5,
        "training_precision": "bf16",
        "rollbacks": 1,
        "largest": 0.2,
    }
    recipe = {"randaugment": 9, "mixup": 0.2, "cutmix": 0.3, "mixed": 0.4}
    schedule = estimator(**options, **recipe).schedule
    assert {name: getattr(schedule, name) for name in options if name != "training_precision"} == {
        name: value for name, value in options.items() if name != "training_precision"
    }
    assert schedule.precision == "bf16"
    assert schedule.recipe == Recipe(**recipe)


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9, "sandwich": 1, "distillation": 0.5},
        {"randaugment": 9, "cutmix": 1.0, "mixup": 0.2, "draw": "archive"},
        {"training_precision": "fp16", "ema": 0.5},
    ],
    ids=str,
)
def test_from_saved_weights_it_goes_on_as_from_those_in_memory(estimator, tmp_path, options):
    """The weights are the whole state: of averages, mixed pictures and lower precision too."""
    first, second = estimator(**options), estimator(**options)
    first.adapt(ALL, 0, 2, silent)
    first.save(tmp_path / "weights")
    first.adapt(ALL, 1, 2, silent)
    second.load(tmp_path / "weights")
    second.adapt(ALL, 1, 2, silent)
    assert same(first.supernet, second.supernet)
    assert [m.value for m in first(ALL)] == [m.value for m in second(ALL)]
