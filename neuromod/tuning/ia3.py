"""Gains as an adapter of peft, and peft's as gains: (IA)^3 (Liu et al., NeurIPS 2022) is `nt1`.

peft multiplies a target module's output by a vector, its bias included, as `nt1` does, and the
input of a feedforward module, as `nt1_inputs` does; its ``modules_to_save`` are trained whole, as
by `tft`. A folder has two files: ``adapter_config.json`` says which modules are meant, in peft's
words (ends of names, or a pattern), and ``adapter_model.safetensors`` has the tensors under the
modules' full names. Neither direction needs peft.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from neuromod.errors import UserError, listed, short
from neuromod.models.layer_kinds import Convolution, InputsFirst, kind_of
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.support.cache import NotWrittenError, not_written, written_whole
from neuromod.support.tensor_file import TensorFileError, check_fit, read_foreign
from neuromod.tuning.attachment import Tuning, attach_plan, refuse_not_finite, tuned_layers
from neuromod.tuning.trained import bare, changed_buffers, trained_state_dict

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Of every tensor's name: the model stands inside two modules of peft."""
VECTOR = "ia3_l"

NAMES = ("target_modules", "exclude_modules", "feedforward_modules", "modules_to_save")
WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "init_ia3_weights"),
    *("peft_type", "peft_version", "revision", "runtime_config", "task_type"),
    # peft goes by a layer's kind in the end.
    "fan_in_fan_out",
}
"""Settings that change nothing in what a trained adapter computes."""

SIZES: Sequence[tuple[Any, Callable[[Any], tuple[int, int]]]] = (
    (nn.Linear, lambda layer: (layer.in_features, layer.out_features)),
    (nn.Conv2d | nn.Conv3d, lambda layer: (layer.in_channels, layer.out_channels)),
)
"""Inputs and neurons of the layers that peft takes."""

CONTAINERS = (nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList)
"""Modules that peft does not save, as they have no forward."""

FLOATS = {torch.float64, torch.float32, torch.bfloat16, torch.float16}


@dataclass(frozen=True)
class Wanted:
    """Which modules a configuration means: by a pattern of names, or by ends of names."""

    target_modules: str | Sequence[str]
    exclude_modules: str | Sequence[str]
    feedforward_modules: str | Sequence[str]
    modules_to_save: Sequence[str]


@dataclass(frozen=True)
class Places:
    """Full names of the modules whose outputs or inputs have gains, and of those kept whole."""

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    whole: tuple[str, ...]


@dataclass(frozen=True)
class Slot:
    """A tensor's module and name in a tuned model, its shape in the file, its precision here."""

    place: str
    leaf: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_gain: bool = False


def save_ia3(folder: str | Path, model: nn.Module) -> None:
    """Write a model's gains as an IA3 adapter, which ``peft.PeftModel.from_pretrained`` loads.

    Gains that the neurons of a power domain share are written once for each neuron. peft finds
    modules that are trained whole by the ends of their names: others that it would find as well
    are written as they are.

    Parameters
    ----------
    folder : path
        Made if it is not there. An adapter in it is replaced, whole or not at all.
    model : nn.Module
        Tuned by `nt1` or `nt1_inputs`, and by `tft` in modules that are trained whole.

    Raises
    ------
    UserError
        If IA3 cannot hold what was tuned, or cannot name these modules and no others.
    NotWrittenError
        If the files cannot be written.
    """
    model = bare(model)
    meant = _tuned(model)
    config = _configuration(meant, model)
    places = _places(_wanted(config, CONFIG), model)
    _check_words(meant, places)
    slots = _slots(places, model)
    _check_complete(slots, model)
    tensors = {key: _value(model, slot) for key, slot in slots.items()}
    text = json.dumps(config, indent=2, sort_keys=True)
    data = save(tensors, {"format": "pt"})
    # The configuration takes its place last: whoever finds a new one finds its tensors.
    with (
        _folder(Path(folder)) as path,
        written_whole(path / CONFIG) as config_file,
        written_whole(path / TENSORS, len(data)) as tensor_file,
    ):
        config_file.write_text(text, encoding="utf-8")
        tensor_file.write_bytes(data)


