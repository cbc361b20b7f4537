"""Exported graphs, run by their own equations and by another package, against the classifier."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nir = pytest.importorskip("nir")

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import LIFClassifier, RateClassifier, SpikingClassifier  # noqa: E402
from neuromod.tuning import attach, disabled, merge  # noqa: E402
from neuromod.tuning.nir_graph import DT, save_nir, to_nir  # noqa: E402

STEPS = 5


def dense() -> list[torch.nn.Module]:
    return [torch.nn.Linear(6, 9), torch.nn.Linear(9, 7, bias=False), torch.nn.Linear(7, 5)]


def pictures() -> list[torch.nn.Module]:
    """Pictures of 2 x 8 x 7 to 3 x 4 x 7, pooled to 3 x 2 x 3, to 4 x 2 x 3, to 5 neurons."""
    return [
        torch.nn.Conv2d(2, 3, 3, stride=(2, 1), padding=1),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(3, 4, 3, padding="same"),
        torch.nn.Flatten(),
        torch.nn.Linear(24, 5),
    ]


SHAPES = {dense: (6,), pictures: (2, 8, 7)}
KINDS = [
    pytest.param(lambda layers, **more: SpikingClassifier(layers, **more), id="once"),
    pytest.param(lambda layers, **more: LIFClassifier(layers, 0.5, STEPS, 0.75, **more), id="lif"),
]


def draw(shape: tuple[int, ...], seed: int, grid: float | None = 0.125) -> torch.Tensor:
    """Normal numbers; those on a grid of a power of two add and multiply without rounding."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return numbers if grid is None else (numbers / grid).round() * grid


def tuned(make: Any, layers: list[torch.nn.Module], grid: float | None = 0.125) -> Any:
    for number, layer in enumerate(layers):
        for seed, parameter in enumerate(layer.parameters()):
            parameter.data = draw(parameter.shape, 10 * number + seed, grid)
    gains = [draw((n,), n, grid and 0.25) for n in (len(p) for p in weights(layers))]
    if grid is not None:
        # One that is at its threshold, whatever comes in.
        layers[-1].weight.data[2], layers[-1].bias.data[2], gains[-1][2] = 0, 1, 0.5
    classifier = make(layers)
    attach(classifier, "nt1")
    for layer, gain in zip(classifier.modulated_layers, gains, strict=True):
        layer.gain.data = gain
    return classifier.eval()


def weights(layers: list[torch.nn.Module]) -> list[torch.Tensor]:
    return [layer.weight for layer in layers if hasattr(layer, "weight")]


