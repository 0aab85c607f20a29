"""`nat doctor` on run folders that are damaged in every way we could think of; and how it mends them."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys

import pytest
from toyrun import Quiet, Toy, sealed, tree, truth

from nat_core import config as configs
from nat_core.config import RunConfig
from nat_core.doctor import environment, probe
from nat_core.doctor.findings import Finding, healthy
from nat_core.doctor.folder import examine
from nat_core.doctor.repair import REPAIRS, repair
from nat_core.durable import publish_text, sole_writer
from nat_core.errors import ResourceError, StateError
from nat_core.journal import Journal, read


def make(folder, toy):
    """A finished run: what `run.opened` writes, and a toy search."""
    folder.mkdir()
    with Journal(folder / "journal.jsonl", Quiet()) as journal:
        journal.append("begun", format=1, config=RunConfig().flat(), space="s", data=None, plugins={})
    publish_text(folder / "run.toml", configs.dump(RunConfig(), plugins={}, context={}, fingerprints={}))
    toy.run(folder)
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make(tmp_path_factory.mktemp("run") / "run", Toy())


@pytest.fixture
def run(original, place):
    return shutil.copytree(original, place / "run")


def faults(folder, level="fault"):
    return [f for f in examine(folder) if f.level == level]


def the_fault(folder, *said):
    """The only one, which says all that."""
    (finding,) = faults(folder)
    assert finding.remedy
    assert all(word in f"{finding.text} → {finding.remedy}" for word in said), finding
    return finding


def mended(folder):
    """The steps of a repair; afterwards a second one has nothing to do."""
    steps = list(repair(folder))
    assert list(repair(folder)) == []
    return steps


def goes_on(run, original):
    """The run comes to where it was."""
    Toy().run(run)
    assert sealed(truth(run)) == sealed(truth(original))


def test_a_whole_run_has_no_fault_and_is_not_touched(run):
    before = tree(run)
    assert healthy(examine(run))
    assert {f.subject for f in examine(run)} >= {"lock", "journal", "order", "run.toml", "weights"}
    assert mended(run) == []
    assert {k: v for k, v in tree(run).items() if k != "lock"} == {k: v for k, v in before.items() if k != "lock"}


def test_there_has_to_be_something(tmp_path):
    for look in (examine, repair):
        with pytest.raises(StateError, match="holds no run"):
            list(look(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_a_lost_journal(run):
    (run / "journal.jsonl").unlink()
    assert "is missing" in faults(run)[0].text
    with pytest.raises(StateError, match="lost its journal"):
        list(repair(run))


def test_a_flipped_bit_anywhere_is_found_and_turned_back(run, original):
    content = (run / "journal.jsonl").read_bytes()
    for place in range(3, len(content), 97):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        if flipped[place] == 10 or content[place] == 10:
            continue  # a line more or less: damage of another kind
        (run / "journal.jsonl").write_bytes(flipped)
        the_fault(run, "one flipped bit", f"at byte {place}", "--repair")
        (step,) = mended(run)
        assert step.kept.read_bytes() == flipped
        assert (run / "journal.jsonl").read_bytes() == content
    assert healthy(examine(run))
    goes_on(run, original)


def test_a_damaged_line_is_cut_with_what_follows_and_all_of_it_is_kept(run):
    file = run / "journal.jsonl"
    content, before = file.read_bytes(), tree(run)
    damaged = content.replace(b'"measured"', b'"MEASured"', 1)
    file.write_bytes(damaged)
    line = damaged[: damaged.index(b"MEAS")].count(b"\n") + 1
    (found,) = [f for f in faults(run) if f.subject == "journal"]
    assert f"line {line} " in found.text
    assert "more lines follow" in found.text
    assert f"keeps the {line - 1} records before" in found.remedy
    steps = mended(run)
    assert steps[0].path == file
    assert steps[0].kept.read_bytes() == damaged
    assert file.read_bytes() == content[: file.stat().st_size]
    assert len(read(file)) == line - 1
    lost = [s for s in steps if s.what == "weights whose record is lost"]
    assert [s.path.name for s in lost] == ["0001", "0002"]  # of which the shortened journal knows nothing
    kept = {content for step in lost for content in tree(step.kept).values()}
    assert kept == {v for k, v in before.items() if k.startswith("weights/")}
    assert all(f.level != "fault" or f.subject == "weights" for f in examine(run))
    assert "restore them from a copy" in faults(run)[0].remedy  # iteration 0 is long gone, and that is said


def test_cut_where_its_weights_are_still_there_it_goes_on(run, original):
    file = run / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if b'"adapted"' in line)
    lines[last + 2] = b"nonsense\n"
    file.write_bytes(b"".join(lines))
    (step,) = mended(run)
    assert step.kept.read_bytes() == b"".join(lines)
    assert healthy(examine(run))
    goes_on(run, original)


def test_a_torn_tail_is_no_fault_and_a_repair_keeps_it(run, original):
    file = run / "journal.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert healthy(examine(run))
    (note,) = [f for f in faults(run, "note") if f.subject == "journal"]
    assert "cut short" in note.text
    (step,) = mended(run)
    assert step.kept.read_bytes() == whole[:-9]
    assert file.read_bytes() == whole[: whole[:-9].rindex(b"\n") + 1]
    goes_on(run, original)


def test_damaged_weights_are_named_with_what_makes_them_again(run):
    newest = run / "weights" / "0002" / "distance"
    newest.write_bytes(newest.read_bytes()[:-1] + b"\0")
    the_fault(run, "0002", "distance is not what was saved", f"nat resume {run}", "from 0001")
    assert mended(run) == []  # resume does it, and keeps the damaged ones
    older = run / "weights" / "0001" / "distance"
    older.unlink()
    the_fault(run, "0002", "cannot go on")
    assert any("distance is missing" in f.text for f in faults(run, "note"))


def test_damaged_older_weights_are_a_note(run):
    (run / "weights" / "0001" / "distance").unlink()
    assert healthy(examine(run))
    assert any("0001" in f.text for f in faults(run, "note"))


@pytest.mark.parametrize("content", [None, b"", b"[]", b"[" * 100_000, b'{"iteration": 1}'])
def test_a_manifest_is_written_from_the_journal(run, content):
    file = run / "weights" / "0002" / "manifest.json"
    before = file.read_bytes()
    file.unlink() if content is None else file.write_bytes(content)
    assert any(f.subject == "manifest" for f in faults(run, "note"))
    (step,) = mended(run)
    assert file.read_bytes() == before
    assert (step.kept is None) == (content is None)
    assert step.kept is None or step.kept.read_bytes() == content


@pytest.mark.parametrize("content", ["", "seed = [", 'space = "mbv3"\n', b"\xff\xfe"])
def test_an_unreadable_run_file_is_put_aside(run, content):
    file = run / "run.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    the_fault(run, "run.toml", "cannot be read", "writes it anew")
    (step,) = mended(run)
    assert not file.exists()
    assert step.kept.exists()
    the_fault(run, "run.toml is missing", f"--out {run}")


def test_an_edited_run_file_is_told_from_the_journal(run):
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace("seed = 0", "seed = 7"))
    the_fault(run, "not what the journal says", "seed")


def test_drafts_go_aside_and_other_files_stay(run):
    names = (".journal.jsonl.draft", "weights/.0001.draft", "weights/0002/.distance.draft")
    for name in names:
        (run / name).write_text("half")
    (run / "weights" / "mine.txt").write_text("keep")
    notes = faults(run, "note")
    assert any(f.subject == "drafts" and "3 left" in f.text for f in notes)
    assert any("mine.txt" in f.text for f in notes)
    steps = mended(run)
    assert sorted(str(s.kept.relative_to(run / "aside" / "0001")) for s in steps) == sorted(names)
    assert (run / "weights" / "mine.txt").read_text() == "keep"


def test_what_cannot_have_happened_is_named_by_its_line(run):
    """Whole records with right checksums, which no run writes."""
    file, records = run / "journal.jsonl", read(run / "journal.jsonl")
    third = next(i for i, r in enumerate(records) if r["kind"] == "measured")

    def told(changed):
        file.unlink()
        with Journal(file, Quiet()) as journal:
            for record in changed:
                journal.append(**record)
        return [f.text for f in faults(run) if f.subject == "order"]

    measured = records[third]
    assert told([*records, records[0]]) == [f"line {len(records) + 1}: the run begins a second time"]
    assert "measured twice" in told([*records[: third + 1], measured])[0]
    assert "never proposed" in told([*records[:third], measured | {"architecture": [3, 3, 3, 9]}])[0]
    assert "never recorded" in told([*records[:third], measured | {"weights": 7}])[0]
    assert "another form" in told([*records[:third], {"kind": "measured"}])[0]
    assert "iteration 0 follows iteration 2" in told([*records, records[1]])[0]
    assert told(records) == []


@pytest.mark.parametrize("first", [{"kind": "begun", "format": 99}, {"kind": "other", "format": 1}])
def test_another_format_is_no_damage(run, first):
    (run / "journal.jsonl").unlink()
    with Journal(run / "journal.jsonl", Quiet()) as journal:
        journal.append(**first)
    assert any("the version of nat that made it" in f.remedy for f in faults(run))


def test_nothing_is_repaired_while_a_process_is_at_work(run):
    with (run / "journal.jsonl").open("ab") as stream:
        stream.write(b"half a rec")
    with sole_writer(run):
        before = tree(run)
        assert "is writing to it" in next(f.text for f in examine(run) if f.subject == "lock")
        with pytest.raises(ResourceError, match="in use by"):
            list(repair(run))
        assert tree(run) == before


def test_every_step_is_journalled_before_and_after(run):
    (run / ".a.draft").write_text("half")
    steps = mended(run)
    records = read(run / "aside" / REPAIRS)
    assert [r["kind"] for r in records] == ["begun", "done"] * len(steps)
    assert records[0]["path"] == ".a.draft"
    assert (run / records[0]["kept"]).read_text() == "half"
    (run / ".a.draft").write_text("another")
    (step,) = mended(run)
    assert step.kept.parent.name == "0002"
    assert {f.read_text() for f in (run / "aside").rglob(".a.draft")} == {"half", "another"}


def test_a_pretraining_and_a_fine_tuning(run):
    home = run / "finetuned" / "abc"
    home.mkdir(parents=True)
    (home / "network.safetensors").write_bytes(b"good")
    (home / "before.safetensors").write_bytes(b"first")
    (home / "network.json").write_text("{}")
    with Journal(home / "finetune.jsonl", Quiet()) as journal:
        journal.append("finetuning", format=1)
        journal.append("before", sha256=hashlib.sha256(b"first").hexdigest())
        journal.append("written", sha256=hashlib.sha256(b"good").hexdigest())
    assert healthy(examine(run))
    (home / "network.safetensors").write_bytes(b"bad")
    the_fault(run, "network.safetensors is not what was saved")
    (step,) = mended(run)
    assert step.kept == home / "aside" / "0001" / "network.safetensors"
    (home / "before.safetensors").unlink()
    assert any("restore it from a copy" in f.remedy for f in faults(home) if f.subject == "before")


def test_findings_are_json():
    found = Finding("a", "fault", "b", "c")
    assert json.loads(json.dumps(found.document())) == {"subject": "a", "level": "fault", "text": "b", "remedy": "c"}


def fake_torch(monkeypatch, **changes):
    good = {"torch": "2.10.0", "torchvision": "0.25.0", "pair": True, "threads": 1, "cuda": None, "gpus": []}
    monkeypatch.setattr(probe, "ask", lambda what: good | changes if what == "torch" else {})
    monkeypatch.setattr(environment, "_torch_of_torchvision", lambda: "2.10.0")


def environment_faults(tmp_path):
    return {f.subject: f for f in environment.examine(tmp_path / "runs") if f.level == "fault"}


def test_this_machine(monkeypatch, tmp_path):
    fake_torch(monkeypatch)
    found = list(environment.examine(tmp_path / "runs"))
    assert not [f for f in found if f.level == "fault"]
    subjects = {f.subject for f in found}
    assert subjects >= {
        "nat",
        "packages",
        "torch",
        "plugins",
        "extra onnx",
        "runs",
        "cache",
        "open files",
        "processors",
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "subject", "said"),
    [
        ({"error": "OSError: libtorch.so: undefined symbol"}, "torch", "undefined symbol"),
        ({"pair": False}, "torch", "no pair"),
        ({"torch": "2.11.0"}, "torch", "for torch 2.10.0"),
        ({"gpus": [{"name": "X", "capability": "9.0", "error": "no kernel image"}]}, "GPU 0", "no kernel image"),
    ],
)
def test_a_machine_with_a_fault(monkeypatch, tmp_path, changes, subject, said):
    fake_torch(monkeypatch, **changes)
    found = environment_faults(tmp_path)
    assert list(found) == [subject]
    assert said in found[subject].text
    assert found[subject].remedy


def test_a_full_disk_and_a_folder_that_may_not_be_written(monkeypatch, tmp_path):
    fake_torch(monkeypatch)
    usage = type("Usage", (), {"free": 1 << 20})()
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage)
    assert "1 MiB" in environment_faults(tmp_path)["runs"].text
    monkeypatch.setattr(environment, "publish_text", refuse)
    assert "No space left" in environment_faults(tmp_path)["runs"].text


def refuse(*_):
    raise ResourceError("cannot write it: No space left on device")


@pytest.mark.parametrize(
    ("requirement", "wrong"),
    [
        ("numpy>=1.26", ""),
        ("numpy (>=1.26)", ""),
        ("numpy>=99", "numpy is"),
        ("numpy==0.1.0; extra == 'x'", "numpy is"),
        ("no-such-thing", "no-such-thing is not installed"),
        ("nat-core[onnx,openvino]; extra == 'dev'", ""),
    ],
)
def test_requirements(requirement, wrong):
    assert environment._wanting(requirement).startswith(wrong)
    assert bool(environment._wanting(requirement)) == bool(wrong)


def test_a_package_that_kills_whoever_imports_it(monkeypatch, tmp_path):
    (tmp_path / "deadly.py").write_text(f"import os; os.kill(os.getpid(), {signal.SIGSEGV.value})")
    (tmp_path / "faulty.py").write_text("raise OSError('no such library')")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "SIGSEGV" in probe.ask("json,deadly")["error"]
    assert probe.ask("json,faulty")["error"] == "OSError: no such library"
    assert "SystemExit" in probe.ask("leaving")["error"]
    assert probe.ask("json") == {}
    monkeypatch.setattr(probe, "PATIENCE", 0.001)
    assert "took longer" in probe.ask("json")["error"]


def test_the_real_torch():
    command = [sys.executable, "-m", "nat_core.doctor.probe", "torch"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found["pair"] is True
    assert found["torch"].split(".")[0] >= "2"
