"""No damage to a stored or kept file goes unnoticed: refused in a run, made anew in a cache."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brian2 import ms, nA, second

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.devices.simulation import simulate  # noqa: E402
from neuromod.devices.standalone import Standalone  # noqa: E402
from neuromod.errors import UserError  # noqa: E402
from neuromod.experiment import Experiment, Population  # noqa: E402
from neuromod.models.gain_lif import GainLIF  # noqa: E402
from neuromod.plasticity.learning import ROUND, Recipe, learn  # noqa: E402
from neuromod.plasticity.network import PlasticNetwork, Shape  # noqa: E402
from neuromod.plasticity.storage import load_network, save_network  # noqa: E402
from neuromod.plasticity.tasks import CueAssociation  # noqa: E402
from neuromod.runs.files import verify  # noqa: E402
from neuromod.runs.kept import KINDS  # noqa: E402
from neuromod.runs.run import run  # noqa: E402
from neuromod.support.cache import discard  # noqa: E402
from neuromod.tuning import features as features_module, grid  # noqa: E402
from neuromod.tuning.backbone import PretrainingRecipe, load_backbone, pretrain  # noqa: E402
from neuromod.tuning.datasets.images import ImageData, Split  # noqa: E402
from neuromod.tuning.features import Features, extract_features, projections  # noqa: E402
from neuromod.tuning.gains import load_gains, save_gains  # noqa: E402
from neuromod.tuning.grid import tune_all  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe  # noqa: E402
from neuromod.tuning.training import tune  # noqa: E402

pytestmark = pytest.mark.thorough

Change = Callable[[Path], None]

SEED = 20261
NO_PERMISSION = "no permission"
NOBODY = 65534


@dataclass
class Tally:
    """What became of damaged files, by kind of file and outcome; what went wrong, in words."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, kind: str, outcome: str, what: str = "") -> None:
        self.counts[kind, outcome] += 1
        if outcome in ("silently wrong", "internal error", "not healed", "many words"):
            self.wrong.append(f"{kind}: {what}: {outcome}")

    def lines(self) -> Iterator[str]:
        kinds = sorted({kind for kind, _ in self.counts})
        for kind in kinds:
            own = {what: n for (k, what), n in sorted(self.counts.items()) if k == kind}
            yield f"{kind}: {sum(own.values())} tried, " + ", ".join(
                f"{n} {what}" for what, n in own.items()
            )


