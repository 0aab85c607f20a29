"""No line of ours can run code out of a file, or go round the one way there is for a dangerous thing.

The source is parsed, not searched: a word in a text or a comment is no call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("nat_core", "plugins", "search_spaces", "benchmarks", "docs")
CODE_IN_FILES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "yaml"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "datetime.datetime.now"}
PASSED_ON = {  # what may stand where, and why
    ("nat_core/tensors.py", "import pickle"): "for the name of an error",
    ("nat_core/latency/building.py", "datetime.now"): "the day a table was measured, for whoever reads it",
    ("nat_core/latency/verifying.py", "datetime.now"): "the day of a measurement, for whoever reads it",
    (
        "plugins/nat_trackers/mlflow_runs.py",
        "time.time",
    ): "MLflow asks for the time of a figure, and shows it to people",
    ("nat_core/run.py", "datetime.now"): "the day in the name of a new folder, which nothing reads again",
}
TESTS = {  # the tests prove that what they attack with is dangerous, and run the code of the documentation
    "tests/docs/test_code_blocks.py",
    "tests/nat_datasets/test_named.py",
    "tests/nat_estimators/test_ofa_predictor.py",
    "tests/nat_lite/test_lite_checkpoints.py",
    "tests/nat_mbv3/test_hostile_checkpoints.py",
    "tests/nat_mbv3/test_mbv3_checkpoints.py",
    "tests/cli/test_bad_input.py",
    "tests/support/layouts.py",
    "tests/promises/test_hostile_files.py",
}


def sources(*tops: str) -> list[Path]:
    return sorted(file for top in tops for file in (ROOT / top).rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(node: ast.expr) -> str:
    """`a.b.c` of a dotted name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{above}.{node.attr}" if (above := name_of(node.value)) else ""
    return ""


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that runs text, or reads files that can run it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {a.name}") for a in node.names if a.name.split(".")[0] in CODE_IN_FILES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CODE_IN_FILES:
            yield node.lineno, f"import {node.module}"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, found) for found in _call(node))


def _call(node: ast.Call) -> Iterator[str]:
    name, given = name_of(node.func), {k.arg: k.value for k in node.keywords}

    def is_true(value):
        return isinstance(value, ast.Constant) and value.value is True

    if name in RUNS_TEXT or name in SHELLS:
        yield name
    if name.split(".")[0] == "importlib" and name.endswith("import_module") and isinstance(node.args[0], ast.BinOp):
        yield "import_module of a name that is put together"
    if "shell" in given and not (isinstance(given["shell"], ast.Constant) and given["shell"].value is False):
        yield "shell=True"
    if "allow_pickle" in given and not (
        isinstance(given["allow_pickle"], ast.Constant) and given["allow_pickle"].value is False
    ):
        yield "allow_pickle"
    if name in {"torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"} and not (
        name == "torch.load" and is_true(given.get("weights_only"))
    ):
        yield f"bare {name}"
    if name.endswith(("add_safe_globals", "safe_globals", "set_crate_module_globals", "set_default_load_endianness")):
        yield name
    if name in {"pd.read_pickle", "pandas.read_pickle", "read_pickle"}:
        yield name


@pytest.mark.promise(35)
@pytest.mark.parametrize("top", OURS)
def test_nothing_of_ours_runs_what_it_reads(top):
    for file in sources(top):
        where = str(file.relative_to(ROOT))
        found = [f"{where}:{line}: {what}" for line, what in dangers(tree(file)) if (where, what) not in PASSED_ON]
        assert not found


@pytest.mark.promise(35)
def test_the_tests_do_so_only_to_attack():
    for file in sources("tests"):
        where = str(file.relative_to(ROOT))
        found = [what for _, what in dangers(tree(file)) if what != "__import__"]  # patched to hide a package
        assert not found or where in TESTS, (where, found)


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import dill as json",
        "import yaml",
        "from joblib import load",
        "import marshal, os",
        "eval('1')",
        "exec(text)",
        "compile(text, 'f', 'exec')",
        "__import__('os')",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=sure)",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=sure)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=sure)",
        "torch.jit.load(file)",
        "torch.hub.load(repository, name)",
        "torch.serialization.add_safe_globals([list])",
        "importlib.import_module('nat_' + name)",
    ],
)
def test_the_guard_sees(line):
    assert list(dangers(ast.parse(line)))


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    "line",
    [
        "network.eval()",
        "re.compile('a')",
        "# import pickle",
        "'eval(1)'",
        "torch.load(file, weights_only=True)",
        "np.load(file)",
        "np.load(file, allow_pickle=False)",
        "subprocess.run(['ls'])",
        "json.loads(text)",
    ],
)
def test_the_guard_lets_pass(line):
    assert not list(dangers(ast.parse(line)))


@pytest.mark.promise(35)
def test_the_floor_of_torch_is_one_whose_safe_loading_is_safe():
    """Before 2.10, `weights_only=True` could be talked into running code (CVE-2025-32434, CVE-2026-24747)."""
    import tomllib

    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (floor,) = [r.removeprefix("torch>=") for r in requires if r.startswith("torch>=")]
    assert tuple(map(int, floor.split("."))) >= (2, 10)


@pytest.mark.promise(12)
def test_nothing_looks_at_the_wall_clock():
    """Durations are monotonic; the order of records is their order; the newest state has the highest number."""
    for file in sources("nat_core", "plugins", "search_spaces"):
        where = str(file.relative_to(ROOT))
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Call) and (name := name_of(node.func)) in CLOCKS:
                assert (where, name) in PASSED_ON, f"{where}:{node.lineno}: {name}"


@pytest.mark.promise(1, 4, 28)
def test_only_one_module_makes_things_durable():
    """What stands in `durable` can be killed, starved and unplugged by tests; a second way round it could not."""
    for file in sources("nat_core"):
        where = str(file.relative_to(ROOT))
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.Call):
                continue
            name = name_of(node.func)
            straight = name in {"os.replace", "os.rename", "os.fsync", "os.fdatasync", "os.truncate", "shutil.move"}
            assert not straight or where == "nat_core/durable.py", f"{where}:{node.lineno}: {name}"
