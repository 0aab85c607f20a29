"""Commands of commands, and the nearest word for a typo."""

from __future__ import annotations

from typing import Any

import click


class Group(click.Group):
    """A group that knows what somebody meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click's, with the nearest names for a typo."""
        from nat_core.errors import unknown

        known = self.list_commands(ctx)
        if args and args[0] not in known:
            raise click.UsageError(unknown("command", args[0], known), ctx)
        return super().resolve_command(ctx, args)
