"""The commands. Each reads its options, calls the library and prints what comes back."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvsearch.errors import InputError
from mvsearch.spec import defaults

if TYPE_CHECKING:
    from mvsearch.api import RunResult

BUDGET_HELP = "Upper limits: `2M-params`, `600M-macs`, `1.2G-flops`, `5ms`, `4MB`; repeatable, or separated by commas."
OPTUNA_HELP = "Database to write the study into, for optuna-dashboard, e.g. `sqlite:///study.db`."
CALIBRATION_HELP = "File of `mvsearch calibrate`: predict by your own measurements."
ANCHORS_HELP = "CSV of networks that you have trained on ImageNet-1k (`network`, `top1`): estimate top-1 for your recipe."
TRAINING = "Training on your images"


def _print_version(wanted: bool) -> None:
    if wanted:
        import mvsearch

        print(mvsearch.__version__)
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Neural architecture search and scaling explorer for MobileViT-family networks."""


def run(
    budget: Annotated[list[str], typer.Option("--budget", "-b", help=BUDGET_HELP)],
    target: Annotated[str, typer.Option("--target", "-t", help="Device; `mvsearch targets` lists them.")] = "iphone12",
    space: Annotated[
        str, typer.Option("--space", help="Search space: a name of `mvsearch spaces`, or a YAML file.")
    ] = "mobilevit",
    trials: Annotated[int, typer.Option("--trials", help="Distinct in-budget candidates to evaluate.")] = defaults.TRIALS,
    time_limit: Annotated[str | None, typer.Option("--time-limit", help="End the search after `90s`, `10m` or `2h`.")] = None,
    stop_when_flat: Annotated[
        bool, typer.Option(help="End it when the last 500 trials brought less than 0.1 % of the hypervolume.")
    ] = True,
    sampler: Annotated[
        str, typer.Option("--sampler", help="What proposes: `default`, or Optuna's `tpe`, `nsga2`, `nsga3`, `random`.")
    ] = "default",
    strategy: Annotated[
        str, typer.Option("--strategy", help="`sample`: proposals from everywhere; `slimming`: from the largest network down.")
    ] = "sample",
    slim_by: Annotated[
        str, typer.Option("--slim-by", help="What slimming sets lost accuracy against: `accuracy-per-ms`, or `mes`.")
    ] = "accuracy-per-ms",
    screen: Annotated[
        bool, typer.Option(help="Let another sampler's proposals cost a trial only within budget, new and not dominated.")
    ] = True,
    measure_trials: Annotated[
        int, typer.Option("--measure-trials", help="Networks to measure beyond the front, chosen by what was measured so far.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same proposals.")] = 0,
    confidence: Annotated[
        float, typer.Option("--confidence", help="With which a predicted budget is met and top-1 reaches its lower bound.")
    ] = defaults.CONFIDENCE,
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Image side in pixels; the space's by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Ray workers; one per core by default.")] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Evaluate in this process, without Ray.")] = False,
    address: Annotated[str | None, typer.Option("--address", help="A running Ray cluster.")] = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", help="HOST:PORT to give out measurements on, to `mvsearch measure http://HOST:PORT`."),
    ] = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help=CALIBRATION_HELP)] = None,
    anchors: Annotated[Path | None, typer.Option("--anchors", help=ANCHORS_HELP)] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Images to train members of the front on: a folder per class, perhaps under train/ and val/; a .zip of it; "
            "WebDataset shards; or `procedural`, generated ones for trying it out.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    train_steps: Annotated[
        int, typer.Option("--train-steps", help="Steps of the longest trainings.", rich_help_panel=TRAINING)
    ] = defaults.TRAIN_STEPS,
    train_candidates: Annotated[
        int, typer.Option("--train-candidates", help="Members of the front to train, at most.", rich_help_panel=TRAINING)
    ] = defaults.TRAIN_CANDIDATES,
    train_resolution: Annotated[
        int, typer.Option("--train-resolution", help="Side of the training images in pixels.", rich_help_panel=TRAINING)
    ] = defaults.TRAIN_RESOLUTION,
    train_batch: Annotated[
        int, typer.Option("--train-batch", help="Images per step.", rich_help_panel=TRAINING)
    ] = defaults.TRAIN_BATCH,
    train_seeds: Annotated[
        int, typer.Option("--train-seeds", help="Trainings of each finalist.", rich_help_panel=TRAINING)
    ] = defaults.TRAIN_SEEDS,
    multi_scale: Annotated[
        bool, typer.Option("--multi-scale", help="Vary the side of the images as MobileViT does.", rich_help_panel=TRAINING)
    ] = False,
    validate_proxy: Annotated[
        bool,
        typer.Option(
            "--validate-proxy",
            help="Train published networks first: is such a training to be believed?",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    trust_training: Annotated[
        bool,
        typer.Option(
            "--trust-training", help="Let training choose the winner even if it has not earned it.", rich_help_panel=TRAINING
        ),
    ] = False,
    exports: Annotated[
        str, typer.Option("--export", help="What the winner is exported to, as for `mvsearch export --to`.")
    ] = defaults.EXPORTS,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; reports/BUDGET-TARGET-TIME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    optuna: Annotated[str | None, typer.Option("--optuna", help=OPTUNA_HELP)] = None,
) -> None:
    """Search for the networks that keep a budget; verify them, export the best, write the report."""
    from mvsearch.api import SearchOptions, TrainOptions
    from mvsearch.cli.output import TerminalListener
    from mvsearch.search.folder import choose_path
    from mvsearch.spec.budget import parse_budgets

    budgets = parse_budgets(budget)
    if in_process and (workers is not None or address is not None):
        raise InputError("`--in-process` with `--workers` or `--address`", "either evaluate here, or on Ray workers")
    if resume and out is None:
        raise InputError("`--resume` needs `--out`", "name the folder of the run to go on with")
    _check_database(optuna)
    options = TrainOptions(
        steps=train_steps, resolution=train_resolution, candidates=train_candidates, batch_size=train_batch,
        seeds=train_seeds, multi_scale=multi_scale, validate_proxy=validate_proxy, trust=trust_training,
    )  # fmt: skip
    limit = _seconds(time_limit)
    folder = out or choose_path(budgets, target)
    from mvsearch.api import search

    listener = TerminalListener(confidence)
    try:
        result = search(
            budget, target, space=space, trials=trials, time_limit=limit, seed=seed, confidence=confidence,
            resolution=resolution, workers=workers, in_process=in_process, address=address, queue=queue,
            calibration=calibration, anchors=anchors, data=data, exports=exports,
            options=SearchOptions(sampler, screen, stop_when_flat, measure_trials, strategy, slim_by),
            training=options if data is not None or options.given() else None, out=folder, resume=resume,
            command=shlex.join(["mvsearch", *sys.argv[1:]]), listener=listener,
        )  # fmt: skip
    except KeyboardInterrupt:
        again = shlex.join(["mvsearch", *_resuming(sys.argv[1:], folder)])
        listener.note(f"\ninterrupted; what was finished is saved in `{folder}`. To go on:\n  {again}")
        raise
    finally:
        listener.close()
    _print_result(result)
    print(f"winner  {result.folder / 'winner'}")
    if optuna:
        _share(result.folder, optuna)


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="A run folder; several are compared.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of a comparison; a new reports/compare-TIME by default.")
    ] = None,
    optuna: Annotated[str | None, typer.Option("--optuna", help=OPTUNA_HELP)] = None,
) -> None:
    """Rebuild a run's tables, pictures and page from its store; or compare several runs on one page."""
    if len(folders) > 1:
        if optuna:
            raise InputError("`--optuna` with several runs", "write one run into one study: `mvsearch report RUN --optuna URL`")
        _compare(folders, out)
        return
    if out is not None:
        raise InputError("`--out` with one run", "its report lies in its own folder; `--out` is for comparing several runs")
    from mvsearch.api.report import rebuild

    _check_database(optuna)
    _print_result(rebuild(folders[0]))
    if optuna:
        _share(folders[0], optuna)


