"""MongoDB: the ledger inside a transaction, its readers, and the whole of it at one moment.

Collections: `heads` (end of each city's chain), `entries` (the ledger; only ever inserted; see `lines`), `blocks` (what
seals them), `told` (how far events were made of them), `books` (running totals of each pair, month, month worked and
agreement), `accounts` (settled through, carried remainder), `agreements`, `shifts` (what stands, of those with more
lines than one), `suspense`, `orders` (settlements to be entered), `settlements`, `spendings` (requests, and what came
of them), `receipts` (the files), `funds`, `batches` and `payouts` (files for the bank), `sources` and `grants` (money
beside rebates), `parties`, `verifications` and `reconciliations` (the last one of each city).
"""

from services.revenue.store.checks import reconciliations, verifications
from services.revenue.store.figures import MongoFigures
from services.revenue.store.indexes import STEPS, refuse_old_ledger
from services.revenue.store.orders import MongoOrders
from services.revenue.store.read import MongoReads
from services.revenue.store.snapshot import MongoSnapshot, at_one_moment
from services.revenue.store.write import MongoLedger

__all__ = [
    "STEPS",
    "MongoFigures",
    "MongoLedger",
    "MongoOrders",
    "MongoReads",
    "MongoSnapshot",
    "at_one_moment",
    "reconciliations",
    "refuse_old_ledger",
    "verifications",
]
