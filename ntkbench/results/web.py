"""Make pages from the templates of `ntkbench/results/templates`.

Web pages stand alone: style and scripts are inside, and nothing is loaded or sent. Reports and the leaderboards' site
call `webpage`. The page's security policy admits its own style and scripts by their hashes, so that no text of a record
or an entry can run. The leaderboards' Markdown comes from `page`.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

try:
    from yaml import CSafeDumper as SafeDumper
except ImportError:  # without libyaml, the same output takes longer
    from yaml import SafeDumper

from ntkbench import __version__
from ntkbench.render import decimal, markdown
from ntkbench.spec.extensions import known_metrics

SORTING = ("vendor/sortable.min.js", "table.js")
"""scripts that sort tables at a click"""
COPYING = ("copy.js",)
"""scripts of buttons that copy a text"""
_FRACTIONS = ("fraction", "ratio", "cosine")
"""units whose numbers have a fixed number of digits after the point"""
_DIGITS = 3
"""digits after the point of these numbers"""


def webpage(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """Return a page as HTML, made from a template.

    Args:
        template: the name of the template's file.
        scripts: names of script files to include, such as those of `SORTING`.
        values: what the template shows; all of it is escaped as text, unless it is `Markup`.
    """
    style, own = _asset("style.css"), [_asset(name) for name in scripts]
    allowed = {"style-src": [style], "script-src": own}
    rules = [f"{kind} {' '.join(map(_hash, texts)) or repr('none')}" for kind, texts in allowed.items()]
    policy = "; ".join(["default-src 'none'", *rules, "img-src data:", "base-uri 'none'", "form-action 'none'"])
    return _environment().get_template(template).render(policy=policy, style=style, scripts=own, **values)


def page(template: str, **values: Any) -> str:
    """Return a page of Markdown, made from a template that escapes foreign text by its filter `markdown`."""
    return _environment().get_template(template).render(values) + "\n"


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return plain values as YAML, as a spec would write them."""
    return yaml.dump(
        dict(value), Dumper=SafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def number(value: float | None, metric: str) -> str:
    """Return a number with the digits that its metric's unit asks for; a dash for None.

    Three digits after the point for fractions, ratios, cosines and unknown metrics, four significant digits for others.
    """
    if value is None:
        return "–"
    fixed = metric not in known_metrics() or known_metrics()[metric].unit in _FRACTIONS
    return decimal(value, _DIGITS) if fixed else f"{value:.4g}"


def interval(ends: tuple[float, float] | None, metric: str) -> str:
    """Return an interval such as `[0.580, 0.640]`; an empty text for None and for infinite ends."""
    if ends is None or any(abs(end) == float("inf") for end in ends):
        return ""
    low, high = ends
    return f"[{number(low, metric)}, {number(high, metric)}]"


@cache
def _environment() -> Environment:
    """Return the Jinja environment: HTML escapes all text, and an unknown variable is an error."""
    environment = Environment(
        loader=PackageLoader("ntkbench.results"),
        autoescape=select_autoescape(disabled_extensions=["md.j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval, "markdown": markdown}
    environment.globals |= {"version": __version__, "zip": zip}
    return environment


@cache
def _asset(name: str) -> Markup:
    """Return a style or script file, not escaped."""
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), name)[0])


def _hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy admits this text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
