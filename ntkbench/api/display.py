"""Write HTML for notebooks: tables without scripts and styles of their own, in which all text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = "style='text-align:left'"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; without headers, the first cell of each row is a header."""
    head = "".join(f"<th {_LEFT}>{escape(header)}</th>" for header in headers)
    body = "".join(f"<tr>{''.join(_cells(row, not headers))}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if headers else ''}<tbody>{body}</tbody></table>"


def paragraphs(lines: Iterable[str]) -> str:
    """Return lines of text, each as a paragraph."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _cells(row: Sequence[object], titled: bool) -> Iterable[str]:
    for i, cell in enumerate(row):
        tag = "th" if titled and i == 0 else "td"
        yield f"<{tag} {_LEFT}>{escape(str(cell))}</{tag}>"
