"""`nat pick` and `nat front` on run folders with two to twelve objectives, written as a run writes them."""

from __future__ import annotations

import json
from statistics import median

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import nat
from toyrun import Quiet

from nat_core import config as configs
from nat_core.cli import cli
from nat_core.config import RunConfig
from nat_core.encoding import as_architectures
from nat_core.errors import ConfigError, StateError
from nat_core.journal import Journal
from nat_core.plugins import find

NAMES = (
    *("top1_error", "macs", "latency_ms", "memory", "joules", "size"),
    *("ram", "reads", "writes", "heat", "noise", "price"),
)
SCALES = np.array([0.3, 8e8, 40, 1e7, 3.3, 20, 1.6e9, 5, 90, 30, 12e6, 99])
CLASSES = 7


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """A run folder with a front of n architectures over m objectives, tested on the test split."""

    def write(m, n, violation=0.0):
        folder = tmp_path_factory.mktemp("runs") / f"run-{m}-{n}"
        folder.mkdir()
        space = find("search_spaces", "mbv3")(resolutions=(24, 32), classes=CLASSES)
        rng = np.random.default_rng(m)
        X = np.unique(space.sample(2 * n, rng), axis=0)[:n]
        F = rng.dirichlet(np.ones(m), n) * SCALES[:m]
        config = RunConfig(objectives=NAMES[:m], data="digits", options={"mbv3": {"resolutions": [24, 32]}})
        context = {"classes": CLASSES, "image_size": 32}
        (folder / "run.toml").write_text(configs.dump(config, plugins={}, context=context, fingerprints={}))
        with Journal(folder / "journal.jsonl", Quiet()) as journal:
            journal.append("begun", format=1)
            journal.append("proposed", iteration=0, architectures=X.tolist(), predicted=None, dropped=[], seconds={})
            for x, f in zip(X.tolist(), F.tolist(), strict=True):
                y = dict(zip(NAMES[:m], f, strict=True))
                record = {"iteration": 0, "architecture": x, "weights": 0, "seconds": 0.1}
                journal.append("measured", objectives=y, violation=violation, **record)
                journal.append("tested", architecture=x, objectives={"top1_error": y["top1_error"] / 2}, seconds=0.1)
        names = [space.describe(a)["architecture"] for a in as_architectures(X)]
        params = find("cost_models", "params")(space)(X)
        return folder, dict(zip(names, F.tolist(), strict=True)), dict(zip(names, params.tolist(), strict=True))

    return write


@pytest.fixture(scope="module", params=[2, 5, 12])
def run(write, request):
    return write(request.param, 60)


def ask(*words, columns=80):
    """Output and error; a refusal is raised."""
    result = CliRunner().invoke(cli, [str(w) for w in words], env={"COLUMNS": str(columns)}, catch_exceptions=False)
    if result.exit_code:
        raise RuntimeError(result.output)
    return result.output


def asked(*words):
    return json.loads(ask(*words, "--json"))


def test_the_knee_is_the_default_and_is_explained(run):
    folder, F, _ = run
    document = asked("pick", folder)
    assert document == asked("pick", folder, "--knee")
    assert (document["method"], document["front"], document["within_bounds"]) == ("knee", len(F), len(F))
    (pick,) = document["picks"]
    assert list(pick["objectives"].values()) == F[pick["architecture"]]
    assert pick["test"] == {"top1_error": pytest.approx(pick["objectives"]["top1_error"] / 2)}
    assert f"costs at least {pick['trade_off']:.3g} % of a range for each 1 % gained" in pick["reason"]
    shown = " ".join(ask("pick", folder).split())
    assert pick["architecture"] in shown
    assert pick["reason"] in shown
    assert all(name in shown for name in pick["objectives"])


def test_bounds_leave_out(run):
    folder, F, params = run
    bound, least = median(row[1] for row in F.values()), median(params.values())
    within = {name for name in F if F[name][1] <= bound and params[name] >= least}
    document = asked("pick", folder, "--max", f"macs={bound!r}", "--min", f"params={least!r}", "-n", 999)
    assert {pick["architecture"] for pick in document["picks"]} == within
    assert document["within_bounds"] == len(within)
    for pick in document["picks"]:
        assert pick["costs"] == {"params": params[pick["architecture"]]}
        assert pick["reason"].startswith(f"Of {len(F)} on the front, {len(within)} meet")
    assert "there are no more" in ask("pick", folder, "--max", f"macs={bound!r}", "-n", 999)


