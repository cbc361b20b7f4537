import ast
import configparser
import importlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("models", "protocols", "neuromod")
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}
# What writes runs and netlists, and what keeps weights, features and gains between them.
WRITERS = {
    "neuromod/agreement/agree.py",
    "neuromod/chip/mirror_fit.py",
    "neuromod/devices/builds.py",
    "neuromod/devices/standalone.py",
    "neuromod/runs/run.py",
    "neuromod/runs/files.py",
    "neuromod/runs/folder.py",
    "neuromod/runs/kept.py",
    "neuromod/support/claim.py",
    "neuromod/recording/nix.py",
    "neuromod/recording/nwb.py",
    "neuromod/runs/picture.py",
    "neuromod/devices/spice/netlist.py",
    "neuromod/devices/spice/ngspice.py",
    "neuromod/tuning/grid.py",
    "neuromod/tuning/nir_graph.py",
    "neuromod/support/cache.py",
    "neuromod/devices/genn/device.py",
    "neuromod/devices/genn/compiling.py",
    "neuromod/tuning/ia3.py",
    "neuromod/tuning/row_file.py",
    "neuromod/support/tensor_file.py",
    "neuromod/sweeps/folder.py",
}
WRITING = {
    *("write_text", "write_bytes", "to_csv", "to_parquet", "savefig", "save_file", "write_block"),
    *("touch", "mkdir", "rename", "unlink", "rmdir", "rmtree", "mkdtemp"),
}
# Tests of what several modules do together.
ALONE = {
    "neuromod/test_plastic_connection.py",
    "neuromod/electrophysiology/test_verdicts.py",
    "neuromod/runs/test_report_in_browser.py",
    "neuromod/sweeps/test_crashes.py",
    "neuromod/tuning/test_foreign_models.py",
    "protocols/test_devices.py",
}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import says where it comes from"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside_folder(path, folder):
    return folder in path.parents


def inside(module, package):
    return module == package or module.startswith(f"{package}.")


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            yield name, isinstance(called, ast.Attribute), node


def sources(room):
    return [pytest.param(t, id=name) for name, t in SOURCES.items() if name.startswith(f"{room}/")]


def test_all_three_rooms_are_seen():
    assert {name.partition("/")[0] for name in SOURCES} == set(ROOMS)


def ours(tree):
    return {name for name in imports(tree) if inside(name, "neuromod")}


def outside(tree, *allowed):
    return {name for name in ours(tree) if not any(inside(name, a) for a in allowed)}


@pytest.mark.parametrize("tree", sources("models"))
def test_models_know_nothing_of_the_machinery(tree):
    assert not outside(tree, "neuromod.models", "neuromod.errors", "neuromod.parameters")


@pytest.mark.parametrize("tree", sources("neuromod"))
def test_the_machinery_knows_no_protocol(tree):
    assert not [name for name in imports(tree) if inside(name, "neuromod.protocols")]


@pytest.mark.parametrize("tree", sources("neuromod/support"))
def test_support_knows_no_science(tree):
    assert not outside(tree, "neuromod.support", "neuromod.errors")


@pytest.mark.parametrize("name", [n for n in SOURCES if n.startswith("protocols/")])
def test_protocols_share_nothing_but_families(name):
    own = "neuromod." + name.removesuffix(".py").replace("/", ".").rpartition(".")[0]
    shared = (
        ("neuromod.protocols.families",)
        if own == "neuromod.protocols"
        else ("neuromod.protocols.families", own)
    )
    known = {n for n in imports(SOURCES[name]) if inside(n, "neuromod.protocols")}
    assert not {n for n in known if not any(inside(n, s) for s in shared)}


def test_the_root_holds_eight_modules_at_most():
    root = {Path(name).stem for name in SOURCES if name.count("/") == 1 and "neuromod/" in name}
    assert len(root - {"__init__", "__main__"}) <= 8, root


def test_every_folder_is_installed():
    """A folder that setup.cfg does not list works in a checkout and is missing in a wheel."""
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    listed = set(configuration["options"]["packages"].split())
    folders = {Path(name).parent.as_posix().replace("/", ".") for name in SOURCES}
    packages = {f if inside(f, "neuromod") else f"neuromod.{f}" for f in folders}
    assert packages == listed


def test_tests_mirror_the_sources():
    tests = [
        p.relative_to(ROOT / "tests")
        for r in ROOMS
        for p in (ROOT / "tests" / r).rglob("test_*.py")
    ]
    stray = []
    for path in tests:
        subject = path.stem.removeprefix("test_")
        here = [Path(name) for name in SOURCES if inside_folder(Path(name), path.parent)]
        names = {p.stem for p in here} | {p.parent.name for p in here}
        stray += [path] if subject not in names else []
    assert {str(path) for path in stray} <= ALONE


def test_one_module_chooses_devices():
    choosing = {
        name
        for name, tree in SOURCES.items()
        if {"set_device", "reset_device"} & {called for called, *_ in calls(tree)}
    }
    assert choosing == {"neuromod/devices/simulation.py"}


def test_nobody_but_the_writers_writes_files():
    found = {
        name
        for name, tree in SOURCES.items()
        if WRITING
        & {called for called, _, node in calls(tree) if not (called == "rename" and node.keywords)}
    }
    assert found <= WRITERS


def test_nothing_from_outside_is_run():
    for name, tree in SOURCES.items():
        for called, attribute, node in calls(tree):
            assert attribute or called not in {"eval", "exec", "compile", "__import__"}, name
            assert called not in {"system", "popen"}, name
            given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            assert given.get("shell") is not True, name
            assert given.get("allow_pickle") is not True, name
            if called == "load" and attribute and getattr(node.func.value, "id", "") == "torch":
                assert given.get("weights_only") is True, name


def test_nothing_is_pickled():
    unsafe = {"pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
    for name, tree in SOURCES.items():
        assert not {module.partition(".")[0] for module in imports(tree)} & unsafe, name


@pytest.mark.parametrize("module", ["neuromod", "neuromod.cli", "neuromod.devices.simulation"])
def test_the_package_is_used_without_torch(python, module):
    ended = python(f"import {module}, sys; sys.exit('torch' in sys.modules)")
    assert ended.code == 0, ended.err


def test_the_package_is_imported_without_brian2(python):
    ended = python("import neuromod, sys; sys.exit('brian2' in sys.modules)")
    assert ended.code == 0, ended.err


def test_the_package_shows_its_public_names_and_nothing_else():
    package = importlib.import_module("neuromod")
    assert {*package.__all__, "Section", "run", "__version__"} == set(dir(package))
    for name in dir(package):
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="attribute simulat"):
        package.simulat  # noqa: B018


def test_our_star_replaces_no_name_of_brian2_s():
    package, theirs = importlib.import_module("neuromod"), importlib.import_module("brian2")
    assert not set(package.__all__) & {name for name in vars(theirs) if not name.startswith("_")}


def test_a_source_distribution_has_whatever_its_tests_read(tmp_path):
    pytest.importorskip("setuptools")
    setup = "import setuptools; setuptools.setup()"
    place = ["egg_info", "--egg-base", tmp_path, "sdist", "--dist-dir", tmp_path]
    subprocess.run([sys.executable, "-c", setup, *place], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    folders = (*ROOMS, "tests", "docs")
    there = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    made = ("__pycache__", "_generated", "_build", "auto_gallery", ".jupyter_cache")
    kept = {path for path in there if not set(made) & set(path.parts)}
    wanted = {str(path.relative_to(ROOT)) for path in kept} | {"README.md", ".ci/run", "LICENSE"}
    assert wanted <= packed
