"""Runs as tables, CSV, one offline page and pictures. Plotly and matplotlib are loaded when they are drawn with."""

from mvsearch.report.nearest import render_nearest
from mvsearch.report.network import render_network
from mvsearch.report.table import print_front, print_renderable, render_front
from mvsearch.report.write import REPORT_FILES, write_report

__all__ = [
    "REPORT_FILES",
    "print_front",
    "print_renderable",
    "render_front",
    "render_nearest",
    "render_network",
    "write_report",
]
