"""The way to the broker: a wrong combination stops the start by the variable's name, a right one really encrypts."""

from __future__ import annotations

import ast
import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import ValidationError

from shared.messaging.connection import Connection
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.authority import Authority

PASSWORD = "s3cret-4d1a"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MAMAPOST_{name.upper()}", raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


@asynccontextmanager
async def _listening(authority: Authority, *, asks_clients: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Address of a server that speaks TLS alone, and the first bytes that each client said to it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(*authority.issue("broker"))
    context.verify_mode = ssl.CERT_REQUIRED if asks_clients else ssl.CERT_NONE
    said: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}", said


async def _reaches(settings: Settings, said: list[bytes]) -> bool:
    """Whether a client gets so far as to speak Kafka's protocol inside of the encryption."""
    producer = AIOKafkaProducer(**Connection(settings).arguments(), request_timeout_ms=2000)
    try:
        with pytest.raises(Exception, match=r"(?i)bootstrap"):
            await producer.start()
    finally:
        await producer.stop()
    return any(b"aiokafka" in first for first in said)


def test_without_settings_nothing_is_encrypted_and_nobody_logs_in() -> None:
    connection = Connection(Settings(kafka="a:1,b:2"))
    assert connection.arguments() == {"bootstrap_servers": "a:1,b:2"}
    assert connection.security is None


async def test_a_client_speaks_inside_of_the_encryption(authority: Authority) -> None:
    async with _listening(authority) as (kafka, said):
        settings = Settings(kafka=kafka, kafka_security_protocol="SSL", kafka_ca_file=authority.file)
        assert await _reaches(settings, said)


async def test_a_broker_of_another_authority_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    async with _listening(authority) as (kafka, said):
        settings = Settings(kafka=kafka, kafka_security_protocol="SSL", kafka_ca_file=other.file)
        assert not await _reaches(settings, said)


@pytest.mark.parametrize("shows", [True, False])
async def test_a_broker_that_asks_clients_sees_our_certificate(authority: Authority, shows: bool) -> None:
    certificate, key = authority.issue("registry") if shows else (None, None)
    async with _listening(authority, asks_clients=True) as (kafka, said):
        settings = Settings(
            kafka=kafka,
            kafka_security_protocol="SSL",
            kafka_ca_file=authority.file,
            kafka_cert_file=certificate,
            kafka_key_file=key,
        )
        assert await _reaches(settings, said) is shows


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_SSL", "SCRAM-SHA-512"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
    ],
)
def test_a_login_reaches_every_client(protocol: Any, mechanism: Any, password: Path) -> None:
    connection = Connection(
        Settings(
            kafka_security_protocol=protocol,
            kafka_sasl_mechanism=mechanism,
            kafka_username="registry",
            kafka_password_file=password,
        )
    )
    arguments = connection.arguments()
    context = arguments.pop("ssl_context")
    assert arguments == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": protocol,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "registry",
        "sasl_plain_password": PASSWORD,
    }
    if protocol == "SASL_SSL":
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    else:
        assert context is None


_FILE = Path("/etc/mamapost/some")
_LOGIN = {"kafka_username": "registry", "kafka_password_file": _FILE}


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"kafka_security_protocol": "TLS"}, {"kafka_security_protocol"}),
        ({"kafka_security_protocol": "ssl"}, {"kafka_security_protocol"}),
        ({"kafka_ca_file": _FILE}, {"kafka_ca_file"}),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ca_file": _FILE, **_LOGIN}, {"kafka_ca_file"}),
        ({"kafka_cert_file": _FILE, "kafka_key_file": _FILE}, {"kafka_cert_file", "kafka_key_file"}),
        ({"kafka_security_protocol": "SSL", "kafka_cert_file": _FILE}, {"kafka_key_file"}),
        ({"kafka_security_protocol": "SSL", "kafka_key_file": _FILE}, {"kafka_key_file"}),
        ({"kafka_security_protocol": "SASL_SSL"}, {"kafka_username", "kafka_password_file"}),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_username": "registry"}, {"kafka_password_file"}),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_password_file": _FILE}, {"kafka_username"}),
        ({"kafka_security_protocol": "SASL_SSL", **_LOGIN, "kafka_username": ""}, {"kafka_username"}),
        ({"kafka_security_protocol": "SSL", **_LOGIN}, {"kafka_username", "kafka_password_file"}),
        (_LOGIN, {"kafka_username", "kafka_password_file"}),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN", **_LOGIN},
            {"kafka_sasl_mechanism"},
        ),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "GSSAPI", **_LOGIN}, {"kafka_sasl_mechanism"}),
    ],
)
def test_a_wrong_combination_names_what_is_wrong(given: dict[str, Any], faults: set[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    assert {str(error["loc"][-1]) for error in refused.value.errors()} == faults


def test_a_file_that_is_none_is_named(authority: Authority, tmp_path: Path, password: Path) -> None:
    certificate, key = authority.issue("registry")
    _, other = authority.issue("other")
    _, hidden = authority.issue("hidden", b"a passphrase")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    tls: dict[str, Any] = {"kafka_security_protocol": "SSL", "kafka_cert_file": certificate, "kafka_key_file": key}
    login: dict[str, Any] = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_username": "registry"}
    for given, variable in (
        (tls | {"kafka_ca_file": password}, "KAFKA_CA_FILE"),
        (tls | {"kafka_ca_file": tmp_path / "none"}, "KAFKA_CA_FILE"),
        (tls | {"kafka_key_file": tmp_path / "none"}, "KAFKA_KEY_FILE"),
        (tls | {"kafka_key_file": other}, "KAFKA_KEY_FILE"),
        (tls | {"kafka_key_file": hidden}, "KAFKA_KEY_FILE"),
        (tls | {"kafka_cert_file": password}, "KAFKA_KEY_FILE"),
        (login | {"kafka_password_file": empty}, "KAFKA_PASSWORD_FILE"),
    ):
        with pytest.raises(ValueError, match=f"^MAMAPOST_{variable}: expected ") as refused:
            Connection(Settings(**given))
        assert PASSWORD not in str(refused.value)


def test_no_client_is_made_beside_the_connection() -> None:
    """Who names the servers alone would speak without encryption and login."""
    root = Path(__file__).parents[3]
    clients: list[str] = []
    for package in ("shared", "services", "mamapost"):
        for file in (root / package).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                name = getattr(getattr(call, "func", None), "id", "")
                if not isinstance(call, ast.Call) or not (name.startswith("AIOKafka") or name == "KafkaBroker"):
                    continue
                clients.append(name)
                words = {word.arg or ast.unparse(word.value).rpartition(".")[2] for word in call.keywords}
                assert ("security" if name == "KafkaBroker" else "arguments()") in words, f"{file}:{call.lineno}"
    assert {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient", "KafkaBroker"} <= set(clients)


async def test_the_database_is_encrypted_by_its_url(authority: Authority) -> None:
    certificate, key = authority.issue("registry")
    both = authority.file.parent / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    url = f"mongodb://db-1/?replicaSet=rs0&tls=true&tlsCAFile={authority.file}&tlsCertificateKeyFile={both}"
    mongo = Mongo.connect(Settings(mongo=url), "registry")
    context = mongo.client.delegate.options.pool_options._ssl_context
    mongo.close()
    assert context is not None
    with pytest.raises(OSError, match="No such file"):
        Mongo.connect(Settings(mongo="mongodb://db-1/?tls=true&tlsCAFile=/nowhere/ca.pem"), "registry")
