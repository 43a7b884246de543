"""``triage-bridge`` and ``python -m bridge``."""

from __future__ import annotations

from bridge.cli import cli


def main() -> None:
    cli(prog_name="triage-bridge")


if __name__ == "__main__":
    main()
