"""The broker that a command speaks to: named on the command line, or by the settings of the services."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from deploy.local.errors import LocalRunError
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings, unreadable

_ANSWER_TIMEOUT_MS: Final = 10_000


class SettingsUnusable(LocalRunError):
    """The settings of the broker, or the files that they name, cannot be used."""

    code = "settings-unusable"


class BrokerRefuses(LocalRunError):
    """The broker does not take us: it is not there, not the one we trust, or does not know who we are."""

    code = "broker-refuses"
    retryable = True


def broker_of(kafka: str | None) -> Connection:
    """The broker at `host:port`, or the one of the settings; encryption and login are those of the settings.

    Raises:
        SettingsUnusable: the message names the setting and what was expected.
    """
    try:
        return Connection(Settings() if kafka is None else Settings(kafka=kafka))
    except (ValueError, OSError) as error:
        raise SettingsUnusable(unreadable(error)) from None


def reached_broker(kafka: str | None) -> Connection:
    """As `broker_of`, after a first connection and login.

    Raises:
        SettingsUnusable: the message names the setting and what was expected.
        BrokerRefuses: the message says what it said.
    """
    broker = broker_of(kafka)
    try:
        asyncio.run(broker.check(_ANSWER_TIMEOUT_MS))
    except (KafkaError, OSError) as error:
        raise BrokerRefuses(f"the broker {broker.servers} does not take us: {type(error).__name__}: {error}") from None
    return broker