def _compare(folders: list[Path], out: Path | None) -> None:
    from mvsearch.api.compare import write_comparison
    from mvsearch.report.compare_table import render_comparison
    from mvsearch.report.table import print_renderable

    result = write_comparison(folders, out)
    print_renderable(render_comparison(result.comparison))
    print(f"\nreport  {result.folder / 'compare.html'}")


def _check_database(url: str | None) -> None:
    """Refuse at once what could not be written at the end."""
    if url:
        from mvsearch.search.study import check_database

        check_database(url)


def _share(folder: Path, url: str) -> None:
    from mvsearch.api.share import share_run

    written = share_run(folder, url)
    print(f"study   {url}: {written:,} trials written as `{folder.resolve().name}`; `optuna-dashboard {url}` shows it")


def _print_result(result: RunResult) -> None:
    """The front, what training says of it, and where the page is."""
    from mvsearch.report.table import print_front, print_renderable

    print_front(result.view)
    if result.trained:
        from mvsearch.report.training import render_training

        print_renderable(render_training(result.trained.marriage, result.trained.records, result.trained.anchors))
    print(f"\nreport  {result.folder / 'report.html'}")


def spaces() -> None:
    """List the shipped search spaces."""
    from mvsearch.report.listing import print_listing
    from mvsearch.spec.space_file import shipped_spaces, spaces_folder

    rows = [(s.name, f"{s.num_points:.1e}", str(len(s.published_points())), s.description) for s in shipped_spaces().values()]
    print_listing(("space", "points", "published in it", "what it is"), rows)
    print(f"files: {spaces_folder()}", file=sys.stderr)


def targets() -> None:
    """List the targets and what works here."""
    from mvsearch.report.listing import print_listing
    from mvsearch.targets import get_target, target_names

    rows = []
    for name in target_names():
        target = get_target(name)
        here = target.capability()
        rows.append((name, here.status, target.describe(), "; ".join(t for t in (here.reason, here.fix) if t)))
    print_listing(("target", "here", "latency", "why, and what to do"), rows)


def networks() -> None:
    """List the published networks with their costs at the image size that they are for."""
    from mvsearch.accuracy import published_top1
    from mvsearch.costs import count
    from mvsearch.report.listing import print_listing
    from mvsearch.spec.published import all_published, default_resolution

    rows = []
    for name, spec in all_published().items():
        costs, top1 = count(spec, default_resolution(spec)), published_top1(name)
        blocks = " ".join(spec.blocks)
        rows.append((name, spec.arch_id, f"{costs.params:,}", f"{costs.macs:,}", f"{top1.value:.1f} %" if top1 else "", blocks))
    print_listing(("network", "arch_id", "params", "MACs", "top-1, published", "blocks"), rows)


def _seconds(text: str | None) -> float | None:
    """`90s`, `10m`, `2h` -> seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if not match or float(match[1]) <= 0:
        raise InputError(f"`--time-limit` is `{text}`", "a time above zero such as `90s`, `10m` or `2h`")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def _resuming(arguments: list[str], folder: Path) -> list[str]:
    """The same command, going on in the folder."""
    given = any(a == "--out" or a.startswith("--out=") for a in arguments)
    return [*arguments, *([] if given else ["--out", str(folder)]), *([] if "--resume" in arguments else ["--resume"])]
