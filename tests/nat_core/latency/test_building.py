"""Tables built and verified on a device whose times are known."""

import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from torch import nn

from nat_core import plugins
from nat_core.contracts import Operator
from nat_core.encoding import Variable
from nat_core.errors import ConfigError, ResourceError, StateError
from nat_core.latency.building import Build, build, plan
from nat_core.latency.measuring import PLACES, Effort
from nat_core.latency.operators import reachable
from nat_core.latency.tables import devices
from nat_core.latency.verifying import noted, verify
from nat_core.stopping import Stopped


def quiet(what, done, total):
    """Progress that nobody sees."""


class Layer(nn.Module):
    """Does nothing, and takes so many seconds for it."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        return x


class Space:
    """Two sides, and six layers of three kinds, of which the last may be left out."""

    variables = (Variable("side", (4, 8)), *(Variable(f"layer{i}", (0, 1, 2, 3)) for i in range(6)))

    def __init__(self):
        rng = np.random.default_rng(5)
        self.seconds = rng.uniform(1e-4, 1e-3, (2, 6, 4))
        names = [f"{kind}-{layer}-{side}" for side in (4, 8) for layer in range(6) for kind in "abcd"]
        macs = [*(1e6 * self.seconds).round().astype(int).ravel().tolist(), 1]
        self.operators = [Operator(n, m, 1) for n, m in zip([*names, "never-0-4"], macs, strict=True)]

    def canonicalize(self, X):
        return np.where((X == 0) & (np.arange(7) > 0) & (np.arange(7) < 6), 1, X)

    def sample(self, n, rng):
        return self.canonicalize(np.hstack([rng.integers(0, 2, (n, 1)), rng.integers(0, 4, (n, 6))]))

    def describe(self, architecture):
        return {"architecture": "".join(map(str, architecture))}

    def parse(self, text):
        return tuple(map(int, text))

    def layers(self, X):
        return np.where(X[:, 1:] == 0, -1, X[:, :1] * 24 + np.arange(6) * 4 + X[:, 1:])

    def input_shape(self, architecture):
        return 3, 4, len(architecture)

    def sequence(self, architecture):
        side, *kinds = architecture
        return nn.Sequential(*(Layer(self.seconds[side, i, k]) for i, k in enumerate(kinds) if k)).eval()


class Device:
    """Knows what layers take; alone they are a fifth faster, and entering costs as much as half a layer."""

    about = MappingProxyType(
        {"device": "bench", "processor": "known", "engine": "sums", "precision": "fp32", "threads": "1"}
    )
    entry, alone, slowness = 2e-4, 0.8, 1.0

    def __init__(self, patience=10**9):
        self.patience, self.prepared = patience, 0

    def prepare(self, network, shape):
        assert shape[0] == 1
        self.prepared += 1
        if self.prepared > self.patience:
            raise Stopped(2)
        inside = sum(layer.seconds for layer in network.modules() if isinstance(layer, Layer))
        seconds = (self.entry + self.alone * inside if isinstance(network, Layer) else inside) * self.slowness
        return lambda n: [seconds] * n


@pytest.fixture
def space():
    return Space()


def work(space, file, engine, **changes):
    identity = {"space": "mbv3", "seed": 0, **changes.pop("identity", {})}
    return Build(plan(space, 4, 0), engine, file, "bench", identity, Effort(), 1, 0, **changes)


def test_every_operator_is_in_several_networks(space):
    planned = plan(space, 4, 0)
    assert list(planned.operators) == reachable(space)
    assert len(planned.operators) == 2 * 6 * 3
    assert planned.counts().sum(axis=0).min() >= 4
    assert len(planned.rows) < 40
    for operator, host in planned.hosts.items():
        assert operator in space.layers(np.array([host]))


def test_operators_of_a_large_space_are_found_by_drawing():
    space = plugins.find("search_spaces", "mbv3")(resolutions=[32, 64], widths=[1.0], kernels=[3, 5], expands=[3, 6])
    names = [space.operators[i].name for i in reachable(space)]
    assert len(names) == 2 * (5 * 4 * 2 + 3) + 2
    assert not any("kernel:7" in name or "expand:4" in name for name in names)


def test_a_space_that_cannot_make_its_operators():
    with pytest.raises(ConfigError, match="object is no space whose operators can be timed"):
        plan(object(), 4, 0)


def test_sums_are_what_new_networks_take(space, tmp_path):
    """Alone, operators are a fifth too fast and pay for entering: the whole networks put both right."""
    device = Device()
    table = build(work(space, tmp_path / "t.yaml", device), quiet)
    assert float(table.about["expected_error"]) < 0.01
    found = verify(table, space, device, 12, 0, Effort(), quiet)
    assert found.error < 0.01
    assert found.kendall > 0.9
    assert found.pace == pytest.approx(1)
    kept = devices(tmp_path / "t.yaml")["bench"]
    assert kept.times == pytest.approx(table.times, rel=1e-5)
    assert kept.about == table.about


def test_a_slower_day_is_told_from_a_wrong_table(space, tmp_path):
    table = build(work(space, tmp_path / "t.yaml", Device()), quiet)
    slow = Device()
    slow.slowness = 2.0
    found = verify(table, space, slow, 12, 0, Effort(), quiet)
    assert found.pace == pytest.approx(2, rel=0.01)
    assert found.error < 0.01
    assert found.error_today == pytest.approx(0.5, abs=0.01)


def test_references_are_of_several_sizes(space, tmp_path):
    planned = plan(space, 4, 0)
    costs = [
        sum(space.operators[i].macs for i in space.layers(np.array([a]))[0] if i >= 0) for a in planned.references()
    ]
    assert len(set(costs)) == PLACES
    assert costs == sorted(costs)
    table = build(work(space, tmp_path / "t.yaml", Device()), quiet)
    first, *_ = planned.references()
    one = {**table.about, "reference": "".join(map(str, first)), "reference_ms": table.about["reference_ms"].split()[0]}
    found = verify(replace(table, about=one), space, Device(), 12, 0, Effort(), quiet)  # as older tables say
    assert found.pace == pytest.approx(1)
    assert found.error < 0.01


def test_a_table_is_of_the_device_as_it_was_throughout(space, tmp_path):
    """Fast in its first seconds alone, when the references are measured."""

    class Quick(Device):
        def prepare(self, network, shape):
            (seconds,) = super().prepare(network, shape)(1)
            return lambda n: [seconds * (1.0 if self.prepared <= PLACES else 1.5)] * n

    calm, quick = (build(work(space, tmp_path / n, d), quiet) for n, d in (("c.yaml", Device()), ("q.yaml", Quick())))
    assert {n: t / calm.times[n] for n, t in quick.times.items()} == pytest.approx(dict.fromkeys(calm.times, 1.5))
    slow = Device()
    slow.slowness = 1.5
    found = verify(quick, space, slow, 12, 0, Effort(), quiet)
    assert found.pace == pytest.approx(1, rel=0.01)
    assert found.error < 0.01


def test_a_table_that_is_off_by_a_factor_gets_a_correction(space, tmp_path):
    table = build(work(space, tmp_path / "t.yaml", Device()), quiet)
    halved = type(table)({n: t / 2 for n, t in table.times.items()}, table.about)
    found = verify(halved, space, Device(), 12, 0, Effort(), quiet)
    assert found.error == pytest.approx(0.5, abs=0.01)
    assert found.corrected_error < 0.01
    correction = noted(halved, found).correction
    assert correction.scale == pytest.approx(2, rel=0.05)
    sound = noted(table, verify(table, space, Device(), 3, 0, Effort(), quiet)).correction
    assert (sound.scale, sound.offset) == (1, 0)  # three networks say nothing of a line


@pytest.mark.parametrize("patience", [1, 20, 40, 60])
def test_a_build_that_was_stopped_goes_on(space, tmp_path, patience):
    undisturbed = build(work(space, tmp_path / "whole.yaml", Device()), quiet)
    stopped, file = Device(patience), tmp_path / "t.yaml"
    with pytest.raises(Stopped):
        build(work(space, file, stopped), quiet)
    assert not file.exists()
    journal = file.with_name("t.yaml.journal")
    kept = sum(json.loads(line)["kind"] == "timed" for line in journal.read_text().splitlines())
    device = Device()
    table = build(work(space, file, device), quiet)
    assert table.times == pytest.approx(undisturbed.times)
    assert not journal.exists()
    planned = plan(space, 4, 0)
    assert device.prepared == PLACES + len(planned.operators) + len(planned.rows) - kept


def test_an_operator_that_is_hardly_ever_drawn(space):
    """A space that can be listed is: whatever its draws leave out is measured all the same."""
    space.sample = lambda n, _rng: np.ones((n, 7), dtype=np.int64) * [0, 1, 1, 1, 1, 1, 1]
    planned = plan(space, 4, 0)
    assert set(planned.hosts) == set(planned.operators) == set(reachable(space))
    assert planned.counts().sum(axis=0).min() >= 1


def test_two_builds_of_one_table_at_once(space, tmp_path):
    file, refused = tmp_path / "t.yaml", []

    class Busy(Device):
        def prepare(self, network, shape):
            if not refused:
                with pytest.raises(ResourceError, match="another process builds this table") as error:
                    build(work(space, file, Device()), quiet)
                refused.append(error)
            return super().prepare(network, shape)

    build(work(space, file, Busy()), quiet)
    assert refused
    assert set(devices(file)) == {"bench"}


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"reference_ms": "1 2 soon 4"}, "4 positive numbers were"),
        ({"reference_ms": "1 2 0 4"}, "4 positive numbers were"),
        ({"reference_ms": "1 2 3"}, "4 positive numbers were"),
        ({"batch": "nan"}, "a positive number was"),
    ],
)
def test_a_table_that_was_changed_by_hand(space, tmp_path, changed, wanted):
    table = build(work(space, tmp_path / "t.yaml", Device()), quiet)
    (key,) = changed
    with pytest.raises(ConfigError, match=f"the table says {key}: .* where {wanted} written"):
        verify(replace(table, about={**table.about, **changed}), space, Device(), 12, 0, Effort(), quiet)


def test_the_journal_of_another_build(space, tmp_path):
    with pytest.raises(Stopped):
        build(work(space, tmp_path / "t.yaml", Device(30)), quiet)
    before = (tmp_path / "t.yaml.journal").read_bytes()
    with pytest.raises(StateError, match=r"t\.yaml\.journal is of a build with another seed"):
        build(work(space, tmp_path / "t.yaml", Device(), identity={"seed": 1}), quiet)
    assert (tmp_path / "t.yaml.journal").read_bytes() == before


def test_a_file_that_has_the_device_already(space, tmp_path):
    build(work(space, tmp_path / "t.yaml", Device()), quiet)
    with pytest.raises(ConfigError, match=r"has a table of bench already: give another --name or another file"):
        build(work(space, tmp_path / "t.yaml", Device()), quiet)


def test_the_table_of_another_device(space, tmp_path):
    table = build(work(space, tmp_path / "t.yaml", Device()), quiet)
    other = Device()
    other.about = {**Device.about, "processor": "other"}
    with pytest.raises(ConfigError, match="measured with processor 'known', and here it is 'other'"):
        verify(table, space, other, 12, 0, Effort(), quiet)