def load_ia3(folder: str | Path, model: nn.Module) -> list[str]:
    """Tune a model as an IA3 adapter of peft says, and load its tensors.

    Parameters
    ----------
    folder : path
        As ``peft.PeftModel.save_pretrained`` or `save_ia3` writes it.
    model : nn.Module
        The model that the adapter was trained on, with nothing attached; changed in place.

    Returns
    -------
    list of str
        Names of the tuned layers.

    Raises
    ------
    UserError
        If the folder holds no IA3 adapter, or not one of this model. The model is then unchanged.
    """
    folder, model = Path(folder), bare(model)
    kind = type(model).__name__
    wanted = _wanted(_read_config(folder), str(folder / CONFIG))
    tensors = _read_tensors(folder)
    if any(isinstance(module, ModulatedLayer) for module in model.modules()):
        raise UserError(f"{kind} is tuned already: detach it to load an adapter.")
    if str(wanted.target_modules).lower() == "all-linear":
        wanted = replace(wanted, target_modules=_linear(model, tensors))
    places = _places(wanted, model)
    if not places.outputs + places.inputs:
        raise TensorFileError(f"The target_modules of {folder / CONFIG} match no layer of {kind}.")
    slots = _slots(places, model)
    source = str(folder / TENSORS)
    fitting = {key: _cast(source, key, t, slots.get(key)) for key, t in tensors.items()}
    expected = {key: torch.empty(slot.shape, device="meta") for key, slot in slots.items()}
    check_fit(source, fitting, expected, kind)
    plan = _plan(places, model)
    attach_plan(model, plan)
    for key, slot in slots.items():
        _put(model, slot, fitting[key])
    return list(plan)


def _tuned(model: nn.Module) -> Places:
    """The places of a tuned model, if IA3 can hold them."""
    if not all(layer.enabled for layer in tuned_layers(model)):
        raise UserError(f"The tuned layers of {type(model).__name__} are disabled: save it later.")
    by: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(module, ModulatedLayer):
            by.setdefault(vars(module)["attachment"].tuning.method, []).append(name)
    for method, names in by.items():
        if method not in ("nt1", "nt1_inputs", "tft", "none", "probe"):
            raise UserError(
                f"IA3 cannot hold {names[0]}, which is tuned by {method}: it has gains of outputs "
                "(nt1) or of inputs (nt1_inputs), and modules that are trained whole (tft)."
            )
    outputs, inputs, whole = (by.get(method, []) for method in ("nt1", "nt1_inputs", "tft"))
    if not outputs + inputs:
        raise UserError(f"{type(model).__name__} has no gains, and IA3 has nothing but gains.")
    inner = {name for name in whole if any(name.startswith(f"{other}.") for other in whole)}
    return Places(tuple(outputs), tuple(inputs), tuple(n for n in whole if n not in inner))


def _check_complete(slots: Mapping[str, Slot], model: nn.Module) -> None:
    """Refuse what was trained, or changed, beside the places that are written."""
    held = {f"{slot.place}.{slot.leaf}" for slot in slots.values()}
    changed = {name for name in trained_state_dict(model) if not name.endswith(".domain")}
    if lost := sorted({*changed, *changed_buffers(model)} - held):
        raise UserError(
            f"IA3 would lose {lost[0]}, which has changed too: name its module in modules_to_save."
        )


def _value(model: nn.Module, slot: Slot) -> Tensor:
    """What stands in the file for a tensor of a tuned model."""
    layer: Any = model.get_submodule(slot.place)
    value: Tensor = layer.gains if slot.is_gain else _stored(layer, slot.leaf)
    if value.numel() != math.prod(slot.shape):
        raise UserError(f"{slot.place} has gains for each sample: use one adapter to save it.")
    refuse_not_finite({f"{slot.place}.{slot.leaf}": value})
    return value.detach().cpu().reshape(slot.shape).clone(memory_format=torch.contiguous_format)


def _configuration(places: Places, model: nn.Module) -> dict[str, Any]:
    """What peft reads, with patterns that match the full names and no others."""
    layers = [model.get_submodule(name) for name in places.outputs + places.inputs]
    return {
        "auto_mapping": {
            "base_model_class": type(model).__name__,
            "parent_library": type(model).__module__,
        },
        "base_model_name_or_path": str(vars(model).get("name_or_path") or "") or None,
        "exclude_modules": None,
        "fan_in_fan_out": all(_inputs_first(layer) for layer in layers),
        "feedforward_modules": _pattern(places.inputs),
        "inference_mode": True,
        "init_ia3_weights": True,
        "modules_to_save": list(places.whole) or None,
        "peft_type": "IA3",
        "revision": None,
        "target_modules": _pattern(places.outputs + places.inputs),
        "task_type": None,
    }


def _pattern(names: Sequence[str]) -> str | list[str]:
    # A list would name ends of names: "fc" is also the end of "block.fc".
    return "|".join(map(re.escape, names)) if names else []


