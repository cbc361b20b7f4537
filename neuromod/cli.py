"""The command line: it reads arguments, calls the modules that do the work, and prints."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neuromod import __version__
from neuromod.errors import UserError, listed
from neuromod.runs import registry
from neuromod.support.interrupts import heard

# Modules that need Brian2, pandas or torch are imported where they are used, so that help is quick.
if TYPE_CHECKING:
    import pandas as pd
    from brian2 import Quantity

    from neuromod.protocol import Protocol, Study

FAILED, MISTAKEN, INTERRUPTED, TERMINATED = 1, 2, 130, 143
ROWS_SHOWN = 16
PIPE_WIDTH = 240
HEADINGS = {
    "protocol": "Protocols",
    "model": "Models",
    "receptor": "Receptors",
    "sensor": "Fluorescent sensors",
    "circuit": "Circuit neurons by process",
    "delivery": "Deliveries of modulators",
    "stimulus": "Stimuli",
    "method": "Methods of tuning",
}

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

export = typer.Typer(no_args_is_help=True, help="Write an experiment for other programs.")
app.add_typer(export, name="export")

Device = Annotated[
    str, typer.Option(help="Where to simulate: cython, cpp, genn (a GPU) or genn-cpu.")
]
Precision = Annotated[str, typer.Option(help="Of the simulation: double or single.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as tau_m=15*ms."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the run.", show_default="runs/PROTOCOL-TIME")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in that folder.")]
Format = Annotated[
    str, typer.Option("--format", help="Of recordings: nix, or nwb, which other programs read.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Start even what seems too much for this machine.")
]
ProtocolName = Annotated[str, typer.Argument(help="A name that `neuromod list` shows.")]
ExperimentName = Annotated[
    str | None, typer.Option("--experiment", help="Which of the protocol's experiments.")
]
Neurons = Annotated[
    list[str] | None,
    typer.Option(
        metavar="0,3",
        help="Neurons, as in 0,3 or output:0,3, with all that drive them.",
        show_default="all",
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


def main() -> None:
    """Run the command line; every error ends in one sentence, with its traceback on --debug."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    # Brian2 calls pyparsing by names that newer releases deprecate.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    # Brian2 writes these into a file, and an ASCII terminal's have bytes that are no characters.
    sys.argv = [argument.encode(errors="backslashreplace").decode() for argument in sys.argv]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What a terminal cannot show is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    with heard() as terminated:
        _call(arguments, debug, terminated)


def _call(arguments: Sequence[str], debug: bool, terminated: Sequence[int]) -> None:
    try:
        app(arguments, prog_name="neuromod")
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        what = "Terminated" if terminated else "Interrupted"
        _say(f"{what}: {_noted(end) or 'nothing was written.'}")
        sys.exit(TERMINATED if terminated else INTERRUPTED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, UserError):
            _say(f"{error} {_noted(error)}".strip())
            sys.exit(MISTAKEN)
        _say(
            f"{type(error).__name__}: {error} (unexpected: --debug shows where it happened, "
            f"neuromod doctor checks this installation) {_noted(error)}".strip()
        )
        sys.exit(FAILED)


def _noted(error: BaseException | None) -> str:
    """What was noted of an error, or of the one behind it, such as where results are."""
    while error is not None:
        if notes := getattr(error, "__notes__", None):
            return " ".join(notes)
        error = error.__context__
    return ""


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda on: on and _version())
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="With any command: show the traceback of an error.")
    ] = False,
) -> None:
    """Neuromodulation in Brian2: one gain per neuron, from receptors to networks to circuits."""


@app.command("list")
def list_() -> None:
    """List protocols, models, receptors, sensors, deliveries and methods of tuning."""
    flaws = []
    for kind, heading in HEADINGS.items():
        table = _grid(heading)
        for name in registry.names(kind):
            if flaw := registry.flaw(kind, name):
                flaws.append(flaw)
            else:
                table.add_row(name, registry.title(kind, name) + _needs(kind, name))
        _print(table)
    for flaw in flaws:
        _say(flaw)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A name that `neuromod list` shows.")],
) -> None:
    """Show the settings of a protocol, or the equations and parameters of anything else."""
    kinds = registry.kinds_of(name)
    for kind in kinds:
        if len(kinds) > 1:
            print(f"{kind.upper()} {name}\n")
        _describe(kind, name)


