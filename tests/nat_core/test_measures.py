"""Names, columns and units of what is measured."""

import pytest

from nat_core.config import resolve
from nat_core.errors import ConfigError
from nat_core.measures import canonical, column, constraint, measure, part, quantity
from nat_core.run import find_parts


@pytest.mark.parametrize(
    ("name", "expected", "options"),
    [
        ("macs", "macs", "macs"),
        ("latency", "latency_ms", "latency"),
        ("latency_ms", "latency_ms", "latency"),
        ("latency@note10", "latency_ms@note10", "latency@note10"),
        ("latency_ms@note10", "latency_ms@note10", "latency@note10"),
        ("nat-core:latency@a", "nat-core:latency_ms@a", "latency@a"),
        ("memory", "memory_bytes", "memory"),
        ("macs_ms", "macs_ms", "macs_ms"),  # macs are no time: nothing goes by that name
        ("latency_bytes", "latency_bytes", "latency_bytes"),
    ],
)
def test_columns(name, expected, options):
    assert column(name) == expected
    assert part(name) == options
    assert column(expected) == expected


def test_an_instance_is_its_plugin_with_options_of_its_own():
    found = measure("latency@note10", "cost_models")
    assert (found.offer.name, found.unit) == ("latency@note10", "ms")
    assert found.offer.factory is measure("latency", "cost_models").offer.factory
    with pytest.raises(ConfigError, match="unknown cost model 'nothing@note10'"):
        measure("nothing@note10", "cost_models")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency<=25ms", "latency_ms<=25"),
        ("latency_ms <= 25", "latency_ms<=25"),
        ("latency@i7<=0.025s", "latency_ms@i7<=25"),
        ("memory<=16MiB", "memory_bytes<=1.67772e+07"),
        ("memory_bytes>=4MB", "memory_bytes>=4e+06"),
        ("macs<=20e6", "macs<=2e+07"),
        ("macs<=20M", "macs<=2e+07"),
        ("params >= 4000 k", "params>=4e+06"),
        ("nat-core:macs<=0.3G", "nat-core:macs<=3e+08"),
    ],
)
def test_constraints(text, expected):
    assert str(constraint(text)) == expected
    kept = canonical(text)
    assert constraint(kept) == constraint(text)
    assert canonical(kept) == kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency<=25", "has no unit, and latency is in ms: write a number with its unit"),
        ("latency<=25MB", "latency is in ms: accepted are ms, s, us"),
        ("macs<=25ms", "macs has no unit: leave it out; a count may be in k, M, G"),
        ("macs<=25K", "macs has no unit: leave it out; a count may be in k, M, G"),
        ("macs<=25%", "cannot read the constraint 'macs<=25%'"),
        ("latency<=25k", "latency is in ms: accepted are ms, s, us"),
        ("memory<=25M", "memory is in bytes: accepted are bytes, B, kB, MB, GB"),
        ("latency<=", "cannot read the constraint"),
        ("latency<=1e400s", "too large"),
    ],
)
def test_bounds_that_mix_units_up(text, message):
    with pytest.raises(ConfigError, match=message):
        constraint(text)


def test_quantities():
    assert quantity("--max", "latency=25ms") == ("latency_ms", 25.0)
    assert quantity("--max", "macs=300M") == quantity("--max", "macs=0.3G") == ("macs", 300e6)
    assert quantity("--max", "params=300k") == ("params", 300e3)
    assert quantity("--max", "macs=300") == ("macs", 300.0)
    assert quantity("--max", "top1_error=5%") == ("top1_error", 0.05)
    with pytest.raises(ConfigError, match=r"'--max latency=25' has no unit"):
        quantity("--max", "latency=25")


def test_a_run_keeps_columns():
    words = {
        "objectives": ["top1_error", "latency@a", "latency_ms@b"],
        "constraints": ["memory<=64MB", "macs<=1e9", "params<=5M"],
    }
    config = resolve(None, None, words, ["latency@a.table=a.yaml", "latency@b.table=b.yaml"])
    parts = find_parts(config)
    assert parts.config.objectives == ("top1_error", "latency_ms@a", "latency_ms@b")
    assert parts.config.constraints == ("memory_bytes<=64000000.0", "macs<=1e9", "params<=5000000.0")
    assert {name: offer.name for name, offer in parts.costs.items()} == {
        "latency_ms@a": "latency@a",
        "latency_ms@b": "latency@b",
        "memory_bytes": "memory",
        "macs": "macs",
        "params": "params",
    }
    again = find_parts(parts.config)
    assert again.config == parts.config
