"""What a call cost, by dated prices. Unknown is not zero: a part without a price has no sum."""

from __future__ import annotations

import datetime as dt
import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.call.usage import UsageMeter
from bridge.errors import ConfigurationError

_PER_TOKEN = 1e-6


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPrices(_Strict):
    """US dollars per million tokens."""

    audio_in: float = Field(ge=0)
    audio_cached: float = Field(ge=0)
    audio_out: float = Field(ge=0)
    text_in: float = Field(ge=0)
    text_cached: float = Field(ge=0)
    text_out: float = Field(ge=0)

    def usd(self, used: UsageMeter) -> float:
        """Cached tokens are a subset of the input; cancelled responses are in the sums already."""
        return _PER_TOKEN * (
            (used.text_in - used.cached_text_in) * self.text_in
            + used.cached_text_in * self.text_cached
            + (used.audio_in - used.cached_audio_in) * self.audio_in
            + used.cached_audio_in * self.audio_cached
            + used.text_out * self.text_out
            + used.audio_out * self.audio_out
        )


class TwilioPrices(_Strict):
    """US dollars per started minute."""

    stream_minute: float = Field(ge=0)
    voice_minute: float = Field(default=0.0, ge=0)


class PriceList(_Strict):
    """The prices that hold from a day on."""

    valid_from: dt.date = Field(alias="from")
    realtime: dict[str, TokenPrices]
    transcription: dict[str, float] = {}
    twilio: TwilioPrices


class _PriceFile(_Strict):
    prices: tuple[PriceList, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars; None where something in it has no known price."""

    prices_from: dt.date | None = None
    model: float | None = None
    transcription: float | None = None
    twilio: float | None = None

    @property
    def total(self) -> float | None:
        if self.model is None or self.transcription is None or self.twilio is None:
            return None
        return self.model + self.transcription + self.twilio


class Prices:
    """All price lists, to be asked by day."""

    def __init__(self, lists: tuple[PriceList, ...]) -> None:
        self._lists = tuple(sorted(lists, key=lambda prices: prices.valid_from))

    def on(self, day: dt.date) -> PriceList | None:
        """None before the first list begins."""
        begun = [prices for prices in self._lists if prices.valid_from <= day]
        return begun[-1] if begun else None

    def cost(
        self,
        used: UsageMeter,
        *,
        model: str,
        transcription_model: str | None,
        stream_s: float,
        day: dt.date,
    ) -> Cost:
        """Of one conversation. ``stream_s``: how long the stream was open."""
        prices = self.on(day)
        if prices is None:
            return Cost()
        tokens = prices.realtime.get(model)
        minutes = math.ceil(stream_s / 60)
        twilio = prices.twilio
        return Cost(
            prices_from=prices.valid_from,
            model=None if tokens is None else tokens.usd(used),
            transcription=_transcription(prices, transcription_model, used),
            twilio=minutes * (twilio.stream_minute + twilio.voice_minute),
        )


def _transcription(prices: PriceList, model: str | None, used: UsageMeter) -> float | None:
    if used.transcripts_untimed:
        return None
    if model is None or used.transcribed_seconds == 0:
        return 0.0
    per_minute = prices.transcription.get(model)
    return None if per_minute is None else used.transcribed_seconds / 60 * per_minute


def read_prices(path: Path | None = None) -> Prices:
    """The operator's file, else the one of this package. Raises ConfigurationError."""
    name = "PRICES_FILE" if path is None else f"PRICES_FILE {path}"
    try:
        text = _shipped() if path is None else path.read_text(encoding="utf-8")
        file = _PriceFile.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError([f"{name} cannot be read: {error.strerror}"]) from None
    except ValidationError as error:
        raise ConfigurationError([f"{name}: {_where(one)}" for one in error.errors()]) from None
    except ValueError as error:
        raise ConfigurationError([f"{name} is not TOML: {error}"]) from None
    return Prices(file.prices)


def _shipped() -> str:
    return resources.files("bridge.store").joinpath("prices.toml").read_text(encoding="utf-8")


def _where(error: object) -> str:
    details = dict(error)  # type: ignore[call-overload]
    path = ".".join(str(part) for part in details["loc"])
    return f"{path}: {details['msg']}"
