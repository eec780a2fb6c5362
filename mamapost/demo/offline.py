"""The money once more, as a stranger sees it: exported statements, and the verifier of `examples/`.

What the verifier says of the statements is all that the funds are compared with.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import httpx

from mamapost.demo.reads import Item
from mamapost.demo.report import Check

VERIFIER = Path(__file__).parents[2] / "examples" / "verify_statement.py"

TIMEOUT_S = 120.0
"""For all statements together; a hundred thousand lines take a few seconds."""

_PASSED = re.compile(r"pass .*/(?P<settlement>[^/]+)\.csv: .* (?P<amount>-?[0-9]+) fen, hash [0-9a-f]{64}")


async def check_offline(revenue: httpx.AsyncClient, settlements: list[Item]) -> list[Check]:
    """Every statement passes the verifier with the hash that was told, and the funds hold what it came to."""
    standing = [settlement for settlement in settlements if settlement.get("reversed_at") is None]
    with tempfile.TemporaryDirectory(prefix="mamapost-statements-") as name:
        directory = Path(name)
        arguments: list[str] = []
        for settlement in sorted(standing, key=lambda item: str(item["month"])):
            which = settlement["settlement_id"]
            statement = await revenue.get(f"/settlements/{which}/statement", headers={"Accept": "text/csv"})
            file = directory / f"{which}.csv"
            file.write_bytes(statement.raise_for_status().content)
            arguments.append(f"{file}={settlement['statement_hash']}")
        said = await _verify(directory, arguments) if arguments else []
    amounts_fen = {match["settlement"]: int(match["amount"]) for line in said if (match := _PASSED.fullmatch(line))}
    return [_statements(standing, said, amounts_fen), await _funds(revenue, standing, amounts_fen)]


async def _verify(directory: Path, arguments: list[str]) -> list[str]:
    """What the verifier prints. `-I -S`: it sees neither our packages nor anybody else's."""
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


async def _funds(revenue: httpx.AsyncClient, settlements: list[Item], amounts_fen: dict[str, int]) -> Check:
    check = Check("funds: balance = verified statements - spendings")
    income: defaultdict[str, int] = defaultdict(int)
    for settlement in settlements:
        income[settlement["community_id"]] += amounts_fen.get(settlement["settlement_id"], 0)
    for community_id, received in income.items():
        fund = (await revenue.get(f"/communities/{community_id}/fund")).raise_for_status().json()
        check.compare(f"income of {community_id}", fund["income_fen"], received)
        check.compare(f"balance of {community_id}", fund["balance_fen"], received - fund["spent_fen"])
        if fund["spent_fen"] > received:
            check.fail(f"{community_id} spent more than it received")
    return check
