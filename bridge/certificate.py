"""TLS of our own port, for an installation without a load balancer that ends it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM: the certificate with those that vouch for it behind it, and its unencrypted key."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Reads both files. Raises ConfigurationError, in the names of the settings."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """What ``context`` shows from the next connection on. Raises ConfigurationError."""
        try:
            # An encrypted key would otherwise ask for its password on the terminal.
            context.load_cert_chain(self.chain, self.key, password=lambda: b"")
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            fault = (
                f"TLS_CERT is {str(self.chain)!r} and TLS_KEY {str(self.key)!r}, expected a "
                f"certificate chain and its key, not encrypted, in PEM: {reason}"
            )
            raise ConfigurationError([fault]) from None


class ShownCertificate:
    """The certificate of a port that is served; ``renew`` when the files have changed."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises ConfigurationError."""
        self._files = files
        self.context = files.context()

    def renew(self) -> None:
        """For connections from then on. Raises ConfigurationError, and then nothing has changed."""
        self._files.context()  # half a pair must never get into the one that is in use
        self._files.load_into(self.context)