@app.command()
def run(
    protocol: Annotated[str, typer.Argument(help="A name that `neuromod list` shows.")],
    device: Device = "cython",
    settings: Settings = None,
    seed: Seed = None,
    out: Out = None,
    overwrite: Overwrite = False,
    precision: Precision = "double",
    force: Force = False,
    format: Format = "nix",
) -> None:
    """Run a protocol and write its results, figure and report."""
    from brian2 import BrianLogger

    from neuromod.runs.run import is_first_process, run as run_protocol
    from neuromod.settings import read, split_assignments
    from neuromod.support.progress import bars

    # After an error or Ctrl-C, Brian2 would complain of every object that was not simulated.
    BrianLogger.suppress_name("unused_brian_object")
    default = registry.find("protocol", protocol)()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not default.shares_work:
        raise UserError(f"{protocol} is not shared among processes: start it without torchrun.")
    texts = split_assignments(settings or ())
    if seed is not None:
        texts["seed"] = str(seed)
    folder = out or Path("runs") / f"{protocol}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    first = is_first_process()
    with bars() if first else nullcontext():
        changes = read(default, texts)
        finished = run_protocol(
            default, device, folder, overwrite, precision, force, format, **changes
        )
    if not first:
        return
    shown = [n for n in finished.protocol.shown if len(finished.tables.get(n, ()))]
    for name in shown:
        heading = name.replace("_", " ").capitalize() if len(shown) > 1 else ""
        _print_table(finished.tables[name], heading, ROWS_SHOWN, f"{name}.csv")
    print(f"Figure: {folder / 'figure.png'}")
    print(f"Report: {folder / 'report.html'}")


@app.command()
def sweep(
    protocol: Annotated[str, typer.Argument(help="A name that `neuromod list` shows.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="NAME=VALUES",
            help="Values of a setting, as in 'tau_m=[10, 20]*ms' or 'gain_max=linspace(1, 3, 9)'.",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Points, with a column for each setting, instead."),
    ] = None,
    design: Annotated[
        str,
        typer.Option(
            help="full: all combinations; zip: value by value; latin or sobol: at random between "
            "two ends."
        ),
    ] = "full",
    samples: Annotated[int, typer.Option(help="Points of a random design.")] = 0,
    seeds: Annotated[int, typer.Option(help="Seeds that each point is run with.")] = 1,
    settings: Settings = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep.", show_default="sweeps/PROTOCOL-TIME")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in that folder.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes on this machine.", show_default="one for each core"),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to use, such as tcp://node7:8786."),
    ] = "",
    cluster: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Class of dask-jobqueue to use, and its arguments."),
    ] = None,
    device: Device = "cython",
    precision: Precision = "double",
    force: Force = False,
) -> None:
    """Run a protocol with many values of its settings, on all cores or on a cluster."""
    from neuromod.settings import read, split_assignments
    from neuromod.support.progress import bars
    from neuromod.sweeps.sweep import sweep as run_sweep

    if bool(grid) == bool(points):
        raise UserError("Give the values of settings by --grid, or points by --points.")
    if resume and out is None:
        raise UserError("Give the folder of the sweep to resume, as in --out sweeps/mine.")
    values = split_assignments(grid or ())
    if len(values) < len(grid or ()):
        raise UserError("A setting is given twice by --grid: write its values as one list.")
    default = registry.find("protocol", protocol)()
    texts = split_assignments(settings or ())
    if seed is not None:
        texts["seed"] = str(seed)
    where = out or Path("sweeps") / f"{protocol}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    with bars():
        finished = run_sweep(
            default,
            points or values,
            design=design,
            samples=samples,
            seeds=seeds,
            out=where,
            resume=resume,
            workers=workers,
            scheduler=scheduler,
            cluster=cluster,
            device=device,
            precision=precision,
            force=force,
            **read(default, texts),
        )
    print(finished.dataset)
    _print_table(finished.extremes, "Extremes", ROWS_SHOWN, "extremes.csv")
    print(f"Computed now: {finished.computed} of {len(finished.points)} points.")
    print(f"Results: {where / 'results.zarr'} (neuromod.load_sweep or xarray.open_zarr)")
    print(f"Figure: {where / 'figure.png'}")
    if len(finished.failures):
        _print_table(finished.failures, "Points that failed", ROWS_SHOWN, "failures.csv")
        raise typer.Exit(FAILED)


