"""`--help` in plain text, with a heading over options that belong together."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class SectionedCommand(TyperCommand):
    """A command whose help shows each `rich_help_panel` under its own name, without frames."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options, then the named sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                name = getattr(param, "rich_help_panel", None) or f"{param.param_type_name.capitalize()}s"
                sections.setdefault(name, []).append(record)
        for name, rows in sections.items():
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)
