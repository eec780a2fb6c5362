"""A city's rows as messages of the bus: the very bytes that the registry would send (`shared.contracts.envelope`).

Written by hand from templates, because a million events through the models take minutes; a test holds each kind of
message against `encode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from bench.matching.mix import Change, Stream
from bench.matching.patterns import FACILITIES, FREE, HOURS, KINDS, SKILL_NAMES, json_in, mask_of_words, spans_json
from bench.matching.speak import CHUNK, pieces
from bench.matching.tables import AT, CITY, VERDICTS, City, Table, ids, keys
from mamapost.scenario.yantai.facts import TRADES
from shared.contracts.envelope import Message, constants_of
from shared.contracts.fields import rfc3339
from shared.contracts.topics import TOPICS, partition_of

PARTITION = partition_of(CITY)
AREA = f"{CITY[:4]}02"
_NOW = rfc3339(AT)
_PLAIN = {False: "false", True: "true"}


class Speaker:
    """Makes messages; event ids are random but the same for a seed.

    Args:
        at: `ce_time` of all events.
    """

    def __init__(self, seed: int, at: datetime = AT) -> None:
        self._rng = np.random.default_rng([seed, 7])
        self._at = rfc3339(at)

    def city(self, city: City, chunk: int = CHUNK) -> Iterator[list[Message]]:
        """All of a city, a chunk at a time."""
        yield self._employers(city.employers) + self._stations(city.stations)
        for rows in pieces(city.posts[city.posts["version"] > 0], chunk):
            yield self.posts(rows, city)
        for rows in pieces(city.seekers[city.seekers["version"] > 0], chunk):
            yield self.seekers(rows)
        for rows in pieces(city.placements, chunk):
            yield self._placements(rows, city)
        for rows in pieces(city.shifts, chunk):
            yield self.shifts(rows, city)

    def stream(self, stream: Stream, city: City) -> list[Message]:
        """Events of the mix, in order."""
        messages: list[Any] = [None] * len(stream)
        sides = (
            ((Change.SHIFT,), self.shifts(stream.shifts, city)),
            ((Change.SEEKER, Change.WITHDRAWN), self.seekers(stream.seekers)),
            ((Change.POST, Change.CLOSED), self.posts(stream.posts, city)),
        )
        for kinds, said in sides:
            for event in np.flatnonzero(np.isin(stream.change, kinds)).tolist():
                messages[event] = said[stream.place[event]]
        return messages

    def seekers(self, rows: Table) -> list[Message]:
        """`seeker-registered`, or `seeker-withdrawn` of those who are gone."""
        columns = (
            ids("skr", rows),
            *(rows[name].tolist() for name in ("version", "alive", "lat", "lon", "commute_km", "free", "skills")),
            *(rows[name].tolist() for name in ("kinds", "facilities", "pay_floor_fen")),
            rows["eligible_until"].astype(str).tolist(),
            _texts(rows["registered_at"]),
        )
        said = []
        for id_, version, alive, lat, lon, km, free, skills, kinds, wanted, floor, until, since in zip(
            *columns, strict=True
        ):
            if alive:
                body = (
                    f'{{"city":"{CITY}","seeker_id":"{id_}","version":{version},"area":"{AREA}",'
                    f'"home":{{"lat":{lat},"lon":{lon}}},"commute_km":{km},"free":{FREE.spans[free]},'
                    f'"skills":{json_in(skills, SKILL_NAMES)},"kinds":{json_in(kinds, KINDS)},'
                    f'"facilities":{json_in(wanted, FACILITIES)},"pay_floor_fen":{floor},'
                    f'"eligible_until":"{until}","registered_at":"{since}"}}'
                )
                said.append(("seeker-registered", id_, version, body))
            else:
                body = (
                    f'{{"city":"{CITY}","seeker_id":"{id_}","version":{version},'
                    f'"reason":"found-work","withdrawn_at":"{_NOW}"}}'
                )
                said.append(("seeker-withdrawn", id_, version, body))
        return self._messages(said)

    def posts(self, rows: Table, city: City) -> list[Message]:
        """`post-opened`, or `post-closed` of those that are over."""
        columns = (
            ids("pst", rows),
            ids("emp", city.employers[rows["employer"]]),
            ids("stn", city.stations[rows["station"]]),
            *(
                rows[name].tolist()
                for name in ("version", "alive", "station", "trade", "kind", "located", "lat", "lon")
            ),
            *(rows[name].tolist() for name in ("hours", "min_minutes", "required", "desired", "pieces", "pay_fen")),
            *(rows[name].tolist() for name in ("seats", "facilities", "urgent")),
            _texts(rows["opened_at"]),
            _texts(rows["closes_at"]),
        )
        said = []
        for values in zip(*columns, strict=True):
            id_, employer, station, version, alive, has_station, trade, kind, located, lat, lon = values[:11]
            hours, asked, required, desired, pieces_, pay, seats, offered, urgent, opened, closes = values[11:]
            if not alive:
                body = (
                    f'{{"city":"{CITY}","post_id":"{id_}","version":{version},"reason":"filled","closed_at":"{_NOW}"}}'
                )
                said.append(("post-closed", id_, version, body))
                continue
            host = f'"station_id":"{station}",' if has_station >= 0 else ""
            place = f'"location":{{"lat":{lat},"lon":{lon}}},' if located else ""
            per, fen = ("piece", pay // pieces_) if pieces_ else ("hour", pay)
            until = f',"closes_at":"{closes}"' if closes else ""
            body = (
                f'{{"city":"{CITY}","post_id":"{id_}","version":{version},"employer_id":"{employer}",'
                f'"area":"{AREA}",{host}"kind":"{KINDS[kind]}","trade":"{TRADES[trade].name}",{place}'
                f'"hours":{HOURS.spans[hours]},"min_minutes":{asked},'
                f'"skills_required":{json_in(required, SKILL_NAMES)},"skills_desired":{json_in(desired, SKILL_NAMES)},'
                f'"pay":{{"per":"{per}","fen":{fen},"expected_hourly_fen":{pay}}},"seats":{seats},'
                f'"facilities":{json_in(offered, FACILITIES)},"urgent":{_PLAIN[urgent]},"opened_at":"{opened}"{until}}}'
            )
            said.append(("post-opened", id_, version, body))
        return self._messages(said)

    def shifts(self, rows: Table, city: City) -> list[Message]:
        """`shift-completed`."""
        placement = city.placements[rows["placement"]]
        post = city.posts[placement["post"]]
        start = rows["day"].astype("M8[m]") + (rows["first_minute"] - 8 * 60).astype("m8[m]")
        columns = (
            ids("sft", rows),
            ids("plc", placement),
            ids("pst", post),
            ids("skr", city.seekers[placement["seeker"]]),
            ids("emp", city.employers[post["employer"]]),
            *(rows[name].tolist() for name in ("version", "verdict", "minutes")),
            post["pay_fen"].tolist(),
            _texts(start),
            _texts(start + rows["minutes"].astype("m8[m]")),
        )
        said = []
        for id_, placed, post_id, seeker, employer, revision, verdict, minutes, pay, started, ended in zip(
            *columns, strict=True
        ):
            wage = minutes * pay // 60
            body = (
                f'{{"city":"{CITY}","shift_id":"{id_}","revision":{revision},"placement_id":"{placed}",'
                f'"post_id":"{post_id}","seeker_id":"{seeker}","employer_id":"{employer}","started_at":"{started}",'
                f'"ended_at":"{ended}","minutes":{minutes},"wage_fen":{wage},"base_fen":{wage},'
                f'"verdict":"{VERDICTS[verdict]}"}}'
            )
            said.append(("shift-completed", id_, revision, body))
        return self._messages(said)

    def _placements(self, rows: Table, city: City) -> list[Message]:
        post = city.posts[rows["post"]]
        columns = (
            ids("plc", rows),
            ids("pst", post),
            ids("skr", city.seekers[rows["seeker"]]),
            ids("emp", city.employers[post["employer"]]),
        )
        said = []
        for (id_, post_id, seeker, employer), hours in zip(zip(*columns, strict=True), rows["hours"], strict=True):
            body = (
                f'{{"city":"{CITY}","placement_id":"{id_}","version":1,"post_id":"{post_id}","seeker_id":"{seeker}",'
                f'"employer_id":"{employer}","hours":{spans_json(mask_of_words(hours))},'
                f'"starts_on":"{AT.date()}","made_at":"{_NOW}"}}'
            )
            said.append(("placement-made", id_, 1, body))
        return self._messages(said)

    def _employers(self, rows: Table) -> list[Message]:
        bodies = [
            f'{{"city":"{CITY}","employer_id":"{id_}","version":1,"kind":"enterprise","registered_at":"{_NOW}"}}'
            for id_ in ids("emp", rows)
        ]
        return self._messages(
            [("employer-registered", id_, 1, body) for id_, body in zip(ids("emp", rows), bodies, strict=True)]
        )

    def _stations(self, rows: Table) -> list[Message]:
        columns = (ids("stn", rows), *(rows[name].tolist() for name in ("lat", "lon", "accepted", "facilities")))
        said = []
        for id_, lat, lon, accepted, offered in zip(*columns, strict=True):
            body = (
                f'{{"city":"{CITY}","station_id":"{id_}","version":1,"area":"{AREA}",'
                f'"community_id":"com-{id_[4:]}","location":{{"lat":{lat},"lon":{lon}}},'
                f'"production_accepted":{_PLAIN[accepted]},"facilities":{json_in(offered, FACILITIES)},'
                f'"registered_at":"{_NOW}"}}'
            )
            said.append(("station-registered", id_, 1, body))
        return self._messages(said)

    def _messages(self, said: list[tuple[str, str, int, str]]) -> list[Message]:
        """Messages of `(topic, entity id, version, body)`."""
        digits = keys(self._rng, len(said)).tobytes().hex()
        constants = {topic: constants_of(TOPICS[topic].event) for topic in {topic for topic, *_ in said}}
        return [
            Message(
                topic,
                PARTITION,
                id_.encode(),
                [
                    *constants[topic][:2],
                    ("ce_id", f"evt-{digits[32 * place : 32 * place + 32]}".encode()),
                    *constants[topic][2:4],
                    ("ce_time", self._at.encode()),
                    constants[topic][4],
                    ("ce_partitionkey", CITY.encode()),
                    ("ce_sequence", str(version).encode()),
                ],
                body.encode(),
            )
            for place, (topic, id_, version, body) in enumerate(said)
        ]


def _texts(column: Any) -> list[str]:
    """Instants as events write them; empty where there is none."""
    missing = np.isnat(column).tolist()
    texts = np.datetime_as_string(column.astype("M8[ms]"), unit="ms").tolist()
    return ["" if gone else f"{text}Z" for gone, text in zip(missing, texts, strict=True)]
