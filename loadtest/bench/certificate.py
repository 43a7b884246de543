"""A self-made certificate, for measuring with TLS on the model's leg and on the callers'."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.system import BenchError

_DAYS = "2"


@dataclass(frozen=True, slots=True)
class Certificate:
    """For localhost and 127.0.0.1, in PEM."""

    public: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """TLS for the side that owns the key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.public, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """TLS for the side that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=self.public)

    @property
    def shown_by_system(self) -> dict[str, str]:
        """For the environment of a system that ends TLS on its own port."""
        return {"TLS_CERT": str(self.public), "TLS_KEY": str(self.key)}


def make_certificate(folder: Path) -> Certificate:
    """Made by the ``openssl`` command, as files in ``folder``."""
    made = Certificate(folder / "bench.crt", folder / "bench.key")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", _DAYS, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(made.key), "-out", str(made.public),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- fixed arguments
    except FileNotFoundError:
        raise BenchError("--tls needs the openssl command to make a certificate") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise BenchError(f"openssl could not make a certificate: {said}") from error
    return made
