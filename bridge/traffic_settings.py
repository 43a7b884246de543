"""What deciding about calls needs from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from bridge.environment import Environment

DEFAULT_KEY = b"triage-bridge rollout"
MIN_TOKEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When connecting to the model is given up for a while."""

    failures: int = 5
    """In a row."""
    open_s: float = 15.0
    """From then to the next try."""


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    rollout_key: SecretStr | None = None
    """Who is on which side of a share; the same in every process. None: a key that anybody knows"""
    admin_token: SecretStr | None = None
    """None: there is no admin API."""
    max_loop_delay_ms: float = 100.0
    """How late the event loop may be, on average over two seconds."""
    token_reserve: float = 10.0
    """Percent of the model's tokens a minute that further calls leave alone."""
    tokens_per_call: int = 2000
    """What a call is taken to need in its first minute, until the model reports again."""
    breaker: BreakerSettings = BreakerSettings()

    @property
    def key(self) -> bytes:
        secret = self.rollout_key
        return DEFAULT_KEY if secret is None else secret.get_secret_value().encode()

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        return tuple(one for one in (self.rollout_key, self.admin_token) if one is not None)


def traffic_settings(env: Environment) -> TrafficSettings:
    """One branch of the settings; what is wrong becomes a fault of ``env``."""
    return TrafficSettings(
        rollout_key=_long_enough(env, "ROLLOUT_KEY"),
        admin_token=_long_enough(env, "ADMIN_TOKEN"),
        max_loop_delay_ms=env.number("MAX_LOOP_DELAY_MS", 100, 5, 10_000),
        token_reserve=env.number("MODEL_TOKEN_RESERVE", 10, 0, 90),
        tokens_per_call=env.integer("MODEL_TOKENS_PER_CALL", 2000, 0, 1_000_000),
        breaker=BreakerSettings(
            failures=env.integer("BREAKER_FAILURES", 5, 1, 1000),
            open_s=env.number("BREAKER_OPEN_S", 15, 1, 600),
        ),
    )


def _long_enough(env: Environment, name: str) -> SecretStr | None:
    secret = env.secret(name)
    if secret is not None and len(secret.get_secret_value()) < MIN_TOKEN_CHARS:
        env.fault(f"{name} is too short, expected at least {MIN_TOKEN_CHARS} characters")
    return secret
