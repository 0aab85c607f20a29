"""Published latency tables as they are, and what a table may lack."""

from pathlib import Path

import numpy as np
import pytest
from command_line import nat

from nat_core import plugins
from nat_core.cli.latency import _keep
from nat_core.errors import ConfigError
from nat_core.latency.tables import LatencyTable, devices, text_of
from nat_core.latency.verifying import Verified

LUTS = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "luts"
I7 = {  # published encodings → ms on an i7-8700K
    "08011001440551052208877": 11.78,
    "08111003100632076009771": 13.13,
    "08121105451581189759771": 19.05,
    "12115105572981578947781": 22.91,
}
NOTE10 = {160: (9.89, 47.8), 192: (13.3, 67.6), 224: (17.8, 92.4)}  # the smallest and the largest network of a side


def published(name):
    if not (LUTS / name).exists():
        pytest.skip("the published latency tables (shared/reference/luts) are not here")
    return str(LUTS / name)


def mbv3(**options):
    return plugins.find("search_spaces", "mbv3")(**options)


def latency(space, *tables, **options):
    return plugins.find("cost_models", "latency")(space, table=list(map(str, tables)), **options)


def tiny(**options):
    return mbv3(resolutions=[32], widths=[1.0], kernels=[3], expands=[3], depths=[2, 3], **options)


@pytest.fixture
def own(tmp_path):
    """A table for the tiny space: every operator takes a thousandth of a millisecond for each million of MACs."""

    def write(space=None, name="own.yaml", **about):
        verified = about.pop("verified", {})
        times = {operator.name: operator.macs / 1e9 for operator in (space or tiny()).operators}
        file = tmp_path / name
        file.write_text(text_of({"bench": LatencyTable(times, about, {}, verified)}))
        return file

    return write


def test_the_sums_of_the_published_networks():
    table, space = published("i7-8700K_lut.yaml"), mbv3()
    found = latency(space, table)(np.array([space.parse(text) for text in I7]))
    assert [f"{ms:.2f}" for ms in found] == [f"{ms:.2f}" for ms in I7.values()]


def test_a_phone_s_tables_one_for_each_side():
    folder, space = published("note10"), mbv3(widths=[1.2], resolutions=list(NOTE10))
    rows = [[space.parse(f"{r:02d}1" + code * 5) for code in ("1100", "9999")] for r in range(3)]
    found = latency(space, folder)(np.array(rows).reshape(6, 22)).reshape(3, 2)
    assert found == pytest.approx(np.array(list(NOTE10.values())), rel=3e-3)


def test_the_document():
    table = published("i7-8700K_lut.yaml")
    words = ("--space", "mbv3", "--cost", "latency", "-s", f"latency.table={table}", *I7, "--json")
    rows = nat("cost", *words).json["rows"]
    assert [row["architecture"] for row in rows] == list(I7)
    assert [round(row["latency_ms"], 2) for row in rows] == list(I7.values())


def test_devices_beside_each_other(own, tmp_path):
    space, fast = tiny(), own(name="fast.yaml")
    slow = tmp_path / "slow.yaml"
    slow.write_text(fast.read_text().replace("unit: ms", "unit: s"))
    options = [f"{part}={values}" for part, values in _tiny_options().items()]
    words = [word for option in options for word in ("-s", option)]
    words += ["--cost", "latency@fast", "--cost", "latency_ms@slow"]
    words += ["-s", f"latency@fast.table={fast}", "-s", f"latency@slow.table={slow}"]
    text = str(space.describe(tuple(space.sample(1, np.random.default_rng(0))[0]))["architecture"])
    (row,) = nat("cost", *words, text, "--json").json["rows"]
    assert list(row) == ["architecture", "latency_ms@fast", "latency_ms@slow"]
    assert row["latency_ms@slow"] == pytest.approx(1000 * row["latency_ms@fast"])


def _tiny_options():
    return {
        "mbv3.resolutions": "32",
        "mbv3.widths": "1.0",
        "mbv3.kernels": "3",
        "mbv3.expands": "3",
        "mbv3.depths": "2,3",
    }


def test_files_of_different_devices_have_no_mean(own):
    space, one = tiny(), own(name="one.yaml", processor="A", engine="torch")
    other, same = own(name="two.yaml", processor="B", engine="torch"), own(name="3.yaml", processor="A", engine="torch")
    with pytest.raises(ConfigError, match=r"one\.yaml and .*two\.yaml are not of one device: the processor is A in"):
        latency(space, one, other)
    X = space.sample(5, np.random.default_rng(0))
    assert latency(space, one, same)(X) == pytest.approx(latency(space, one)(X))


def test_a_correction_is_used_unless_it_is_not_wanted(own):
    space, file = tiny(), own(verified={"scale": 2.0, "offset_ms": 0.5})
    X = space.sample(5, np.random.default_rng(0))
    plain = latency(space, file, corrected=False)(X)
    assert latency(space, file)(X) == pytest.approx(2 * plain + 0.5)


def test_a_lacking_operator_is_named_with_the_nearest(own):
    with pytest.raises(ConfigError, match=r"lacks 1 of the \d+ operators .*'classifier-input:1280-output:10'; the "):
        latency(tiny(classes=10), own())
    with pytest.raises(ConfigError, match="the nearest it has is 'classifier-input:1280-output:1000'"):
        latency(tiny(classes=10), own())


