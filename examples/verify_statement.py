"""Recompute statements of settlement from their CSV with nothing but Python: no package, no network, no code of ours.

    python verify_statement.py STATEMENT.csv=HASH [STATEMENT.csv=HASH ...]

HASH is the `statement_hash` of the event `rebate-settled` (without `=HASH` it is only printed). Statements of one pair,
oldest first and none left out, are a chain: each takes in what the one before left. Answers a line for each statement:
that it passes, or the first line of it that is wrong; exit status 1 if one is.
"""

import hashlib
import re
import sys

LINE = "record,entry_id,shift_id,revision,worked_day,kind,agreement_id,agreement_version"
HEADER = [*LINE.split(","), "before_fen", "base_fen", "rate_bp", "amount_fen_e4", "value"]
TOTALS = "settlement_id,city,employer_id,community_id,month,entries,base_fen,sum_fen_e4,carry_in_fen_e4,amount_fen"
TOTALS = [*TOTALS.split(","), "carry_out_fen_e4"]
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")


def expect(is_right, what):
    if not is_right:
        raise ValueError(what)


def whole(line, name):
    expect(WHOLE.fullmatch(line[name]), f"{name} is {line[name]!r}, not a whole number")
    return int(line[name])


def read_line(line, seen):
    """A shift's line: base × rate, exactly, in fen × 10,000. Answers base and amount."""
    base, rate, amount, revision = (whole(line, name) for name in ("base_fen", "rate_bp", "amount_fen_e4", "revision"))
    expect(500 <= rate <= 1500, f"rate_bp {rate} is not within 5 % and 15 %")
    expect(amount == base * rate, f"{base} fen × {rate} bp = {base * rate}, not {amount}")
    expect(base * {"accrual": 1, "reversal": -1}.get(line["kind"], 0) > 0, f"{line['kind']!r} of {base} fen")
    cause = f"{line['kind']}|{line['shift_id']}|{revision}"
    causes = [cause, *(f"{cause}|{part}" for part in range(1, 11) if line["before_fen"])]  # a line for each tier
    ids = ["ent-" + hashlib.sha256(one.encode()).hexdigest()[:32] for one in causes]
    expect(line["entry_id"] in ids, "entry_id is not of its shift")
    expect(line["entry_id"] not in seen, f"{line['entry_id']} stands twice")
    seen[line["entry_id"]] = line["worked_day"]
    return base, amount


def read_total(name, totals, sums, seen, carried):
    """One record of the totals, against what the lines gave; `carried`: what each pair's month before left."""
    pair = totals.get("employer_id"), totals.get("community_id")
    value = whole(totals, name) if name in TOTALS[5:] else totals[name]
    if name == "month":
        expect(max(seen.values(), default="")[:7] <= value, f"a shift of a later month in the statement of {value}")
    elif name in sums:
        expect(value == sums[name], f"{name}: the lines sum to {sums[name]}, not to {value}")
    elif name == "carry_in_fen_e4":
        expect(value == carried.get(pair, value), f"{name} is {value}; the statement before left {carried.get(pair)}")
    elif name in ("amount_fen", "carry_out_fen_e4"):
        exact = sums["sum_fen_e4"] + int(totals["carry_in_fen_e4"])
        # Half to even: 4.5 fen are 4, 5.5 are 6.
        rounded = (exact + 5_000) // 10_000
        rounded -= rounded % 2 if exact % 10_000 == 5_000 else 0
        right = rounded if name == "amount_fen" else exact - rounded * 10_000
        expect(value == right, f"{name} of {exact} / 10,000 is {right}, not {value}")
        carried[pair] = exact - rounded * 10_000


def verify(content, told_hash, carried):
    """Check one statement; answers what it says."""
    sums, totals, seen, number = {"entries": 0, "base_fen": 0, "sum_fen_e4": 0}, {}, {}, 0
    try:
        for number, text in enumerate(content.decode().removesuffix("\n").split("\n"), 1):
            row = text.split(",")
            line = dict(zip(HEADER, row))
            expect(len(row) == len(HEADER) and (number > 1 or row == HEADER), "not the columns of a statement")
            if row[0] == "line" and not totals:
                more = (1, *read_line(line, seen))
                sums = {name: total + plus for (name, total), plus in zip(sums.items(), more)}
            elif number > 1:
                name = TOTALS[len(totals)] if len(totals) < len(TOTALS) else "the end"
                expect(row[0] == name and not any(row[1:-1]), f"{row[0]!r} where {name} belongs")
                totals[name] = row[-1]
                read_total(name, totals, sums, seen, carried)
        expect(len(totals) == len(TOTALS), "the totals are not complete")
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    expect(told_hash in ("", digest), f"all lines are right, but hash is {digest}, not {told_hash}: another statement")
    return f"{totals['month']}, {sums['entries']} lines, {totals['amount_fen']} fen, hash {digest}"


if __name__ == "__main__":
    failed, carried = 0, {}
    for name, _, told in (argument.partition("=") for argument in sys.argv[1:]):
        try:
            with open(name, "rb") as file:
                print(f"pass {name}: {verify(file.read(), told, carried)}")
        except (ValueError, OSError) as error:
            print(f"WRONG {name}: {error}")
            failed = 1
    sys.exit(failed if sys.argv[1:] else __doc__)
