"""What Yantai looks like: districts, trades, hours around the school run, pay. Data only (FACTS.md, star rows).

Places are real districts with their approximate centres; people, employers and addresses are made up, and plainly so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CITY = "370600"

SEEKERS = 5_000
EMPLOYERS = 126
POSTS = 3_200
PLACEMENTS = 1_000
STATIONS = 20
"""One in each of 20 communities; they do not shrink with the scale, as the map stays the map."""

PILOT_COMMUNITIES = 11
STATIONS_NOT_ACCEPTED = 2

Kind = Literal["elastic", "team", "mobile", "new-form"]
Per = Literal["hour", "piece"]


@dataclass(frozen=True, slots=True)
class District:
    """A district or county-level city.

    Attributes:
        lat, lon: centre, in millionths of a degree.
        weight: share of the people.
        stations: how many of the 20.
    """

    code: str
    name: str
    lat: int
    lon: int
    weight: int
    stations: int


DISTRICTS = (
    District("370602", "芝罘", 37_541_000, 121_400_000, 22, 5),
    District("370611", "福山", 37_498_000, 121_268_000, 12, 3),
    District("370612", "牟平", 37_387_000, 121_600_000, 9, 2),
    District("370613", "莱山", 37_511_000, 121_445_000, 12, 3),
    District("370614", "蓬莱", 37_811_000, 120_759_000, 8, 2),
    District("370681", "龙口", 37_646_000, 120_478_000, 10, 1),
    District("370682", "莱阳", 36_979_000, 120_712_000, 7, 1),
    District("370683", "莱州", 37_177_000, 119_942_000, 7, 1),
    District("370685", "招远", 37_355_000, 120_434_000, 6, 1),
    District("370686", "栖霞", 37_335_000, 120_850_000, 4, 1),
    District("370687", "海阳", 36_776_000, 121_158_000, 5, 0),
)
"""Codes of GB/T 2260. The pilot communities are the first eleven, in the districts by the sea front."""

WINE_DISTRICTS = ("370614", "370611")


@dataclass(frozen=True, slots=True)
class Trade:
    """What an employer does.

    Attributes:
        weight: share of the employers.
        kinds: kinds of its posts with their weights.
        piece_percent: how many of its posts pay by the piece.
        hourly_fen: range of pay an hour, usual pieces included.
        pieces_an_hour: range of usual pieces an hour.
        required: skills asked for, with weights; empty text: none.
        desired: skills that are welcome.
        at_stations: whether it works in the communities' rooms.
    """

    name: str
    weight: int
    kinds: tuple[tuple[Kind, int], ...]
    piece_percent: int
    hourly_fen: tuple[int, int]
    pieces_an_hour: tuple[int, int]
    required: tuple[tuple[str, int], ...]
    desired: tuple[str, ...]
    at_stations: bool = False


TRADES = (
    Trade(
        "garment",
        28,
        (("team", 50), ("elastic", 25), ("mobile", 25)),
        85,
        (2_050, 2_850),
        (4, 18),
        (("sewing", 60), ("", 40)),
        ("sewing", "ironing", "knitting"),
        at_stations=True,
    ),
    Trade(
        "food-packing",
        30,
        (("team", 60), ("elastic", 40)),
        60,
        (2_000, 2_600),
        (40, 90),
        (("", 75), ("packing", 25)),
        ("packing", "flour-food"),
        at_stations=True,
    ),
    Trade(
        "handmade-goods",
        22,
        (("mobile", 75), ("team", 25)),
        100,
        (1_950, 2_700),
        (2, 12),
        (("", 55), ("knitting", 35), ("sewing", 10)),
        ("knitting", "paper-cutting", "sewing"),
        at_stations=True,
    ),
    Trade(
        "domestic-service",
        16,
        (("elastic", 100),),
        0,
        (2_300, 3_300),
        (1, 1),
        (("housekeeping", 45), ("elder-care", 20), ("mother-and-baby-care", 15), ("", 20)),
        ("housekeeping", "elder-care", "flour-food"),
    ),
    Trade(
        "live-commerce",
        12,
        (("new-form", 90), ("elastic", 10)),
        0,
        (2_500, 4_200),
        (1, 1),
        (("live-streaming", 40), ("e-commerce", 25), ("", 35)),
        ("e-commerce", "live-streaming", "photo-editing"),
    ),
    Trade(
        "winery-guide",
        8,
        (("elastic", 90), ("new-form", 10)),
        0,
        (2_200, 3_000),
        (1, 1),
        (("wine-tasting", 30), ("", 70)),
        ("wine-tasting", "english"),
    ),
    Trade(
        "data-entry",
        10,
        (("mobile", 45), ("new-form", 35), ("elastic", 20)),
        50,
        (2_000, 2_600),
        (20, 60),
        (("typing", 55), ("", 45)),
        ("typing", "e-commerce"),
        at_stations=True,
    ),
)

SKILLS = (
    ("sewing", 18),
    ("housekeeping", 14),
    ("packing", 12),
    ("knitting", 10),
    ("typing", 10),
    ("flour-food", 9),
    ("e-commerce", 7),
    ("elder-care", 6),
    ("mother-and-baby-care", 5),
    ("live-streaming", 4),
    ("ironing", 3),
    ("paper-cutting", 2),
    ("photo-editing", 2),
    ("english", 2),
    ("wine-tasting", 2),
)
"""Skills that women name in the canvass, with weights."""

COURSE_SKILLS = (
    "housekeeping",
    "elder-care",
    "mother-and-baby-care",
    "knitting",
    "flour-food",
    "e-commerce",
    "packing",
    "sewing",
)
"""Courses held in stations with child care meanwhile (FACTS.md, Skill, N, L, Z, Y); sewing with a garment employer."""

FACILITIES = ("child-care-room", "nursing-room", "shuttle-bus", "parental-leave")
EMPLOYER_KINDS = (
    ("enterprise", 60),
    ("public-institution", 8),
    ("social-organisation", 12),
    ("individual-business", 20),
)

Span = tuple[str, str]

SCHOOL_DAYS: tuple[tuple[tuple[Span, ...], int], ...] = (
    ((("08:00", "16:00"),), 45),  # lunch at school or kindergarten
    ((("08:00", "11:30"), ("13:30", "16:30")), 20),  # lunch at home
    ((("08:30", "12:30"),), 10),  # half-day care
    ((("13:00", "17:30"),), 10),  # a grandmother comes after lunch
    ((("09:00", "11:30"), ("19:00", "22:00")), 8),  # when the children sleep
    ((("08:00", "17:30"),), 7),  # after-school care
)
"""Hours between bringing and fetching the children, Monday to Friday, with weights."""

SATURDAYS: tuple[tuple[tuple[Span, ...], int], ...] = (
    ((), 75),
    ((("08:30", "12:00"),), 15),
    ((("09:00", "16:00"),), 10),
)

ELASTIC_HOURS: tuple[tuple[Span, int], ...] = (
    (("08:30", "13:00"), 18),
    (("09:00", "14:00"), 24),
    (("09:30", "15:00"), 18),
    (("08:30", "15:30"), 14),
    (("13:00", "17:00"), 12),
    (("08:30", "11:30"), 8),
    (("19:00", "21:30"), 6),
)
"""Start half an hour later, leave half an hour earlier (FACTS.md, L)."""

TEAM_HOURS: tuple[tuple[tuple[Span, ...], int], ...] = (
    ((("08:00", "12:00"), ("13:00", "17:00")), 55),
    ((("08:30", "16:30"),), 30),
    ((("08:00", "12:00"), ("13:00", "17:00"), ("18:30", "21:30")), 15),
)
"""A team is open all day: she picks her slots."""
