"""The money once more, as a stranger sees it: exported statements, and the verifier of `examples/`.

The funds are compared with what the verifier says of the statements, and with what the topics tell.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import cast

import httpx

from mamapost.demo.reader import Reader
from mamapost.demo.reads import Item
from mamapost.demo.report import Check
from shared.contracts.revenue import FundSpent, GrantMade

VERIFIER = Path(__file__).parents[2] / "examples" / "verify_statement.py"

TIMEOUT_S = 120.0
"""For all statements together; a hundred thousand lines take a few seconds."""

_PASSED = re.compile(r"pass .*/(?P<settlement>[^/]+)\.csv: .* (?P<amount>-?[0-9]+) fen, hash [0-9a-f]{64}")


async def check_offline(revenue: httpx.AsyncClient, settlements: list[Item], reader: Reader) -> list[Check]:
    """Every statement passes the verifier with the hash that was told, and the funds hold what it came to, what the
    topics tell of grants, and less what they tell of spendings.

    A statement that was reversed passes too, but by itself: the one that took its place begins where it began.
    """
    standing = [settlement for settlement in settlements if settlement.get("reversed_at") is None]
    undone = [settlement for settlement in settlements if settlement.get("reversed_at") is not None]
    with tempfile.TemporaryDirectory(prefix="mamapost-statements-") as name:
        said: list[str] = []
        for chain in (sorted(standing, key=lambda item: str(item["month"])), *([one] for one in undone)):
            said += await _verify(Path(name), [await _download(revenue, one, Path(name)) for one in chain])
    amounts_fen = {match["settlement"]: int(match["amount"]) for line in said if (match := _PASSED.fullmatch(line))}
    return [_statements(settlements, said, amounts_fen), await _funds(revenue, standing, amounts_fen, reader)]


async def _download(revenue: httpx.AsyncClient, settlement: Item, directory: Path) -> str:
    """A statement as the verifier is given it: its file, and the hash that was told."""
    which = settlement["settlement_id"]
    statement = await revenue.get(f"/settlements/{which}/statement", headers={"Accept": "text/csv"})
    file = directory / f"{which}.csv"
    file.write_bytes(statement.raise_for_status().content)
    return f"{file}={settlement['statement_hash']}"


async def _verify(directory: Path, arguments: list[str]) -> list[str]:
    """What the verifier prints. `-I -S`: it sees neither our packages nor anybody else's."""
    if not arguments:
        return []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", str(VERIFIER), *arguments),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return [f"the verifier did not end within {TIMEOUT_S:.0f} s"]
    return printed.decode().splitlines()


def _statements(settlements: list[Item], said: list[str], amounts_fen: dict[str, int]) -> Check:
    check = Check("statements pass the offline verifier")
    for line in said:
        if not _PASSED.fullmatch(line):
            check.fail(line)
    for settlement in settlements:
        which = settlement["settlement_id"]
        check.compare(f"amount_fen of {which}", amounts_fen.get(which), settlement["amount_fen"])
    return check


async def _funds(
    revenue: httpx.AsyncClient, settlements: list[Item], amounts_fen: dict[str, int], reader: Reader
) -> Check:
    check = Check("funds: balance = statements + grants - spendings")
    settled, granted, spent = Counter[str](), Counter[str](), Counter[str]()
    for settlement in settlements:
        settled[settlement["community_id"]] += amounts_fen.get(settlement["settlement_id"], 0)
    for envelope in reader.of(GrantMade):
        grant = cast("GrantMade", envelope.event)
        if grant.employer_id is None:
            granted[grant.community_id] += grant.amount_fen
    for envelope in reader.of(FundSpent):
        spending = cast("FundSpent", envelope.event)
        spent[spending.community_id] += spending.amount_fen
    for which in settled | granted | spent:
        fund = (await revenue.get(f"/communities/{which}/fund")).raise_for_status().json()
        sums = (settled[which], granted[which], spent[which])
        check.compare(
            f"income, grants, spendings of {which}", (fund["income_fen"], fund["granted_fen"], fund["spent_fen"]), sums
        )
        check.compare(f"balance of {which}", fund["balance_fen"], settled[which] + granted[which] - spent[which])
        if fund["balance_fen"] < 0:
            check.fail(f"{which} spent more than it received")
    return check
