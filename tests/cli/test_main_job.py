"""The main job on the real command line, at a small size."""

import json
import math

import pytest
from command_line import SMALL_SEARCH, TINY, nat, records


def test_the_document_of_a_run(tiny_run):
    folder, outcome = tiny_run
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert document["run"] == str(folder)
    assert document["evaluations"] == 4 + 2 * 2
    assert 0 < document["hypervolume"] < 1
    assert document["front"]
    for row in document["front"]:
        assert set(row) == {"architecture", "side", "objectives", "test"}
        assert row["side"] in {16, 20}
        assert len(row["architecture"]) == 23
        assert set(row["objectives"]) == {"top1_error", "macs"}
        assert 0 <= row["test"]["top1_error"] <= 1
        assert isinstance(row["objectives"]["macs"], int)


def test_the_front_is_a_front(tiny_run):
    rows = [(r["objectives"]["top1_error"], r["objectives"]["macs"]) for r in tiny_run[1].json["front"]]
    for a in rows:
        assert not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in rows)


def test_front_shows_what_run_showed(tiny_run):
    folder, outcome = tiny_run
    assert nat("front", folder, "--json").json == outcome.json
    assert "Pareto front" in nat("front", folder).out


def test_a_finished_run_is_not_run_again(tiny_run):
    folder, outcome = tiny_run
    before = (folder / "journal.jsonl").read_bytes()
    assert nat("run", "--out", folder, "--json", *TINY, *SMALL_SEARCH).json == outcome.json
    assert nat("resume", folder, "--json").json == outcome.json
    assert (folder / "journal.jsonl").read_bytes() == before


@pytest.mark.promise(7)
def test_workers_measure_the_same_pictures_to_the_same_errors(tiny_run, tmp_path, warm):
    folder, outcome = tiny_run
    words = ("--executor", "processes", "-s", "processes.workers=2")
    found = warm.nat("run", "--out", tmp_path / "r", "--json", *TINY, *SMALL_SEARCH, *words)
    assert found.code == 0, found.err
    assert found.json["front"] == outcome.json["front"]
    assert sorted(map(str, records(tmp_path / "r"))) == sorted(map(str, records(folder)))


def test_the_test_split_is_touched_once_for_the_final_front_alone(tiny_run):
    folder, outcome = tiny_run
    tested = [r for r in records(folder) if r["kind"] == "tested"]
    assert len(tested) == len(outcome.json["front"])


def test_records_come_before_effects(tiny_run):
    kinds = [r["kind"] for r in records(tiny_run[0])]
    assert kinds[0] == "begun"
    assert [k for k in kinds if k in {"proposed", "adapted"}] == ["proposed", "adapted"] * 3
    assert kinds.index("proposed") < kinds.index("adapted") < kinds.index("measured")
    assert kinds[-1] == "finished"


def test_every_evaluation_names_its_weights_and_the_archive_is_measured_again(tiny_run):
    measured = [r for r in records(tiny_run[0]) if r["kind"] == "measured"]
    assert all(r["weights"] == r["iteration"] for r in measured)
    assert [sum(r["iteration"] == i for r in measured) for i in range(3)] == [4, 6, 8]


def test_derived_files(tiny_run):
    folder, outcome = tiny_run
    table = (folder / "front.csv").read_text().splitlines()
    assert table[0] == "architecture,top1_error,macs,front"
    assert sum(line.endswith(",1") for line in table[1:]) == len(outcome.json["front"])
    assert "<svg" in (folder / "front.svg").read_text()


def test_only_the_last_two_weights_are_kept(tiny_run):
    kept = sorted(p.name for p in (tiny_run[0] / "weights").iterdir())
    assert kept == ["0001", "0002"]


def test_the_weights_of_a_run_load_into_python(tiny_run):
    import torch

    from nat_core import plugins

    folder, outcome = tiny_run
    space = plugins.find("search_spaces", "mbv3")(
        resolutions=[16, 20], widths=[1.0], depths=[2], kernels=[3, 5], expands=[3]
    )
    supernet = space.supernet(10, weights=folder / "weights" / "0002" / "top1_error")
    architecture = space.parse(outcome.json["front"][0]["architecture"])
    images = torch.rand(2, *space.input_shape(architecture))
    with torch.no_grad():
        assert torch.equal(supernet.eval()(images, architecture), supernet.subnet(architecture)(images))


