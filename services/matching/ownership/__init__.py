"""Which partitions this instance answers for, and who answers for the others."""

from services.matching.ownership.leases import Leases
from services.matching.ownership.peers import FORWARDED, PARTITIONS_HEADER, Answer, Peers

__all__ = ["FORWARDED", "PARTITIONS_HEADER", "Answer", "Leases", "Peers"]