@app.command()
def demo(
    device: Device = "cython",
    settings: Settings = None,
    seed: Seed = None,
    out: Out = None,
    overwrite: Overwrite = False,
    precision: Precision = "double",
    force: Force = False,
    format: Format = "nix",
) -> None:
    """Run the protocol `demo`: from images to trained gains to neurons to circuit."""
    run("demo", device, settings, seed, out, overwrite, precision, force, format)


@app.command()
def pretrain() -> None:
    """Train the embedded network and keep it in the cache folder, unless it is already there."""
    try:
        from neuromod.tuning.backbone import pretrain as pretrain_backbone
    except ModuleNotFoundError as error:
        raise UserError(
            f"Training needs {error.name}, which is not installed: "
            "pip install 'brian2-neuromod[train]' brings it."
        ) from error
    from neuromod.support.progress import bars, task

    with bars():
        backbone = pretrain_backbone(progress=task("pre-training"))
    print(f"{backbone.name}: {backbone.source_accuracy:.1%} of its test images right.")


@app.command("cache")
def cache_(
    check: Annotated[
        bool, typer.Option("--check", help="Read all, and say what is damaged.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all but data sets.")] = False,
) -> None:
    """Show what is kept between runs, and where."""
    from rich.filesize import decimal

    from neuromod.runs.kept import KINDS
    from neuromod.support.cache import cache_dir

    print(f"Cache folder: {cache_dir()}")
    damaged = [path for kind in KINDS for path in kind.damaged()] if check else []
    table = _grid("")
    for kind in KINDS:
        size, count = kind.size(), kind.remove() if clear else len(kind.paths())
        table.add_row(kind.name, str(count), decimal(size), "removed" if clear and count else "")
    _print(table)
    for path in damaged:
        _say(f"{path} is damaged{'' if clear else ': it is made anew when it is needed'}.")
    if damaged:
        raise typer.Exit(FAILED)
    if check:
        print("All is as it was written.")


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a run.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of another run of the same protocol.")],
) -> None:
    """Show what differs between two runs of a protocol."""
    from neuromod.runs.compare import compare as compare_runs
    from neuromod.runs.run import load_run

    for name, table in compare_runs(load_run(run_a), load_run(run_b)).items():
        heading = name.capitalize()
        if table.empty:
            print(f"{heading}: no difference.")
        else:
            _print_table(table, heading, len(table))


@app.command()
def report(run: RunFolder) -> None:
    """Draw a run's figure and write its report again."""
    from neuromod.runs.run import render

    print(render(run))


@app.command()
def verify(run: RunFolder) -> None:
    """Check every file of a run against the checksum that was stored with it."""
    from neuromod.runs.files import verify as verify_files
    from neuromod.runs.folder import sought

    print(f"{run}: all {verify_files(sought(run))} files are what was written.")


@app.command()
def repeat(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the new run.", show_default="not written")
    ] = None,
) -> None:
    """Repeat a run, and say whether its tables and recordings come out the same to the bit."""
    from brian2 import BrianLogger

    from neuromod.runs.repeat import repeat as repeat_run
    from neuromod.support.progress import bars

    BrianLogger.suppress_name("unused_brian_object")
    with bars():
        found = repeat_run(run, out)
    if found.same:
        print(f"The same to the bit: {listed(found.same)}.")
    if found.different:
        _say(f"Not the same as in {run}, or damaged there: {listed(found.different)}.")
        raise typer.Exit(FAILED)


