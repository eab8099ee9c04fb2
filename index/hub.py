"""What of this model is in the local hub cache, and how is the rest fetched?

The only module that may open a connection, and only in `download_snapshot`.
"""

import sys
from pathlib import Path

from scisearch.index.errors import ModelError
from scisearch.index.weights import weight_files

# What a model needs to run. Other formats of the same weights (h5, ONNX, OpenVINO) stay away.
_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_OLD_WEIGHTS = "pytorch_model*.bin"


def cached_snapshot(name: str) -> Path | None:
    """The folder of a hub id in the local cache, or None; never opens a connection.

    A snapshot without weights (another program may have wanted the tokenizer alone), or one that
    the hub library knows to be incomplete, counts as absent: a download completes it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if weight_files(folder) else None


def download_snapshot(name: str) -> Path:
    """The folder of a hub id after asking the hub for what is missing.

    Raises:
        ModelError: the id is malformed or unknown, needs a login, or the hub cannot be reached.
    """
    import httpx2
    from huggingface_hub.errors import HFValidationError, XetDownloadError

    try:
        folder = _fetch(name, _FILES)
        if not any(folder.rglob("*.safetensors")):
            folder = _fetch(name, [*_FILES, _OLD_WEIGHTS])
    except (OSError, HFValidationError, XetDownloadError, httpx2.HTTPError) as error:
        raise ModelError(_reason(name, error)) from error
    return folder


def _fetch(name: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    return Path(snapshot_download(name, allow_patterns=patterns))


def _reason(name: str, error: Exception) -> str:
    """One line for what went wrong, with the way out."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # it was reached, and said no
    if isinstance(error, HFValidationError):
        return f"{name!r}: neither a folder nor a hub id of the form 'owner/model'"
    if isinstance(error, GatedRepoError):
        return f"{name}: the hub wants a login with access to it; run `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"{name}: neither a folder here nor a model on the hub; check the spelling"
    if isinstance(error, LocalEntryNotFoundError):
        return (
            f"{name}: neither a folder nor whole in the local hub cache, and the hub cannot be"
            " reached; give a folder, or try again with a network"
        )
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{name}: the hub did not deliver the model ({first_line}); try again or give a folder"
