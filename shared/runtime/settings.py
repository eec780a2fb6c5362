"""Settings of a service: read once from the environment, frozen, passed down. Secrets come from files only."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def unreadable(error: ValidationError | ValueError | OSError) -> str:
    """Why settings cannot be used, by variable, in one line and without their values."""
    if not isinstance(error, ValidationError):
        return str(error)
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"MAMAPOST_{'_'.join(map(str, f['loc'])).upper()}: {_wanted(f)}" for f in faults)


def _wanted(fault: Any) -> str:
    if fault["type"] == "path_type":
        return "expected the path of a file"
    return str(fault["msg"]).removeprefix("Value error, ")


class Settings(BaseSettings):
    """Settings that all services share. A variable is the field's name in capitals after `MAMAPOST_`."""

    model_config = SettingsConfigDict(env_prefix="MAMAPOST_", frozen=True, extra="ignore")

    kafka: Annotated[str, Field(description="Bootstrap servers, host:port[,host:port].")] = "127.0.0.1:9092"
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="How to speak to the broker, in Kafka's own words: SSL encrypts, SASL logs in."),
    ] = "PLAINTEXT"
    kafka_ca_file: Annotated[
        Path | None, Field(description="Whom to trust to sign the broker's certificate, PEM; default: the system's.")
    ] = None
    kafka_cert_file: Annotated[
        Path | None, Field(description="Certificate to show to the broker, PEM; where it asks clients for theirs.")
    ] = None
    kafka_key_file: Annotated[
        Path | None, Field(validate_default=True, description="Key of that certificate, PEM, without a passphrase.")
    ] = None
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Field(description="How to log in; PLAIN only where the connection is encrypted."),
    ] = "SCRAM-SHA-512"
    kafka_username: Annotated[
        str | None, Field(min_length=1, validate_default=True, description="Name to log in with.")
    ] = None
    kafka_password_file: Annotated[
        Path | None, Field(validate_default=True, description="Password to log in with; one line.")
    ] = None
    mongo: Annotated[str, Field(description="MongoDB URL of a replica set.")] = (
        "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    )
    db_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="Database = prefix_service.")] = (
        "mamapost"
    )
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port to listen on.")] = 8000
    tokens_file: Annotated[Path | None, Field(description="Bearer tokens and their scopes; one a line.")] = None
    master_key_file: Annotated[Path | None, Field(description="32-byte key, hex; wraps the keys of persons.")] = None
    replication_factor: Annotated[int, Field(ge=1, le=7, description="Replicas of each topic.")] = 1
    fetch_max_wait_ms: Annotated[
        int,
        Field(
            ge=1, le=5000, description="Longest wait of a fetch, in a silence; the embedded broker wakes none early."
        ),
    ] = 250
    batch_max_records: Annotated[
        int,
        Field(ge=1, le=5000, description="Messages of one batch; one MongoDB transaction holds them all."),
    ] = 500
    relay_batch_max: Annotated[
        int, Field(ge=1, le=5000, description="Events the relay sends before it waits for their acknowledgements.")
    ] = 1000
    figures_interval_s: Annotated[
        float, Field(ge=1, le=3600, description="Pause between counts of the programme's figures for dashboards.")
    ] = 60
    trace_to: Annotated[
        str | None,
        Field(
            pattern=r"^(https?://[^\s?#]+|file:///[^\s?#]+)$",
            description="Where spans of traces go: an OTLP collector over HTTP, e.g. http://127.0.0.1:4318, or "
            "file:///path, one JSON object a line; default: nowhere, nothing is traced.",
        ),
    ] = None
    trace_ratio: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the traces begun here that is recorded; a caller's own count as is."),
    ] = 0.1
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="Least severe level that is logged.")
    ] = "info"

    @field_validator("kafka_ca_file", "kafka_cert_file", "kafka_key_file")
    @classmethod
    def _only_with_encryption(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        protocol = info.data.get("kafka_security_protocol")
        if file is not None and protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(f"expected only with SSL or SASL_SSL; MAMAPOST_KAFKA_SECURITY_PROTOCOL is {protocol}")
        return file

    @field_validator("kafka_key_file")
    @classmethod
    def _with_its_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if "kafka_cert_file" in info.data and (file is None) != (info.data["kafka_cert_file"] is None):
            raise ValueError("expected together with MAMAPOST_KAFKA_CERT_FILE, or neither")
        return file

    @field_validator("kafka_sasl_mechanism")
    @classmethod
    def _no_password_in_the_clear(cls, mechanism: str, info: ValidationInfo) -> str:
        if mechanism == "PLAIN" and info.data.get("kafka_security_protocol") == "SASL_PLAINTEXT":
            raise ValueError("expected SCRAM-SHA-256 or SCRAM-SHA-512 without encryption: PLAIN shows the password")
        return mechanism

    @field_validator("kafka_username", "kafka_password_file")
    @classmethod
    def _for_a_login(cls, given: str | Path | None, info: ValidationInfo) -> str | Path | None:
        protocol = info.data.get("kafka_security_protocol")
        if protocol is not None and (given is not None) != protocol.startswith("SASL_"):
            wanted = "to be given" if given is None else "only where the protocol begins with SASL_"
            raise ValueError(f"expected {wanted}; MAMAPOST_KAFKA_SECURITY_PROTOCOL is {protocol}")
        return given

    def command_secret(self, service: str) -> bytes:
        """Key of the hashes under which a service keeps the inputs of commands; the same in all its instances.

        Derived from the master key where there is one. Without it a fixed key will do: only commands of the registry
        hold personal data, and it does not start without a master key.

        Raises:
            OSError: the master key file cannot be read.
        """
        master = self.master_key_file.read_text(encoding="ascii").strip() if self.master_key_file else ""
        return hmac.new(master.encode(), f"mamapost {service}: command inputs".encode(), hashlib.sha256).digest()
