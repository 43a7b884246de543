"""Latencies as HdrHistograms: recorded in microseconds, told in milliseconds, merged exactly."""

from __future__ import annotations

import binascii
import weakref
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from hdrh.codec import (  # type: ignore[import-untyped]
    HdrCookieException,
    HdrHistogramSettingsException,
    HdrLengthException,
)
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from numpy.typing import NDArray

LOWEST_US = 1
HIGHEST_US = 600_000_000
"""10 minutes. Longer waits are recorded as this long."""
DIGITS = 3

PERCENTILES: Mapping[str, float] = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}
STATISTICS = (*PERCENTILES, "max", "mean")

Counts: TypeAlias = NDArray[np.uint64]
"""How many values fell into each bucket of a histogram."""


class Buckets(NamedTuple):
    """The filled buckets of a histogram, in order, and how many values each holds."""

    places: NDArray[np.intp]
    counts: Counts


_UNREADABLE = (
    HdrCookieException,
    HdrHistogramSettingsException,
    HdrLengthException,
    binascii.Error,
    zlib.error,
    IndexError,
    ValueError,
)


class Latency:
    """One figure. Values are exact to three digits; beyond 10 minutes they count as 10 minutes."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        # Else the two hold each other, and 170 KiB a second wait for a collector that seldom comes.
        self._histogram.encoder.histogram = weakref.proxy(self._histogram)
        # The library counts in a ctypes array: numpy sees the same memory, and reads it at once
        # where the library takes milliseconds, in which no frame would leave.
        self._counts: Counts = np.frombuffer(self._histogram.counts, dtype=np.uint64)

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> Latency:
        latency = cls()
        for value in values_ms:
            latency.record(value)
        return latency

    @classmethod
    def from_counts(cls, counts: Counts) -> Latency:
        """The histogram that has these buckets."""
        latency = cls()
        latency._add_counts(counts)
        return latency

    @classmethod
    def from_buckets(cls, buckets: Buckets) -> Latency:
        """The histogram that has these buckets, and nothing else."""
        latency = cls()
        latency._add(buckets)
        return latency

    @classmethod
    def decode(cls, encoded: str) -> Latency:
        """Read base64 of the HdrHistogram V2 encoding; ValueError where it is none of ours."""
        try:
            histogram = HdrHistogram.decode(encoded)
        except _UNREADABLE as error:
            raise ValueError(f"not an HdrHistogram in base64: {error or type(error)}") from None
        shape = (
            histogram.lowest_trackable_value,
            histogram.highest_trackable_value,
            histogram.significant_figures,
        )
        if shape != (LOWEST_US, HIGHEST_US, DIGITS):
            raise ValueError(
                f"histogram has range and digits {shape}, "
                f"expected {(LOWEST_US, HIGHEST_US, DIGITS)}"
            )
        latency = cls()
        given = np.frombuffer(histogram.counts, dtype=np.uint64)
        counts = np.zeros_like(latency._counts)
        counts[: len(given)] = given[: len(counts)]
        latency._add_counts(counts)
        return latency

    def encode(self) -> str:
        return str(self._histogram.encode().decode("ascii"))

    def record(self, value_ms: float, times: int = 1) -> None:
        """Raises ValueError for what is no waiting time."""
        if not value_ms >= 0:
            raise ValueError(f"a latency is {value_ms} ms, expected 0 or more")
        self._histogram.record_value(min(HIGHEST_US, round(value_ms * 1000)), times)

    def record_many_us(self, values_us: NDArray[np.int64]) -> Buckets:
        """Many values at once, in microseconds; below 0 counts as 0. Which buckets grew."""
        grown = _bucketed(np.clip(values_us, 0, HIGHEST_US))
        self._add(grown)
        return grown

    def add(self, other: Latency) -> None:
        """Afterwards this is the histogram of all values of both."""
        self._add_counts(other._counts)

    def _add_counts(self, counts: Counts) -> None:
        filled = np.flatnonzero(counts)
        self._add(Buckets(filled, counts[filled]))

    def _add(self, buckets: Buckets) -> None:
        places, counts = buckets
        if not len(places):
            return
        histogram = self._histogram
        self._counts[places] += counts
        histogram.total_count += int(counts.sum())
        low, high = (histogram.get_value_from_index(int(places[at])) for at in (0, -1))
        histogram.min_value = min(histogram.min_value, low)
        histogram.max_value = max(histogram.max_value, high)

    # --- reading --------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return int(self._histogram.total_count)

    def counts(self) -> Counts:
        """A copy of the buckets: the difference of two is what came between."""
        return self._counts.copy()

    def values_ms(self) -> tuple[NDArray[np.float64], Counts]:
        """The middle of each filled bucket, and how many values fell into it: for plots."""
        filled = np.flatnonzero(self._counts)
        return self._middles_us(filled) / 1000, self._counts[filled]

    def percentile_ms(self, percentile: float) -> float:
        """The value that so many per cent do not exceed; ValueError where there is none."""
        return self.percentiles_ms((percentile,))[0]

    def percentiles_ms(self, percentiles: Sequence[float]) -> tuple[float, ...]:
        """Several at once, which costs little more than one."""
        self._needs_values()
        histogram = self._histogram
        filled = np.flatnonzero(self._counts)
        reached = np.cumsum(self._counts[filled])
        wanted = [histogram.get_target_count_at_percentile(one) for one in percentiles]
        values = (
            histogram.get_value_from_index(int(filled[np.searchsorted(reached, one)]))
            for one in wanted
        )
        return tuple(float(histogram.get_highest_equivalent_value(v)) / 1000 for v in values)

    @property
    def max_ms(self) -> float:
        return self.percentile_ms(100)

    @property
    def mean_ms(self) -> float:
        self._needs_values()
        middles, counts = self.values_ms()
        return float((middles * counts).sum()) / self.count

    def statistic_ms(self, name: str) -> float:
        """One of ``STATISTICS``."""
        if name == "max":
            return self.max_ms
        return self.mean_ms if name == "mean" else self.percentile_ms(PERCENTILES[name])

    def _needs_values(self) -> None:
        if not self.count:
            raise ValueError("nothing was recorded")

    def _middles_us(self, indexes: NDArray[np.intp]) -> NDArray[np.float64]:
        histogram = self._histogram
        lows = [histogram.get_value_from_index(int(index)) for index in indexes]
        highs = [histogram.get_highest_equivalent_value(low) for low in lows]
        return (np.array(lows, dtype=np.float64) + np.array(highs, dtype=np.float64)) / 2


_SUB_BUCKET_BITS = 11
"""2 x 10^3 values told apart need 2048 places."""


def _bucketed(values_us: NDArray[np.int64]) -> Buckets:
    """What the library does for one value, for many: which bucket each of them falls into."""
    mask = (1 << _SUB_BUCKET_BITS) - 1
    bits = np.frexp((values_us | mask).astype(np.float64))[1]  # bit_length, exact below 2^53
    bucket = bits.astype(np.int64) - _SUB_BUCKET_BITS
    half = 1 << (_SUB_BUCKET_BITS - 1)
    index = (bucket + 1) * half + (values_us >> bucket) - half
    places, counts = np.unique(index, return_counts=True)
    return Buckets(places.astype(np.intp), counts.astype(np.uint64))
