"""Rollouts for Prometheus: from the store, so that every process shows the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "triage_bridge_rollout_"
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def exposition(facts: Mapping[str, Any], steps_back: Mapping[str, int]) -> str:
    """The text format, version 0.0.4. ``facts`` as in ``bridge.traffic.overview``."""
    tenants = facts["tenants"]
    killed = [({"tenant": one["tenant"]}, float(one["killed"])) for one in tenants]
    shares = [
        ({"tenant": one["tenant"], "number": number}, share)
        for one in tenants
        for number, share in one["shares"].items()
    ]
    steps = [
        ({"tenant": one["tenant"]}, float(steps_back.get(one["tenant"], 0))) for one in tenants
    ]
    lines = [
        *_family("share_percent", "gauge", "Share of callers asked for.", shares),
        *_family("killed", "gauge", "1 while the tenant's kill switch is on.", killed),
        *_family("all_killed", "gauge", "The same of all.", [({}, float(facts["all_killed"]))]),
        *_family("guard_steps_back_total", "counter", "So often the guard stepped back.", steps),
    ]
    return "\n".join([*lines, ""])


def _family(
    name: str, kind: str, explained: str, samples: list[tuple[dict[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {explained}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for labels, value in samples:
        told = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels.items())
        yield f"{PREFIX}{name}{{{told}}} {value:g}" if told else f"{PREFIX}{name} {value:g}"