@export.command("spice")
def export_spice(
    protocol: ProtocolName,
    out: Annotated[Path, typer.Option(metavar="FILE.cir", help="File to write.")],
    settings: Settings = None,
    experiment: ExperimentName = None,
    neurons: Neurons = None,
    dialect: Annotated[
        str, typer.Option(help="Language: ngspice, xyce, hspice or spectre.")
    ] = "ngspice",
    models: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Models of your own for the mirrors' transistors."),
    ] = None,
    nmos: Annotated[str, typer.Option(help="Name of the n-type one in it.")] = "",
    pmos: Annotated[str, typer.Option(help="Name of the p-type one in it.")] = "",
    corner: Annotated[str, typer.Option(help="Section of it, such as a process corner.")] = "",
) -> None:
    """Write a netlist of circuit neurons, with their inputs, for a circuit simulator."""
    from dataclasses import replace

    from neuromod.devices.spice.dialects import named
    from neuromod.devices.spice.models import read_models
    from neuromod.devices.spice.netlist import netlist, save
    from neuromod.devices.spice.wiring import choose, pick

    if not bool(models) == bool(nmos) == bool(pmos) or (corner and not models):
        raise UserError(
            "Models of your own take a file and two names in it: --models FILE --nmos NAME "
            "--pmos NAME, and --corner NAME where the file has sections."
        )
    language = named(dialect)
    if models:
        language = replace(language, models=read_models(models, nmos, pmos, corner))
    chosen = pick(_protocol(protocol, settings).experiments(), experiment)
    save(netlist(chosen, choose(chosen, neurons or ()), language), out)
    print(f"Netlist: {out} ({language.command.format(file=out)})")


@export.command("verilog-a")
def export_verilog_a(
    protocol: ProtocolName,
    out: Annotated[Path, typer.Option(metavar="FILE.va", help="File to write.")],
    settings: Settings = None,
    experiment: ExperimentName = None,
) -> None:
    """Write a protocol's circuit neurons, and their synapses, as modules in Verilog-A."""
    from neuromod.devices.spice.netlist import save
    from neuromod.devices.spice.verilog_a import verilog_a
    from neuromod.devices.spice.wiring import pick

    chosen = pick(_protocol(protocol, settings).experiments(), experiment)
    save(verilog_a(chosen), out)
    print(f"Verilog-A: {out}")


@app.command()
def validate(
    protocol: ProtocolName,
    settings: Settings = None,
    experiment: ExperimentName = None,
    neurons: Neurons = None,
) -> None:
    """Compare circuit neurons with ngspice; dt is 1 ns unless it is set, or gates fix it."""
    from neuromod.devices.spice.validation import DT, promise, validate
    from neuromod.devices.spice.wiring import choose, pick
    from neuromod.support.progress import bars

    with bars():
        chosen = pick(_protocol(protocol, settings, DT).experiments(), experiment)
        held = choose(chosen, neurons or ())
        table = validate(chosen, held)
    _print_table(table, "", len(table))
    print(promise(chosen, held))
    if not table.agrees.all():
        _say(f"{(~table.agrees).sum()} of {len(table)} neurons miss them.")
        raise typer.Exit(FAILED)
    print(f"All of {len(table)} neurons meet them.")


@app.command("fit-mirror")
def fit_mirror_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Table (vdd_V, current_nA, v_V) or SPICE .raw.")
    ],
    law: Annotated[str, typer.Option(help="Law of the transistors: ekv or square.")] = "ekv",
    vdd: Annotated[
        str, typer.Option(metavar="VECTOR", help="Supply in a raw file.", show_default="v(vdd)")
    ] = "",
    current: Annotated[
        str,
        typer.Option(metavar="VECTOR", help="Unit current in a raw file; -i(vout) turns its sign."),
    ] = "",
    v: Annotated[
        str,
        typer.Option(metavar="VECTOR", help="Voltage across the output transistor in a raw file."),
    ] = "",
    temperature: Annotated[str, typer.Option(help="Of the sweep, such as 300*kelvin.")] = (
        "300*kelvin"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, JSON and figure.", show_default="not written"),
    ] = None,
) -> None:
    """Fit a mirror's transistors to its unit current over the supply, with 95 % intervals."""
    from neuromod.chip.mirror_data import read_mirror
    from neuromod.chip.mirror_fit import METHOD, fit_mirror
    from neuromod.settings import parse_value

    data = read_mirror(file, vdd, current, v)
    fit = fit_mirror(data, law, parse_value(temperature))
    print(f"Read: {data.how}.")
    _print_table(fit.table, "", len(fit.table))
    print("\n".join((*fit.told(), f"{METHOD}.")))
    if out is not None:
        fit.save(out)
        print(f"Results: {out} (figure.png, fit.json, points.csv)")


