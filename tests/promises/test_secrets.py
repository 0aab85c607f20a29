"""What is secret stays out of every byte that a run writes or says."""

from __future__ import annotations

import pytest
from command_line import COSTS, nat
from toyrun import tree

SECRETS = {
    "HF_TOKEN": "hf_9f2c7a1e55b04d6e",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI0K7MDENGbPxRfiCY",
    "GITHUB_TOKEN": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "WANDB_API_KEY": "0123wandb4567secret89",
    "HTTPS_PROXY": "http://someone:proxy-passw0rd@proxy.example:3128",
    "DATABASE_URL": "postgres://nat:pg-passw0rd@db.example/nat",
    "NAT_SOMETHING": "unheard-of-7712",
}
WORDS = [word for text in SECRETS.values() for word in (text, text.partition("@")[0].rpartition(":")[2])]


def spilt(text: bytes):
    return [word for word in WORDS if len(word) > 8 and word.encode() in text]


@pytest.mark.promise(40)
def test_the_environment_is_nowhere_in_what_a_run_makes(tmp_path, nat_here, monkeypatch, cases):
    folder = tmp_path / "run"
    first = nat("--verbose", "run", "--out", folder, *COSTS, **SECRETS)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    others = [
        nat_here("-v", *words) for words in (("resume", folder), ("front", folder), ("doctor", folder), ("plugins",))
    ]
    for outcome in (first, *others):
        assert outcome.code == 0, outcome.err
        assert not spilt((outcome.out + outcome.err).encode())
        cases["outputs searched"] += 1
    for name, content in tree(folder).items():
        assert not spilt(content), name
        cases["files searched"] += 1


@pytest.mark.promise(40)
def test_a_failing_download_shows_no_password(tmp_path, caplog):
    from nat_core.downloads import Download, fetch
    from nat_core.errors import ResourceError

    address = "https://user:url-passw0rd@127.0.0.1:9/file?token=query-t0ken#fragment-s3cret"
    with pytest.raises(ResourceError) as caught:
        fetch(Download(address, "file", 10), folder=tmp_path, patience=2)
    said = str(caught.value) + caplog.text + "".join(map(str, tmp_path.rglob("*")))
    assert "127.0.0.1" in said
    for secret in ("url-passw0rd", "query-t0ken", "fragment-s3cret"):
        assert secret not in said


@pytest.mark.promise(40)
def test_a_pin_holds_no_password(tmp_path):
    """The address of a file that is trusted at first use is written beside it."""
    from nat_core.downloads import Download, fetch

    (tmp_path / "file").write_bytes(b"content")
    download = Download("https://user:url-passw0rd@example.org/file?token=query-t0ken", "file", 10)
    fetch(download, folder=tmp_path)
    assert b"example.org/file" in tree(tmp_path)["file.manifest.json"]
    assert not any(word in content for content in tree(tmp_path).values() for word in (b"passw0rd", b"t0ken"))
