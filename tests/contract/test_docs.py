"""The documents say what the code says: tables are made from the code, examples are read by it, links lead somewhere.

A table stands between `<!-- generated: name -->` and `<!-- /generated -->`. After a change of settings, errors, metrics
or commands: `python -m tests.contract.test_docs --write`, and commit the documents.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import httpx
import pytest
from annotated_types import Ge, Le
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from pydantic.fields import FieldInfo

import shared.runtime
from services.registry.api.uploads import CSV, NDJSON, POST_COLUMNS, SEEKER_COLUMNS, SHIFT_COLUMNS, Columns, rows_of
from services.registry.errors import RowInvalid
from services.registry.use_cases.commands import OpenPost, RecordShift, RegisterSeeker
from shared.contracts.catalogue import table, topic_sections, topics_table
from shared.contracts.envelope import Reason
from shared.kernel.errors import ServiceError
from shared.runtime.auth import Unauthorized
from shared.runtime.http import STATUS, create_app
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "docs/configuration.md",
    "docs/deployment.md",
    "docs/events.md",
    "docs/http.md",
    "docs/operations.md",
    "docs/scaling.md",
)
SERVICES = ("registry", "matching", "training", "revenue")

INTERNAL = {"published-elsewhere"}
"""Codes that steer a service and never reach a caller."""

EDGE_ONLY: dict[str, tuple[str, str]] = {
    "invalid": ("422", "The request does not have the expected form; `errors` names every field."),
    "no-such-route": ("404", "There is nothing at this path."),
    "method-not-allowed": ("405", "The path exists, but not with this method."),
    "malformed": ("400", "The request cannot be read as HTTP with JSON."),
    "internal": ("500", "A defect of the service; it was logged."),
}
"""Problems that the HTTP edge makes itself, without a class of their own. `invalid` also names bad rows of a bulk."""

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
_TEST_PATH = re.compile(r"`(tests/[a-z_/]+\.py)`")


def settings_table() -> str:
    """Every variable, from the Settings classes: the shared ones, then what a service adds or changes."""
    rows: list[tuple[str, ...]] = [("variable", "default", "allowed", "meaning", "read by")]
    rows += [_setting(name, field, "all") for name, field in Settings.model_fields.items()]
    for service in SERVICES:
        config = importlib.import_module(f"services.{service}.config")
        own: type[Settings] = getattr(config, f"{service.capitalize()}Settings")
        for name, field in own.model_fields.items():
            common = Settings.model_fields.get(name)
            if common is None or (common.default, common.description) != (field.default, field.description):
                rows.append(_setting(name, field, service))
    return table(rows)


def _setting(name: str, field: FieldInfo, readers: str) -> tuple[str, ...]:
    if field.is_required():
        default = "none: must be given"
    else:
        default = "none" if field.default is None else f"`{field.default}`"
    meaning = field.description or f"{name.replace('_', ' ').capitalize()}."
    return (f"`MAMAPOST_{name.upper()}`", default, _allowed(field), meaning, readers)


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " ".join(f"`{word}`" for word in get_args(field.annotation))
    metadata = field.metadata
    least = next((limit.ge for limit in metadata if isinstance(limit, Ge)), None)
    most = next((limit.le for limit in metadata if isinstance(limit, Le)), None)
    if least is not None and most is not None:
        return f"{least}–{most}"
    pattern = next((found for limit in metadata if (found := getattr(limit, "pattern", None))), None)
    return f"`{str(pattern).replace('|', chr(92) + '|')}`" if pattern else ""


def codes_table(service: str) -> str:
    """Every code that a service can answer, from its tree of errors; `shared`: what all services can answer."""
    if service in SERVICES:
        importlib.import_module(f"services.{service}.errors")
    else:
        for module in pkgutil.iter_modules(shared.runtime.__path__):
            importlib.import_module(f"shared.runtime.{module.name}")
    prefix = f"services.{service}." if service in SERVICES else "shared."
    rows = []
    for error in _subclasses(ServiceError):
        code = error.__dict__.get("code")
        if error.__module__.startswith(prefix) and code is not None and code not in INTERNAL | EDGE_ONLY.keys():
            status = 401 if issubclass(error, Unauthorized) else STATUS[error.kind]
            rows.append((f"`{code}`", str(status), "yes" if error.retryable else "", _meaning(error)))
    if service == "shared":
        rows += [(f"`{code}`", status, "", meaning) for code, (status, meaning) in EDGE_ONLY.items()]
    return table([("code", "status", "retry", "meaning"), *sorted(rows, key=lambda row: (row[1], row[0]))])


def _subclasses(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in error.__subclasses__():
        yield child
        yield from _subclasses(child)


def _meaning(error: type[ServiceError]) -> str:
    summary = getattr(error, "summary", None)
    if isinstance(summary, str):
        return f"{summary[0].upper()}{summary[1:]}."
    if error.__doc__:
        return " ".join(error.__doc__.split("\n\n")[0].split())
    code: str = error.code
    return f"{code.replace('-', ' ').capitalize()}."


def metrics_table(owner: str) -> str:
    """Every metric of a service, or of the shared runtime: name as Prometheus shows it, kind, labels, meaning."""
    module = importlib.import_module("shared.runtime.metrics" if owner == "shared" else f"services.{owner}.metrics")
    return table([("metric", "kind", "labels", "meaning"), *_metrics(module)])


def _metrics(module: ModuleType) -> Iterator[tuple[str, ...]]:
    for value in vars(module).values():
        if isinstance(value, Counter | Gauge | Histogram):
            family = next(iter(value.describe()))
            name = f"{family.name}_total" if isinstance(value, Counter) else family.name
            labels = ", ".join(f"`{label}`" for label in value._labelnames)
            yield (f"`{name}`", family.type, labels, family.documentation)


def commands_block() -> str:
    """The targets of the Makefile with their help, as `make help` lists them."""
    found = re.findall(r"^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return "```text\n" + "".join(f"make {name:<14} {told}\n" for name, told in found) + "```\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "topics": topics_table,
    "events": topic_sections,
    "commands": commands_block,
    "settings": settings_table,
    **{f"codes-{owner}": partial(codes_table, owner) for owner in ("shared", *SERVICES)},
    **{f"metrics-{owner}": partial(metrics_table, owner) for owner in ("shared", *SERVICES)},
}


def with_blocks(text: str) -> str:
    """A document with every generated block made anew."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def fences(language: str) -> list[tuple[str, str]]:
    """Code blocks of a language in all documents: what stands beside the language, and the code."""
    texts = [(ROOT / name).read_text() for name in DOCUMENTS]
    return [(found[2].strip(), found[3]) for text in texts for found in _FENCE.finditer(text) if found[1] == language]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_what_the_code_says(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text == with_blocks(text), "run `python -m tests.contract.test_docs --write` and commit the documents"


def test_every_table_stands_in_a_document() -> None:
    stand = [found[2] for name in DOCUMENTS for found in _BLOCK.finditer((ROOT / name).read_text())]
    assert sorted(stand) == sorted(BLOCKS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_named_tests_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    wanted = {(ROOT / name).parent / path for path in _LINK.findall(text)}
    wanted |= {ROOT / path for path in _TEST_PATH.findall(text)}
    assert [str(path) for path in wanted if not path.exists()] == []


def test_named_test_functions_exist() -> None:
    """`path.py::test_name` in a document."""
    texts = "".join((ROOT / name).read_text() for name in DOCUMENTS)
    for path, function in re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", texts):
        defined = {getattr(node, "name", "") for node in ast.walk(ast.parse((ROOT / path).read_text()))}
        assert function in defined, f"{path} has no {function}"


_UPLOADS: dict[str, tuple[type[Any], Columns]] = {
    "seekers": (RegisterSeeker, SEEKER_COLUMNS),
    "posts": (OpenPost, POST_COLUMNS),
    "shifts": (RecordShift, SHIFT_COLUMNS),
}


@pytest.mark.parametrize(("language", "media_type"), [("ndjson", NDJSON), ("csv", CSV)])
def test_uploads_in_the_documents_are_read_without_a_fault(language: str, media_type: str) -> None:
    examples = fences(language)
    assert {what for what, _ in examples} == ({"seekers"} if language == "ndjson" else set(_UPLOADS))
    for what, code in examples:
        model, columns = _UPLOADS[what]
        rows: list[Any] = rows_of(media_type, code.encode(), model, columns)
        assert [row.faults for row in rows if isinstance(row, RowInvalid)] == []


def test_columns_of_uploads_are_named() -> None:
    text = (ROOT / "docs/http.md").read_text()
    missing = {name for _, columns in _UPLOADS.values() for name in columns if f"`{name}`" not in text}
    assert missing == set()


def test_python_in_the_documents_is_python() -> None:
    examples = fences("python")
    assert examples
    for _, code in examples:
        compile(code, "document", "exec")


def test_every_reason_of_a_dead_letter_is_told() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    assert [reason for reason in get_args(Reason) if f"`{reason}`" not in text] == []


async def test_the_edge_answers_with_the_codes_that_are_told() -> None:
    async def ready() -> dict[str, str]:
        return {}

    app: FastAPI = create_app("registry", "", Settings(), None, ready)  # type: ignore[arg-type]  # never started
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        for answer in (await client.get("/nothing"), await client.post("/metrics")):
            code = answer.json()["code"]
            assert EDGE_ONLY[code][0] == str(answer.status_code)


def main(arguments: Sequence[str]) -> int:
    """Write the generated blocks anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="write the blocks of all documents anew")
    parser.parse_args(arguments)
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        if (made := with_blocks(text)) != text:
            (ROOT / name).write_text(made)
            sys.stdout.write(f"written  {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
