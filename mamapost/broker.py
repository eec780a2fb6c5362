"""The broker that a command speaks to: named on the command line, or by the settings of the services."""

from __future__ import annotations

from deploy.local.errors import LocalRunError
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings, unreadable


class SettingsUnusable(LocalRunError):
    """The settings of the broker, or the files that they name, cannot be used."""

    code = "settings-unusable"


def broker_of(kafka: str | None) -> Connection:
    """The broker at `host:port`, or the one of the settings; encryption and login are those of the settings.

    Raises:
        SettingsUnusable: the message names the setting and what was expected.
    """
    try:
        return Connection(Settings() if kafka is None else Settings(kafka=kafka))
    except (ValueError, OSError) as error:
        raise SettingsUnusable(unreadable(error)) from None