def test_a_preference_is_met(run):
    folder, F, _ = run
    wished = sorted(row[1] for row in F.values())[len(F) // 2]
    (pick,) = asked("pick", folder, "--prefer", f"macs={wished / 1e6!r}M", "--prefer", "top1_error=100%")["picks"]
    assert pick["objectives"]["macs"] <= wished * (1 + 1e-9)
    assert "nearest to the wished" in pick["reason"]
    assert "reaches all that was named" in pick["reason"]
    (missing,) = asked("pick", folder, "--prefer", "macs=1")["picks"]
    least = min(row[1] for row in F.values())
    assert missing["objectives"]["macs"] < least + 0.2 * (wished - least)


def test_the_best_within_the_bounds(run):
    folder, F, _ = run
    bound = median(row[1] for row in F.values())
    within = sorted((row[0], name) for name, row in F.items() if row[1] <= bound)
    words = ("--best", "top1_error", "--max", f"macs={bound!r}")
    document = asked("pick", folder, *words, "-n", 3)
    assert (document["method"], document["best"]) == ("best", "top1_error")
    assert [pick["architecture"] for pick in document["picks"]] == [name for _, name in within[:3]]
    shown = [f"{100 * error:.2f} %" for error, _ in within]
    reasons = [pick["reason"] for pick in document["picks"]]
    assert reasons[0].endswith(f" macs <= {bound / 1e6:,.3f} M. Of these it has the least top1_error, {shown[0]}.")
    assert reasons[2].endswith(f"Of these it is number 3, with {shown[2]}.")
    assert not {"trade_off", "achievement"} & document["picks"][0].keys()
    assert reasons[0] in " ".join(ask("pick", folder, *words).split())


def test_what_decides_among_equals_is_said(tmp_path, write):
    folder, *_ = write(3, 4)
    (tmp_path / "run.toml").write_text((folder / "run.toml").read_text())
    values = iter([(0.1, 5.0, 1.0), (0.1, 2.0, 7.0), (0.2, 1.0, 0.5), (0.1, 3.0, 3.0)])
    with Journal(tmp_path / "journal.jsonl", Quiet()) as copy:
        for line in (folder / "journal.jsonl").read_text().splitlines():
            rest = {k: v for k, v in json.loads(line).items() if k not in {"kind", "crc"}}
            if (kind := json.loads(line)["kind"]) == "measured":
                rest["objectives"] = dict(zip(NAMES, next(values), strict=False))
            copy.append(kind, **rest)
    (pick,) = asked("pick", tmp_path, "--best", "top1_error")["picks"]
    assert pick["objectives"]["macs"] == 2
    said = "Of these it has the least top1_error, 10.00 %; 2 others have the same, so macs, then latency_ms decide."
    assert pick["reason"].endswith(said)


def test_nothing_is_wider_than_the_terminal(run):
    folder, F, _ = run
    for columns in (60, 80, 120):
        for words in (("pick", folder, "-n", 3), ("front", folder), ("front", folder, "--all")):
            lines = ask(*words, columns=columns).splitlines()
            assert max(map(len, lines)) <= columns
            shown = sum(line.split()[0] in F for line in lines if line.split() and "=" not in line)
            assert shown == {"pick": 3, "front": 60 if "--all" in words else 40}[words[0]]


def test_the_front_says_what_it_leaves_out(run):
    folder, F, _ = run
    m = len(next(iter(F.values())))
    short = " ".join(ask("front", folder).split())
    assert "… and 20 more: nat front" in short
    assert "--all / --json" in short
    assert ("no room for:" in short) == (m > 2)
    wide = ask("front", folder, "--all", columns=300)
    assert "more" not in wide
    assert "no room" not in wide
    assert all(name in wide for name in (*NAMES[:m], *F))
    document = asked("front", folder)
    assert len(document["front"]) == len(F)
    assert document["hypervolume_method"] == ("exact" if m <= 6 else "Rphi-FWE+")
    assert 0 < document["hypervolume"] < 1


def test_the_shown_rows_hold_the_ends_of_a_front(write):
    folder, F, _ = write(2, 90)
    shown = [name for name in F if name in ask("front", folder)]
    assert len(shown) == 40
    for column in (0, 1):
        assert min(F, key=lambda name: F[name][column]) in shown


def test_the_front_shows_the_side_of_each_input(run):
    folder, F, _ = run
    rows = asked("front", folder)["front"]
    assert {row["architecture"]: row["side"] for row in rows} == {name: (24, 32)[int(name[:2])] for name in F}
    wide = ask("front", folder, "--all", columns=300).splitlines()
    assert wide[1].split()[:3] == ["architecture", "side", "top1_error"]
    for row in rows:
        assert any(line.startswith(f"{row['architecture']}  {row['side']} px ") for line in wide)


@pytest.mark.parametrize("columns", [50, 61, 62, 63, 64, 65, 66, 67, 68, 80, 100])
def test_no_line_ends_between_a_number_and_its_unit(run, columns):
    folder, *_ = run
    shown = ask("pick", folder, "-n", 5, "--max", "top1_error=90%", "--max", "params=900M", columns=columns)
    shown += ask("pick", folder, "-n", 5, "--prefer", "macs=0.01M", columns=columns)
    shown += ask("front", folder, columns=columns)
    assert "\0" not in shown
    assert not [line for line in shown.splitlines() if line.lstrip().startswith(("%", "M "))]


def test_a_front_outside_the_constraints_says_so(write):
    folder, *_ = write(2, 9, violation=0.5)
    assert "None measured so far meets the constraints of the run" in asked("pick", folder)["picks"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--prefer", "mac=1"), "unknown objective of this run 'mac'. Did you mean 'macs'?"),
        (("--prefer", "params=1"), "unknown objective of this run 'params'"),
        (("--max", "maks=1"), "unknown objective or cost 'maks'. Did you mean 'macs'?"),
        (("--max", "macs"), "cannot read --max 'macs': write name=number"),
        (("--max", "macs<=1"), "cannot read --max 'macs<=1'"),
        (("--min", "macs=1e999"), "cannot read --min"),
        (("--prefer", "macs=nan"), "cannot read --prefer"),
        (("--max", "macs=0"), "none of the 60 architectures on the front meets macs<=0: the smallest macs there is"),
        (("--max", "params=1"), "the smallest params there is 2,"),
        (("--knee", "--prefer", "macs=1"), "give one of them"),
        (("--best", "macs", "--prefer", "macs=1"), "--best and --prefer are 2 ways to choose: give one of them"),
        (("--best", "macs", "--knee"), "--knee and --best are 2 ways to choose"),
        (("--best", "mac"), "unknown objective of this run 'mac'. Did you mean 'macs'?"),
        (("--best", "params"), "unknown objective of this run 'params'"),
        (("--best", "macs", "--max", "macs=0"), "none of the 60 architectures on the front meets macs<=0"),
        (("--prefer", "macs=1", "--prefer", "macs=2"), "--prefer is given twice"),
    ],
)
def test_what_cannot_be_chosen_is_explained(write, words, said):
    folder, *_ = write(2, 60)
    with pytest.raises(ConfigError) as caught:
        ask("pick", folder, *words)
    assert said in str(caught.value)


