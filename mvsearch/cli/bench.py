"""Search engines raced on equal terms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvsearch.spec import defaults


def bench(
    problem: Annotated[list[str] | None, typer.Option("--problem", help="Several times for several; all by default.")] = None,
    contenders: Annotated[
        str, typer.Option("--contenders", help="Names with commas between; all by default. pymoo's needs `mvsearch[bench]`.")
    ] = "",
    variants: Annotated[
        str, typer.Option("--variants", help="`as-is`, `screened` or `started`; the first two by default.")
    ] = "",
    trials: Annotated[int, typer.Option("--trials", help="Evaluations per race.")] = 1000,
    seeds: Annotated[int, typer.Option("--seeds", help="Races of each engine on each problem.")] = 5,
    processes: Annotated[int, typer.Option("--processes", help="Races at the same time.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the races, the tables and the pictures.")] = Path("bench"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on in a folder that holds races already.")] = False,
) -> None:
    """Race the default sampler against Optuna's and pymoo's: same space, objectives, evaluations and seeds."""
    from mvsearch.api.bench import bench as run_bench
    from mvsearch.cli.output import TerminalListener
    from mvsearch.report.bench import render_bench, write_bench
    from mvsearch.report.table import print_renderable

    listener = TerminalListener(defaults.CONFIDENCE)
    listener.stage("racing")
    try:
        found = run_bench(
            problem or (), _names(contenders), _names(variants),
            trials=trials, seeds=seeds, out=out, resume=resume, processes=processes, progress=listener.progress,
        )  # fmt: skip
    finally:
        listener.close()
    written = write_bench(found.problems, found.races, found.reference, trials, out)
    print_renderable(render_bench(found.problems, found.races, found.reference, trials))
    for path in written:
        print(path)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