@app.command()
def doctor(
    device: Annotated[
        str | None, typer.Option(help="Check every step of the way to this device alone.")
    ] = None,
) -> None:
    """Show what works on this machine, and how to get the rest."""
    from neuromod.devices.doctor import examine, examine_device
    from neuromod.devices.simulation import DEVICES
    from neuromod.support.progress import bars

    with bars():
        findings = examine_device(device) if device else examine()
    for heading, found in findings.items():
        table = _grid(heading)
        for one in found:
            mark = Text("yes", "green") if one.works else Text("no", "yellow")
            table.add_row(one.name, mark, f"{one.found}{one.get and f' -> {one.get}'}")
        _print(table)
    working = [finding.name for finding in findings["Devices"] if finding.works]
    if (device or DEVICES[0]) not in working:
        which = f"device {device}" if device else f"default device, {DEVICES[0]},"
        _say(f"The {which} does not work.")
        raise typer.Exit(FAILED)


@app.command()
def agree(
    device: Annotated[str, typer.Option(help="Device to try: cpp, genn (a GPU) or genn-cpu.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of results.", show_default="agreement-DEVICE-TIME")
    ] = None,
    protocols: Annotated[
        list[str] | None,
        typer.Option("--protocol", help="One to compare; may be given again.", show_default="all"),
    ] = None,
    largest: Annotated[
        int, typer.Option(help="Neurons of the largest network that is timed, such as 10000000.")
    ] = 1_000_000,
) -> None:
    """Compare a device with Brian2's runtime, repeat a network on it, and time it."""
    from brian2 import BrianLogger

    from neuromod.agreement.agree import DATA, PAGE, agree as try_device
    from neuromod.support.progress import bars

    BrianLogger.suppress_name("unused_brian_object")
    folder = out or Path(f"agreement-{device}-{datetime.now():%Y%m%d-%H%M%S}")
    with bars():
        found = try_device(device, folder, protocols or (), largest)
    print(f"Results: {folder / DATA}")
    print(f"Page: {folder / PAGE}")
    if found.problems:
        _say(" ".join(found.problems))
        raise typer.Exit(FAILED)
    print(f"{device} agrees with Brian2's runtime.")


def _protocol(name: str, settings: Sequence[str] | None, dt: Quantity | None = None) -> Protocol:
    """A protocol with its settings, and with a time step for circuits unless one was set."""
    from neuromod.models import CircuitNeuron
    from neuromod.protocol import Protocol
    from neuromod.settings import change, read, split_assignments

    default = registry.find("protocol", name)()
    if not isinstance(default, Protocol):
        raise UserError(f"{name} has no experiments of its own that could be written as a netlist.")
    changes = read(default, split_assignments(settings or ()))
    made = change(default, changes)
    circuits = [value for value in vars(made).values() if isinstance(value, CircuitNeuron)]
    # Pulsed gates are solved for a time step of their own.
    bound = any(circuit.C_gate and circuit.references == "pulsed" for circuit in circuits)
    if dt is None or "dt" in changes or not circuits or bound or not hasattr(made, "dt"):
        return made
    return change(made, {"dt": dt})


def _describe(kind: str, name: str) -> None:
    from neuromod.parameters import Parameters
    from neuromod.runs.report import describe as rows_of

    found = registry.find(kind, name)
    if kind == "protocol" or (isinstance(found, type) and issubclass(found, Parameters)):
        found = found()
    print(inspect.getdoc(found) or "")
    if kind == "protocol":
        print(f"\n{_devices_of(found)}\n")
        _print_rows(rows_of(found))
    elif isinstance(found, Parameters):
        _describe_model(found)
    else:
        _describe_callable(found)


