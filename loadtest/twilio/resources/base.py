"""What all REST operations share: the checked request, the error body, a page of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from loadtest.twilio.rest_schema import Form

if TYPE_CHECKING:
    from loadtest.twilio.call import Exchange

Json: TypeAlias = dict[str, Any]


class RestError(Exception):
    """Twilio's error body."""

    def __init__(
        self, status: int, code: int, message: str, details: Mapping[str, object] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        super().__init__(f"{status} {code}: {message}")

    def as_json(self) -> Json:
        body: Json = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return {**body, "details": dict(self.details)} if self.details else body


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose fields have been checked against the description."""

    path: Mapping[str, str]
    query: Form
    form: Form

    def get(self, field: str) -> str | None:
        values = self.form.get(field)
        return values[0] if values else None


Handler: TypeAlias = Callable[["Exchange", Request], Json]


def not_found(path: str) -> RestError:
    return RestError(404, 20404, f"The requested resource {path} was not found")


def iso(moment: datetime) -> str:
    """As TaskRouter and Studio write it; the SDK reads nothing else."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def listing(key: str, found: list[Json]) -> Json:
    """A page with everything on it."""
    return {key: found, "meta": {"key": key, "page": 0, "page_size": 50, "next_page_url": None}}
