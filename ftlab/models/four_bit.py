"""Loading weights in 4 bits, where the layers at hand work in them."""

from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError
from ftlab.hardware import four_bit_works, profile

__all__ = ["options", "widths"]


def options(bits: int, device: str, folder: Path) -> dict[str, Any]:
    """Return what `from_pretrained` takes to load a model in NF4, doubly quantised.

    Args:
        bits: 4.
        device: where the weights go.
        folder: of the model; its config gives the widths of the layers, so nothing is loaded.

    Raises:
        ConfigError: bits is not 4, or a layer of this model does not work in 4 bits here.
    """
    import torch
    from transformers import BitsAndBytesConfig

    if bits != 4:
        raise ConfigError(f"bits={bits}: weights can be held in 4 bits, or as they are (None).")
    for shape, name in widths(folder).items():
        works, why = four_bit_works(device, [shape])
        if not works:
            raise ConfigError(
                f"4-bit weights do not work on {device} for {name} ({shape[1]} inputs, {shape[0]} "
                f"outputs): {why}. Load without bits=4, or take a model whose widths are multiples "
                "of 64, such as smollm2-135m."
            )
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, profile().dtype),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def widths(folder: Path) -> dict[tuple[int, int], str]:
    """Return the sizes (outputs, inputs) of the linear layers, each with the first layer's name.

    The output layer is left out: it stays as it is. The model is built without memory for weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    sizes: dict[tuple[int, int], str] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer is not model.get_output_embeddings():
            sizes.setdefault((layer.out_features, layer.in_features), name)
    return sizes