def _describe_model(model: Any) -> None:
    from neuromod.runs.report import describe as rows_of, row_of

    if hasattr(model, "equations"):
        print(f"\n{model.equations.strip()}")
    print()
    rule = _grid("")
    for what in ("threshold", "reset", "refractory", "on_pre", "on_post", "method"):
        if getattr(model, what, ""):
            rule.add_row(what, str(getattr(model, what)))
    if rule.rows:
        _print(rule)
    inputs = getattr(model, "inputs", {})
    if inputs:
        rows = [row_of(name, given.default, given.about) for name, given in inputs.items()]
        _print_rows(rows, "Inputs, which a population is given")
    _print_rows(rows_of(model), "Parameters" if inputs else "")


def _describe_callable(found: Any) -> None:
    from brian2 import Quantity

    from neuromod.support.text import typed

    shown = []
    for given in inspect.signature(found).parameters.values():
        usual = typed(given.default) if isinstance(given.default, Quantity) else repr(given.default)
        shown.append(given.name if given.default is given.empty else f"{given.name}={usual}")
    name = found.__name__
    print(f"\nfrom {_door(found)} import {name}\n\n{name}({', '.join(shown)})")
    added = getattr(sys.modules[found.__module__], "EQUATIONS", {})
    if name in added:
        print(f"\nIt adds to a population:\n\n{added[name].strip()}")


def _door(found: Any) -> str:
    """The outermost module that has a class or function under its own name."""
    parts = found.__module__.split(".")
    modules = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    has = (m for m in modules if getattr(sys.modules[m], found.__name__, None) is found)
    return next(has, found.__module__)


def _devices_of(protocol: Study) -> str:
    """Where a protocol runs, judged by its models: making experiments may take minutes."""
    from neuromod.devices.genn.installation import pygenn_version
    from neuromod.devices.genn.limits import lacking, obstacles
    from neuromod.devices.simulation import DEVICES
    from neuromod.protocol import Training

    if isinstance(protocol, Training):
        return "Works with torch alone, without Brian2's devices."
    models = (value for value in vars(protocol).values() if hasattr(value, "threshold"))
    limits = lacking if pygenn_version() else obstacles
    obstacle = next((found for model in models for found in limits(model)), None)
    if obstacle:
        everywhere = ", ".join(name for name in DEVICES if not name.startswith("genn"))
        return f"Runs on {everywhere}; not on GeNN: {obstacle}."
    return (
        f"Runs on {', '.join(DEVICES)} (neuromod doctor says which of them work here): the same "
        "spikes on all but a GPU with --precision double; a GPU and single may move some."
    )


def _print_rows(rows: list[dict[str, str]], heading: str = "") -> None:
    _print_columns(list(rows[0]), [list(row.values()) for row in rows], heading)


def _needs(kind: str, name: str) -> str:
    lacking = registry.missing(kind, name)
    if not lacking:
        return ""
    return f" (needs {', '.join(lacking)}: {registry.how_to_get(kind, name)})"


def _print_table(table: pd.DataFrame, heading: str, most: int, file: str = "") -> None:
    from neuromod.runs.report import show

    shown = show(table, most)
    more = f"{shown['hidden']} more rows in {file}" if shown["hidden"] else ""
    _print_columns(shown["columns"], shown["rows"], heading, more)


def _print_columns(
    names: Sequence[str], rows: Iterable[Sequence[str]], title: str, caption: str = ""
) -> None:
    table = _grid(title, show_header=True)
    table.caption, table.caption_justify = caption or None, "left"
    rows = list(rows)
    for place, name in enumerate(names):
        # What names the rows stays whole where that leaves room for the rest.
        whole = place == 0 and all(4 * len(row[0]) <= _console().width for row in rows)
        # Spaces, unlike underscores, let a narrow terminal break a long name.
        table.add_column(Text(name.replace("_", " ")), overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*map(Text, row))
    _print(table)


def _grid(heading: str, show_header: bool = False) -> Table:
    table = Table(box=None, show_header=show_header, pad_edge=False)
    table.title, table.title_justify = heading or None, "left"
    return table


def _print(table: Table) -> None:
    _console().print(table)


def _console() -> Console:
    console = Console(markup=False, highlight=False)
    if not (console.is_terminal or os.environ.get("COLUMNS")):
        # A file or a pipe is not narrow.
        console.width = PIPE_WIDTH
    return console


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _version() -> None:
    print(f"neuromod {__version__}")
    raise typer.Exit