def _check_words(meant: Places, found: Places) -> None:
    """Refuse names of modules that are trained whole by which peft also finds layers with gains."""
    gained = meant.outputs + meant.inputs
    lost = {*gained} - {*found.outputs, *found.inputs}
    lost |= {name for name in gained for root in found.whole if f"{name}.".startswith(f"{root}.")}
    if lost:
        raise UserError(
            f"peft finds {listed(meant.whole)}, trained whole, by parts of names, and takes "
            f"{min(lost)} for it too: rename one, or use save_trained."
        )


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which is gone again if it was made for nothing."""
    try:
        new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error) from error
    except ValueError as error:
        raise NotWrittenError(
            f"{short(str(path))} cannot be written: it names no folder."
        ) from error
    try:
        yield path
    except BaseException:
        if new:
            with suppress(OSError):
                path.rmdir()
        raise


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        inner = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
        others = f", but in its folders {listed(inner)}" if inner else ""
        raise TensorFileError(f"There is no {CONFIG} in {folder}{others}.") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TensorFileError(f"{short(str(path))} cannot be read as JSON: {reason}.") from error
    if not isinstance(config, dict) or "peft_type" not in config:
        raise TensorFileError(f"{path} is no configuration of peft: it has no peft_type.")
    if config["peft_type"] != "IA3":
        raise TensorFileError(f"{path} is of type {short(config['peft_type'])}, and not IA3.")
    for option, value in config.items():
        if value and option not in WITHOUT_EFFECT and option not in NAMES:
            raise TensorFileError(f"{path} sets {short(option)}, which is no option of IA3 here.")
    return config


def _wanted(config: Mapping[str, Any], source: str) -> Wanted:
    """The modules that a configuration means, its patterns and names checked."""
    found: dict[str, Any] = {}
    for key in NAMES:
        value = config.get(key)
        if value is None and key in ("target_modules", "feedforward_modules"):
            raise TensorFileError(
                f"{source} leaves {key} to a list of architectures in peft: write them out."
            )
        names = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TensorFileError(f"{source} has {short(value)} as {key}, which are names.")
        if key == "modules_to_save" and isinstance(value, str):
            raise TensorFileError(f"{source} has a string as modules_to_save: write a list.")
        for pattern in names if isinstance(value, str) or key == "modules_to_save" else ():
            _check_pattern(source, pattern)
        found[key] = value if isinstance(value, str) else tuple(names)
    return Wanted(**found)


def _check_pattern(source: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise TensorFileError(f"{source} has a pattern {short(pattern)}: {error}.") from error


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    if not (folder / TENSORS).exists() and (folder / "adapter_model.bin").exists():
        raise TensorFileError(
            f"{folder} has pickled tensors, which can run any program: save it with "
            "safe_serialization=True."
        )
    return read_foreign(folder / TENSORS, "adapter")


def _linear(model: nn.Module, tensors: Collection[str]) -> tuple[str, ...]:
    """Linear layers that a file has gains of: peft leaves out one that it takes for the output."""
    layers = model.named_modules()
    linear = [n for n, m in layers if isinstance(m, nn.Linear) or _inputs_first(m)]
    return tuple(name for name in linear if f"{PREFIX}{name}.{VECTOR}" in tensors)


def _places(wanted: Wanted, model: nn.Module) -> Places:
    """The modules of a model that peft 0.21 takes a configuration to mean."""
    names = [name for name, _ in model.named_modules() if name]
    targets = [name for name in names if _is_target(name, wanted)]
    feedforward = [name for name in targets if _is_feedforward(name, wanted)]
    outputs = [name for name in targets if name not in feedforward]
    whole: dict[nn.Module, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        # Not from a dot on: to peft, "fc" is the end of "last_fc" too.
        if name and any(name.endswith(end) for end in wanted.modules_to_save):
            whole.setdefault(module, name)
    return Places(tuple(outputs), tuple(feedforward), tuple(whole.values()))


def _is_target(name: str, wanted: Wanted) -> bool:
    if _matches(name, wanted.exclude_modules):
        return False
    # What lies in a module to save is saved with it, and has no gains of its own.
    saved = wanted.modules_to_save
    if any(re.match(rf"(^|.*\.){pattern}($|\..*)", name) for pattern in saved):
        return False
    return _matches(name, wanted.target_modules)


def _matches(name: str, chosen: str | Sequence[str]) -> bool:
    if isinstance(chosen, str):
        return bool(chosen) and re.fullmatch(chosen, name) is not None
    return any(name == end or name.endswith(f".{end}") for end in chosen)


def _is_feedforward(name: str, wanted: Wanted) -> bool:
    chosen = wanted.feedforward_modules
    if isinstance(chosen, str):
        return re.fullmatch(chosen, name) is not None
    # Here, too, "fc" is the end of "last_fc".
    return any(name.endswith(end) for end in chosen)


def _slots(places: Places, model: nn.Module) -> dict[str, Slot]:
    """Every tensor of the file by its name there, if IA3 can tune these modules."""
    slots = {}
    for inputs, names in ((False, places.outputs), (True, places.inputs)):
        for name in names:
            layer = model.get_submodule(name)
            if _is_read(model, name):
                raise UserError(f"IA3 cannot tune {name}: attention reads it past peft's vector.")
            shape, precision = _shape(name, layer, inputs), next(layer.parameters()).dtype
            slots[f"{PREFIX}{name}.{VECTOR}"] = Slot(name, "gain", shape, precision, True)
    for root in places.whole:
        if inner := [other for other in places.whole if other.startswith(f"{root}.")]:
            raise UserError(f"IA3 cannot keep {inner[0]} whole, since it lies in {root}.")
        if isinstance(module := model.get_submodule(root), CONTAINERS):
            raise UserError(f"IA3 cannot keep {root} whole, a {type(module).__name__}.")
        for name, tensor in module.state_dict(prefix=f"{root}.").items():
            place, _, leaf = name.rpartition(".")
            slots[f"{PREFIX}{name}"] = Slot(place, leaf, tuple(tensor.shape), tensor.dtype)
    _check_single(model, places)
    return slots


def _shape(name: str, layer: Any, inputs: bool) -> tuple[int, ...]:
    """The shape that peft gives a vector of a layer."""
    plain = layer.plain if isinstance(layer, ModulatedLayer) else type(layer)
    kind = kind_of(plain)
    n = next((sizes(layer)[0 if inputs else 1] for k, sizes in SIZES if issubclass(plain, k)), 0)
    if isinstance(kind, InputsFirst):
        n = layer._parameters["weight"].shape[0 if inputs else 1]
    if kind is None or not n:
        raise UserError(
            f"IA3 cannot tune {name}, a {plain.__name__}: it takes Linear, Conv1D, Conv2d and "
            "Conv3d layers."
        )
    if plain.forward is not kind.forward:
        raise UserError(f"IA3 cannot tune {name}: {plain.__name__} has a forward of its own.")
    if isinstance(kind, Convolution):
        return (1, n, *[1] * kind.dims)
    return (1, n) if inputs else (n, 1)


def _is_read(model: nn.Module, name: str) -> bool:
    """Whether the module around a layer reads its weight, and does not call it."""
    # Only who has imported torchvision has modules of it.
    swin = sys.modules.get("torchvision.models.swin_transformer")
    windows = getattr(swin, "ShiftedWindowAttention", nn.MultiheadAttention)
    parent = model.get_submodule(name.rpartition(".")[0])
    return isinstance(parent, nn.MultiheadAttention | windows)


def _check_single(model: nn.Module, places: Places) -> None:
    """Refuse a module at several places, of which peft replaces the first alone."""
    homes: dict[nn.Module, dict[tuple[nn.Module, str], str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        parent, _, leaf = name.rpartition(".")
        homes.setdefault(module, {}).setdefault((model.get_submodule(parent), leaf), name)
    for name in places.outputs + places.inputs + places.whole:
        if len(names := list(homes[model.get_submodule(name)].values())) > 1:
            raise UserError(
                f"{listed(names)} are one module, of which peft's IA3 tunes the first place alone."
            )


def _cast(source: str, key: str, tensor: Tensor, slot: Slot | None) -> Tensor:
    """A tensor of a file in its layer's precision, where it must still be finite."""
    if slot is None:
        return tensor
    if tensor.dtype != slot.dtype and not {tensor.dtype, slot.dtype} <= FLOATS:
        raise TensorFileError(f"{source} has {key!r} of type {tensor.dtype}, not {slot.dtype}.")
    # Gains of a model in half precision are trained in single precision by peft.
    return tensor.to(torch.promote_types(tensor.dtype, slot.dtype) if slot.is_gain else slot.dtype)