def damages(content: bytes, seed: int, flips: int = 24) -> Iterator[tuple[str, Change]]:
    """Truncations, changed bits and foreign files in the place of a file of some content."""
    drawn = np.random.default_rng([SEED, seed, len(content)])
    for share in (0, 1, 50, 90, 99):
        kept = min(len(content) * share // 100, len(content) - 1)
        yield f"{share} % of it", _content(content[:kept])
    for _ in range(flips):
        place, bit = int(drawn.integers(len(content))), int(drawn.integers(8))
        yield f"bit {bit} of byte {place}", _content(_flipped(content, [8 * place + bit]))
    for count in (2, 20, 200, 2000):
        bits = drawn.integers(8 * len(content), size=count).tolist()
        yield f"{count} bits", _content(_flipped(content, bits))
    yield (
        "a block of zeros",
        _content(
            content[: len(content) // 3]
            + bytes(len(content) // 3)
            + content[2 * len(content) // 3 :]
        ),
    )
    yield "a longer file", _content(content + content[-37:])
    yield "a text", _content(b"37 spikes\n")
    yield "other lists", _content(b"[" * 100_000)
    yield "a pickle", _content(pickle.dumps({"spikes": [37]}))
    yield "an archive", _archive
    yield "the beginning of an archive", _content(b"PK\x03\x04" + content[4:])
    yield "an array", lambda path: _write_array(path)
    yield "a folder", _folder
    yield "a link to nowhere", _dangling
    yield "nothing", lambda path: path.unlink()
    yield NO_PERMISSION, lambda path: path.chmod(0)


def swap(one: Path, other: Path) -> None:
    """Let two files, or folders, change places."""
    aside = one.with_name(f"{one.name}-aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@contextmanager
def nobody(*folders: Path) -> Iterator[None]:
    """Be, if one is root, a user whom permissions hold for and who owns some folders."""
    if os.geteuid():
        yield
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def copy(source: Path, target: Path) -> Path:
    """Copy a folder, in place of what is there."""
    if target.exists():
        for path in target.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(target)
    return Path(shutil.copytree(source, target))


def _content(content: bytes) -> Change:
    def change(path: Path) -> None:
        path.write_bytes(content)

    return change


def _flipped(content: bytes, bits: list[int]) -> bytes:
    changed = bytearray(content)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _archive(path: Path) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spikes.txt", "37")


def _write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.asfortranarray(np.outer(np.arange(3.0), np.ones(2))))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("37")


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """All that was tried here; the counts are shown at the end."""
    counted = Tally()
    yield counted
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("", *counted.lines(), sep="\n")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="damaged-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


# Runs.

PROTOCOLS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "demo": {"methods": ("nt1",), "seeds": 1, "deployed_images": 2},
    "cue-association": {
        **{"networks": ("none", "oja"), "seeds": 1, "steps": 20, "batch": 4},
        **{"episodes": 6, "hidden": 3},
    },
}
PAGES = ("figure.png", "figure.svg", "report.html")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Two runs of a protocol with other seeds."""
    found: dict[str, tuple[Path, Path]] = {}

    def of(name: str) -> tuple[Path, Path]:
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            found[name] = folder / "one", folder / "other"
            for seed, out in zip((12, 13), found[name], strict=True):
                run(name, out=out, seed=seed, **PROTOCOLS[name])
        return found[name]

    return of


def meaning(folder: Path) -> Any:
    """What is in run.json, whatever white space and spelling of numbers it has."""
    return json.loads((folder / "run.json").read_text())


def try_run(
    neuromod: Any, tally: Tally, folder: Path, pristine: Path, other: Path, name: str, what: str
) -> None:
    """Read a run with a damaged file in all ways, and note what comes of it."""
    # A report may mend what it draws, so it comes last.
    commands = (["verify"], ["compare", str(other)], ["report"])
    unread = name in PAGES or name.endswith(".safetensors")
    for command, *rest in commands:
        outcome = neuromod(command, str(folder), *rest)
        told = outcome.err.strip().splitlines()
        kind = f"runs, {Path(name).suffix or name}"
        if outcome.code == 2 and len(told) == 1 and str(folder) in told[0]:
            tally.add(kind, "refused")
        elif outcome.code or told:
            tally.add(kind, "internal error", f"{name}, {what}, {command}: {outcome.err}")
        elif unread and command != "verify":
            tally.add(kind, "not read")
        elif name == "run.json" and meaning(folder) == meaning(pristine):
            tally.add(kind, "the same in other words")
        else:
            tally.add(kind, "silently wrong", f"{name}, {what}, {command}")
    if name in PAGES and not (folder / name).is_dir():
        assert verify(folder), f"{name}, {what}: a report has not drawn it again"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_damaged_run_is_refused(
    protocol: str, neuromod: Any, stored: Any, tally: Tally, place: Path
) -> None:
    one, other = stored(protocol)
    before = len(tally.wrong)
    names = sorted(path.name for path in one.iterdir())
    for number, name in enumerate(names):
        content = (one / name).read_bytes()
        few = 24 if protocol == "tiny" and name not in PAGES else 4
        for what, damage in damages(content, number, few):
            folder = copy(one, place / "run")
            if name not in meaning(one)["files"] and name != "run.json":
                continue
            damage(folder / name)
            # Where pytest keeps the stored runs, nobody else may look.
            second = copy(other, place / "other")
            try:
                with nobody(place) if what == NO_PERMISSION else nullcontext():
                    try_run(neuromod, tally, folder, one, second, name, what)
            finally:
                os.chdir(place)
    assert tally.wrong[before:] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_files_of_another_run_are_refused(
    protocol: str, neuromod: Any, stored: Any, tally: Tally, place: Path
) -> None:
    one, other = stored(protocol)
    before = len(tally.wrong)
    for name in sorted(path.name for path in one.iterdir()):
        if (one / name).exists() and (one / name).read_bytes() != (
            other / counterpart(name)
        ).read_bytes():
            folder, second = copy(one, place / "run"), copy(other, place / "other")
            swap(folder / name, second / counterpart(name))
            try_run(neuromod, tally, folder, one, other, name, "another run's")
    files = [n for n in sorted(meaning(one)["files"]) if n.endswith((".csv", ".safetensors"))]
    for first, second in pairwise(files):
        folder = copy(one, place / "run")
        swap(folder / first, folder / second)
        try_run(neuromod, tally, folder, one, other, first, f"in the place of {second}")
    assert tally.wrong[before:] == []


def counterpart(name: str) -> str:
    """A file of the first run's seed, in the second run."""
    return name.replace("-12.", "-13.")


# What is kept.


class StoppedError(Exception):
    pass


def stop_after(last: int) -> Callable[[int, int], None]:
    def progress(done: int, _: int) -> None:
        if done >= last:
            raise StoppedError

    return progress


@dataclass(frozen=True)
class Kept:
    """Something that is kept: how it comes to be, for one of two keys, and what one has of it."""

    work: Callable[[int], Any]
    prepare: Callable[[int], Any] | None = None


BACKBONE = load_backbone("digits-vgg", "random", seed=5)
SPLIT = Split(np.arange(0, 6), np.arange(6, 9), np.arange(9, 13))
RECIPE = TuningRecipe("nt1", "rate", "cross_entropy", 0.031, 3)


def images(key: int) -> ImageData:
    pixels = torch.from_numpy(np.random.default_rng(key).random((14, 1, 8, 8), np.float32))
    labels = np.arange(14) % 2
    return ImageData("noise", ("a", "b"), lambda i: pixels[i], labels, SPLIT, f"noise {key}")


def features(key: int) -> Features:
    # One by one: which are computed together decides on their last bits.
    return extract_features(BACKBONE, images(key), batch_size=1)


@cache
def settled_features(key: int) -> Features:
    """Features whose files are those of no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", tempfile.mkdtemp())
        return features(key)


def projected(key: int) -> Any:
    first = settled_features(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "PROJECTED_AT_ONCE", 1)
        return np.array(projections(first, BACKBONE.linears[0]).values[SPLIT.rows])


def tuned(key: int) -> Any:
    (outcome,) = tune_all(settled_features(1), BACKBONE, [replace(RECIPE, seed=key)])
    return [outcome.accuracy, outcome.n_trained, outcome.history.to_numpy()]


def half_tuned(key: int) -> None:
    recipe = [replace(RECIPE, seed=key)]
    with pytest.raises(StoppedError):
        tune_all(settled_features(1), BACKBONE, recipe, progress=stop_after(2))


SMALL = PretrainingRecipe((2, "M"), 1, (3,), epochs=1, source_classes=(0, 1))


def trained_backbone(key: int) -> Any:
    found = pretrain(replace(SMALL, seed=key))
    return [found.source_accuracy, *(t.numpy() for t in found.network.state_dict().values())]


TASK = CueAssociation(cues=1, neurons=3, gap=0 * second, response=20 * ms)
LEARNING = Recipe(Shape(12, 3, 2, "modulated-bcm"), TASK, (0.0,), (0.0,), 2 * ROUND, batch=2)


def learned(key: int) -> Any:
    found = learn(replace(LEARNING, seed=key))
    return [found.history.to_numpy(), *(t.numpy() for t in found.network.state_dict().values())]


def half_learned(key: int) -> None:
    with pytest.raises(StoppedError):
        learn(replace(LEARNING, seed=key), stop_after(ROUND))


def simulated(key: int) -> Any:
    size, name = 1 + key, f"cells_{key}"
    current = {"I_ext": np.linspace(0.7, 0.9, size) * nA}
    cells = Population(name, GainLIF(receptors=()), size, current)
    found = simulate(Experiment(populations=(cells,), duration=20 * ms, dt=0.1 * ms), "cpp")
    spikes = found.spikes[name]
    return [spikes.neurons, np.asarray(spikes.times)]


KEPT = {
    # Rows outside the split are nobody's.
    "features": Kept(lambda key: np.array(features(key).values[SPLIT.rows])),
    "projections": Kept(projected),
    "finished trainings": Kept(tuned),
    "checkpoints of tuning": Kept(tuned, half_tuned),
    "backbones": Kept(trained_backbone),
    "plastic networks": Kept(learned),
    "checkpoints of learning": Kept(learned, half_learned),
    "compiled programs": Kept(simulated),
}


@pytest.fixture(scope="module")
def programs() -> dict[str, bytes]:
    return {}


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, programs: dict[str, bytes]) -> None:
    """Compile each program once in all these tests."""
    make = Standalone.make

    def once(self: Any, folder: Path) -> None:
        text = (folder / "objects.cpp").read_text()
        if text not in programs:
            make(self, folder)
            programs[text] = (folder / "main").read_bytes()
        (folder / "main").write_bytes(programs[text])
        (folder / "main").chmod(0o755)

    monkeypatch.setattr(Standalone, "make", once)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other))


def is_sound() -> bool:
    return not any(kind.damaged() for kind in KINDS)


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_and_damaged_is_made_anew(
    name: str,
    place: Path,
    tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if name == "checkpoints of tuning":
        monkeypatch.setattr(grid, "is_small", lambda _: False)
    kept, folder, used = KEPT[name], place / "pristine", place / "cache"
    monkeypatch.setenv("NEUROMOD_CACHE", str(folder))
    for key in (1, 2):
        (kept.prepare or kept.work)(key)
    monkeypatch.setenv("NEUROMOD_CACHE", str(used))
    copy(folder, used)
    expected = kept.work(1)
    monkeypatch.setenv("NEUROMOD_CACHE", str(place / "empty"))
    assert same(kept.work(1), expected)
    monkeypatch.setenv("NEUROMOD_CACHE", str(used))
    before = len(tally.wrong)
    firsts = files_of(folder, kept, place, monkeypatch)
    others = [path for path in files(folder) if path not in firsts]

    def attempt(path: str, what: str, damage: Change) -> None:
        copy(folder, used)
        damage(used / path)
        caplog.clear()
        sound = is_sound()
        found = kept.work(1)
        told = [text for text in caplog.messages if str(used) in text]
        kind = f"kept, {name}, {Path(path).suffix or Path(path).name}"
        if not same(found, expected):
            tally.add(kind, "silently wrong", f"{path}, {what}: {told}")
        elif len(told) > 1:
            tally.add(kind, "many words", f"{path}, {what}: {told}")
        else:
            tally.add(kind, "made anew" if told or not sound else "of no effect")
        caplog.clear()
        again = kept.work(1)
        told = [text for text in caplog.messages if str(used) in text]
        if told or not same(again, expected):
            tally.add(kind, "not healed", f"{path}, {what}: {told}")

    for number, path in enumerate(firsts):
        few = 12 if name == "compiled programs" else 24
        for what, damage in damages((folder / path).read_bytes(), number, few):
            try:
                with nobody(place) if what == NO_PERMISSION else nullcontext():
                    attempt(path, what, damage)
            except Exception as error:
                tally.add(f"kept, {name}", "internal error", f"{path}, {what}: {error!r}")
    for one, other in zip(firsts, others, strict=True):
        attempt(one, "another's", lambda path, other=other: swap(path, used / other))
    if len(firsts) > 1:
        attempt(
            firsts[0],
            "all another's",
            lambda _: [swap(used / a, used / b) for a, b in zip(firsts, others, strict=True)],
        )
    assert tally.wrong[before:] == []


def files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".log")
    )


def files_of(folder: Path, kept: Kept, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those files that are kept for the first key."""
    with monkeypatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(place / "first"))
        (kept.prepare or kept.work)(1)
    return [name for name in files(folder) if (place / "first" / name).is_file()]


# Files that users name themselves.


def saved_gains(path: Path, seed: int) -> None:
    result = tune(settled_features(1), BACKBONE, replace(RECIPE, seed=seed))
    save_gains(path, result, BACKBONE, settled_features(1))


def loaded_gains(path: Path) -> Any:
    return [gain for layer in load_gains(path, BACKBONE).layer_parameters() for gain in layer]


def saved_network(path: Path, seed: int) -> None:
    save_network(path, PlasticNetwork(LEARNING.shape, seed), {"seed": seed})


def loaded_network(path: Path) -> Any:
    network, header = load_network(path)
    return [header["about"]["seed"], *(t.numpy() for t in network.state_dict().values())]


def went_on(path: Path) -> Any:
    result = tune(settled_features(1), BACKBONE, RECIPE, checkpoint=path)
    return [result.history.to_numpy(), *(t.numpy() for t in result.tensors.values())]


def half_way(path: Path, seed: int) -> None:
    recipe = replace(RECIPE, seed=seed)
    with pytest.raises(StoppedError):
        tune(settled_features(1), BACKBONE, recipe, stop_after(2), checkpoint=path)


USERS = {
    "gains": (saved_gains, loaded_gains),
    "plastic networks": (saved_network, loaded_network),
    "checkpoints": (half_way, went_on),
}


@pytest.mark.parametrize("name", USERS)
def test_a_user_s_file_is_refused_or_made_anew_when_damaged(
    name: str, place: Path, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    save, load = USERS[name]
    pristine, path = place / "pristine.safetensors", place / "used.safetensors"
    save(pristine, RECIPE.seed)
    shutil.copy(pristine, path)
    expected = load(path)
    before = len(tally.wrong)
    for what, damage in damages(pristine.read_bytes(), len(name), 200):
        with suppress(OSError):
            discard(path)
        shutil.copy(pristine, path)
        damage(path)
        caplog.clear()
        try:
            with nobody(place) if what == NO_PERMISSION else nullcontext():
                found = load(path)
        except UserError as error:
            short = "\n" not in str(error) and str(path) in str(error)
            tally.add(f"users', {name}", "refused" if short else "internal error", f"{error}")
        except Exception as error:
            tally.add(f"users', {name}", "internal error", f"{what}: {error!r}")
        else:
            outcome = "made anew" if caplog.messages else "the same in other words"
            outcome = outcome if same(found, expected) else "silently wrong"
            tally.add(f"users', {name}", outcome, what)
    assert tally.wrong[before:] == []
