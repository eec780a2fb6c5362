"""Recompute statements of settlement from their CSV with nothing but Python: no package, no network, no code of ours.

    python verify_statement.py STATEMENT.csv=HASH [STATEMENT.csv=HASH ...]

HASH is the `statement_hash` of `rebate-settled`. Statements of one pair, oldest first, none left out but reversed ones,
are a chain: each takes in what the one before left. Prints that each passes, or its first wrong line (exit code 1).
"""

import hashlib
import sys

LINE = "record,entry_id,shift_id,revision,worked_day,kind,agreement_id,agreement_version,before_fen,base_fen,rate_bp"
HEADER = [*LINE.split(","), "amount_fen_e4", "value"]
TOTALS = "settlement_id,city,employer_id,community_id,month,entries,base_fen,sum_fen_e4,carry_in_fen_e4,amount_fen"
TOTALS = [*TOTALS.split(","), "carry_out_fen_e4"]


def expect(is_right, what):
    if not is_right:
        raise ValueError(what)


def whole(line, name):
    expect(line[name].lstrip("-").isdecimal() and str(int(line[name])) == line[name], f"{name} is no whole number")
    return int(line[name])


def read_line(line, seen, levels):
    """A shift's line: base × rate, exactly, in fen × 10,000. Answers base and amount."""
    base, rate, amount, revision = (whole(line, name) for name in ("base_fen", "rate_bp", "amount_fen_e4", "revision"))
    expect(500 <= rate <= 1500, f"rate_bp {rate} is not within 5 % and 15 %")
    expect(amount == base * rate, f"{base} fen × {rate} bp = {base * rate}, not {amount}")
    expect({"accrual": base >= 0, "reversal": base <= 0}.get(line["kind"]), f"{line['kind']!r} of {base} fen")
    cause = f"{line['kind']}|{line['shift_id']}|{revision}"
    causes = [cause, *(f"{cause}|{part}" for part in range(1, 11) if line["before_fen"])]  # a line for each tier
    ids = ["ent-" + hashlib.sha256(one.encode()).hexdigest()[:32] for one in causes]
    expect(line["entry_id"] in ids and line["entry_id"] not in seen, "entry_id is not of its shift, or stands twice")
    seen[line["entry_id"]] = line["worked_day"]
    if line["before_fen"]:
        before, month = whole(line, "before_fen"), (line["agreement_id"], line["worked_day"][:7])
        level, spans = levels.get(month, (before, []))
        expect(before == level >= 0, f"before_fen is {before}; the line before came to {level}")
        spans.append((min(before, before + base), max(before, before + base), rate))
        levels[month] = before + base, spans
    return base, amount


def read_total(name, totals, sums, seen, carried):
    """One record of the totals is what the lines come to. `carried`: what each pair's statement before left."""
    value = whole(totals, name) if name in TOTALS[5:] else totals[name]
    pair = totals.get("employer_id"), totals.get("community_id")
    exact = sums["sum_fen_e4"] + int(totals.get("carry_in_fen_e4", 0))
    rounded = (exact + 5_000) // 10_000
    rounded -= rounded % 2 if exact % 10_000 == 5_000 else 0  # half to even: 4.5 fen are 4, 5.5 are 6
    right = {**sums, "amount_fen": rounded, "carry_out_fen_e4": exact - rounded * 10_000}
    right |= {"carry_in_fen_e4": carried.get(pair, value), "month": max([f"{value}", *seen.values()])[:7]}
    expect(value == right.get(name, value), f"{name} is {value}, but it comes to {right.get(name)}")


def verify(content, told_hash, carried):
    """Check one statement; answers what it says."""
    sums, totals, seen, levels, number = {"entries": 0, "base_fen": 0, "sum_fen_e4": 0}, {}, {}, {}, 0
    try:
        for number, text in enumerate(content.decode().removesuffix("\n").split("\n"), 1):
            row = text.split(",")
            line = dict(zip(HEADER, row))
            expect(len(row) == len(HEADER) and (number > 1 or row == HEADER), "not the columns of a statement")
            if row[0] == "line" and not totals:
                more = (1, *read_line(line, seen, levels))
                sums = {name: total + plus for (name, total), plus in zip(sums.items(), more)}
            elif number > 1:
                name = TOTALS[len(totals)] if len(totals) < len(TOTALS) else "the end"
                expect(row[0] == name and not any(row[1:-1]), f"{row[0]!r} where {name} belongs")
                totals[name] = row[-1]
                read_total(name, totals, sums, seen, carried)
        expect(len(totals) == len(TOTALS), "the totals are not complete")
        for _, spans in levels.values():
            reach = {}
            for low, high, rate in sorted(spans):
                expect(all(end <= low for one, end in reach.items() if one != rate), f"two rates above {low} fen")
                reach[rate] = max(high, reach.get(rate, 0))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    carried[totals["employer_id"], totals["community_id"]] = int(totals["carry_out_fen_e4"])
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
