"""Models on the Hugging Face hub: downloaded once, then taken from the hub's cache."""

import contextlib
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError, OfflineError, first_line
from ftlab.models.folders import PICKLES, checked

__all__ = ["download"]

SECONDS = 5.0  # to find out whether the hub answers; a download on its own retries for long
WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "README.md"]
UNWANTED = ["*/*", "consolidated*", "*.fp16.safetensors", "*.fp32.safetensors"]


def download(name: str) -> Path:
    """Return the folder of a hub model, downloaded if it is not in the cache.

    Only safetensors, configuration and tokenizer are taken: no pickles and no code.

    Args:
        name: a hub id.

    Raises:
        ModelError: there is no such model, it is gated, or it has no weights in safetensors.
        OfflineError: the hub cannot be reached, and the model is not in the cache.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    options: dict[str, Any] = {"allow_patterns": WANTED, "ignore_patterns": UNWANTED}
    gated = ModelError(
        f"{name} is gated: accept its terms on https://huggingface.co/{name}, then run "
        f"`hf auth login`."
    )
    try:
        on_hub = HfApi().model_info(name, timeout=SECONDS)
    except Exception as problem:  # no network, a proxy, an offline switch, the hub's own answers
        with contextlib.suppress(LocalEntryNotFoundError, ModelError):
            return checked(Path(snapshot_download(name, local_files_only=True, **options)))
        if isinstance(problem, GatedRepoError):
            raise gated from None
        if isinstance(problem, RepositoryNotFoundError):
            raise ModelError(
                f"The hub has no model {name}, or it is private, and there is no such folder "
                f"here. Check the spelling, or run `hf auth login`."
            ) from None
        raise OfflineError(
            f"{name} is no folder here and not in the download cache, and the hub cannot be "
            f"reached ({first_line(problem)}). Where there is a network, run `hf download {name}` "
            f"once, and it loads offline from then on."
        ) from None
    names = [file.rfilename for file in on_hub.siblings or []]
    if not any(file.endswith(".safetensors") for file in names):
        kind = "only pickled weights" if any(f.endswith(PICKLES) for f in names) else "no weights"
        raise ModelError(
            f"{name} holds {kind} on the hub; safetensors are wanted, which cannot run code. "
            "Choose another model, or a conversion of this one."
        )
    try:
        return checked(Path(snapshot_download(name, **options)))
    except ModelError:
        raise
    except GatedRepoError:
        raise gated from None
    except Exception as problem:
        raise OfflineError(
            f"The download of {name} broke off ({first_line(problem)}). Run it again: what has "
            "come is kept."
        ) from None
