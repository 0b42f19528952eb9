"""The sandbox shares no code with what it tests: shared code would hide its own mistakes."""

import ast
from pathlib import Path

import kernapay.sandbox

PACKAGE = Path(kernapay.sandbox.__file__).parent


def imports(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_sandbox_imports_nothing_else_of_kernapay_and_not_the_sdk() -> None:
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 30
    for module in modules:
        for name in imports(module.read_text()):
            is_own = name.startswith("kernapay.sandbox")
            assert is_own or name.split(".")[0] not in {"kernapay", "razorpay"}, (module, name)


def test_its_pages_load_nothing_from_other_servers() -> None:
    pages = [path for path in PACKAGE.joinpath("static").iterdir() if path.is_file()]
    assert len(pages) >= 6
    for page in pages:
        text = page.read_text().replace("http://127.0.0.1:3000", "")
        assert "http://" not in text, page
        assert "https://" not in text, page
