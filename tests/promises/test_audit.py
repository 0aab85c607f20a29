"""`make audit` fails on a known vulnerability, and where nobody can tell it says so instead of calling all harmless."""

from __future__ import annotations

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FLAW = {"id": "CVE-1", "fix_versions": ["1.2"]}
KNOWN = {"name": "jinja2", "version": "2.11.2", "vulns": [FLAW]}


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).with_name("audit.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(audit, *reports):
    """A service that gives one report after the other, and what it was asked."""
    asked, left = [], list(reports)

    def ask(requirements, _words):
        asked.append(list(requirements))
        if isinstance(left[0], str):
            raise audit.NoAnswerError(left[0])
        return left.pop(0)

    return ask, asked


def test_a_vulnerability_fails(audit, capsys):
    ask, asked = answers(audit, [KNOWN], [{"name": "a", "version": "1.1", "vulns": [FLAW]}, {"name": "b", "vulns": []}])
    assert audit.main([], ask) == 1
    assert asked == [[audit.KNOWN], audit.installed()]
    assert capsys.readouterr().out == (
        "a 1.1: CVE-1, mended in 1.2\naudit: 1 of 2 packages with known vulnerabilities\n"
    )


def test_none_passes_and_what_could_not_be_looked_up_is_named(audit, capsys):
    ask, _ = answers(audit, [KNOWN], [{"name": "a", "vulns": []}, {"name": "b", "skip_reason": "not there"}])
    assert audit.main([], ask) == 0
    assert capsys.readouterr().out == (
        "audit: 0 of 1 packages with known vulnerabilities; 1 are unknown to the service: b\n"
    )


@pytest.mark.parametrize(
    "reports",
    [
        ("nobody there",),
        ([KNOWN], "nobody there"),
        ([{"name": "jinja2", "vulns": []}],),  # knows no vulnerability
        ([{"name": "jinja2", "skip_reason": "not there"}],),  # knows no package
    ],
)
def test_where_nobody_can_tell_it_is_skipped_in_so_many_words(reports, audit, capsys):
    ask, asked = answers(audit, *reports)
    assert audit.main([], ask) == 0
    assert capsys.readouterr().out.startswith("audit: SKIPPED, nothing was examined: ")
    assert len(asked) <= 2


def test_everything_that_is_installed_is_asked_for_but_ourselves(audit):
    names = {requirement.partition("==")[0].lower() for requirement in audit.installed()}
    assert {"torch", "numpy", "pytest"} <= names
    assert audit.OWN not in names
    assert not [r for r in audit.installed() if "+" in r]


@pytest.fixture
def osv():
    """A service on this machine in the manner of osv.dev, its list of vulnerable packages, and what it was asked."""
    vulnerable, asked = {"jinja2"}, []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(query)
            name = query["package"]["name"]
            affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
            flaws = [{"id": "CVE-1", "summary": "a flaw", "affected": [affected]}] if name in vulnerable else []
            answer = json.dumps({"vulns": flaws} if flaws else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", vulnerable, asked
        server.shutdown()


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
def test_pip_audit_itself(osv, audit, capsys, monkeypatch):
    url, vulnerable, asked = osv
    vulnerable.add("numpy")
    words = ["--vulnerability-service", "osv", "--osv-url"]
    monkeypatch.setattr(audit, "installed", lambda: ["torch==2.15.0", "numpy==2.0"])
    assert audit.main([*words, url]) == 1
    assert capsys.readouterr().out == (
        "numpy 2.0: CVE-1, mended in no release\naudit: 1 of 2 packages with known vulnerabilities\n"
    )
    assert [q["package"]["name"] for q in asked] == ["jinja2", "torch", "numpy"]
    assert audit.main([*words, "http://127.0.0.1:9/"]) == 0  # nobody listens there
    assert "SKIPPED" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="usage"):
        audit.main(["--no-such-word"])
