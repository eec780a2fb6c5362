"""The five dashboards."""

from deploy.monitoring.pages.bus import BUS
from deploy.monitoring.pages.matching import MATCHING
from deploy.monitoring.pages.programme import PROGRAMME
from deploy.monitoring.pages.revenue import REVENUE
from deploy.monitoring.pages.service import SERVICE

DASHBOARDS = (PROGRAMME, BUS, MATCHING, REVENUE, SERVICE)

__all__ = ["BUS", "DASHBOARDS", "MATCHING", "PROGRAMME", "REVENUE", "SERVICE"]