@torch.no_grad()
def _put(model: nn.Module, slot: Slot, tensor: Tensor) -> None:
    """Give a layer of a tuned model a tensor of a file."""
    layer: Any = model.get_submodule(slot.place)
    if slot.is_gain:
        layer.gain = nn.Parameter(tensor.flatten().to(layer.gain.device))
    else:
        _stored(layer, slot.leaf).copy_(tensor)


def _stored(layer: nn.Module, name: str) -> Tensor:
    """A parameter or buffer of a layer."""
    found = layer._parameters.get(name)
    return cast(Tensor, layer._buffers[name] if found is None else found)


def _plan(places: Places, model: nn.Module) -> dict[str, Tuning]:
    """How each layer is to be tuned, in the model's order."""
    method = {**dict.fromkeys(places.outputs, "nt1"), **dict.fromkeys(places.inputs, "nt1_inputs")}
    for root in places.whole:
        for name, module in model.get_submodule(root).named_modules(prefix=root):
            if next(module.parameters(recurse=False), None) is not None:
                method[name] = "tft"
    return {n: Tuning(method[n], {}) for n, _ in model.named_modules() if n in method}


def _inputs_first(layer: nn.Module) -> bool:
    """Whether it is the linear layer of GPT-2."""
    return isinstance(kind_of(type(layer)), InputsFirst)
