"""The house rules as functions: a path and its text go in, one sentence per breach comes out."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

Rule = Callable[[PurePosixPath, str], Iterator[str]]

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 70

VAGUE_WORDS = frozenset(
    {"util", "utils", "utility", "utilities", "helper", "helpers", "common", "manager", "managers", "data", "info"}
)
# Keywords and literals that read the real clock past the virtual one; a function can be redirected, these cannot.
REAL_CLOCK_SQL = re.compile(
    r"\b(current_timestamp|current_time|current_date|localtimestamp|localtime|timeofday)\b"
    r"|'(now|today|tomorrow|yesterday)'",
    re.IGNORECASE,
)
PYTHON_CLOCKS = frozenset(
    {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
)
# The only modules in which a process ends, and so the only ones that may catch everything.
PROCESS_ENDS = frozenset(
    {
        "worker/command_worker.py",
        "sim/cli.py",
        "sim/fake_bot/__main__.py",
        "sim/stack/forked.py",  # where a forked child ends
        "tests/planted_bugs/warm_pytest.py",  # likewise
        "sim/witness/inject/sitecustomize.py",  # a sensor that cannot be installed ends the process it is in
        "tests/foreign_worker/worker.py",
    }
)
# Joined here, so that this file does not hold what it forbids.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("anaconda", "org"),
        ("golang", "org"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("registry-1", "docker", "io"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
REGISTRY_OPTIONS = ("--" + "index-url", "--" + "extra-index-url", "--" + "find-links")
MACHINE_PATH = re.compile(r"(?<![\w./$}-])/(work|root|Users|home/[a-z]+)/")
LOCK_LINE = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][\w.!+]*( ; [\w '\"=!<>.()]+)?")


def _is_below(path: PurePosixPath, *folders: str) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _is_python(path: PurePosixPath) -> bool:
    return path.suffix == ".py"


def _is_test_code(path: PurePosixPath) -> bool:
    return _is_below(path, "tests", "sim/scenarios")


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _calls(text: str) -> Iterator[tuple[ast.Call, str]]:
    """Each call with its dotted name, `datetime.datetime.now` shortened to its last two parts."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            yield node, ".".join(ast.unparse(node.func).split(".")[-2:])


def _imports(text: str) -> Iterator[tuple[int, str]]:
    """The line and full name of each thing imported: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def short_modules(path: PurePosixPath, text: str) -> Iterator[str]:
    lines = len(text.splitlines())
    if _is_python(path) and lines > MAX_MODULE_LINES:
        yield f"{lines} lines, at most {MAX_MODULE_LINES}; split it by what it is about"


def short_functions(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path):
        return
    for function in _functions(text):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"line {function.lineno}: {function.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def telling_names(path: PurePosixPath, text: str) -> Iterator[str]:
    """Breaches in module, folder, class and public function names; a name that says nothing hides a second thing.

    The name of a test is a sentence and may use any word.
    """
    if not _is_python(path):
        return
    names = [*path.with_suffix("").parts]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
            ("_", "test_")
        ):
            names.append(node.name)
    for name in names:
        words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
        for word in sorted(words & VAGUE_WORDS):
            yield f"{name}: the word {word} says nothing; name the thing itself"


def redirectable_sql_time(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_below(path, "worker", "sim") or path.suffix not in {".py", ".sql", ".mako"}:
        return
    for line, part in _sql_of(path, text):
        for found in REAL_CLOCK_SQL.finditer(part):
            yield f"line {line}: {found.group()} cannot follow the virtual clock; call now() or clock_timestamp()"


def _sql_of(path: PurePosixPath, text: str) -> Iterator[tuple[int, str]]:
    """What may be SQL: in Python the strings that are no docstring, and the names called on `func`."""
    if not _is_python(path):
        yield from enumerate(text.splitlines(), start=1)
        return
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and _is_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "func":
            yield node.lineno, node.attr


def no_sleeping_tests(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path) or not _is_test_code(path):
        return
    slept = [call.lineno for call, name in _calls(text) if name in {"time.sleep", "asyncio.sleep"}]
    slept += [line for line, name in _imports(text) if name in {"time.sleep", "asyncio.sleep"}]
    for line in slept:
        yield f"line {line}: a sleep hides a race; wait for the thing itself, with a bound"


def aware_time(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path):
        return
    for call, name in _calls(text):
        naive_now = name == "datetime.now" and not call.args and not call.keywords
        if naive_now or name in {"datetime.utcnow", "datetime.utcfromtimestamp", "datetime.today", "date.today"}:
            yield f"line {call.lineno}: {name}() has no zone; write datetime.now(UTC)"


def database_decides_time(path: PurePosixPath, text: str) -> Iterator[str]:
    """Breaches where a decision could be taken by this host's clock; two hosts with skewed clocks must agree."""
    deciding = (
        "worker/contracts",
        "worker/guards",
        "worker/services",
        "worker/handlers",
        "worker/writers",
        "worker/bus",
    )
    if not _is_python(path) or not _is_below(path, *deciding):
        return
    for call, name in _calls(text):
        if name in PYTHON_CLOCKS:
            yield f"line {call.lineno}: {name}() asks this host; take the time from the database"


