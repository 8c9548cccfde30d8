"""Write the page docs/api.md: the names of `import ntkbench` with their parameters and docstrings.

The text is taken from the source, so that nothing that a name needs has to be loaded.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from textwrap import dedent

import ntkbench

ORDER = (
    "load", "plan", "run", "results", "evaluate", "save_weights", "Spec", "PlannedRuns", "Results", "Images",
    "Features", "Plots", "SpecError", "NtkbenchError",
)  # fmt: skip
"""all names of the interface in the order of the page: what is called, what it returns, what it raises"""
_ABOUT = """
These are the names of `import ntkbench as nb`; [python.md](python.md) shows how they go together. All other modules are
internal, and may change. Importing ntkbench loads nothing heavy, and only what computes loads JAX. Every error that a
caller can correct is an `NtkbenchError`.
""".strip()
_PROPERTIES = ("property", "cached_property")


def page() -> str:
    """Return the page as Markdown."""
    contents = "\n".join(f"- [`{name}`](#{_title(name).lower().replace(' ', '-')})" for name in ORDER)
    return "\n\n".join(["# The Python interface", _ABOUT, contents, *map(_entry, ORDER)])


def _title(name: str) -> str:
    """Return the heading of a name; classes say so, since `plan` and `Plan` would have one anchor."""
    return f"class {name}" if name[0].isupper() else name


def _entry(name: str) -> str:
    """Return the section of a function or a class."""
    found = getattr(ntkbench, name)
    tree = ast.parse(inspect.getsource(sys.modules[found.__module__]))
    node = next(each for each in tree.body if getattr(each, "name", "") == name)
    if isinstance(node, ast.FunctionDef):
        return f"## {name}\n\n{_function(node, f'nb.{name}')}"
    assert isinstance(node, ast.ClassDef)
    return "\n\n".join([f"## {_title(name)}", _markdown(ast.get_docstring(node)), *_members(node)])


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the attributes of a class as one list, then its methods."""
    attributes, methods = [], []
    for each, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and isinstance(below, ast.Expr):
            attributes.append((each.target.id, ast.literal_eval(below.value)))
        elif isinstance(each, ast.FunctionDef) and any(ast.unparse(of) in _PROPERTIES for of in each.decorator_list):
            attributes.append((each.name, ast.get_docstring(each) or ""))
        elif isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            methods.append(f"### {node.name}.{each.name}\n\n{_function(each, f'{node.name.lower()}.{each.name}')}")
    public = [(name, text) for name, text in attributes if not name.startswith("_")]
    if public:
        yield "\n".join(f"- `{name}`: {' '.join(text.split())}" for name, text in public)
    yield from methods


def _function(node: ast.FunctionDef, name: str) -> str:
    """Return how a function is called, and its docstring."""
    return f"```text\n{name}({_parameters(node.args)})\n```\n\n{_markdown(ast.get_docstring(node))}"


def _parameters(arguments: ast.arguments) -> str:
    """Return the parameters with their defaults, without types and `self`."""
    plain = [ast.arg(each.arg) for each in arguments.args if each.arg != "self"]
    keywords = [ast.arg(each.arg) for each in arguments.kwonlyargs]
    return ast.unparse(ast.arguments([], plain, None, keywords, arguments.kw_defaults, None, arguments.defaults))


def _markdown(text: str | None) -> str:
    """Return a docstring as Markdown: what stands below `Args:` and `Raises:` becomes a list."""
    parts = []
    for part in (text or "").split("\n\n"):
        title, _, below = part.partition("\n")
        if title in ("Args:", "Raises:"):
            parts += [f"**{'Parameters' if title == 'Args:' else 'Errors'}**", "\n".join(_items(dedent(below)))]
        else:
            parts.append(part if part.startswith("    ") else " ".join(part.split()))
    return "\n\n".join(parts)


def _items(text: str) -> Iterator[str]:
    """Yield the items of a list of names with descriptions; lines that are indented go on with the item above."""
    items: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            items[-1] += f" {line.strip()}"
        else:
            items.append(line)
    for item in items:
        name, _, about = item.partition(": ")
        yield f"- `{name}`: {about}"
