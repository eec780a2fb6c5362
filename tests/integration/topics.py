"""Topics for tests in which their owners do not run."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient

from shared.messaging.topics import ensure_topics, strays
from shared.runtime.settings import Settings


async def make_topics(settings: Settings, names: Sequence[str]) -> None:
    """Make these as their owners do: anew where the broker made one for a consumer that was left over."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        is_changed = True
        while is_changed:
            is_changed = await ensure_topics(admin, names, 1)
            if found := await strays(admin, names):
                await admin.delete_topics(list(found))
                is_changed = True
    finally:
        await admin.close()
