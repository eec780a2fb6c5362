"""Statements as PDF: one page of what matters, then the lines. The font is embedded, so that any viewer shows it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Literal, NamedTuple

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from services.revenue.domain.ledger import Entry
from services.revenue.domain.statements import Group, Statement, exact_yuan, percent
from shared.kernel.clock import civil_day
from shared.kernel.money import yuan

FONT = "wqy-microhei"
WIDTH, HEIGHT = A4
MARGIN = 48
STEP = 15
"""Points from one line of text to the next."""


class Column(NamedTuple):
    """A column of a table: where it stands, in points from the left edge, and what stands above it."""

    x: int
    align: Literal["left", "right"]
    zh: str
    en: str


GROUP_COLUMNS = (
    Column(MARGIN, "left", "协议版本", "Agreement version"),
    Column(180, "left", "工作月份", "Month worked"),
    Column(320, "right", "行数", "Lines"),
    Column(425, "right", "基数（元）", "Base"),
    Column(547, "right", "返还（元）", "Rebate"),
)
LINE_COLUMNS = (
    Column(78, "right", "序号", "No."),
    Column(90, "left", "工作日", "Day"),
    Column(160, "left", "类别", "Kind"),
    Column(225, "left", "班次", "Shift"),
    Column(345, "right", "协议", "Agreement"),
    Column(420, "right", "基数（元）", "Base"),
    Column(470, "right", "比例", "Rate"),
    Column(547, "right", "返还（元）", "Rebate"),
)


def statement_pdf(statement: Statement) -> bytes:
    """A statement as PDF; the same bytes for the same statement. Takes up to a second: not for the event loop."""
    _have_font()
    made = io.BytesIO()
    sheet = _Sheet(Canvas(made, pagesize=A4, invariant=True), f"{statement.settlement.settlement_id}")
    _summary(sheet, statement)
    if statement.lines:
        sheet.turn()
        sheet.text(f"明细 Lines · {statement.settlement.month}", size=13)
        rows = [_line(number, entry) for number, entry in enumerate(statement.lines, 1)]
        sheet.table(LINE_COLUMNS, rows)
    if statement.lines_left:
        sheet.text(f"其余行见 CSV 结算单 Further lines stand in the CSV: {statement.lines_left:,}")
    return sheet.done(made)


def _summary(sheet: _Sheet, statement: Statement) -> None:
    settlement = statement.settlement
    sheet.text("返还结算单 Statement of settlement", size=18)
    for label, value in (
        ("月份 Month", settlement.month),
        ("社区 Community", statement.community),
        ("用人单位 Employer", statement.employer),
        ("结算编号 Settlement", settlement.settlement_id),
        ("结算日 Settled on", f"{civil_day(settlement.settled_at)}"),
        ("明细行数 Lines", f"{settlement.entries:,}"),
    ):
        sheet.pair(label, value)
    sheet.text("计算（元） The calculation, yuan", size=13)
    for label, value in (
        ("基数合计 Sum of bases", yuan(settlement.base_fen)),
        ("返还合计（精确） Sum of rebates, exact", exact_yuan(settlement.sum_fen_e4)),
        ("上期结转 Carried in", exact_yuan(settlement.carry_in_fen_e4)),
        ("转入社区基金（四舍六入五成双） Into the fund, rounded half to even", yuan(settlement.amount_fen)),
        ("结转下期 Carried out", exact_yuan(settlement.carry_out_fen_e4)),
    ):
        sheet.amount(label, value)
    sheet.text("用人单位承担，不减少任何女工的报酬。 Paid by the employer; it reduces no woman's pay.")
    sheet.text("分组 In groups", size=13)
    sheet.table(GROUP_COLUMNS, [_group(group) for group in statement.groups])
    sheet.text("校验：CSV 结算单的 SHA-256  Proof: SHA-256 of the statement as CSV")
    sheet.text(settlement.statement_hash)


def _group(group: Group) -> tuple[str, ...]:
    return (
        f"{group.agreement_version or '各版本 several'}",
        group.worked_month or "各月 several",
        f"{group.lines:,}",
        yuan(group.base_fen),
        exact_yuan(group.amount_fen_e4),
    )


def _line(number: int, entry: Entry) -> tuple[str, ...]:
    rebate = entry.rebate
    if rebate is None:
        raise ValueError(f"{entry.entry_id} is no rebate")
    return (
        f"{number}",
        f"{rebate.worked_day}",
        "计提 accrual" if entry.kind == "accrual" else "冲回 reversal",
        f"{rebate.shift_id[-8:]}·{rebate.revision}",
        f"{rebate.agreement_version}",
        yuan(rebate.base_fen),
        percent(rebate.rate_bp),
        exact_yuan(entry.amount_fen_e4),
    )


class _Sheet:
    """A canvas with a place where the next line goes; a full page is followed by another with the same foot."""

    def __init__(self, canvas: Canvas, foot: str) -> None:
        self._canvas = canvas
        self._foot = foot
        self._page = 0
        self._y = 0.0
        self._begin()

    def text(self, text: str, size: int = 9) -> None:
        """A line of its own, cut where it would leave the sheet."""
        self._down(size + 8)
        self._put(MARGIN, text, size)

    def pair(self, label: str, value: str) -> None:
        """A label, and what it names beside it."""
        self._down(STEP)
        self._put(MARGIN, label)
        self._put(200, value)

    def amount(self, label: str, value: str) -> None:
        """A label, and an amount at the right edge."""
        self._down(STEP)
        self._put(MARGIN, label)
        self._canvas.drawRightString(WIDTH - MARGIN, self._y, value)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Rows below their heads; the heads again on every page."""
        self._heads(columns)
        for row in rows:
            if self._y - STEP < MARGIN + STEP:
                self.turn()
                self._heads(columns)
            self._down(STEP - 2)
            for column, cell in zip(columns, row, strict=True):
                self._cell(column, cell)

    def turn(self) -> None:
        """A new page."""
        self._end()
        self._begin()

    def done(self, made: io.BytesIO) -> bytes:
        """The whole document."""
        self._end()
        self._canvas.save()
        return made.getvalue()

    def _heads(self, columns: Sequence[Column]) -> None:
        for text in ("zh", "en"):
            self._down(STEP - 3)
            for column in columns:
                self._cell(column, column.zh if text == "zh" else column.en)
        self._canvas.line(MARGIN, self._y - 4, WIDTH - MARGIN, self._y - 4)
        self._y -= 4

    def _cell(self, column: Column, text: str) -> None:
        self._canvas.setFont(FONT, 8)
        if column.align == "right":
            self._canvas.drawRightString(column.x, self._y, text)
        else:
            self._canvas.drawString(column.x, self._y, text)

    def _put(self, x: int, text: str, size: int = 9) -> None:
        self._canvas.setFont(FONT, size)
        room = WIDTH - MARGIN - x
        while pdfmetrics.stringWidth(text, FONT, size) > room:
            text = f"{text[:-2]}…"
        self._canvas.drawString(x, self._y, text)

    def _down(self, points: int) -> None:
        if self._y - points < MARGIN + STEP:
            self.turn()
        self._y -= points

    def _begin(self) -> None:
        self._page += 1
        self._y = HEIGHT - MARGIN

    def _end(self) -> None:
        self._canvas.setFont(FONT, 7)
        self._canvas.drawString(MARGIN, MARGIN - 12, self._foot)
        self._canvas.drawRightString(WIDTH - MARGIN, MARGIN - 12, f"{self._page}")
        self._canvas.showPage()


@cache
def _have_font() -> None:
    """Read the font once; the first statement waits a fifth of a second for it."""
    with as_file(files("paperang_p2_fonts_cjk") / "fonts" / "wqy-microhei.ttc") as file:
        pdfmetrics.registerFont(TTFont(FONT, file, subfontIndex=0))
