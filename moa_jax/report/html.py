"""One self-contained HTML file from a page.

The file makes no network requests: its Content-Security-Policy allows only its own style sheet and
script, each by its hash. The templates escape all text. Equal pages give equal bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import os
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from moa_jax.files import atomic_path
from moa_jax.report.charts import Drawing, draw
from moa_jax.report.colours import PAGE_COLOURS, theme_rules
from moa_jax.report.parts import (
    HeatMap,
    Illustration,
    LineChart,
    Links,
    Note,
    Page,
    Part,
    Table,
    Text,
    Verdicts,
)
from moa_jax.report.tables import RowsView, heat_map_view, table_view

# Parts that are passed to their template as they are.
_AS_IT_IS = {
    Illustration: "illustration.html",
    Text: "text.html",
    Note: "text.html",
    Verdicts: "verdicts.html",
    Links: "links.html",
}


def write_page(path: str | os.PathLike[str], page: Page) -> None:
    """Writes the page to `path`, whole or not at all.

    Raises:
      InputError: `path` cannot be written.
    """
    # Names may contain lone surrogates, which cannot be encoded.
    content = render_page(page).encode("utf-8", errors="replace")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def render_page(page: Page) -> str:
    """The page as HTML."""
    style, script = _style(), _source("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            style=Markup(style),
            script=Markup(script),
            policy=(
                f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
            # Charts need unique element ids.
            number=functools.partial(next, itertools.count(1)),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("moa_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"paragraphs": _paragraphs, "blocks": _blocks}
    return environment


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@functools.cache
def _style() -> str:
    dark = f"{_page_rule('dark')}\n{theme_rules('dark')}"
    return (
        f"{_page_rule('light')}\n{theme_rules('light')}\n"
        # Printed pages are always light.
        f"@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{_source('page.css')}"
    )


def _page_rule(theme: str) -> str:
    return f":root{{--page:{PAGE_COLOURS[theme]}}}"


def _hash(source: str) -> str:
    """The hash by which a Content-Security-Policy names an inline script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _paragraphs(text: str) -> list[str]:
    return [paragraph for part in text.split("\n\n") if (paragraph := part.strip())]


def _blocks(parts: Sequence[Part]) -> list[tuple[str, list]]:
    """Runs of parts of one kind, each with its template and what the template shows."""
    return [
        (template, [view for _, view in run])
        for template, run in itertools.groupby(map(_view, parts), key=lambda pair: pair[0])
    ]


def _view(
    part: Part,
) -> tuple[str, RowsView | Drawing | Illustration | Text | Note | Verdicts | Links]:
    match part:
        case Table():
            return "table.html", table_view(part)
        case HeatMap():
            return "table.html", heat_map_view(part)
        case LineChart():
            return "chart.html", draw(part)
        case _:
            return _AS_IT_IS[type(part)], part
