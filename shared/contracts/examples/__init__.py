"""One event of each topic, out of one story: a woman of Yantai sews in a station's room, and its community is thanked.

Every optional field is given where the story allows it, so that an example shows the whole form of its event. Ids and
times are fixed; `shared.contracts.golden` writes the messages beside these modules.
"""

from __future__ import annotations

from shared.contracts.envelope import Envelope
from shared.contracts.examples import matching, registry, revenue, training
from shared.contracts.examples.story import id_of

EXAMPLES: dict[str, Envelope] = {
    event.topic: Envelope(id_of("event", event.topic), at, event)
    for producer in (registry, training, matching, revenue)
    for event, at in producer.TOLD
}
"""The example of each topic, by topic."""
