"""What an upgrade request is answered with: refusals come after the upgrade, as error events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from picows import WSUpgradeRequest

from . import beta
from .refusals import Refusal

PATH = "/v1/realtime"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Error event and close that follow the upgrade."""

    refusal: Refusal
    close_code: int

    @property
    def close_reason(self) -> str:
        return f"{self.refusal.kind}.{self.refusal.code}"


WRONG_KEY = Rejection(Refusal("invalid_api_key", "Incorrect API key provided."), 3000)


def is_for_us(request: WSUpgradeRequest) -> bool:
    """Another path is a plain 404."""
    return urlsplit(request.path.decode("latin-1")).path == PATH


def model_of(request: WSUpgradeRequest) -> str:
    """The ``model`` of the query; empty where there is none."""
    query = parse_qs(urlsplit(request.path.decode("latin-1")).query)
    return query.get("model", [""])[0]


def wants_beta(request: WSUpgradeRequest) -> bool:
    """Whether the client asks for the wire of the beta."""
    return beta.HEADER_VALUE in request.headers.get(beta.HEADER, "")


def rejection(
    request: WSUpgradeRequest,
    api_keys: Collection[str] | None,
    models: Collection[str],
    *,
    beta_served: bool = False,
) -> Rejection | None:
    """Why this client gets no session. ``api_keys`` None takes any key."""
    in_beta = wants_beta(request)
    if in_beta and not beta_served:
        message = "The Realtime Beta API is no longer supported. Please use the GA API."
        return Rejection(Refusal("beta_api_shape_disabled", message), 4000)
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = "Missing bearer or basic authentication in header."
        return Rejection(Refusal("invalid_api_key", message), 3000)
    if api_keys is not None and key not in api_keys:
        return WRONG_KEY
    model = model_of(request)
    if not model:
        return Rejection(Refusal("missing_model", "You must provide a model parameter."), 4000)
    if model not in models and not (in_beta and model in beta.MODELS):
        message = f"The model `{model}` does not exist or you do not have access to it."
        return Rejection(Refusal("model_not_found", message, "model"), 4000)
    return None
