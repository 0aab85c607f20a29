"""What several commands say in the same words."""

import errno

import pytest

from nat_core.cli.words import publishing
from nat_core.durable import on_disk
from nat_core.errors import ResourceError


def test_a_file_outside_a_run_gives_no_advice_about_runs(tmp_path):
    out = tmp_path / "front.svg"
    with pytest.raises(ResourceError) as refusal, publishing(out), on_disk(out):
        raise OSError(errno.ENOSPC, "No space left on device")
    said = str(refusal.value)
    assert said == f"cannot write {out}: No space left on device. Mend it, or choose another file with --out"