def no_floats_in_worker(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path) or not _is_below(path, "worker") or path.name == "canonical_json.py":
        return
    for call, name in _calls(text):
        if name == "float":
            yield f"line {call.lineno}: float() loses digits of money; use Decimal from str"


def offline_worker(path: PurePosixPath, text: str) -> Iterator[str]:
    """Breaches that an import contract cannot see, because it knows urllib only as a whole: parsing is welcome."""
    if not _is_python(path) or not _is_below(path, "worker"):
        return
    for line, name in _imports(text):
        if name.startswith("urllib.") and not name.startswith("urllib.parse"):
            yield f"line {line}: {name} can open a connection; the worker talks to Postgres alone"


def narrow_except(path: PurePosixPath, text: str) -> Iterator[str]:
    """Breaches by handlers that catch everything and go on; one that ends in a bare `raise` hides nothing."""
    if not _is_python(path) or path.as_posix() in PROCESS_ENDS:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "BaseException" if node.type is None else ast.unparse(node.type)
        goes_on = not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        if goes_on and re.search(r"\b(Base)?Exception\b", caught):
            yield f"line {node.lineno}: except {caught} outside the end of a process; name what can happen"


def bare_packages(path: PurePosixPath, text: str) -> Iterator[str]:
    if path.name != "__init__.py":
        return
    body = ast.parse(text).body
    if len(body) != 1 or not _is_docstring(body[0]):
        yield "a package holds one docstring and nothing else; move the code to a module"


def no_registry_hosts(path: PurePosixPath, text: str) -> Iterator[str]:
    for found in (*REGISTRY_HOSTS, *REGISTRY_OPTIONS):
        if re.search(rf"(?<![\w-]){re.escape(found)}(?![\w-])", text):
            yield f"{found}: where packages come from is the machine's setting, not the project's"


def no_machine_paths(path: PurePosixPath, text: str) -> Iterator[str]:
    for found in MACHINE_PATH.finditer(text):
        yield f"{found.group()}: a path of one machine; make it relative or ask the environment"


def versions_only_lock(path: PurePosixPath, text: str) -> Iterator[str]:
    if path.name != "requirements.lock":
        return
    lines = text.splitlines()
    for line in lines:
        if not LOCK_LINE.fullmatch(line):
            yield f"{line}: expected name==version, with nothing but a marker behind it"
    names = [line.split("==")[0] for line in lines]
    if names != sorted(set(names)):
        yield "the lines are not sorted, or a name is there twice"


def straight_tests(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path) or not _is_test_code(path):
        return
    for function in _functions(text):
        if not function.name.startswith("test_"):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.If | ast.Match):
                yield f"line {node.lineno}: {function.name} branches; write one test per case"


def no_mocks(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_python(path):
        return
    for line, name in _imports(text):
        if name.startswith(("unittest.mock", "mock.")):
            yield f"line {line}: {name}: play the real thing, or a double that is its own process"


def asking_scenarios(path: PurePosixPath, text: str) -> Iterator[str]:
    if not _is_below(path, "sim/scenarios") or not path.name.startswith("test_"):
        return
    docstring = ast.get_docstring(ast.parse(text)) or ""
    if "?" not in docstring:
        yield "the module docstring does not open with the question an incident review would ask"
    if "Must hold" not in docstring:
        yield "the module docstring does not say what must hold (Must hold: …)"


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            short_modules,
            short_functions,
            telling_names,
            redirectable_sql_time,
            no_sleeping_tests,
            aware_time,
            database_decides_time,
            no_floats_in_worker,
            offline_worker,
            narrow_except,
            bare_packages,
            no_registry_hosts,
            no_machine_paths,
            versions_only_lock,
            straight_tests,
            no_mocks,
            asking_scenarios,
        )
    }
)
