"""Keys and certificates of a throw-away cluster, made by openssl (3.0 or newer)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import shell

_DAYS = 365
_TIMEOUT_SECONDS = 30.0
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Identity:
    """Whom a certificate stands for."""

    name: str
    """Name of the files: ``<name>.crt`` and ``<name>.key``."""
    common_name: str
    organization: str | None = None
    alternative_names: tuple[str, ...] = ()
    """As openssl writes them: ``DNS:localhost``, ``IP:127.0.0.1``."""

    def subject(self) -> str:
        """Return the distinguished name in openssl's form."""
        organization = f"/O={self.organization}" if self.organization else ""
        return f"{organization}/CN={self.common_name}"


@dataclass(frozen=True)
class Authority:
    """A directory with a certificate authority, a service account key, and what the authority issued."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The authority's private key."""
        return self.directory / "ca.key"

    @property
    def service_account_key(self) -> Path:
        """The private key that signs service account tokens; also says how to verify them."""
        return self.directory / "sa.key"

    def certificate(self, name: str) -> Path:
        """Return the certificate issued under ``name``."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the private key issued under ``name``."""
        return self.directory / f"{name}.key"


def create(directory: Path, identities: Sequence[Identity]) -> Authority:
    """Make an authority in ``directory`` and issue each identity a certificate for both ends of TLS."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority(directory)
    _openssl(
        *("req", "-x509", *_KEY, "-keyout", authority.ca_key, "-out", authority.ca),
        *("-subj", "/CN=sophia-local-ca", "-days", str(_DAYS)),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    with ThreadPoolExecutor(max_workers=4) as pool:
        made = [pool.submit(_issue, authority, identity) for identity in identities]
        # In SEC 1 form: the API server reads the public half out of it, which it does not from PKCS #8.
        made.append(
            pool.submit(
                _openssl,
                *("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
                *("-out", authority.service_account_key),
            )
        )
        for each in made:
            each.result()
    return authority


def _issue(authority: Authority, identity: Identity) -> None:
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=clientAuth,serverAuth",
    ]
    if identity.alternative_names:
        extensions.append(f"subjectAltName={','.join(identity.alternative_names)}")
    _openssl(
        *("req", "-x509", *_KEY, "-CA", authority.ca, "-CAkey", authority.ca_key),
        *("-keyout", authority.key(identity.name), "-out", authority.certificate(identity.name)),
        *("-subj", identity.subject(), "-days", str(_DAYS)),
        *(word for extension in extensions for word in ("-addext", extension)),
    )


def _openssl(*arguments: str | Path) -> None:
    shell.run(["openssl", *arguments], timeout=_TIMEOUT_SECONDS)
