"""Rules of the house that no linter knows: money is whole, labels hold no id, errors can be told apart."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from shared.kernel.errors import Kind, ServiceError
from tests.architecture.source import PRODUCT, ROOT, SERVICES, Module, modules_of

LINES_MAX = 400
"""A module longer than this holds more than one thing; about 300 is where a room becomes a folder."""

LABELS = {"method", "route", "status", "topic", "code", "reason", "kind", "command", "outcome", "result"}
"""Every label of every metric. All have few values, known before a request comes; none is an id or free text."""
LABELS |= {"city", "state", "month", "movement", "community"}
"""Of the programme's figures. Cities are those of the installation; of communities, which are no persons, the fifty
with the most rebates have a line of their own and the rest is `other`; the others are closed lists."""

KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
"""Of metrics, in prometheus_client."""

MONEY = re.compile(r"(^|_)(fen|bp|fen_e4|e4)$")
"""Names that hold money or a rate (DESIGN §6)."""


def test_a_module_holds_one_thing() -> None:
    everything = modules_of(*PRODUCT, "tests", "bench")
    long = {str(module): lines for module in everything if (lines := module.text.count("\n")) > LINES_MAX}
    assert long == {}


def test_only_what_talks_to_a_person_prints() -> None:
    talkers = ("mamapost", "bench", "shared.contracts.golden", "services.matching.engine.warm")
    prints = [
        f"{module}:{node.lineno}"
        for module in modules_of(*PRODUCT)
        if not module.name.startswith(talkers)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


def test_what_others_use_says_what_it_is() -> None:
    silent = [
        f"{module}:{node.lineno} {node.name}"
        for module in modules_of("services", "shared")
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not is_told_otherwise(node)
    ]
    assert silent == []


def is_told_otherwise(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """An error that has a `summary`, which callers read; a function that only builds its result out of its argument."""
    if isinstance(node, ast.ClassDef):
        return any(isinstance(part, ast.AnnAssign) and ast.unparse(part.target) == "summary" for part in node.body)
    return len(node.body) == 1 and isinstance(node.body[0], ast.Return)


def test_every_module_says_what_it_is() -> None:
    assert [str(module) for module in modules_of(*PRODUCT) if module.text and not ast.get_docstring(module.tree)] == []


# --- money ------------------------------------------------------------------------------------------------------------

HOLDERS = {"np", "NDArray", "list", "tuple", "Sequence", "Iterable", "Iterator"}
"""What may hold whole amounts: columns and lists."""


def annotated(tree: ast.Module) -> Iterator[tuple[str, ast.expr, int]]:
    """Name, annotation and line of everything that is annotated: fields, variables, parameters, results."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            name = node.target.attr if isinstance(node.target, ast.Attribute) else getattr(node.target, "id", "")
            yield name, node.annotation, node.lineno
        elif isinstance(node, ast.arg) and node.annotation:
            yield node.arg, node.annotation, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.name, node.returns, node.lineno


def names_in(annotation: ast.expr) -> set[str]:
    """Names of the types in an annotation: of `Annotated[int, …]` those of `int`, of a table those of what it holds."""
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        held = {"Annotated": 0, "dict": -1, "Mapping": -1, "Callable": -1}.get(ast.unparse(annotation.value))
        if held is not None:
            return names_in(annotation.slice.elts[held])
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return names_in(ast.parse(annotation.value, mode="eval").body)
    found = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return found | {node.attr for node in ast.walk(annotation) if isinstance(node, ast.Attribute)}


def whole_numbers() -> set[str]:
    """Types of whole numbers, with every alias of one: `Fen = Annotated[int, …]`."""
    known = {"int", "int32", "int64", "Int64"}
    aliases = [
        (node.targets[0].id, node.value)
        for module in modules_of(*PRODUCT)
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Subscript)
        and ast.unparse(node.value.value) == "Annotated"
    ]
    while found := {name for name, value in aliases if names_in(value) <= known} - known:
        known |= found
    return known