def test_operators_that_no_network_has_may_be_lacking(own, tmp_path):
    space = tiny()
    (tmp_path / "less.yaml").write_text(_without(own().read_text(), "kernel:7"))
    X = space.sample(5, np.random.default_rng(0))
    assert latency(space, tmp_path / "less.yaml")(X) == pytest.approx(latency(space, own())(X))


def _without(text, word):
    lines, kept = text.splitlines(), []
    for line in lines:
        if kept and kept[-1] is None and line.startswith(" " * 8):
            continue
        kept = [k for k in kept if k is not None]
        kept.append(None if word in line else line)
    return "\n".join(k for k in kept if k is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "format: nat-latency\nversion: 1\ndevices:\n  a:\n    operators:\n      x: 1\n",
            "device a: the table names no",
        ),
        ("operators:\n  x: 1\n", "names no unit: write 'unit: ms'"),
        ("unit: parsecs\noperators:\n  x: 1\n", "has the unit 'parsecs'"),
        ("x:\n  mean: 3\n", "names no unit, and is no table of once-for-all or NSGANetV2"),
        ("MBConv-x:\n  mean: fast\n", "a time is a number that is not negative"),
        ("MBConv-x:\n  mean: -1\n", "a time is a number that is not negative"),
        ("MBConv-x:\n  mean: nan\n", "a time is a number that is not negative"),
        ("- a\n", "line 1: cannot read '- a'"),
        ("a: !!python/object x\n", "a value is a number or a word"),
        ("a: 1\na: 2\n", "line 2: 'a' stands there for the second time"),
        ("a:\n    b: 1\n  c: 2\n", "line 3: the line is indented by 2 spaces"),
        ("", "is empty"),
        ("format: nat-latency\nversion: 9\n", "has version '9'"),
    ],
)
def test_what_is_no_table(tmp_path, text, message):
    (tmp_path / "table.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        latency(tiny(), tmp_path / "table.yaml")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the latency table .*No such file"):
        latency(tiny(), tmp_path / "none.yaml")


def test_one_of_several_devices(own, tmp_path):
    space, single = tiny(), own().read_text()
    body = single.partition("  bench:\n")[2]
    both = tmp_path / "both.yaml"
    both.write_text(single + "  other:\n" + body.replace("unit: ms", "unit: us"))
    with pytest.raises(ConfigError, match=r"has the devices bench, other: choose one, as -s latency\.device="):
        latency(space, both)
    with pytest.raises(ConfigError, match=r"unknown device 'othr'\. Did you mean 'other'"):
        latency(space, both, device="othr")
    X = space.sample(5, np.random.default_rng(0))
    ratio = latency(space, both, device="bench")(X) / latency(space, both, device="other")(X)
    assert ratio == pytest.approx(1000)


def test_another_table_is_noticed(own):
    space, file = tiny(), own()
    before = latency(space, file).fingerprint
    assert latency(space, file).fingerprint == before
    file.write_text(file.read_text().replace("unit: ms", "unit: us"))
    assert latency(space, file).fingerprint != before


def test_the_fingerprint_is_of_what_costs_are_computed_from(own):
    space, device = tiny(), {"scale": 1.0, "offset_ms": 0.0, "networks": 4}
    before = latency(space, own()).fingerprint
    assert latency(space, own(verified=device, processor="another")).fingerprint == before
    assert latency(space, own(space=mbv3(resolutions=[32, 64]))).fingerprint != before
    line = own(verified=device | {"scale": 1.25, "offset_ms": 0.5})
    assert latency(space, line).fingerprint == f"{before} corrected to 1.25 · sum +0.5 ms"
    assert latency(space, line, corrected=False).fingerprint == before


def verified(file, scale):
    """What `nat latency verify` leaves of a table, whose networks take so much more than their sums."""
    sums = np.arange(1.0, 13)
    _keep(file, "bench", devices(file)["bench"], Verified(tuple("abcdefghijkl"), sums, scale * sums, 1.0, 0.0))


@pytest.fixture
def cut_short(own, tmp_path):
    """A run by a table, whose process was killed in its last iteration; what it would have come to; and the table."""
    file, folder = own(reference="a"), tmp_path / "run"
    words = ("--objective", "latency", "--objective", "params", "--surrogate", "none", "--optimizer", "random")
    search = ("search.iterations=2", "search.initial=4", "search.batch=2", f"latency.table={file}")
    settings = [f"{part}={values}" for part, values in _tiny_options().items()]
    outcome = nat("run", *words, *(w for text in (*search, *settings) for w in ("-s", text)), "--out", folder, "--json")
    assert outcome.code == 0, outcome.err
    journal = folder / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-3]))
    return folder, outcome.json["front"], file


def test_a_run_goes_on_once_its_table_is_verified(cut_short):
    folder, front, file = cut_short
    before = file.read_text()
    verified(file, 1.0)
    assert file.read_text() != before
    outcome = nat("resume", folder, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["front"] == front


def test_a_run_does_not_go_on_with_another_correction(cut_short):
    folder, _, file = cut_short
    verified(file, 1.5)
    outcome = nat("resume", folder)
    assert outcome.code == 3
    said = " ".join(outcome.err.split())
    assert "its data changed since it began (latency_ms was " in said
    assert "… corrected to 1.5 · sum" in said
    assert "Put back what it was, or start a new run" in said
    assert nat("resume", folder, "--accept", "data").code == 0
