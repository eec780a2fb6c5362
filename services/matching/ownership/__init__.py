"""Which partitions this instance answers for, and who answers for the others."""

from services.matching.ownership.leases import Leases
from services.matching.ownership.peers import FORWARDED, KNOWN_S, PARTITIONS_HEADER, Answer, Patience, Peers

__all__ = ["FORWARDED", "KNOWN_S", "PARTITIONS_HEADER", "Answer", "Leases", "Patience", "Peers"]
