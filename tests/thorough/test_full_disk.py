"""A full disk, at ten sizes: in the output folder, the cache folder and the temporary folder.

A full cache costs no result. Elsewhere one sentence names the disk and what was kept, no earlier
run is harmed, and nothing is left behind. The disks are small file systems in memory.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch")

from neuromod.devices.spice.ngspice import version
from neuromod.runs.files import verify
from neuromod.runs.run import load_run, run

pytestmark = pytest.mark.thorough

KB = 1024
VALIDATE = "validate vdd-sweep --set duration=3*us --set vdd=0.8*volt"
DEMO = "run demo --set methods=nt1 --set seeds=1 --set deployed_images=2 --seed 12"
TINY = "run tiny --seed 12"
# From too little for anything to enough for all.
OUTPUT = (0, 4, 24, 60, 100, 130, 160, 190, 250, 700)
CACHE = (0, 4, 40, 150, 400, 700, 1100, 1700, 2200, 4000)
COMPILING = (0, 4, 100, 300, 600, 1000, 1600, 2500, 4000, 16_000)
SIMULATING = (0, 4, 60, 200, 400, 500, 560, 600, 640, 800)
SPICE = (0, 4, 8, 20, 60, 150, 300, 500, 800, 2000)


@contextmanager
def disk(folder: Path, kb: int) -> Iterator[Path]:
    """A disk of so many kB; one of none at all is full."""
    folder.mkdir()
    size = f"size={max(kb, 4)}k,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only, and not in every container")
    if kb == 0:
        (folder / "full").write_bytes(bytes(4 * KB))
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Outcomes by place; the counts are shown at the end."""
    counted: Counter[str] = Counter()
    yield counted
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("", *(f"{what}: {n}" for what, n in sorted(counted.items())), sep="\n")


@pytest.fixture
def shell(plugin: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """The command line in a process of its own, which may crash; its temporary folder is empty."""
    (tmp_path / "temporary").mkdir()
    own = {"NEUROMOD_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "temporary")}

    def command(line: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "neuromod", *line.split()],
            env={**plugin, **own, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def one_sentence(ended: subprocess.CompletedProcess, disk: Path) -> str:
    """What a command says that a full disk has ended."""
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("WARNING")]
    assert ended.returncode == 2, ended.stderr
    assert len(lines) == 1, ended.stderr
    assert f"the disk {disk}, or your share of it, is full" in lines[0]
    return lines[0]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("kb", OUTPUT)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_full_disk_of_results(
    kb: int, earlier: bool, shell: Callable, tmp_path: Path, tally: Counter[str]
) -> None:
    older = tmp_path / "older"
    run("tiny", out=older, seed=11)
    taken = sum(-(-path.stat().st_size // 4096) * 4 for path in older.iterdir())
    with disk(tmp_path / "disk", kb + taken * earlier) as full:
        if earlier:
            shutil.copytree(older, full / "run")
        before = {path: path.read_bytes() for path in full.rglob("*") if path.is_file()}
        ended = shell(f"{TINY} --out {full}/run --overwrite")
        assert not [path for path in full.iterdir() if path.name.startswith(".")]
        if ended.returncode == 0:
            tally["results: finished"] += 1
            assert verify(full / "run") == 5
            assert load_run(full / "run").protocol.seed == 12
            return
        told = one_sentence(ended, full)
        after = {path: path.read_bytes() for path in full.rglob("*") if path.is_file()}
        if "neuromod report" not in told:
            tally["results: refused, nothing new kept"] += 1
            assert after == before
            assert "nothing" in told
            return
        tally["results: refused, tables and recordings kept"] += 1
        assert load_run(full / "run").protocol.seed == 12
        subprocess.run(["mount", "-o", "remount,size=4m", str(full)], check=True)
        assert shell(f"report {full}/run").returncode == 0
        assert verify(full / "run") == 5


@pytest.mark.parametrize("line", [TINY, f"{TINY} --device cpp", DEMO], ids=["tiny", "cpp", "demo"])
def test_a_full_cache_costs_no_result(
    line: str, shell: Callable, tmp_path: Path, tally: Counter[str]
) -> None:
    ended = shell(f"{line} --out expected")
    assert ended.returncode == 0, ended.stderr
    tables = {path.name: path.read_bytes() for path in (tmp_path / "expected").glob("*.csv")}
    for kb in CACHE:
        with disk(tmp_path / f"disk{kb}", kb) as full:
            for attempt in ("first", "second"):
                name = f"{attempt}{kb}"
                ended = shell(f"{line} --out {name}", NEUROMOD_CACHE=str(full))
                assert ended.returncode == 0, f"{kb}: {ended.stderr}"
                found = {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.csv")}
                assert found == tables, kb
                assert "Traceback" not in ended.stderr
                tally["cache: finished, the same"] += 1
            assert not [path for path in full.rglob(".*") if path.is_file()]
        left = [path.name for path in (tmp_path / "temporary").iterdir()]
        # PyTorch makes a folder when its optimisers are imported, whoever imports them.
        assert not [name for name in left if not name.startswith("torchinductor_")]


@pytest.mark.parametrize(
    ("line", "sizes"),
    [
        pytest.param(TINY, SIMULATING[:3], id="tiny"),
        pytest.param(f"{TINY} --device cpp", COMPILING, id="compiling"),
        pytest.param(f"{TINY} --device cpp", SIMULATING, id="kept program"),
        pytest.param(VALIDATE, SPICE, id="ngspice"),
    ],
)
def test_a_full_disk_of_temporary_files(
    line: str, sizes: tuple[int, ...], shell: Callable, tmp_path: Path, tally: Counter[str]
) -> None:
    if line == VALIDATE and not version():
        pytest.skip("ngspice is not installed")
    out = "--out {}" if line != VALIDATE else ""
    ended = shell(f"{line} {out.format('expected')}")
    assert ended.returncode == 0, ended.stderr
    expected, table = ended.stdout, tmp_path / "expected" / "table.csv"
    for kb in sizes:
        if sizes == COMPILING:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        with disk(tmp_path / f"disk{kb}", kb) as full:
            before = sorted(full.rglob("*"))
            ended = shell(f"{line} {out.format(f'run{kb}')}", TMPDIR=str(full))
            assert sorted(full.rglob("*")) == before, kb
            if ended.returncode:
                one_sentence(ended, full)
                assert not (tmp_path / f"run{kb}").exists()
                tally["temporary files: refused"] += 1
            elif line == VALIDATE:
                assert ended.stdout == expected, kb
                tally["temporary files: finished, the same"] += 1
            else:
                found = (tmp_path / f"run{kb}" / "table.csv").read_bytes()
                assert found == table.read_bytes(), kb
                tally["temporary files: finished, the same"] += 1
