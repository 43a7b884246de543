"""``triage-bridge loadtest``: the load-test harness, which drives any bridge and knows none.

Only here the harness meets this bridge: where it is to start one of its own, it is handed spoken
lines as the bridge keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.lines import LineCache
from dispatch.text import in_language
from dispatch.triagefile import load
from loadtest.demo.voice import spoken
from loadtest.harness.cli import loadtest_group


def spoken_lines(triage_file: Path, folder: Path) -> Mapping[str, str]:
    """A greeting cache with every line of the file that was recorded."""
    cache = LineCache(folder / "lines")
    policy = load(triage_file).policy
    lines = policy.lines
    for line in (lines.greeting, lines.apology, lines.hold):
        text = in_language(line, policy.language)
        ulaw = spoken(text)
        if ulaw is not None:
            cache.put(policy.model.voice, policy.model.model, text, ulaw)
    return {"GREETING_CACHE": str(folder / "lines"), "MAKE_LINES": "off"}


command = loadtest_group(spoken_lines)
