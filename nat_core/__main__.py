"""`python -m nat_core` is `nat`."""

from __future__ import annotations

from nat_core.cli import main

if __name__ == "__main__":
    main()
