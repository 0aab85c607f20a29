"""What several commands say in the same words."""

import errno

import pytest
from click.testing import CliRunner

from nat_core.cli import cli
from nat_core.cli.words import publishing
from nat_core.durable import on_disk
from nat_core.errors import ResourceError


def test_a_file_outside_a_run_gives_no_advice_about_runs(tmp_path):
    out = tmp_path / "front.svg"
    with pytest.raises(ResourceError) as refusal, publishing(out), on_disk(out):
        raise OSError(errno.ENOSPC, "No space left on device")
    said = str(refusal.value)
    assert said == f"cannot write {out}: No space left on device. Mend it, or choose another file with --out"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pikc",), "unknown command 'pikc'. Did you mean 'pick'?"),
        (("latency", "biuld"), "unknown command 'biuld'. Did you mean 'build'? Known: build, verify."),
        (("plugins", "shwo"), "unknown command 'shwo'. Did you mean 'show'? Known: show."),
    ],
)
def test_a_typo_in_a_command_of_any_level(words, said):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert said in result.output
