# ruff: noqa: T201 - a script that prints
"""Known vulnerabilities of all that is installed here, by pip-audit: they fail the audit.

`pip-audit` calls a package that its service does not know harmless, and so everything where there is no such service,
as behind most mirrors of the package index. So it is asked first about a release that is known to be vulnerable. If
that is not found, nothing can be: the audit is skipped, and says so.

    make audit                             by the package index
    python tests/promises/audit.py -s osv  by another service; further words go to pip-audit, such as --ignore-vuln ID
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence

OWN = "nat-core"
KNOWN = "jinja2==2.11.2"  # CVE-2020-28493, published in 2021
WRONG_WORDS = 2  # the exit code of pip-audit for words that it does not know
LIMIT = 120  # seconds for each of the two questions
Report = list[dict]  # a package each: its name, and its vulnerabilities or why it could not be looked up


class NoAnswerError(Exception):
    """pip-audit gave no report."""


def main(words: Sequence[str], ask: Callable[[Iterable[str], Sequence[str]], Report] | None = None) -> int:
    """The exit code: 1 for a vulnerability, 0 for none and for an audit that was skipped."""
    ask = ask or pip_audit
    try:
        if not vulnerable(ask([KNOWN], words)):
            return skipped(f"the service knows nothing of {KNOWN}, which is vulnerable")
        report = ask(installed(), words)
    except NoAnswerError as error:
        return skipped(str(error))
    unknown = [package["name"] for package in report if "vulns" not in package]
    found = vulnerable(report)
    for package in found:
        for one in package["vulns"]:
            mended = ", ".join(one.get("fix_versions", ())) or "no release"
            print(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    print(
        f"audit: {len(found)} of {len(report) - len(unknown)} packages with known vulnerabilities"
        + (f"; {len(unknown)} are unknown to the service: {', '.join(unknown)}" if unknown else "")
    )
    return 1 if found else 0


def skipped(why: str) -> int:
    print(f"audit: SKIPPED, nothing was examined: {why}")
    return 0


def vulnerable(report: Report) -> Report:
    """The packages with a known vulnerability."""
    return [package for package in report if package.get("vulns")]


def installed() -> list[str]:
    """Every distribution beside ours; torch's local versions, such as `+cpu`, are those of no index."""
    found = {d.metadata["Name"]: d.version.partition("+")[0] for d in importlib.metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name != OWN]


def pip_audit(requirements: Iterable[str], words: Sequence[str]) -> Report:
    """What pip-audit says of some releases. Raises `NoAnswerError` where that is nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10", *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
        except subprocess.TimeoutExpired as error:
            raise NoAnswerError(f"no answer within {LIMIT} s") from error
    if done.returncode == WRONG_WORDS:
        sys.exit(done.stderr)
    try:
        return json.loads(done.stdout)["dependencies"]
    except ValueError as error:
        said = (done.stderr.strip() or "pip-audit said nothing").splitlines()[-1]
        raise NoAnswerError(said) from error


if __name__ == "__main__":
    if importlib.util.find_spec("pip_audit") is None:
        sys.exit("audit: pip-audit is not installed: pip install 'nat-core[dev]'")
    sys.exit(main(sys.argv[1:]))
