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
from nat_core.encoding import as_encodings
from nat_core.errors import ConfigError
from nat_estimators.adaptation import Schedule, adapt, drawn, loss_of, shuffled
from nat_estimators.batches import batches

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
    rows = shuffled(10, 4, np.random.default_rng(0))
    epochs = [torch.cat([next(rows), next(rows)]) for _ in range(50)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 8
    assert not torch.equal(epochs[0], epochs[1])
    assert set(torch.cat(epochs).tolist()) == set(range(10))


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
            losses.append(loss_of(net.train(), images, train.labels, (0, 1, 0), None, schedule).item())
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


def test_distillation_by_hand(space):
    net = space.supernet(4).eval()
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    student, teacher = net(images, (0, 0, 0)), net(images, (0, 2, 1)).detach()
    schedule = replace(SHORT, distillation=0.25, label_smoothing=0.1)
    hard = functional.cross_entropy(student, labels, label_smoothing=0.1)
    soft = -(teacher.softmax(1) * student.log_softmax(1)).sum(1).mean()
    loss = loss_of(net, images, labels, (0, 0, 0), (0, 2, 1), schedule)
    torch.testing.assert_close(loss, 0.75 * hard + 0.25 * soft)
    loss.backward()
    assert net.heads[1].weight.grad is None  # the teacher learns nothing here
    assert net.heads[0].weight.grad.any()


def test_the_teacher_is_the_largest_network_at_the_same_side(space, data):
    net = trained(space, data, schedule=replace(SHORT, distillation=0.5))
    students, teachers = net.called[0::2], net.called[1::2]
    assert teachers == [(a[0], 2, 1) for a in students]
    assert len(set(students)) > 3


def test_the_teacher_of_each_width_shares_its_weights(data):
    space = plugins.find("search_spaces", "mbv3")(resolutions=[16, 20], kernels=[3], expands=[3, 4], depths=[2, 3])
    net = space.supernet(4)
    called = []
    net.register_forward_pre_hook(lambda _net, arguments: called.append(arguments[1]))
    X = space.sample(6, np.random.default_rng(0))
    X[:3, 1], X[3:, 1] = 0, 1
    schedule = replace(SHORT, warmup_epochs=1, batch_size=30, distillation=0.5)
    trained(space, data, X=X, schedule=schedule, net=net, iterations=0)
    for student, teacher in zip(called[0::2], called[1::2], strict=True):
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
    ],
)
def test_impossible_options(option, value):
    with pytest.raises(ConfigError, match=rf"top1_error\.{option} is {value}: it has to be at least"):
        replace(SHORT, **{option: value})
