"""Regular expressions for untrusted text take linear time: each is tested with texts derived from itself.

Patterns of quadratic or higher time read far before they fail, at many positions. So the texts repeat what
a pattern or a part of it matches, and end in what it does not. Arrow's patterns use RE2, which is linear by design.
"""

import ast
import importlib
import re
import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "filters", "pipeline")  # the others read what people and programs of their own write
METHODS = {"match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
NUM_CHARACTERS = 8_000
STEPS = (24, 400)  # so that what is exponential or cubic is found before it takes for ever
SLOW_SECONDS = 0.015  # of CPU time: a linear pattern takes 1 ms for so many characters, a quadratic one 50 and more
GROWTH = 8  # for four times as many characters: linear takes 4 times as long, quadratic 16 times
# Patterns that are built where they are used: what they are there.
BUILT = {
    "pipeline.html.tree": [(r"</script(?=[\s/>])", re.I)],
    "pipeline.html.images": [(r"(?:^|;)\s*width\s*:([^;]*)", re.I)],
}
# Patterns in tuples, of which a name in a loop is called.
CALLED = {"_AROUND": {"sub"}, "_FILE_NAMES": {"fullmatch"}}
# Texts that are bounded before a pattern sees them: how many characters, and by what.
BOUNDED = {"pipeline.html.images._EXTENSIONS": 2_000}  # addresses.MAX_URL_CHARACTERS


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            if re.search(r"\bre\.", text):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(text)


@cache
def found() -> dict[str, tuple[Any, int, frozenset[str]]]:
    """Return each pattern by module and name or line: its text, its flags, and the methods called on it."""
    patterns: dict[str, tuple[Any, int, frozenset[str]]] = {}
    called: dict[str, set[str]] = {name: set(methods) for name, methods in CALLED.items()}
    unknown = set()
    for module, tree in sources():
        at_top = {id(node) for top in tree.body if not isinstance(top, ast.FunctionDef) for node in ast.walk(top)}
        names = set()
        makers = [
            f
            for f in ast.walk(tree)
            if isinstance(f, ast.FunctionDef) and "re.Pattern" in ast.unparse(f.returns or ast.Pass())
        ]
        at_top |= {id(node) for maker in makers for node in ast.walk(maker)}
        for maker in makers:
            if not maker.args.args:
                pattern = getattr(importlib.import_module(module), maker.name)()
                patterns[f"{module}.{maker.name}"] = (pattern.pattern, pattern.flags, frozenset())
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            of, method = node.func.value, node.func.attr
            of = of.func if isinstance(of, ast.Call) else of
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
            if name != "re" and method in METHODS:
                called.setdefault(name, set()).add(method)
            elif name == "re" and method in METHODS | {"compile"}:
                where = f"{module}:{node.lineno}"
                if method == "compile" and id(node) in at_top:
                    names.add(module)
                elif isinstance(node.args[0], ast.Constant):
                    flags = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr.isupper()}
                    number = sum(getattr(re, flag) for flag in flags if hasattr(re, flag))
                    patterns[where] = (node.args[0].value, number, frozenset({method} & METHODS or {"search"}))
                else:
                    unknown.add(module)
                    for pattern, number in BUILT.get(module, []):
                        patterns[f"{module} {pattern}"] = (pattern, number, frozenset({method} & METHODS or {"search"}))
        for module in names:
            for name, pattern in _compiled(vars(importlib.import_module(module))):
                patterns[f"{module}.{name}"] = (pattern.pattern, pattern.flags, frozenset())
    assert unknown == set(BUILT), f"list patterns that are built where they are used in BUILT: {unknown ^ set(BUILT)}"
    return {
        where: (text, flags, methods or frozenset(called.get(where.rsplit(".", 1)[-1].split("[")[0], {"search"})))
        for where, (text, flags, methods) in patterns.items()
    }


def _compiled(values: Any, path: str = "") -> Iterator[tuple[str, re.Pattern[Any]]]:
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        name = f"{path}[{key!r}]" if path else str(key)
        if isinstance(value, re.Pattern):
            yield name, value
        elif isinstance(value, dict | list | tuple) and not name.startswith("__"):
            yield from _compiled(value, name)
        elif isinstance(value, type) and value.__module__ == values.get("__name__") if not path else False:
            yield from _compiled(dict(vars(value)), name)


def example(items: Any) -> str:
    """Return a short text that a parsed pattern matches, ignoring look-around assertions."""
    return "".join(map(_example, items))


def _example(item: Any) -> str:
    kind, value = item
    if kind is op.LITERAL:
        return chr(value)
    if kind in (op.NOT_LITERAL, op.ANY):
        return "a" if value != ord("a") else "b"
    if kind is op.IN:
        return _member(value)
    if kind in REPEATS:
        return example(value[2]) * max(value[0], 1)
    if kind is op.BRANCH:
        return example(value[1][0])
    if kind is op.SUBPATTERN:
        return example(value[-1])
    if kind is op.ATOMIC_GROUP:
        return example(value)
    return ""


REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def _member(members: Any) -> str:
    text = "".join(
        chr(value) if kind is op.LITERAL else chr(value[0]) if kind is op.RANGE else "" for kind, value in members
    )
    one = re.compile(_class(members))
    return next((c for c in [*text, *" a0.-_\n\t<\"'é。\x00"] if one.match(c)), " ")


def _class(members: Any) -> str:
    parts = []
    for kind, value in members:
        if kind is op.LITERAL:
            parts.append(re.escape(chr(value)))
        elif kind is op.RANGE:
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        elif kind is op.CATEGORY:
            parts.append(
                "\\" + {"D": "d", "S": "s", "W": "w"}[str(value).rsplit("_", 1)[-1][0]].upper()
                if "NOT" in str(value)
                else "\\" + {"D": "d", "S": "s", "W": "w"}[str(value).rsplit("_", 1)[-1][0]]
            )
    return f"[{'^' if members and members[0][0] is op.NEGATE else ''}{''.join(parts)}]"


def parts(items: Any) -> Iterator[tuple[str, str]]:
    """Yield, for each part of a parsed pattern, an example of what precedes it, and one of the part itself."""
    before = ""
    for item in items:
        kind, value = item
        yield before, _example(item)
        inner = (
            [value[2]] if kind in REPEATS else value[1] if kind is op.BRANCH else [value[-1]] if kind is op.SUBPATTERN
            else [value] if kind is op.ATOMIC_GROUP else [value[1]] if kind in (op.ASSERT, op.ASSERT_NOT) else []
        )  # fmt: skip
        for nested in inner:
            for earlier, part in parts(nested):
                yield before + earlier, part
        if kind is op.IN:
            yield from ((before, chr(v)) for k, v in value if k is op.LITERAL)
        before += _example(item)


def texts(pattern: Any, flags: int) -> set[tuple[str, str, str]]:
    """Return adversarial texts: a start, a part to repeat, and an end."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    tree = parser.parse(text, flags & ~re.UNICODE if isinstance(pattern, bytes) else flags)
    told = list(dict.fromkeys(parts(tree)))[:16]
    repeated = {part for _, part in told} | {before for before, _ in told} | {b + p for b, p in told}
    repeated |= {one[1] + other[1] for one, other in pairwise(told)}
    starts = {""} | {before for before, _ in told[:4]}
    made = {("", pump, end) for pump, end in product(repeated, ("", "\x00")) if pump}
    return made | {(start, part, "\x00") for start, (_, part) in product(starts, told) if part}


def cost(pattern: Any, flags: int, methods: frozenset[str], text: str, num_tries: int = 1) -> float:
    """Return the CPU time of the slowest method [seconds]."""
    compiled = re.compile(pattern, flags)
    subject: Any = text.encode("utf-8", "replace") if isinstance(pattern, bytes) else text
    dearest = 0.0
    for method in methods:
        times = []
        for _ in range(num_tries):
            began = time.process_time()
            if method in ("sub", "subn"):
                compiled.sub(b"" if isinstance(pattern, bytes) else "", subject)
            elif method == "finditer":
                any(False for _ in compiled.finditer(subject))
            else:
                getattr(compiled, method)(subject)
            times.append(time.process_time() - began)
        dearest = max(dearest, min(times))
    return dearest


def grows(pattern: Any, flags: int, methods: frozenset[str], most: int = NUM_CHARACTERS) -> str | None:
    """Return a text for which a pattern takes more than linear time; None if none was found."""
    for start, pump, end in sorted(texts(pattern, flags)):
        for size in (*(s for s in STEPS if s < most), most):
            made = start + pump * (size // len(pump)) + end
            if cost(pattern, flags, methods, made) > SLOW_SECONDS:
                quarter = start + pump * (size // 4 // len(pump)) + end
                most_seconds = cost(pattern, flags, methods, made, 3)
                if most_seconds > SLOW_SECONDS and most_seconds > GROWTH * cost(pattern, flags, methods, quarter, 3):
                    return f"{start!r} + {pump!r} * {size // len(pump)} + {end!r}: {most_seconds:.2f} s"
                break
    return None


@pytest.mark.parametrize("where", sorted(found()))
def test_a_pattern_takes_linear_time(where: str) -> None:
    assert grows(*found()[where], BOUNDED.get(where, NUM_CHARACTERS)) is None


@pytest.mark.parametrize(
    ("pattern", "method"),
    [(r"a+b", "search"), (r"(a+)+b", "match"), (r"(a|a)*$", "match"), (r"<!--.*?-->", "search"), (r"\s+$", "sub"),
     (r"\w+\s*:", "findall"), (rb"(?s)<a.*</a>", "finditer"), (r"[.!]+(?=\s+[A-Z])", "finditer"),
     (r"x*x*x*y", "match")],
)  # fmt: skip
def test_patterns_that_grow_faster_are_found(pattern: str, method: str) -> None:
    assert grows(pattern, 0, frozenset({method})) is not None


@pytest.mark.parametrize("pattern", [r"a+", r"[^,;]*,", r"(?:a++)b", r"\d{1,3}(\.\d{1,3}){3}"])
def test_linear_patterns_pass(pattern: str) -> None:
    assert grows(pattern, 0, frozenset({"match"})) is None