def test_files_are_strict_json(tiny_run):
    def refuse(constant):
        raise AssertionError(constant)

    for line in (tiny_run[0] / "journal.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_stdout_holds_the_document_alone_and_stderr_the_rest(tiny_run):
    outcome = tiny_run[1]
    assert outcome.out.count("\n") == 1
    assert "iteration 2" in outcome.err
    assert "rank correlation" in outcome.err
    assert "left" in outcome.err


def test_another_seed_is_another_run(tmp_path, tiny_run):
    other = nat("run", "--out", tmp_path / "r", "--seed", "1", "--json", *TINY, *SMALL_SEARCH).json
    assert other["front"] != tiny_run[1].json["front"]


@pytest.mark.parametrize(
    "words",
    [
        ("--optimizer", "nsga2", "-s", "nsga2.generations=5", "-s", "nsga2.population=20", "-s", "rbf.members=20"),
        ("--optimizer", "optuna", "-s", "optuna.trials=40", "-s", "rbf.members=20"),
        ("--optimizer", "random", "--surrogate", "gp"),
        ("--preset", "msunas", "-s", "nsga2.generations=3", "-s", "nsga2.population=10", "-s", "rbf.members=20"),
    ],
    ids=["nsga2", "optuna", "random-gp", "msunas"],
)
def test_parts_are_swapped_by_name(tmp_path, words):
    outcome = nat("run", "--out", tmp_path / "r", "--json", *TINY, *words)
    assert outcome.code == 0, outcome.err
    assert outcome.json["evaluations"] == 8


def test_three_objectives(tmp_path):
    names = ("top1_error", "macs", "params")
    words = [word for name in names for word in ("--objective", name)]
    outcome = nat("run", "--out", tmp_path / "r", "--json", *words, *TINY, *SMALL_SEARCH)
    assert outcome.code == 0, outcome.err
    assert all(tuple(r["objectives"]) == names for r in outcome.json["front"])


def test_a_constraint_holds_for_everything_measured(tmp_path):
    limit = 2_500_000
    outcome = nat("run", "--out", tmp_path / "r", "--json", "--constraint", f"macs<={limit}", *TINY, *SMALL_SEARCH)
    assert outcome.code == 0, outcome.err
    assert all(r["objectives"]["macs"] <= limit for r in outcome.json["front"])
    assert all(r["objectives"]["macs"] <= limit for r in records(tmp_path / "r") if r["kind"] == "measured")


def test_a_folder_of_images(tmp_path, small_folder):
    outcome = nat("run", "--data", small_folder, "--out", tmp_path / "r", "--json", *TINY, *SMALL_SEARCH)
    assert outcome.code == 0, outcome.err
    assert "notes.jpg" in outcome.err  # the file that is no image is named
    toml = (tmp_path / "r" / "run.toml").read_text()
    assert '"dark"' in toml
    assert '"light"' in toml
    assert all(math.isfinite(r["test"]["top1_error"]) for r in outcome.json["front"])


def test_dry_run_says_what_would_run_and_writes_nothing(tmp_path):
    outcome = nat("run", "--dry-run", *TINY, *SMALL_SEARCH, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert 'space = "mbv3"' in outcome.out
    assert "nat-core" in outcome.out
    assert "expected time" in outcome.out
    assert not list(tmp_path.iterdir())
    plan = nat("run", "--dry-run", "--json", *TINY, *SMALL_SEARCH, cwd=tmp_path).json
    assert plan["seconds"] > 0


def test_a_run_file_says_the_same_as_words(tmp_path, tiny_run):
    text = (tiny_run[0] / "run.toml").read_text()
    config = text[: text.index("[plugins]")] if "[plugins]" in text else text
    (tmp_path / "run.toml").write_text(config)
    outcome = nat("run", tmp_path / "run.toml", "--out", tmp_path / "r", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["front"] == tiny_run[1].json["front"]


def test_a_default_folder_is_named_by_data_space_and_day(tmp_path):
    outcome = nat("run", "--json", *TINY, *SMALL_SEARCH, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / outcome.json["run"]
    assert folder.parent == tmp_path / "runs"
    assert folder.name.startswith("digits-mbv3-20")
    assert folder.name.endswith("-1")
