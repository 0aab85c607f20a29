"""docs/parts.md has every option of every plugin that comes with nat."""

from __future__ import annotations

from pages import DOCS

from nat_core import options
from nat_core.plugins import HOOKS


def test_the_page_is_up_to_date(generator):
    page = (DOCS / "parts.md").read_text(encoding="utf-8")
    assert page == generator.parts_page(), "run: python docs/generate.py"


def test_every_kind_has_a_section(generator):
    assert list(generator.HEADINGS) == list(generator.SELECTED_BY)
    assert set(generator.HEADINGS) == set(HOOKS)


def test_every_option_has_a_row(generator):
    page = (DOCS / "parts.md").read_text(encoding="utf-8")
    for kind, heading in generator.HEADINGS.items():
        chapter = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        for offer in generator.own(kind):
            section = chapter.split(f"### `{offer.name}`\n")[1].split("\n##")[0]
            assert all(f"| `{name}` |" in section for name in options.options(offer.factory))
