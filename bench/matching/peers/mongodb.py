"""MongoDB: `$geoWithin` on an index of kinds and home, then one aggregation a ranking.

Tuning: a compound index {kinds, home: 2dsphere} with the longest commute as the circle, and {kinds, pay_floor} for
posts without a place; cheap filters in the first `$match`; distance and overlap are computed only of what it leaves,
the score only of what matches; the sort keeps 50. Hours are arrays of half-hour numbers, as MongoDB 6 counts no bits.
"""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, GEOSPHERE, MongoClient, ReplaceOne
from pymongo.write_concern import WriteConcern

from bench.matching.patterns import FACILITIES, SKILL_NAMES, names_in
from bench.matching.peers.peer import COMMUTE_MOST_M, KIND_COLUMNS, LIMIT, SLOT_MINUTES, Answer, Ask, Woman, slots_of
from bench.matching.play import policy
from services.matching.domain.policy import PART_MAX
from shared.kernel.geo import EARTH_RADIUS_M

Document = dict[str, Any]
RADIANS = COMMUTE_MOST_M / EARTH_RADIUS_M * 1.001


class MongoDB:
    """A collection in the embedded server, or in the one that `MAMAPOST_MONGO` names."""

    name = "MongoDB"

    def __init__(self, url: str) -> None:
        self._client: MongoClient[Document] = MongoClient(url)
        self._client.drop_database("bench_peer")
        # One copy, acknowledged: the others wait for no disk either.
        self._seekers = self._client["bench_peer"].get_collection("seekers", write_concern=WriteConcern(w=1, j=False))
        version = self._client.server_info()["version"]
        self.how = f"{version}, $geoWithin on {{kinds, home: 2dsphere}}, aggregation"

    def load(self, women: list[Woman]) -> None:
        for at in range(0, len(women), 10_000):
            self._seekers.insert_many(map(_document, women[at : at + 10_000]), ordered=False)
        self._seekers.create_index([("kinds", ASCENDING), ("home", GEOSPHERE)])
        self._seekers.create_index([("kinds", ASCENDING), ("pay_floor", ASCENDING)])

    def put(self, woman: Woman) -> None:
        self._seekers.bulk_write([ReplaceOne({"_id": woman.row}, _document(woman), upsert=True)])

    def put_steady(self, row: int, steady: int) -> None:
        self._seekers.update_one({"_id": row}, {"$set": {"steady": steady}})

    def top(self, ask: Ask) -> Answer:
        found = self._seekers.aggregate(_pipeline(ask), batchSize=LIMIT + 1)
        return [(one["_id"], int(one["score"])) for one in found]

    def close(self) -> None:
        self._client.drop_database("bench_peer")
        self._client.close()


def _pipeline(ask: Ask) -> list[Document]:
    w = policy().weights
    match: Document = {"kinds": KIND_COLUMNS[ask.kind], "pay_floor": {"$lte": ask.pay}, "placed_on": {"$ne": ask.row}}
    if ask.required:
        match["skills"] = {"$all": sorted(names_in(ask.required, SKILL_NAMES))}
    stages: list[Document] = []
    score: list[Any] = ["$steady"]
    if ask.located:
        match["home"] = {"$geoWithin": {"$centerSphere": [[ask.lon, ask.lat], RADIANS]}}
        chord = [
            _square({"$subtract": [f"${axis}", at]}) for axis, at in zip("xyz", (ask.x, ask.y, ask.z), strict=True)
        ]
        stages.append({"$match": match})
        stages.append({"$set": {"half": {"$divide": [{"$sqrt": {"$add": chord}}, 2.0]}}})
        stages.append({"$set": {"away": _metres()}})
        stages.append({"$match": {"$expr": {"$lte": ["$away", "$commute_m"]}}})
        stages.append({"$match": {"busy": {"$nin": ask.slots}}})
        overlap = {"$multiply": [{"$size": {"$setIntersection": ["$free", ask.slots]}}, SLOT_MINUTES]}
        stages.append({"$set": {"overlap": overlap}})
        stages.append({"$match": {"overlap": {"$gte": ask.asked}}})
        score.append(_times(w.time_fit, _share("$overlap", ask.minutes)))
        score.append(_times(w.distance, _share({"$subtract": ["$commute_m", "$away"]}, "$commute_m")))
    else:
        stages.append({"$match": match})
        score.append((w.time_fit + w.distance) * PART_MAX)
    if ask.n_desired:
        held = [{"$cond": [{"$in": [name, "$skills"]}, 1, 0]} for name in names_in(ask.desired, SKILL_NAMES)]
        score.append(_times(w.skills, _share({"$add": held}, ask.n_desired)))
    else:
        score.append(w.skills * PART_MAX)
    surplus = {"$min": [PART_MAX, _share({"$subtract": [ask.pay, "$pay_floor"]}, "$pay_floor")]}
    score.append(_times(w.pay, {"$cond": [{"$gt": ["$pay_floor", 0]}, surplus, PART_MAX]}))
    offered = sorted(names_in(ask.offered, FACILITIES))
    shared = {"$size": {"$setIntersection": ["$wanted", offered]}}
    score.append(_times(w.facilities, {"$cond": [{"$gt": ["$n_wanted", 0]}, _share(shared, "$n_wanted"), PART_MAX]}))
    stages.append({"$project": {"score": {"$add": score}, "registered": 1, "key": 1}})
    stages.append({"$sort": {"score": -1, "registered": 1, "key": 1}})
    stages.append({"$limit": LIMIT})
    stages.append({"$project": {"score": 1}})
    return stages


def _document(woman: Woman) -> Document:
    return {
        "_id": woman.row,
        "key": woman.key,
        "kinds": [kind for place, kind in enumerate(KIND_COLUMNS) if woman.kinds >> place & 1],
        "home": {"type": "Point", "coordinates": [woman.lon, woman.lat]},
        "pay_floor": woman.floor,
        "commute_m": woman.limit,
        "skills": sorted(names_in(woman.skills, SKILL_NAMES)),
        "wanted": sorted(names_in(woman.wanted, FACILITIES)),
        "n_wanted": woman.wanted.bit_count(),
        "x": woman.x,
        "y": woman.y,
        "z": woman.z,
        "free": slots_of(woman.free),
        "busy": slots_of(woman.busy),
        "placed_on": woman.placed_on,
        "steady": woman.steady,
        "registered": woman.registered,
    }


def _square(value: Any) -> Document:
    return {"$multiply": [value, value]}


def _times(weight: int, value: Any) -> Document:
    return {"$multiply": [weight, value]}


def _share(part: Any, whole: Any) -> Document:
    """`1000 * part // whole`; exact, since a quotient of such small numbers never rounds up to the next whole one."""
    return {"$floor": {"$divide": [{"$multiply": [PART_MAX, part]}, whole]}}


def _metres() -> Document:
    """Great-circle metres of half the chord: the very operations of `shared.kernel.geo.distance_m`."""
    square = _square("$half")
    third = {"$add": [3.0 / 40.0, {"$multiply": [square, 5.0 / 112.0]}]}
    second = {"$add": [1.0 / 6.0, {"$multiply": [square, third]}]}
    arc = {"$multiply": ["$half", {"$add": [1.0, {"$multiply": [square, second]}]}]}
    return {"$floor": {"$add": [{"$multiply": [2.0 * EARTH_RADIUS_M, arc]}, 0.5]}}
