"""Communities with their stations, and employers."""

from __future__ import annotations

from mamapost.scenario.dice import Dice
from mamapost.scenario.yantai.cast import Community, Employer, Station, counted, degrees, near, point
from mamapost.scenario.yantai.facts import (
    CITY,
    DISTRICTS,
    EMPLOYER_KINDS,
    EMPLOYERS,
    FACILITIES,
    PILOT_COMMUNITIES,
    STATIONS,
    STATIONS_NOT_ACCEPTED,
    TRADES,
    WINE_DISTRICTS,
    District,
    Trade,
)

STATION_SPREAD = 30_000
"""Millionths of a degree, about 3 km: a station stands in the town."""

EMPLOYER_SPREAD = 50_000


def communities(dice: Dice) -> tuple[list[Community], list[Station]]:
    """20 communities with a station each; the first eleven are the pilot, the last two have no accepted production
    zone."""
    districts = [district for district in DISTRICTS for _ in range(district.stations)]
    found: list[Community] = []
    stations: list[Station] = []
    for number, district in enumerate(districts, 1):
        community = Community(
            ref=f"community:{number}",
            district=district,
            pilot=number <= PILOT_COMMUNITIES,
            body={
                "city": CITY,
                "area": f"{district.code}{number:03d}001",
                "name": f"示例社区{number:02d}",
            },
        )
        accepted = number <= STATIONS - STATIONS_NOT_ACCEPTED
        place = degrees(*near(dice, district.lat, district.lon, STATION_SPREAD))
        found.append(community)
        stations.append(
            Station(
                ref=f"station:{number}",
                community=community,
                place=place,
                accepted=accepted,
                body={
                    "community_id": f"@{community.ref}",
                    "location": point(place),
                    "production_accepted": accepted,
                    "facilities": [facility for facility in FACILITIES[:2] if dice.chance(70)],
                    "name": f"示例驿站{number:02d}",
                },
            )
        )
    return found, stations


def employers(dice: Dice, scale: float, stations: list[Station]) -> list[Employer]:
    """Employers of the four kinds and of all trades; the first ones go through them all, however few there are."""
    usable = [(station, 3 if station.community.pilot else 1) for station in stations if station.accepted]
    found = []
    for index in range(counted(EMPLOYERS, scale, 4)):
        trade = TRADES[index] if index < len(TRADES) else dice.weighted([(trade, trade.weight) for trade in TRADES])
        kind = EMPLOYER_KINDS[index][0] if index < len(EMPLOYER_KINDS) else dice.weighted(EMPLOYER_KINDS)
        district = _district(dice, trade)
        at_stations = trade.at_stations and (index < len(TRADES) or dice.chance(75))
        hosts = {dice.weighted(usable).ref for _ in range(dice.between(1, 3))} if at_stations else set[str]()
        found.append(
            Employer(
                ref=f"employer:{index + 1}",
                trade=trade,
                district=district,
                place=near(dice, district.lat, district.lon, EMPLOYER_SPREAD),
                reports_output=index == 0 or dice.chance(35),
                stations=tuple(station for station, _ in usable if station.ref in hosts),
                body={"city": CITY, "kind": kind, "name": f"示例用工单位{index + 1:04d}"},
            )
        )
    return found


def _district(dice: Dice, trade: Trade) -> District:
    if trade.name == "winery-guide":
        code = dice.pick(WINE_DISTRICTS)
        return next(district for district in DISTRICTS if district.code == code)
    return dice.weighted([(district, district.weight) for district in DISTRICTS])
