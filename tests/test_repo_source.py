"""The rules of the house that no linter knows: sizes, theories, packages that ship."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("tracker", "events", "projections")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LINES, FUNCTION = 400, 60


def name(path: Path) -> str:
    """A path as people write it."""
    return str(path.relative_to(ROOT))


def test_a_module_fits_a_reader() -> None:
    """No module is longer than 400 lines and no function than 60; a module that holds anything begins with its theory."""
    found = []
    for path in MODULES:
        tree = ast.parse(text := path.read_text())
        if len(text.splitlines()) > LINES:
            found.append(f"{name(path)} has {len(text.splitlines())} lines")
        if tree.body and not ast.get_docstring(tree):
            found.append(f"{name(path)} does not say what it is")
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        found += [f"{name(path)}: {f.name} is too long" for f in functions if (f.end_lineno or 0) - f.lineno >= FUNCTION]
    assert not found


def test_nothing_is_left_for_later() -> None:
    """What stands in the source works: no notes to self, nothing that only says it is missing."""
    notes = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    assert not [name(path) for path in MODULES if notes.search(path.read_text())]


def test_imports_name_the_defining_module() -> None:
    """Inside our packages nothing is imported from a package root, so that the public names can never become a ring."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in PACKAGES:
                home = ROOT / node.module
                found += [
                    f"{name(path)}: {a.name}" for a in node.names if not (home / f"{a.name}.py").exists() and not (home / a.name).is_dir()
                ]
    assert not found


def test_every_package_ships() -> None:
    """The distribution names exactly our three packages, with the SQL and the type markers they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == [part for p in PACKAGES for part in (p, f"{p}.*")]
    data = project["tool"]["setuptools"]["package-data"]
    shipped = {path for package, patterns in data.items() for pattern in patterns for path in (ROOT / package).glob(pattern)}
    other = {p for package in PACKAGES for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert other <= shipped, f"not shipped: {sorted(map(name, other - shipped))}"


def test_directories_with_modules_are_packages() -> None:
    """No directory of modules is left out of the distribution for want of an __init__.py."""
    assert all((path.parent / "__init__.py").exists() for path in MODULES)


def test_what_a_dependency_is_for_is_told() -> None:
    """Every dependency and its lower bound stand in docs/design.md with a reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [d for extra in ("demo", "yaml", "sign") for d in project["optional-dependencies"][extra]]
    design = (ROOT / "docs" / "design.md").read_text()
    for requirement in wanted:
        library, bound = re.match(r"([\w-]+)>=([\w.]+)", requirement).groups()  # type: ignore[union-attr]
        assert re.search(rf"\|.*{re.escape(library)}.*\|.*{re.escape(bound)}", design), f"{library} {bound} is not explained"
