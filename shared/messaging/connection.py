"""How a client reaches the broker: the one place that turns settings into what the client libraries take."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.runtime.settings import Settings

REQUEST_TIMEOUT_MS = 10_000
"""A request that takes longer is lost; a healthy broker answers within milliseconds."""

METADATA_MAX_AGE_MS = 2_000
"""How long a client believes what a broker told it of topics. Just made, one broker knows of them and another does not
yet: a consumer that asked the latter is given no partitions, and would stand idle for the client's own five minutes."""

_LOGINS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


class Connection:
    """Arguments for clients of the broker; the files that the settings name are read once, here.

    Attributes:
        servers: bootstrap servers, host:port[,host:port].
        security: for FastStream; `None` where neither encryption nor login is asked for.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file does not hold what it should; the message names the variable, not the content.
    """

    def __init__(self, settings: Settings) -> None:
        self.servers = settings.kafka
        self.security = _security_of(settings)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for a producer, consumer or admin client of aiokafka."""
        return {"bootstrap_servers": self.servers, **parse_security(self.security)}

    async def check(self, timeout_ms: int) -> None:
        """Connect and log in once. The clients tell only that no server took them; this tells why.

        Raises:
            KafkaError: the last server refused the login, or did not answer in time.
            OSError: it cannot be reached, or its certificate is not one to be trusted.
        """
        refused: KafkaError | OSError = KafkaConnectionError("no server is named")
        for host, port, _ in collect_hosts(self.servers):
            try:
                (await create_conn(host, port, request_timeout_ms=timeout_ms, **parse_security(self.security))).close()
            except (KafkaError, OSError) as error:  # TimeoutError is an OSError
                refused = error
            else:
                return
        raise refused


def _security_of(settings: Settings) -> BaseSecurity | None:
    protocol = settings.kafka_security_protocol
    context = _context_of(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL_"):
        if settings.kafka_username is None or settings.kafka_password_file is None:
            raise ValueError("unreachable: the settings refuse a login without a name or a password")
        login = _LOGINS[settings.kafka_sasl_mechanism]
        return login(settings.kafka_username, _password_in(settings.kafka_password_file), ssl_context=context)
    return BaseSecurity(ssl_context=context) if context is not None else None


def _context_of(settings: Settings) -> ssl.SSLContext:
    """Checks the broker's certificate and name, and shows ours where there is one."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    except OSError:  # of OpenSSL too; neither names the file
        raise ValueError(
            f"MAMAPOST_KAFKA_CA_FILE: expected certificates in PEM form in {settings.kafka_ca_file}"
        ) from None
    if settings.kafka_cert_file is not None:
        try:
            # A key with a passphrase would make OpenSSL ask for it on the terminal; an empty one is refused instead.
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file, password="")
        except OSError:  # of OpenSSL too; neither names the file
            raise ValueError(
                f"MAMAPOST_KAFKA_KEY_FILE: expected the key of {settings.kafka_cert_file}, both in PEM form, and the "
                f"key without a passphrase, in {settings.kafka_key_file}"
            ) from None
    return context


def _password_in(file: Path) -> str:
    password = file.read_text(encoding="utf-8").strip()
    if not password:
        raise ValueError(f"MAMAPOST_KAFKA_PASSWORD_FILE: expected a password in {file}")
    return password
