"""Pages for a browser that need nothing but themselves: style and scripts inside, no request, and nothing else runs."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

try:
    from yaml import CSafeDumper as SafeDumper
except ImportError:  # without libyaml: the same, slower
    from yaml import SafeDumper

from ntkbench import __version__
from ntkbench.bench.render import decimal
from ntkbench.bench.vocabulary import METRICS

SORTING = ("vendor/sortable.min.js", "table.js")
COPYING = ("copy.js",)
_FRACTIONS = ("fraction", "ratio", "cosine")
"""units whose numbers have the same digits after the point"""
_DIGITS = 3


def webpage(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """A page. What `values` say is text, whatever it looks like, unless it is Markup."""
    style, own = _asset("style.css"), [_asset(name) for name in scripts]
    allowed = {"style-src": [style], "script-src": own}
    rules = [f"{kind} {' '.join(map(_hash, texts)) or repr('none')}" for kind, texts in allowed.items()]
    policy = "; ".join(["default-src 'none'", *rules, "img-src data:", "base-uri 'none'", "form-action 'none'"])
    return _environment().get_template(template).render(policy=policy, style=style, scripts=own, **values)


def as_yaml(value: Mapping[str, Any]) -> str:
    """Plain values as a spec says them."""
    return yaml.dump(
        dict(value), Dumper=SafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def number(value: float | None, metric: str) -> str:
    """Digits as the unit of the metric asks for; a dash where there is none."""
    if value is None:
        return "–"
    fixed = metric not in METRICS or METRICS[metric].unit in _FRACTIONS
    return decimal(value, _DIGITS) if fixed else f"{value:.4g}"


def interval(ends: tuple[float, float] | None, metric: str) -> str:
    """`[0.580, 0.640]`; nothing where there is none."""
    if ends is None or any(abs(end) == float("inf") for end in ends):
        return ""
    low, high = ends
    return f"[{number(low, metric)}, {number(high, metric)}]"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ntkbench.bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval}
    environment.globals |= {"version": __version__, "zip": zip}
    return environment


@cache
def _asset(name: str) -> Markup:
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), name)[0])


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
