"""The command line starts fast: no command that computes nothing imports torch."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "pymoo", "optuna", "sklearn", "scipy", "matplotlib")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["plugins"],
        ["run", "--help"],
        ["finetune", "--help"],
        ["evaluate", "--help"],
        ["plugins", "show", "surrogate", "rbf"],
        ["plugins", "show", "finetuner", "finetune"],
    ],
)
def test_nothing_heavy_is_imported(words):
    code = (
        "import sys, json\n"
        "from nat_core.cli import main\n"
        f"sys.argv = ['nat', *{words!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & set(HEAVY)
