"""Statements as HTML."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from services.revenue.domain.statements import Statement, exact_yuan, percent
from shared.kernel.clock import civil_day
from shared.kernel.money import yuan

templates = Environment(
    loader=PackageLoader("services.revenue.paper"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""The templates beside this file; whatever is put into them is escaped."""
templates.filters.update(yuan=yuan, exact_yuan=exact_yuan, percent=percent, civil_day=civil_day)


def statement_page(statement: Statement) -> str:
    """A statement as one HTML document that needs nothing else."""
    return templates.get_template("statement.html").render(statement=statement, settlement=statement.settlement)
