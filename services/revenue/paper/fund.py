"""The public page of a community's fund: a picture and two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.revenue.domain.funds import Fund, Spending
from services.revenue.domain.grants import Grant
from services.revenue.domain.settlements import Settlement
from services.revenue.paper.pages import templates
from services.revenue.paper.picture import Bar, bars
from shared.kernel.money import yuan

CATEGORY_NAMES = {
    "clinic": "义诊 Clinics",
    "child-care-lecture": "育儿讲座 Child-care lectures",
    "home-visit": "走访慰问 Visits to mothers in need",
    "lighting": "亮化 Lighting the square",
    "painting": "粉刷美化 Painting the square",
    "activity": "妇女儿童活动 Activities",
}
"""Every earmarked purpose in words."""


@dataclass(frozen=True, slots=True)
class FundPage:
    """What the page of a fund shows.

    Attributes:
        office: the community's public name.
        spent_fen: by category.
        movements: the last ones, newest first.
    """

    fund: Fund
    office: str
    spent_fen: Mapping[str, int]
    movements: Sequence[Settlement | Spending | Grant]

    @property
    def settlements(self) -> list[Settlement]:
        return [one for one in self.movements if isinstance(one, Settlement)]

    @property
    def grants(self) -> list[Grant]:
        return [one for one in self.movements if isinstance(one, Grant)]

    @property
    def spendings(self) -> list[Spending]:
        return [one for one in self.movements if isinstance(one, Spending)]


def fund_page(page: FundPage) -> str:
    """One HTML document that needs nothing else."""
    fund = page.fund
    picture = bars(
        f"{page.office}: 收入、支出与结余 income, spending and balance",
        [
            Bar("返还收入 Rebates", fund.income_fen, "income"),
            *([Bar("捐赠补助 Grants", fund.granted_fen, "income")] if fund.granted_fen else []),
            *(Bar(CATEGORY_NAMES[name], amount, "spent") for name, amount in sorted(page.spent_fen.items())),
            Bar("结余 Left", fund.balance_fen, "left"),
        ],
        yuan,
    )
    return templates.get_template("fund.html").render(page=page, fund=fund, picture=picture, names=CATEGORY_NAMES)
