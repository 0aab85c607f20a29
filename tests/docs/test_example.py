"""The example plugin, installed as a distribution of its own, works by name; bad company does it no harm."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from pages import EXAMPLE

OFFERS = {
    "cost_models": "weight_mb",
    "optimizers": "neighbours",
    "search_spaces": "mlp",
    "surrogates": "nearest",
}


def install(site, distribution, version, module, code):
    """What pip leaves of a distribution of one module, in a folder."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[nat_core]\n{module} = {module}\n")


@pytest.fixture
def beside(tmp_path):
    """A second folder of installed distributions."""
    site = tmp_path / "beside"
    site.mkdir()
    return site


@pytest.fixture
def rival(beside):
    code = "from nat_core import hookimpl\n\n@hookimpl\ndef register_surrogates():\n    return {'nearest': object}\n"
    install(beside, "nat-rival", "2.0", "nat_rival", code)
    return beside


def listed(done):
    assert done.code == 0, done.err
    return done.json["plugins"]


def test_its_offers_are_listed_with_distribution_and_version(nat, example):
    offers = [o for o in listed(nat("plugins", "--json", sites=[example])) if o["distribution"] == "nat-example"]
    assert {o["kind"]: o["name"] for o in offers} == OFFERS
    assert {(o["version"], o["status"], o["error"]) for o in offers} == {("0.1.0", "ok", "")}


def test_its_options_are_shown_with_types_and_meaning(nat, example):
    for kind, name in OFFERS.items():
        done = nat("plugins", "show", kind, name, sites=[example])
        assert done.code == 0
        assert "nat-example 0.1.0" in done.out
        assert "Any" not in done.out
        assert f"{name}." in done.out


def test_its_cost_model_prices_a_space_of_another_plugin(nat, example):
    done = nat("cost", "--cost", "weight_mb", "--cost", "params", "--json", "08011001440551052208877", sites=[example])
    (row,) = done.json["rows"]
    assert row["params"] == 6_067_408
    assert row["weight_mb"] == pytest.approx(4 * 6_067_408 / 1e6)


def test_its_space_is_priced_by_cost_models_of_another_plugin(nat, example):
    done = nat("cost", "--space", "mlp", "--cost", "macs", "--cost", "params", "--json", "64-16", sites=[example])
    inputs = 3 * 8 * 8
    assert done.json["rows"] == [
        {
            "architecture": "64-16",
            "macs": inputs * 64 + 64 * 16 + 16 * 10,
            "params": (inputs + 1) * 64 + 65 * 16 + 17 * 10,
        }
    ]


def test_it_can_be_switched_off(nat, example):
    offers = listed(nat("plugins", "--json", sites=[example], NAT_PLUGINS="none"))
    assert [o["status"] for o in offers if o["distribution"] == "nat-example"] == ["off"]


def test_a_broken_plugin_beside_it_is_listed_and_harms_nothing(nat, example, beside):
    install(beside, "nat-broken", "0.3", "nat_broken", "import a_module_that_is_not_there\n")
    offers = listed(nat("plugins", "--json", sites=[example, beside]))
    (broken,) = [o for o in offers if o["distribution"] == "nat-broken"]
    assert (broken["version"], broken["status"]) == ("0.3", "broken")
    assert "a_module_that_is_not_there" in broken["error"]
    assert [o["status"] for o in offers if o["name"] == "nearest"] == ["ok"]
    assert nat("cost", "--cost", "weight_mb", "08011001440551052208877", sites=[example, beside]).code == 0


def test_a_second_claim_to_its_name_is_refused_naming_both(nat, example, rival):
    claims = [o for o in listed(nat("plugins", "--json", sites=[example, rival])) if o["name"] == "nearest"]
    assert [(o["distribution"], o["status"]) for o in claims] == [
        ("nat-example", "conflict"),
        ("nat-rival", "conflict"),
    ]
    done = nat("plugins", "show", "surrogate", "nearest", sites=[example, rival])
    assert done.code == 2
    assert "nat-example 0.1.0" in done.err
    assert "nat-rival 2.0" in done.err
    chosen = nat("plugins", "show", "surrogate", "nat-example:nearest", sites=[example, rival])
    assert (chosen.code, "nearest.k" in chosen.out) == (0, True)


def test_its_own_tests_pass(example):
    env = {**os.environ, "PYTHONPATH": str(example)}
    apart = ["-p", "no:cacheprovider", "-W", "error", "-c", str(EXAMPLE / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", "-q", *apart, str(EXAMPLE)]
    done = subprocess.run(command, env=env, cwd=example, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_made_of_its_parts(nat, example, tmp_path):
    tiny = ["search.iterations=1", "search.initial=4", "search.batch=2", "search.pool=8", "top1_error.warmup_epochs=1"]
    tiny += ["top1_error.epochs=1"]
    parts = ["--space", "mlp", "--surrogate", "nearest", "--optimizer", "neighbours"]
    costs = ["--objective", "top1_error", "--objective", "weight_mb", "--constraint", "params<=20000"]
    settings = [word for s in tiny for word in ("-s", s)]
    done = nat("run", *parts, *costs, "--json", "--out", str(tmp_path / "run"), *settings, sites=[example])
    assert done.code == 0, done.err
    result = done.json
    assert result["evaluations"] == 6
    assert all(point["objectives"]["weight_mb"] <= 0.08 for point in result["front"])
    assert "nat-example 0.1.0" in (tmp_path / "run" / "run.toml").read_text()
