"""Plugins as they are installed: a folder with metadata and a module, put on the path."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import subprocess
import sys
import textwrap

import pytest

from nat_core import plugins
from nat_core.errors import PluginError
from nat_core.plugins import HOOKS, OWN, load

GOOD = """
    from nat_core import hookimpl

    @hookimpl
    def register_surrogates():
        return {"NAME": lambda space: None}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution: `install("dist", "module", source)`; `entry` is the entry point's name."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def make(distribution, module, source, *, entry=None, version="1.2", attribute="", metadata=True):
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[nat_core]\n{entry or module} = {module}{attribute}\n")
        if source is not None:
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()

    yield make
    for name in set(sys.modules) - modules:
        if name.startswith("toy_"):
            del sys.modules[name]


def good(name):
    return GOOD.replace("NAME", name)


def offer(registry, distribution):
    (found,) = [o for o in registry.offers if o.distribution == distribution]
    return found


def test_a_good_one_is_found_like_our_own(install):
    install("toy-good", "toy_good", good("toy"))
    registry = load()
    found = registry.find("surrogates", "toy")
    assert (found.distribution, found.version, found.status, found.where) == ("toy-good", "1.2", "ok", "toy-good 1.2")
    assert found.factory("space") is None
    assert registry.of("surrogates")["toy"] == found
    assert registry.offers[0].distribution == OWN