def test_money_is_annotated_as_whole_numbers() -> None:
    whole = whole_numbers()
    assert {"Fen", "SignedFenE4", "RateBp"} <= whole
    faults, seen = [], 0
    for module in modules_of(*PRODUCT):
        for name, annotation, line in annotated(module.tree):
            if MONEY.search(name):
                seen += 1
                named = names_in(annotation)
                if not named & whole or not named <= whole | HOLDERS:
                    faults.append(f"{module}:{line} {name}: {ast.unparse(annotation)}")
    assert faults == []
    assert seen > 50  # or the names have changed and nothing is checked


def test_money_is_never_divided_into_fractions() -> None:
    """`/` makes a float of two integers; `//` and `divmod` do not."""
    faults = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in modules_of(*PRODUCT)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and (is_money(node.left) or is_money(node.right))
    ]
    assert faults == []


def test_money_is_never_made_a_float() -> None:
    faults = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in modules_of(*PRODUCT)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("float", "Decimal", "round")
        and any(is_money(argument) for argument in node.args)
    ]
    assert faults == []


def is_money(node: ast.expr) -> bool:
    """Whether an expression is, or is computed from, a name that holds money."""
    names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    names += [part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)]
    return any(MONEY.search(name) for name in names)


# --- errors -----------------------------------------------------------------------------------------------------------


def errors_of(service: str) -> list[type[ServiceError]]:
    module = importlib.import_module(f"services.{service}.errors")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceError) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_of_a_service_can_be_told_from_the_others(service: str) -> None:
    errors = errors_of(service)
    [root] = [error for error in errors if ServiceError in error.__bases__]
    assert all(issubclass(error, root) for error in errors), "one tree"
    leaves = [error for error in errors if not error.__subclasses__()]
    assert leaves
    codes = Counter(getattr(error, "code", error.__name__) for error in leaves)
    assert [code for code, times in codes.items() if times > 1] == []
    for error in leaves:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", getattr(error, "code", "")), error
        assert getattr(error, "kind", None) in get_args(Kind), error
        assert type(error.retryable) is bool, error


# --- metrics ----------------------------------------------------------------------------------------------------------


def metrics_in(module: Module) -> Iterator[ast.Call]:
    if not any(name.startswith("prometheus_client") for name in module.imports()):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in KINDS:
            yield node


def test_metrics_have_a_reason_and_labels_of_the_closed_list() -> None:
    names: list[str] = []
    for module in modules_of(*PRODUCT):
        for call in metrics_in(module):
            where = f"{module}:{call.lineno}"
            assert module.name.endswith(".metrics"), where
            name, reason, *more = (ast.literal_eval(argument) for argument in call.args)
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            labels = more[0] if more else ast.literal_eval(named["labelnames"]) if "labelnames" in named else []
            assert set(labels) <= LABELS, where
            assert re.fullmatch(r"mamapost(_[a-z0-9]+)+", name), where
            assert reason.endswith("."), where
            names.append(name)
    assert len(set(names)) == len(names) > 10


def test_labels_are_given_in_order_and_hold_no_id() -> None:
    """What a label gets at its place of use is not a variable that holds an id."""
    faults = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in modules_of(*PRODUCT)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if re.search(r"(^|[._])(id|entity_id|key|name|path|url)$", ast.unparse(argument))
    ]
    assert faults == []


def test_the_closed_list_names_no_id() -> None:
    assert not [label for label in LABELS if re.search(r"id$|name|phone|person|seeker|key|path$", label)]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_every_limit_has_its_reason_beside_it() -> None:
    """A public constant that ends in MAX, MIN, _S, _MS or _BYTES is followed by a text that says why."""
    silent, seen = [], 0
    for module in modules_of("services", "shared"):
        body = module.tree.body
        for place, node in enumerate(body):
            name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
            if not re.fullmatch(r"[A-Z][A-Z_]*_(MAX|MIN|S|MS|BYTES)", name):
                continue
            seen += 1
            following = [later for later in body[place + 1 :] if not isinstance(later, ast.Assign)][:1]
            is_told = bool(following) and isinstance(following[0], ast.Expr)
            above = module.text.splitlines()[node.lineno - 2]
            if not is_told and not above.lstrip().startswith("#"):
                silent.append(f"{module}:{node.lineno} {name}")
    assert silent == []
    assert seen > 20


def test_the_house_is_found() -> None:
    assert (ROOT / "pyproject.toml").exists()
    assert len(modules_of(*PRODUCT)) > 100
