"""The command line's options for other people's bridges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import click

from loadtest.harness.compat import Compatibility, Dialect, parse_parameters, parse_resolve

Decorated: TypeAlias = Callable[..., Any]

_OPTIONS = (
    click.option(
        "--dialect",
        type=click.Choice(["ga", "beta"]),
        default="ga",
        help="What the simulated model speaks; beta for those with OpenAI-Beta: realtime=v1.",
    ),
    click.option("--no-signature", is_flag=True, help="Send no X-Twilio-Signature."),
    click.option(
        "--parameter",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="With --target: a <Parameter> of the <Stream>, such as a token.",
    ),
    click.option(
        "--resolve",
        multiple=True,
        metavar="PUBLIC=LOCAL",
        help="Where an origin is really reached: https://public.example=http://127.0.0.1:5050.",
    ),
)


def compatibility_options(function: Decorated) -> Decorated:
    """Adds ``dialect``, ``no_signature``, ``parameters`` and ``resolve``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def compatibility(
    dialect: Dialect, no_signature: bool, parameters: tuple[str, ...], resolve: tuple[str, ...]
) -> Compatibility:
    """Of the values that the options gave; CompatError for what cannot be used."""
    return Compatibility(
        dialect, not no_signature, parse_parameters(parameters), parse_resolve(resolve)
    )
