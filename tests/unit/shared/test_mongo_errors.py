"""Which errors of the database say "not now": after these the same work is tried again, after others it is a defect."""

from __future__ import annotations

import pytest
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DuplicateKeyError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from shared.runtime.mongo import is_unavailable

UNMAJORITY = {"errInfo": {"writeConcern": {"w": "majority"}}}


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        NetworkTimeout("gone"),
        NotPrimaryError("not primary", {}),
        ServerSelectionTimeoutError("nobody"),
        # As a real replica set answered while its primary was made to step down.
        WriteConcernError("Primary stepped down while waiting for replication", 189, UNMAJORITY),
        WriteConcernError("operation was interrupted", 11602, UNMAJORITY | {"errorLabels": ["RetryableWriteError"]}),
        OperationFailure("operation was interrupted", 11600),
        OperationFailure("node is recovering", 13436),
        OperationFailure("snapshot is gone", 239),
        ConfigurationError("Sessions are not supported by this MongoDB deployment"),
        OperationFailure("a conflict", 112, {"errorLabels": ["TransientTransactionError"]}),
    ],
)
def test_a_database_that_is_gone_for_now(error: PyMongoError) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [
        DuplicateKeyError("twice", 11000),
        OperationFailure("no such command", 59),
        OperationFailure("not allowed", 13),
        WriteError("document is not valid", 121),
        ConfigurationError("Unknown option"),
        ValueError("not of the database"),
    ],
)
def test_a_statement_that_is_wrong(error: Exception) -> None:
    assert not is_unavailable(error)
