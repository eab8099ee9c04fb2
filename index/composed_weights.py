"""A built-in model whose file leaves out the embeddings that another built-in model has too.

The whole model is put together once, in the user's cache folder, and from then on it is a model's
folder like any other.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from scisearch.index.cache_folder import CACHE_VARIABLE, cache_folder
from scisearch.index.cache_use import forget_unused, mark_used
from scisearch.index.durable import replace_file
from scisearch.index.errors import ModelError

OWN_WEIGHTS = "without_embeddings.safetensors"
_WEIGHTS = "model.safetensors"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_EMBEDDINGS = ".embeddings."  # in the names of such tensors


def compose(folder: Path, embeddings_of: Path, sha256: str) -> Path:
    """The folder of the whole model; made where it is not there yet.

    Args:
        folder: has OWN_WEIGHTS, a config.json, and what else belongs to the model.
        embeddings_of: the model with the embeddings, and the files of a tokenizer that `folder` has
            not.
        sha256: of the whole weights; with the folder's other files it names the one in the cache.

    Raises:
        ModelError: a file is missing or damaged, or the cache folder cannot be written.
    """
    target = cache_folder() / "models" / f"{sha256}-{_digest_beside(folder)}"
    if (target / _WEIGHTS).is_file():
        mark_used(target)
        return target
    forget_unused(target.parent)
    content = whole_weights(folder / OWN_WEIGHTS, embeddings_of / _WEIGHTS)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="part-") as own:
            part = Path(own) / "model"
            shutil.copytree(folder, part, ignore=shutil.ignore_patterns(OWN_WEIGHTS))
            for name in _TOKENIZER:
                if not (part / name).exists():
                    shutil.copyfile(embeddings_of / name, part / name)
            replace_file(part / _WEIGHTS, content)
            _publish(part, target)
    except OSError as error:
        raise ModelError(
            f"{target.parent}: cannot be written ({error.strerror}), expected room for a model's"
            f" weights; {CACHE_VARIABLE} names another folder"
        ) from error
    return target


def whole_weights(own: Path, parent: Path) -> bytes:
    """The bytes of a safetensors file with the tensors of `own` and the embeddings of `parent`.

    Raises:
        ModelError: one of them cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save

    tensors = {}
    try:
        for name, values in load_file(parent).items():
            if _EMBEDDINGS in name:
                tensors[name] = values
        tensors.update(load_file(own))
    except (OSError, SafetensorError) as error:
        line = str(error).splitlines()[0]
        raise ModelError(
            f"{own}: cannot be read with {parent} ({line}); reinstall scisearch"
        ) from error
    return save(tensors, metadata={"format": "pt"})


def own_weights(whole: Path) -> bytes:
    """The bytes of a safetensors file with all tensors of `whole` but its embeddings."""
    from safetensors.numpy import load_file, save

    kept = {name: values for name, values in load_file(whole).items() if _EMBEDDINGS not in name}
    return save(kept, metadata={"format": "pt"})


def _digest_beside(folder: Path) -> str:
    """Of the files beside the weights, so that new settings are a new folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != OWN_WEIGHTS:
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:8]


def _publish(part: Path, target: Path) -> None:
    """Rename; where another process was first, its folder stays."""
    try:
        part.rename(target)
    except OSError:
        if not (target / _WEIGHTS).is_file():
            raise
