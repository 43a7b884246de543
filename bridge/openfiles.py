"""The limit on open files: a process that runs into it in the middle of a day refuses callers."""

from __future__ import annotations

import resource

from bridge.errors import ConfigurationError

FILES_PER_CALL = 3
"""The caller's socket, the model's, and a webhook's."""
FILES_BESIDE_CALLS = 512
"""Pooled model sessions, health checks, the store, the interpreter's own."""


def ensure_open_files(max_calls: int) -> None:
    """Raise the soft limit to what they need; ConfigurationError if the hard one is lower."""
    needed = max_calls * FILES_PER_CALL + FILES_BESIDE_CALLS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        fault = (
            f"MAX_CALLS is {max_calls}, which needs {needed} open files, but this process may open "
            f"{hard}: raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower MAX_CALLS"
        )
        raise ConfigurationError([fault])
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
