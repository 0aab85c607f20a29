from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nat_core.config import PRESETS, RunConfig, SearchConfig, dump, load, reload, resolve, setting, validate
from nat_core.errors import ConfigError, StateError

VALID = """\
space = "mbv3"
data = "digits"
objectives = ["top1_error", "macs"]
constraints = ["macs<=20e6", "params <= 5e6"]
seed = 3

[search]
iterations = 4
initial = 8

[options.mbv3]
widths = [1.0]

[options.nsga3]
generations = 7
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "run.toml"
    file.write_text(VALID)
    return file


def test_the_later_layer_wins(file):
    bare = resolve(None, None, {}, [])
    assert (bare.preset, bare.search.iterations, bare.options["mbv3"]) == ("quick", 5, {"widths": [1.0]})
    assert resolve("nat", None, {}, []).search.capacity == 300
    config = resolve(None, file, {}, [])
    assert (config.search.iterations, config.search.initial, config.search.batch) == (4, 8, 5)
    assert config.options["nsga3"] == bare.options["nsga3"] | {"generations": 7}
    config = resolve(
        "nat", file, {"seed": 4, "search": {"iterations": 9}}, ["search.iterations=10", "nsga3.population=5"]
    )
    assert (config.preset, config.seed, config.search.iterations, config.search.initial) == ("nat", 4, 10, 8)
    assert config.options["nsga3"] == {"population": 5, "generations": 7}
    assert resolve(None, file, {"optimizer": "nsga3"}, ["preset=msunas"]).preset == "msunas"


def test_the_run_toml_of_a_run_folder_is_a_run_file_too(file):
    """What stands behind its config is a finding, and decides nothing."""
    config = resolve(None, file, {}, ["top1_error.epochs=2"])
    file.write_text(dump(config, plugins={"datasets.x": "x 1"}, context={"classes": 7}, fingerprints={"data": "d"}))
    assert resolve(None, file, {}, []) == config
    assert resolve(None, file, {"seed": 4}, []).seed == 4


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_config_and_every_option_of_it_exists(preset):
    from nat_core import options, plugins

    config = resolve(preset, None, {}, [])
    for part, chosen in config.options.items():
        (offer,) = [o for o in plugins.load().offers if o.name == part and o.factory is not None]
        assert options.checked(part, offer.factory, chosen) is not None


def test_what_an_estimator_asks_of_other_parts_goes_between_preset_and_user():
    from nat_core import options, plugins

    chosen = {"estimator": "ofa-predictor"}
    sides = [160, 176, 192, 208, 224]
    for preset in PRESETS:
        assert resolve(preset, None, chosen, []).options["mbv3"] == {"widths": [1.2], "resolutions": sides}
    asked = resolve("quick", None, chosen, ["mbv3.resolutions=192,224"]).options["mbv3"]
    assert asked == {"widths": [1.2], "resolutions": [192, 224]}
    assert resolve("quick", None, {"estimator": "nat-core:ofa-predictor"}, []).options["mbv3"]["widths"] == [1.2]
    assert resolve("quick", None, {}, []).options["mbv3"] == {"widths": [1.0]}
    file = resources.files("nat_core").joinpath("presets", "estimators.toml")
    for estimator, parts in tomllib.loads(file.read_text()).items():
        assert plugins.find("estimators", estimator)
        for part, values in parts.items():
            (offer,) = [o for o in plugins.load().offers if o.name == part and o.factory is not None]
            assert options.checked(part, offer.factory, values)


def test_a_preset_may_set_other_options_for_a_space():
    from nat_core import options, plugins

    other = resolve("quick", None, {"space": "mbv3", "data": "folder"}, []).options
    lite = resolve("quick", None, {"space": "nat-core:lite", "data": "folder"}, ["top1_error.epochs=7"]).options
    assert lite["folder"]["image_size"] > other["folder"]["image_size"]
    assert lite["top1_error"] == other["top1_error"] | {
        "warmup_epochs": 8,
        "largest_first": 0.5,
        "training_side": 0.8,
        "epochs": 7,
        "batch_size": 32,
        "learning_rate": 0.02,
        "sandwich": 1,
        "distillation": 1.0,
        "recalibration_images": 128,
    }
    assert "spaces" not in lite
    assert "folder" not in resolve("quick", None, {"space": "lite"}, []).options
    for preset in PRESETS:
        file = resources.files("nat_core").joinpath("presets", f"{preset}.toml")
        for space, parts in tomllib.loads(file.read_text()).get("spaces", {}).items():
            assert plugins.find("search_spaces", space)
            assert parts.pop("search", {}).keys() <= SearchConfig.model_fields.keys()
            for part, values in parts.items():
                (offer,) = [o for o in plugins.load().offers if o.name == part and o.factory is not None]
                assert values.keys() <= options.options(offer.factory).keys()


def test_a_preset_may_search_a_space_in_another_way(tmp_path):
    def remeasured(words, settings=(), path=None):
        return resolve("quick", path, words, settings).search.remeasure

    def file(content):
        (tmp_path / "own.toml").write_text(content)
        return tmp_path / "own.toml"

    assert remeasured({"space": "mbv3"}) == "all"
    assert remeasured({"space": "nat-core:lite"}) == remeasured({}, ["space='lite'"]) == "front"
    assert remeasured({}, (), file('space = "lite"\n')) == "front"
    assert remeasured({"space": "lite"}, ["search.remeasure=none"]) == "none"
    assert remeasured({}, (), file('space = "lite"\n[search]\nremeasure = "all"\n')) == "all"
    assert resolve("quick", None, {"space": "lite"}, []).search.pool == resolve("quick", None, {}, []).search.pool


def test_a_run_without_data_has_none_in_its_file():
    table = "nas-bench-macro.table=t.json"
    config = resolve(None, None, {"space": "nas-bench-macro"}, [table])
    assert (config.data, config.estimator) == (None, "nas-bench-macro")
    assert "data" not in tomllib.loads(dump(config))
    assert config.options["nas-bench-macro"] == {"table": "t.json"}
    assert "top1_error" not in config.options
    assert "folder" not in config.options


def test_options_of_parts_that_are_not_in_the_run_are_refused_but_a_presets_are_dropped():
    config = resolve("quick", None, {"optimizer": "random"}, [])
    assert "nsga3" not in config.options
    with pytest.raises(ConfigError, match=r"options are set for 'nsga3', which is not a part of this run.*random"):
        resolve("quick", None, {"optimizer": "random"}, ["nsga3.population=3"])
    assert resolve("quick", None, {"constraints": ["params<=5"]}, ["params.x=3"]).options["params"] == {"x": 3}
    assert (
        resolve("quick", None, {"optimizer": "nat-core:nsga3"}, ["nsga3.population=3"]).options["nsga3"]["population"]
        == 3
    )


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        ({"space": "mbv4"}, "mbv3.widths=1.0", "unknown search space 'mbv4'. Did you mean 'mbv3'"),
        ({"estimator": "top1_eror"}, "top1_error.epochs=1", "unknown estimator 'top1_eror'. Did you mean 'top1_error'"),
        (
            {"objectives": ["top1_eror", "macs"]},
            "top1_error.epochs=1",
            "unknown estimator or cost model 'top1_eror'. Did you mean 'top1_error'",
        ),
        (
            {"objectives": ["top1_eror", "macs"], "estimator": "ofa-predictor"},
            "ofa-predictor.x=1",
            "unknown estimator or cost model 'top1_eror'. Did you mean 'top1_error'",
        ),
        (
            {"constraints": ["parms<=5M"]},
            "params.x=1",
            "unknown estimator or cost model 'parms'. Did you mean 'params'",
        ),
        ({"surrogate": "rfb"}, "rbf.members=3", "unknown surrogate 'rfb'. Did you mean 'rbf'"),
        ({"optimizer": "nsg3"}, "nsga3.population=3", "unknown optimizer 'nsg3'. Did you mean 'nsga3'"),
        ({"trackers": ["mlfow"]}, "mlflow.experiment=a", "unknown tracker 'mlfow'. Did you mean 'mlflow'"),
        ({"executor": "proceses"}, "processes.workers=1", "unknown executor 'proceses'. Did you mean 'processes'"),
    ],
    ids=str,
)
def test_a_typo_in_a_part_is_said_before_the_options_of_what_was_meant(words, options, said):
    with pytest.raises(ConfigError, match=f"^{said}"):
        resolve(None, None, words, [options])


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("seed=3", {"seed": 3}),
        ("space=mbv3", {"space": "mbv3"}),
        ("objectives=a,b", {"objectives": ["a", "b"]}),
        ("search.iterations=3", {"search": {"iterations": 3}}),
        ("rbf.kernel=cubic", {"options": {"rbf": {"kernel": "cubic"}}}),
        (" rbf . x = 1e-3 ", {"options": {"rbf": {"x": 0.001}}}),
        ("rbf.x=1.10", {"options": {"rbf": {"x": 1.1}}}),
        ("rbf.x=on", {"options": {"rbf": {"x": "on"}}}),
        ("rbf.x=true", {"options": {"rbf": {"x": True}}}),
        ("rbf.x='1,2'", {"options": {"rbf": {"x": "1,2"}}}),
        ("rbf.x=1,2.5,c", {"options": {"rbf": {"x": [1, 2.5, "c"]}}}),
        ("rbf.x=[1, [2]]", {"options": {"rbf": {"x": [1, [2]]}}}),
        ("rbf.x={a = 1}", {"options": {"rbf": {"x": {"a": 1}}}}),
        ("rbf.x=", {"options": {"rbf": {"x": ""}}}),
        ("rbf.x=a=b", {"options": {"rbf": {"x": "a=b"}}}),
        ("rbf.x=1\nseed=4", {"options": {"rbf": {"x": "1\nseed=4"}}}),
        ("rbf.x=" + "[" * 5000, {"options": {"rbf": {"x": "[" * 5000}}}),
        ("rbf.x=" + "9" * 5000, {"options": {"rbf": {"x": "9" * 5000}}}),
    ],
)
def test_settings(text, layer):
    assert setting(text) == layer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "cannot read the setting 'seed': write part.option=value"),
        ("=3", "cannot read the setting"),
        (".x=3", "cannot read the setting"),
        ("a.b.c=3", "cannot read the setting"),
        ("sed=3", r"unknown setting 'sed'. Did you mean 'seed'"),
    ],
)
def test_settings_that_cannot_be_read(text, message):
    with pytest.raises(ConfigError, match=message):
        setting(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("space =", "spase ="), r"run.toml: unknown setting 'spase'. Did you mean 'space'"),
        (("initial =", "inital ="), r"unknown setting 'search.inital'. Did you mean 'search.initial'"),
        (("[search]", "[serch]"), r"unknown setting 'serch'. Did you mean 'search'"),
        (("iterations = 4", "iterations = 'four'"), "search.iterations is 'four': .*integer"),
        (("iterations = 4", "iterations = -1"), "search.iterations is -1: .*greater than or equal to 0"),
        (("iterations = 4", "iterations = 4.5"), "search.iterations is 4.5"),
        (("initial = 8", "initial = 1000000000000"), "search.initial is 1000000000000"),
        (("initial = 8", "initial = 8\ncapacity = 7"), "capacity is 7; .* it has to be 8 at least"),
        (("initial = 8", "initial = 8\nremeasure = 'some'"), "remeasure is 'some': .*'all', 'front' or 'none'"),
        (("seed = 3", "seed = 3\nseed = 4"), r"is not TOML: Cannot overwrite a value \(at line 6"),
        (("seed = 3", "seed = "), r"is not TOML: Invalid value \(at line 5, column 8\)"),
        (("seed = 3", f"seed = {'9' * 5000}"), "is not TOML"),
        (("seed = 3", f"x = {'[' * 5000}"), "is not TOML"),
        (("seed = 3", "preset = 'slow'"), r"unknown preset 'slow'"),
        (("seed = 3", "preset = [1]"), r"unknown preset '\[1\]'"),
        (('data = "digits"', "data = 3"), "data is 3"),
        (('data = "digits"', 'data = "~nobody-by-that-name/x"'), "data is '~nobody-by-that-name/x'"),
        (('["top1_error", "macs"]', "[1, 2]"), "objectives.0 is 1"),
        (("[options.mbv3]", "[options.ofa]"), "options are set for 'ofa'"),
        (("widths = [1.0]", "widths = nan"), "run.toml: mbv3.widths is nan: a finite number is wanted"),
        (("widths = [1.0]", "widths = [[1.0, inf]]"), r"mbv3.widths is \[\[1.0, inf\]\]: a finite number is wanted"),
        (("widths = [1.0]", "widths = [{x = -inf}]"), r"mbv3.widths is \[{'x': -inf}\]: a finite number is wanted"),
        (("widths = [1.0]", "x.y = nan"), "mbv3.x.y is nan: a finite number is wanted"),
        (("widths = [1.0]", "x = nan\ny = inf"), "mbv3.x is nan: .*; mbv3.y is inf: a finite number is wanted$"),
        (("iterations = 4", "optimism = nan"), "search.optimism is nan: Input should be a finite number"),
        (("iterations = 4", "optimism = inf"), "search.optimism is inf: Input should be a finite number"),
        (("widths = [1.0]", f"widths = {'[' * 300}{']' * 300}"), "cannot be kept|is not TOML"),
        (("[options.mbv3]\nwidths = [1.0]", "options = 3"), "options is 3"),
    ],
)
def test_what_is_wrong_is_said_with_where(file, change, message):
    assert change[0] in VALID
    text = VALID.replace(*change)
    if change[0].startswith("[options.mbv3]\n"):
        text = text.partition("[options.nsga3]")[0]
        text = "options = 3\n" + text.replace("options = 3", "")
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(None, file, {}, [])
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(file):
    file.write_text('spase = "x"\nseed = -1\n[search]\nbatch = 0\n')
    with pytest.raises(ConfigError, match=r"spase.*") as caught:
        resolve(None, file, {}, [])
    assert all(word in str(caught.value) for word in ("spase", "seed is -1", "search.batch is 0"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the run file .*absent"):
        load(tmp_path / "absent")
    with pytest.raises(ConfigError, match="cannot read the run file"):
        load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="binary is not TOML"):
        load(tmp_path / "binary")


def test_data_may_be_a_path(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    path = str(tmp_path / "pictures")
    for data in ("pictures", "./pictures", path, "folder:pictures", f"folder:{path}"):
        config = resolve(None, None, {"data": data}, [])
        assert (config.data, config.options["folder"]["path"]) == ("folder", path.removesuffix("/")), data
    assert resolve(None, None, {"data": "~/p"}, []).options["folder"]["path"] == "/home/someone/p"
    assert "path" not in resolve(None, None, {"data": "folder"}, []).options.get("folder", {})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("absent", "unknown data set 'absent'. .*Known: .* There is no folder '{here}/absent' either: accepted are "),
        ("digit", "unknown data set 'digit'. Did you mean 'digits'.* There is no folder '{here}/digit' either"),
        ("nat-core:digit", "unknown data set 'nat-core:digit'. .* There is no folder '{here}/nat-core:digit' either"),
        ("notes.txt", "unknown data set 'notes.txt'. .* '{here}/notes.txt' is a file: accepted are the name of "),
        ("x" * 5000, "There is no folder .* either"),
        ("a\0b", r"unknown data set 'a\\x00b'. .* There is no folder '{here}/a\\x00b' either"),
        ("", "data is '': name a data set or a folder of images, a dot .* a variable that is not set"),
        (" ", "data is ' ': name a data set"),
        ("folder:", "data is 'folder:': name a data set"),
    ],
)
def test_a_word_that_is_neither_a_data_set_nor_a_folder_is_refused_before_options_are(
    tmp_path, monkeypatch, data, said
):
    (tmp_path / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    for options in ([], ["folder.image_size=64"], ["digits.split_seed=1"]):
        with pytest.raises(ConfigError, match=said.format(here=tmp_path)):
            resolve(None, None, {"data": data}, options)


def test_a_data_set_may_be_named_with_its_distribution_or_as_an_instance():
    for data in ("digits", "nat-core:digits", "digits@mine"):
        assert resolve(None, None, {"data": data}, []).data == data


def test_a_folder_with_the_name_of_a_data_set_is_not_in_its_way(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve(None, None, {"data": "digits"}, []).data == "digits"
    assert resolve(None, None, {"data": "./digits"}, []).options["folder"]["path"] == str(tmp_path / "digits")


def test_a_config_comes_back_as_it_was_saved(file):
    config = resolve(None, file, {}, ["mbv3.weights={'1.0' = 'a b'}", "nsga3.crossover=1e-3"])
    file.write_text(dump(config, plugins={"a": "b"}))
    again, tables = reload(file)
    assert again == config
    assert again.flat() == config.flat()
    assert tables["plugins"] == {"a": "b"}
    assert config.flat() != resolve(None, None, {}, []).flat()


def test_a_run_folder_of_version_01_names_no_estimator(file):
    config = resolve(None, file, {}, [])
    text = dump(config, plugins={"a": "b"})
    assert 'estimator = "top1_error"\n' in text
    file.write_text(text.replace('estimator = "top1_error"\n', ""))
    assert reload(file)[0] == config


def test_a_run_folder_without_data_comes_back(file):
    config = resolve(None, None, {"space": "nas-bench-macro"}, [])
    file.write_text(dump(config))
    assert reload(file)[0] == config


@pytest.mark.parametrize("content", ["", "seed = ", "\0", VALID, VALID[:40]])
def test_a_damaged_run_folder_is_a_state_error(file, content):
    file.write_text(content)
    with pytest.raises(StateError, match="no readable run folder") as caught:
        reload(file)
    assert caught.value.exit_code == 3


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(
        ["folder", "~x", "/", "", "macs<=1", "macs<=1e999", "a:b:c", "none", "nan", ".", "x/..", "\ud800"]
    )
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
keys = st.sampled_from(
    [*RunConfig.model_fields, "search.batch", "options.mbv3", "options.x.y", "search", ""]
) | st.text(max_size=6)


def outcome(config):
    """A config that can be resolved can be saved and is the same when it is read."""
    assert isinstance(config, RunConfig)
    text = dump(config)
    assert validate(tomllib.loads(text.encode().decode())).flat() == config.flat()


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(keys, values), min_size=1, max_size=3))
@example([("options", {"mbv3": {"widths": None}})])
@example([("options.mbv3", {"x": {"": [None]}})])
@example([("data", "\ud800")])
@example([("options.mbv3", {"x": "\ud800"})])
@example([("options.mbv3", {"\ud800": 1})])
def test_mutated_values_give_a_config_or_a_config_error(changes):
    layer = tomllib.loads(VALID)
    for key, value in changes:
        first, _, rest = key.partition(".")
        if rest and isinstance(layer.get(first), dict):
            layer[first][rest] = value
        else:
            layer[key] = value
    try:
        config = resolve(None, None, layer, [])
    except ConfigError:
        return
    outcome(config)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_files_give_a_config_or_a_config_error(tmp_path_factory, data):
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 6))
        text = text[:at] + data.draw(st.text(max_size=4) | st.sampled_from(list('[]{}="\n.,#1e'))) + text[at + cut :]
    file = tmp_path_factory.getbasetemp() / "mutated.toml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        config = resolve(None, file, {}, [])
    except ConfigError:
        return
    outcome(config)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12) | st.builds("{}={}".format, keys, st.text(max_size=10)))
def test_any_setting_is_read_or_a_config_error(text):
    try:
        config = resolve(None, None, {}, [text])
    except ConfigError:
        return
    outcome(config)


def hostile(canary: Path):
    touch = f"touch {canary}"
    python = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    return [
        f"$({touch})",
        f"`{touch}`",
        f"; {touch}",
        f"| {touch}",
        f"!!python/object/apply:os.system ['{touch}']",
        f"!!python/object/new:subprocess.Popen [[touch, {canary}]]",
        {"_target_": "os.system", "command": touch},
        {"_target_": "pathlib.Path.touch", "_args_": [str(canary)]},
        {"class_path": "subprocess.call", "init_args": {"args": ["touch", str(canary)]}},
        "${oc.env:HOME}",
        "${env:HOME}",
        "$HOME",
        "%HOME%",
        "{{ 7*7 }}",
        f"{{{{ {python} }}}}",
        f"eval:{python}",
        python,
        f"lambda: {python}",
        f"os:system('{touch}')",
        "nat_core.errors:NatError",
        "../../../etc/passwd",
        "file:///etc/passwd",
    ]


@pytest.mark.parametrize(
    "key", ["space", "data", "estimator", "surrogate", "optimizer", "objectives", "constraints", "preset", "options"]
)
def test_hostile_values_run_nothing(tmp_path, monkeypatch, key):
    from nat_core.run import find_parts

    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary"
    for value in hostile(canary):
        wrapped = {
            "objectives": ["macs", value],
            "constraints": [value],
            "options": {"mbv3": {"weights": value, "x": value}},
        }
        layers = [({key: wrapped.get(key, value)}, [])]
        if isinstance(value, str):
            layers.append(({}, [f"{key}={value}"]))
        for layer, words in layers:
            # a path to data that is not there is found out later, when the data are loaded
            with suppress(ConfigError) if key == "data" else pytest.raises(ConfigError):
                find_parts(resolve(None, None, layer, words))
    assert not canary.exists()
    assert list(tmp_path.iterdir()) == []


def test_values_stay_as_written_and_no_environment_is_read(monkeypatch):
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("ran a command"))
    for value in hostile(Path("canary")):
        assert resolve(None, None, {"options": {"mbv3": {"weights": value}}}, []).options["mbv3"]["weights"] == value


def test_a_folder_is_called_by_its_own_name(tmp_path):
    (tmp_path / "my\x1b photos").mkdir()
    assert resolve(None, None, {"data": str(tmp_path / "my\x1b photos")}, []).data_name() == "my\\x1b photos"
    assert resolve(None, None, {"data": "/"}, []).data_name() == "folder"
    assert resolve(None, None, {"data": "cifar10"}, []).data_name() == "cifar10"
    assert resolve(None, None, {"objectives": ["macs", "params"]}, []).data_name() == ""
