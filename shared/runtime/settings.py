"""Settings of a service: read once from the environment, frozen, passed down. Secrets come from files only."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings that all services share. A variable is the field's name in capitals after `MAMAPOST_`."""

    model_config = SettingsConfigDict(env_prefix="MAMAPOST_", frozen=True, extra="ignore")

    kafka: Annotated[str, Field(description="Bootstrap servers, host:port[,host:port].")] = "127.0.0.1:9092"
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
        Field(ge=1, le=5000, description="Longest wait of a fetch; the embedded broker wakes none early."),
    ] = 20
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
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="Least severe level that is logged.")
    ] = "info"

    def command_secret(self, service: str) -> bytes:
        """Key of the hashes under which a service keeps the inputs of commands; the same in all its instances.

        Derived from the master key where there is one. Without it a fixed key will do: only commands of the registry
        hold personal data, and it does not start without a master key.

        Raises:
            OSError: the master key file cannot be read.
        """
        master = self.master_key_file.read_text(encoding="ascii").strip() if self.master_key_file else ""
        return hmac.new(master.encode(), f"mamapost {service}: command inputs".encode(), hashlib.sha256).digest()