def stepped(classifier: Any, x: torch.Tensor) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Membranes and spikes of all layers, step after step, of one input; the outputs as read."""
    if isinstance(classifier, LIFClassifier):
        found = [[(v[0], spikes[0]) for v, spikes in step] for step in classifier.updates(x[None])]
    else:
        v, layers = classifier(x[None]).membrane, classifier.layer_spikes(x[None])
        hidden = [(spikes[0] * torch.nan, spikes[0].to(v)) for spikes in layers[:-1]]
        found = [[*hidden, (v[0], classifier.read(layers[-1].to(v))[0])]]
    for step in found:
        *hidden, (v, spikes) = step
        if isinstance(classifier, LIFClassifier):
            v, spikes = classifier.read(v[None])[0], classifier.read(spikes[None])[0]
        yield [(v.detach(), spikes.detach()) for v, spikes in (*hidden, (v, spikes))]


def euler(graph: Any, x: np.ndarray, kept: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """One step of a graph by the equations that NIR prints, in double precision."""
    fired = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Affine):
            x = node.weight @ x + node.bias
        elif isinstance(node, nir.LIF | nir.IF):
            before = kept.get(name, np.zeros_like(x))
            leak = (node.v_leak - before) / node.tau if isinstance(node, nir.LIF) else 0
            v = before + DT * (leak + node.r * x / getattr(node, "tau", 1))
            x = (v > node.v_threshold).astype(float)
            kept[name] = np.where(x > 0, node.v_reset, v)
            fired[name] = (v, x)
    return fired


@pytest.mark.parametrize("decay", [0.0, 0.37, 0.9, 1.0])
def test_nir_s_own_equations_give_the_membranes_and_spikes_of_the_classifier(decay: float) -> None:
    classifier = tuned(lambda ls: LIFClassifier(ls, 0.5, 9, decay), dense(), None).double()
    graph, fired = to_nir(classifier), 0.0
    for x in draw((4, 6), 3, None).double():
        kept: dict[str, Any] = {}
        for expected in stepped(classifier, x):
            found = euler(graph, x.numpy(), kept)
            for (v, spikes), (membrane, z) in zip(expected, found.values(), strict=True):
                np.testing.assert_allclose(membrane, v, rtol=1e-11, atol=1e-12)
                np.testing.assert_array_equal(z, spikes)
                fired += float(z.mean())
    assert fired > 0


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("layers", [dense, pictures])
def test_snntorch_computes_the_same_to_the_bit_where_nothing_is_rounded(
    make: Any, layers: Any, tmp_path: Path
) -> None:
    """Spikes of all layers in every step, and what membranes keep, ties with theta among them."""
    reader = pytest.importorskip("snntorch.import_nir")
    classifier = tuned(make, layers())
    save_nir(tmp_path / "classifier.nir", classifier, SHAPES[layers])
    ties, rates = 0, []
    for x in draw((8, *SHAPES[layers]), 4, 0.25):
        network = reader.import_from_nir(nir.read(tmp_path / "classifier.nir"))
        names = [name for name in dict(network.named_children()) if name.startswith("neurons")]
        for expected in stepped(classifier, x):
            output, _ = network(x)
            assert torch.equal(output, expected[-1][1])
            for name, (v, spikes) in zip(sorted(names), expected, strict=True):
                kept = network.get_submodule(name).mem
                assert torch.equal(kept[spikes > 0], torch.zeros_like(v[spikes > 0]))
                if not v.isnan().any():
                    assert torch.equal(kept, v * (1 - spikes))
                ties += int((v == 0.5).sum())
                rates.append(float(spikes.mean()))
    assert ties > 0
    assert 0.05 < np.mean(rates) < 0.95


@pytest.mark.parametrize("layers", [dense, pictures])
def test_snntorch_computes_the_same_but_for_rounding_with_any_numbers(layers: Any) -> None:
    reader = pytest.importorskip("snntorch.import_nir")
    classifier = tuned(lambda ls: LIFClassifier(ls, steps=12), layers(), None)
    for x in draw((3, *SHAPES[layers]), 6, None):
        network = reader.import_from_nir(to_nir(classifier, SHAPES[layers]))
        for expected in stepped(classifier, x):
            output, _ = network(x)
            v, spikes = expected[-1]
            assert torch.equal(output, spikes)
            kept = [m.mem for name, m in network.named_children() if name.startswith("neurons")][-1]
            torch.testing.assert_close(kept, v * (1 - spikes), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", KINDS)
def test_the_graph_has_the_classes_alone_in_their_order(make: Any) -> None:
    some = tuned(lambda ls: make(ls, outputs=[3, 0, 4]), dense()).double()
    graph = to_nir(some)
    assert graph.output_type["output"].tolist() == [3]
    for x in draw((4, 6), 5).double():
        kept: dict[str, Any] = {}
        for expected in stepped(some, x):
            *_, (_, z) = euler(graph, x.numpy(), kept).values()
            np.testing.assert_array_equal(z, expected[-1][1])


def test_merged_and_tuned_classifiers_give_the_same_graph() -> None:
    classifier = tuned(SpikingClassifier, pictures())
    graph = to_nir(classifier, (2, 8, 7))
    merge(classifier)
    merged = to_nir(classifier, (2, 8, 7))
    assert list(graph.nodes) == list(merged.nodes)
    for name in ("layers_0", "layers_2", "layers_4"):
        np.testing.assert_array_equal(graph.nodes[name].weight, merged.nodes[name].weight)
        np.testing.assert_array_equal(graph.nodes[name].bias, merged.nodes[name].bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("theta", [0.3, 0.5, 0.0])
def test_a_neuron_fires_at_its_threshold_in_the_precision_of_the_classifier(dtype, theta) -> None:
    classifier = SpikingClassifier([torch.nn.Linear(1, 1)], theta=theta).to(dtype).eval()
    threshold = to_nir(classifier).nodes["neurons_0"].v_threshold
    at = torch.tensor([[theta]], dtype=dtype)
    assert classifier.fire(at).item() == 1
    precise = dtype if dtype == torch.float64 else torch.float32
    given = torch.tensor(threshold.item(), dtype=precise)
    assert given.item() == threshold.item()
    assert given < at.to(precise)
    assert torch.nextafter(given, torch.ones_like(given)) == at.to(precise)


def test_a_file_holds_the_graph_and_how_long_it_runs(tmp_path: Path) -> None:
    classifier = tuned(lambda ls: LIFClassifier(ls, steps=13, decay=0.8), pictures())
    save_nir(tmp_path / "classifier.nir", classifier, (2, 8, 7))
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.nir"]
    graph, made = nir.read(tmp_path / "classifier.nir"), to_nir(classifier, (2, 8, 7))
    assert (graph.metadata["dt"], graph.metadata["steps"]) == (1e-4, 13)
    assert graph.metadata["source"].startswith("brian2-neuromod ")
    assert sorted(graph.edges) == sorted(made.edges)
    for name, node in made.nodes.items():
        for field, value in vars(node).items():
            if field != "metadata":
                np.testing.assert_equal(getattr(graph.nodes[name], field), value)


def test_a_file_that_is_not_written_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "classifier.nir"
    path.write_text("old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nir, "write", full)
    with pytest.raises(UserError, match=r"classifier\.nir"):
        save_nir(path, tuned(SpikingClassifier, dense()))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("classifier.nir", "old")]


@pytest.mark.parametrize(
    ("classifier", "told"),
    [
        (RateClassifier(dense()), "a RateClassifier has none: export a SpikingClassifier"),
        (LIFClassifier(dense(), decay=1.2), "A decay of 1.2 is no leak that NIR has: 0 to 1"),
        (
            SpikingClassifier([torch.nn.Conv2d(2, 3, (3, 1)), *pictures()[3:]]),
            r"layers_0 is Conv2d\(.*square kernels",
        ),
        (SpikingClassifier([torch.nn.Conv2d(2, 4, 3, groups=2), *pictures()[3:]]), "of one group"),
        (
            SpikingClassifier([torch.nn.Conv2d(2, 4, 3, padding_mode="circular"), *pictures()[3:]]),
            "zeros as padding",
        ),
        (
            SpikingClassifier([torch.nn.AvgPool2d(3, padding=1), *pictures()[3:]]),
            "averages over whole windows",
        ),
        (SpikingClassifier([*pictures()[:4], torch.nn.Linear(23, 5)]), "do not fit layers_4"),
    ],
)
def test_what_nir_has_no_node_for_is_refused(classifier: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        to_nir(classifier, (6,) if isinstance(classifier.layers[0], torch.nn.Linear) else (2, 8, 7))


@pytest.mark.parametrize(
    ("layers", "shape", "told"),
    [
        (pictures, None, "does not say the shape of its inputs: give it"),
        (pictures, (8, 7), r"Inputs of shape \(8, 7\) do not fit layers_0, "),
        (pictures, (3, 8, 7), r"Inputs of shape \(3, 8, 7\) do not fit layers_0, "),
        (dense, (3, 6), r"Inputs of shape \(3, 6\) do not fit layers_0, "),
        (dense, (6.0,), r"whole numbers above 0, not \(6.0,\)"),
    ],
)
def test_an_input_s_shape_is_needed_and_checked(layers: Any, shape: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        to_nir(SpikingClassifier(layers()), shape)


def test_weights_that_are_not_finite_are_refused() -> None:
    classifier = tuned(SpikingClassifier, dense())
    classifier.modulated_layers[1].gain.data[2] = torch.nan
    with pytest.raises(UserError, match="NaN or infinite"):
        to_nir(classifier)


def test_a_disabled_classifier_is_not_taken_for_the_tuned_one() -> None:
    classifier = tuned(SpikingClassifier, dense())
    with disabled(classifier), pytest.raises(UserError, match="export it enabled"):
        to_nir(classifier)
    assert to_nir(classifier)


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[nir\]' brings it"):
        to_nir(SpikingClassifier(dense()))
