"""What a look at something came to, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "fault"]  # a note is worth knowing and stops nothing; a fault stops something


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    text: str
    remedy: str = ""  # what mends it; empty where nothing has to be done

    def document(self) -> dict[str, str]:
        """As JSON."""
        return {"subject": self.subject, "level": self.level, "text": self.text, "remedy": self.remedy}


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing stops anything."""
    return all(finding.level != "fault" for finding in findings)
