"""One HTML file that opens offline: style, data and scripts within, and no network request allowed.

What comes from outside is escaped: as HTML by `words.escape`, as JSON by `embedded_json`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mvsearch.report.figures import plotly_script
from mvsearch.report.words import escape

GENERATOR = '<meta name="generator" content="mvsearch {}">'


def document(title: str, main: str, data: Any, scripts: Sequence[str], styles: Sequence[str], kind: str) -> str:
    """A whole page as HTML text.

    Args:
        title: as plain text.
        main: HTML of the content, escaped already.
        data: JSON that the scripts find in the element `data`.
        scripts: files beside this one, after plotly's.
        styles: files beside this one.
        kind: what the page is, for whoever wants to know its own files again.
    """
    sheets = "".join(f"<style>\n{asset(name)}</style>\n" for name in styles)
    code = [plotly_script(), *(asset(name) for name in scripts)]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{GENERATOR.format(kind)}
<meta http-equiv="Content-Security-Policy" content="{policy(code)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
{sheets}</head>
<body>
<main>
{main}
</main>
<script type="application/json" id="data">{embedded_json(data)}</script>
{"".join(f"<script>{script}</script>" for script in code)}
</body>
</html>
"""


def policy(scripts: Sequence[str]) -> str:
    """Of a page: no network, and no script but these, each as it stands within its element."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def asset(name: str) -> str:
    """Text of a file that ships with the report."""
    return files("mvsearch.report").joinpath(name).read_text(encoding="utf-8")


def embedded_json(value: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def marked(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def choice(name: str, value: str, label: str, checked: bool) -> str:
    """One of several radio buttons, looking like a pill."""
    return (
        f'<label class="choice"><input type="radio" name="{escape(name)}" value="{escape(value)}"'
        f"{' checked' if checked else ''}><span>{escape(label)}</span></label>"
    )


def table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], label: str, texts: Sequence[int] = (0,)) -> str:
    """A table that scrolls sideways on a narrow screen.

    Args:
        heads: (title, small print) per column, as plain text.
        rows: cells as HTML, escaped already.
        label: what it shows, for a screen reader.
        texts: columns that hold text; the others hold numbers.
    """

    def css(i: int) -> str:
        names = (["first"] if i == 0 else []) + (["text"] if i in texts else [])
        return f' class="{" ".join(names)}"' if names else ""

    head = "".join(
        f'<th scope="col"{css(i)}>{escape(name)}<small>{escape(small)}</small></th>' for i, (name, small) in enumerate(heads)
    )
    body = "".join("<tr>" + "".join(f"<td{css(i)}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