BROKEN = {
    "raises": ("raise RuntimeError('no GPU\\nhere')", "RuntimeError: no GPU here"),
    "syntax": ("def f(:", "SyntaxError: invalid syntax"),
    "dependency": ("import toy_absent_dependency", "ModuleNotFoundError: No module named 'toy_absent_dependency'"),
    "missing": (None, "ModuleNotFoundError: No module named 'toy_missing'"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "signature": (
        "from nat_core import hookimpl\n@hookimpl\ndef register_surrogates(config): return {}",
        "PluginValidationError: Plugin 'toy-signature:toy_signature' for hook 'register_surrogates'",
    ),
    "typo": (
        "from nat_core import hookimpl\n@hookimpl\ndef register_surogates(): return {}",
        "unknown hook 'register_surogates'. Did you mean 'register_surrogates'",
    ),
    "list": (
        "from nat_core import hookimpl\n@hookimpl\ndef register_surrogates(): return ['toy']",
        "register_surrogates() has to return a mapping from names to factories, and returned ['toy']",
    ),
    "values": (
        "from nat_core import hookimpl\n@hookimpl\ndef register_surrogates(): return {'toy': 3}",
        "has to return a mapping from names to factories",
    ),
    "hook": ("from nat_core import hookimpl\n@hookimpl\ndef register_surrogates(): return 1 / 0", "ZeroDivisionError"),
    "path": (
        "from nat_core import hookimpl\n@hookimpl\ndef register_surrogates(): return {'../toy': print}",
        "offers '../toy': a name is",
    ),
    "nothing": ("register_surrogate = print", "it has none of the hooks register_search_spaces"),
}


def test_broken_ones_are_listed_with_their_error_and_all_else_works(install):
    install("toy-good", "toy_good", good("toy"))
    for name, (source, _) in BROKEN.items():
        install(f"toy-{name}", f"toy_{name}", source, version="0.3")
    install("toy-attribute", "toy_attribute", "x = 1", attribute=":absent", version="0.3")
    registry = load()
    for name, (_, error) in {**BROKEN, "attribute": ("", "has no attribute 'absent'")}.items():
        found = offer(registry, f"toy-{name}")
        assert (found.kind, found.name, found.status) == ("plugin", f"toy_{name}", "broken")
        assert found.where == f"toy-{name} 0.3"
        assert error in found.error
    assert registry.find("surrogates", "toy").status == "ok"
    assert registry.find("optimizers", "random").distribution == OWN
    with pytest.raises(
        PluginError, match=r"unknown surrogate 'missing'.*toy_missing of toy-missing 0.3: ModuleNotFound"
    ):
        registry.find("surrogates", "missing")


def test_a_signal_during_an_import_is_not_the_plugins_fault(install):
    install("toy-stop", "toy_stop", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_a_half_registered_plugin_is_not_announced_to(install):
    install(
        "toy-half",
        "toy_half",
        """
        from nat_core import hookimpl
        heard = []

        @hookimpl
        def register_surrogates():
            return None

        @hookimpl
        def on_finish(run, archive):
            heard.append(run)
        """,
    )
    load().announce("on_finish", run=1, archive=2)
    assert sys.modules["toy_half"].heard == []


def test_two_distributions_may_call_their_entry_point_alike(install):
    install("toy-one", "toy_one", good("one"), entry="surrogates")
    install("toy-two", "toy_two", good("two"), entry="surrogates")
    registry = load()
    assert registry.find("surrogates", "one").distribution == "toy-one"
    assert registry.find("surrogates", "two").distribution == "toy-two"


def test_two_claims_on_a_name_are_an_error_that_names_both(install):
    install("toy-one", "toy_one", good("same"))
    install("toy-two", "toy_two", good("same"))
    registry = load()
    with pytest.raises(
        PluginError, match=r"two plugins offer the surrogate 'same': toy-one 1.2 and toy-two 1.2"
    ) as caught:
        registry.find("surrogates", "same")
    assert "'toy-one:same' or 'toy-two:same'" in str(caught.value)
    assert caught.value.exit_code == 2
    assert "same" not in registry.of("surrogates")
    for name in ("toy-one", "toy-two"):
        assert registry.of("surrogates")[f"{name}:same"].distribution == name
        assert registry.find("surrogates", f"{name}:same").distribution == name
        assert offer(registry, name).status == "conflict"
        assert offer(registry, name).error == "offered by toy-one 1.2 and toy-two 1.2"
    assert registry.find("surrogates", "Toy_One:same").distribution == "toy-one"


def test_a_claim_on_one_of_our_names_is_a_conflict_too(install):
    install("toy-rbf", "toy_rbf", good("random").replace("surrogates", "optimizers"))
    registry = load()
    with pytest.raises(PluginError, match=f"{OWN} .* and toy-rbf 1.2"):
        registry.find("optimizers", "random")
    assert registry.find("optimizers", f"{OWN}:random").distribution == OWN


def test_one_name_of_two_kinds_is_no_conflict(install):
    install("toy-a", "toy_a", good("same"))
    install("toy-b", "toy_b", good("same").replace("surrogates", "optimizers"))
    assert {o.status for o in load().offers} == {"ok"}


@pytest.mark.parametrize(
    ("allowed", "loaded"),
    [(None, {"one", "two"}), ("none", set()), ("", set()), ("toy-one", {"one"}), ("toy_two, absent", {"two"})],
)
def test_nat_plugins_switches_loading_off(install, monkeypatch, allowed, loaded):
    install("toy-one", "toy_one", good("one"))
    install("toy-two", "toy_two", good("two"))
    if allowed is not None:
        monkeypatch.setenv("NAT_PLUGINS", allowed)
    registry = load()
    assert {"one", "two"} & set(registry.of("surrogates")) == loaded
    assert {name for name in ("one", "two") if f"toy_{name}" in sys.modules} == loaded
    off = [o for o in registry.offers if o.status == "off"]
    assert {o.distribution for o in off} == {"toy-one", "toy-two"} - {f"toy-{name}" for name in loaded}
    assert "random" in registry.of("optimizers")


def test_a_list_of_entry_points_that_cannot_be_read_hides_no_other(install, tmp_path):
    install("toy-good", "toy_good", good("toy"))
    install("toy-bad", "toy_bad", good("bad"))
    (tmp_path / "toy_bad-1.2.dist-info" / "entry_points.txt").write_text("[nat_core]\nno equals sign\n")
    registry = load()
    assert registry.find("surrogates", "toy").status == "ok"
    assert offer(registry, "toy-bad").status == "broken"
    assert "entry_points.txt cannot be read" in offer(registry, "toy-bad").error


def test_a_distribution_without_metadata_still_works(install):
    install("toy-bare", "toy_bare", good("toy"), metadata=False)
    assert load().find("surrogates", "toy").where == "unknown unknown"


def test_a_distribution_that_is_on_the_path_twice_counts_once(install, tmp_path, monkeypatch):
    install("toy-good", "toy_good", good("toy"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert load().find("surrogates", "toy").status == "ok"


def test_loading_is_done_once_in_a_process(install, monkeypatch, tmp_path):
    count = tmp_path / "count"
    counting = f"import pathlib; pathlib.Path({str(count)!r}).open('x').close(); return"
    install("toy-count", "toy_count", good("toy").replace("return", counting))
    plugins.registry.cache_clear()
    try:
        assert plugins.registry() is plugins.registry()
        assert plugins.find("surrogates", "toy")("space") is None
        assert count.exists()  # and a second loading would have failed
        assert load().find("surrogates", "rbf").distribution == OWN
        assert offer(load(), "toy-count").status == "broken"
    finally:
        monkeypatch.undo()
        plugins.registry.cache_clear()


def test_an_unknown_name_is_answered_with_near_ones_and_all():
    registry = load()
    with pytest.raises(PluginError) as caught:
        registry.find("optimizers", "nsga4")
    assert str(caught.value).startswith(
        "unknown optimizer 'nsga4'. Did you mean 'nsga3' or 'nsga2' or 'unsga3'? Known: "
    )
    assert all(name in str(caught.value) for name in registry.of("optimizers"))
    with pytest.raises(PluginError, match=r"unknown search space 'nothing'. Known: "):
        registry.find("search_spaces", "nothing")
    with pytest.raises(PluginError, match=r"unknown kind of plugin 'surrogate'. Did you mean 'surrogates'"):
        registry.find("surrogate", "rbf")
    with pytest.raises(PluginError, match="unknown optimizer 'elsewhere:random'"):
        registry.find("optimizers", "elsewhere:random")


LISTENER = """
    from nat_core import hookimpl
    heard = []

    @hookimpl
    def on_iteration(run, archive):
        heard.append((run, archive))
        FAULT
"""


def test_a_listener_that_fails_is_reported_and_the_others_still_run(install, caplog):
    faults = {"one": "pass", "two": "raise ValueError('disk')", "three": "raise SystemExit(1)", "four": "pass"}
    for name, fault in faults.items():
        install(f"toy-{name}", f"toy_{name}", LISTENER.replace("FAULT", fault))
    install(
        "toy-part",
        "toy_part",
        LISTENER.replace("FAULT", "").replace("(run, archive)", "(archive)").replace("(run, archive)", "archive"),
    )
    caplog.set_level(logging.WARNING)
    registry = load()
    registry.announce("on_iteration", run="run", archive="archive")
    assert all(sys.modules[f"toy_{name}"].heard == [("run", "archive")] for name in faults)
    assert "plugin toy-two:toy_two failed in on_iteration: ValueError: disk" in caplog.text
    assert "plugin toy-three:toy_three failed in on_iteration: SystemExit: 1" in caplog.text
    assert sum("plugin toy-" in r.message for r in caplog.records) == 2
    assert sys.modules["toy_part"].heard == ["archive"]


@pytest.mark.promise(21)
@pytest.mark.parametrize("fault", ["raise ValueError('disk')", "raise SystemExit('disk')"])
def test_strictly_a_listener_that_fails_is_an_error_that_names_it(install, fault):
    install("toy-one", "toy_one", LISTENER.replace("FAULT", fault))
    registry = load()
    for ours in ("nat_plots", "nat_report", "nat_trackers"):  # which have no use for words
        registry._manager.unregister(name=f"{OWN}:{ours}")
    with pytest.raises(PluginError, match=r"plugin toy-one:toy_one failed in on_iteration: .*: disk"):
        registry.announce("on_iteration", strict=True, run="run", archive="archive")


def test_our_own_plugins_load_and_every_kind_has_one():
    registry = load()
    assert [o for o in registry.offers if o.distribution == OWN and o.status != "ok"] == []
    for kind in HOOKS:
        assert registry.of(kind), kind


def test_loading_all_plugins_imports_nothing_heavy():
    code = (
        "import sys; from nat_core import plugins; plugins.registry(); "
        "print(*[m for m in ('torch', 'pymoo', 'optuna', 'sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_module_of_ours_hides_a_factory():
    """Importing `nat_x.name` puts that module in the place of the function `name`: a second load finds no factory."""
    ours = [o.factory for o in load().offers if o.distribution == OWN and o.factory is not None]
    assert len(ours) > 20
    hidden = [f"{f.__module__}.{f.__name__}" for f in ours if hasattr(sys.modules[f.__module__], "__path__")]
    assert len(hidden) > 20  # in packages, which alone can hold a module
    assert [name for name in hidden if importlib.util.find_spec(name) is not None] == []