def test_what_is_measured_cannot_be_bounded_unless_it_was(tmp_path, write):
    folder, *_ = write(2, 5)
    text = (folder / "run.toml").read_text().replace('"top1_error"', '"heat"')
    journal = (folder / "journal.jsonl").read_text()
    (tmp_path / "run.toml").write_text(text)
    with Journal(tmp_path / "journal.jsonl", Quiet()) as copy:
        for line in journal.splitlines():
            record = json.loads(line)
            rest = {k: v for k, v in record.items() if k not in {"kind", "crc", "seq"}}
            if "objectives" in rest:
                rest["objectives"] = {k.replace("top1_error", "heat"): v for k, v in rest["objectives"].items()}
            copy.append(record["kind"], **rest)
    with pytest.raises(ConfigError, match="top1_error is measured, and it is no objective of this run"):
        ask("pick", tmp_path, "--max", "top1_error=1")


def test_a_folder_without_a_front(tmp_path, write):
    with pytest.raises(StateError, match="holds no run"):
        ask("pick", tmp_path)
    folder, *_ = write(2, 5)
    (tmp_path / "run.toml").write_text((folder / "run.toml").read_text())
    with Journal(tmp_path / "journal.jsonl", Quiet()) as journal:
        journal.append("begun", format=1)
    with pytest.raises(StateError, match="no measured architecture yet"):
        ask("pick", tmp_path)


def test_as_a_process(write):
    folder, *_ = write(2, 5)
    done = nat("pick", folder, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["run"] == str(folder)
    refused = nat("pick", folder, "--max", "macs=1", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert nat("pick", folder / "nothing").code == 3
    assert nat("pick", folder, "-n", "0").code == 2
