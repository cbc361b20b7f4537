"""Networks that have learned come back from disk as they were, or are refused in a sentence."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape  # noqa: E402
from neuromod.plasticity.storage import load_network, save_network  # noqa: E402


def made(network: str = "modulated-bcm") -> PlasticNetwork:
    net = PlasticNetwork(Shape(3, 4, 2, network, "eligibility", modulators=2, slope=3.1), 7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.01
    return net


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.safetensors"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_a_network_comes_back_as_it_was(path, network, precision):
    net = made(network).to(precision)
    save_network(path, net, {"task": "none", "seed": 7})
    loaded, header = load_network(path)
    assert loaded.shape == net.shape
    assert header["about"] == {"task": "none", "seed": 7}
    inputs = (torch.rand(2, 30, 3, generator=torch.Generator().manual_seed(1)) < 0.6).to(precision)
    assert torch.equal(loaded(inputs), net(inputs))


def test_the_header_tells_the_learned_rule_in_units(path):
    save_network(path, made(), {})
    header = load_network(path)[1]
    assert header["rule"]["eta_Hz"] == pytest.approx(1.0101, rel=1e-4)
    assert header["shape"]["network"] == "modulated-bcm"
    assert set(header["versions"]) == {"brian2-neuromod", "torch", "safetensors"}


def test_files_that_are_no_networks_are_refused(path):
    with pytest.raises(UserError, match="There is no plastic-network file"):
        load_network(path)
    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(UserError, match="lacks the header of a plastic-network file"):
        load_network(path)
    save_network(path, made(), {})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match="is no plastic-network file, or a truncated one"):
        load_network(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weight", torch.ones(4, 2), r"'weight' of shape \(4, 2\) where its shape needs \(4, 3\)"),
        ("weight", torch.full((4, 3), torch.nan), "values in 'weight' that are not finite"),
        ("weight", None, "lacks 'weight'"),
        ("extra", torch.ones(1), "has 'extra', for which its shape has no place"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(path, name, value, message):
    net = made()
    save_network(path, net, {})
    tensors = {**net.state_dict(), name: value}
    about = load_network(path)[1]
    # Version 0.1 wrote no checksum.
    del about["sha256"]
    about["versions"]["brian2-neuromod"] = "0.1.0"
    header = {"neuromod": json.dumps(about)}
    save_file({name: t for name, t in tensors.items() if t is not None}, path, header)
    with pytest.raises(UserError, match=message):
        load_network(path)


def test_a_header_that_describes_no_network_is_refused(path):
    save_network(path, made(), {})
    header = load_network(path)[1]
    del header["sha256"]
    header["versions"]["brian2-neuromod"] = "0.1.0"
    for shape in ({}, {**header["shape"], "network": "hebb"}, {**header["shape"], "hidden": -1}):
        save_file(made().state_dict(), path, {"neuromod": json.dumps({**header, "shape": shape})})
        with pytest.raises(UserError, match="header that cannot be understood"):
            load_network(path)


def test_a_network_with_changed_bits_is_refused(path):
    save_network(path, made(), {})
    changed = bytearray(path.read_bytes())
    changed[-6] ^= 1
    path.write_bytes(changed)
    with pytest.raises(UserError, match="is damaged: its content is not what was written"):
        load_network(path)
