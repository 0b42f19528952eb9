"""An emulator that shared code with what it tests would agree with its mistakes."""

import ast
from pathlib import Path

import kernapay.sandbox

HOME = Path(kernapay.sandbox.__file__).parent


def imports(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_sandbox_imports_nothing_else_of_kernapay_and_not_the_sdk() -> None:
    modules = list(HOME.rglob("*.py"))
    assert len(modules) > 30
    for module in modules:
        for name in imports(module.read_text()):
            inside = name.startswith("kernapay.sandbox")
            assert inside or name.split(".")[0] not in {"kernapay", "razorpay"}, (module, name)


def test_its_pages_name_no_outside_address() -> None:
    pages = [path for path in HOME.joinpath("static").iterdir() if path.is_file()]
    assert len(pages) >= 6
    for page in pages:
        text = page.read_text().replace("http://127.0.0.1:3000", "")
        assert "http://" not in text, page
        assert "https://" not in text, page
