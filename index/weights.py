"""Is this folder a whole model, and which one? Checks its files and gives its weights' sha256."""

import json
import os
from hashlib import sha256
from pathlib import Path

from scisearch.index.cache_folder import cache_folder
from scisearch.index.errors import ModelError

_CHUNK = 1 << 20
_CLASSIFIER = "ForSequenceClassification"


def check_model_folder(folder: Path, kind: str) -> None:
    """Refuse a folder that does not hold a whole model of this kind (bi- or cross-encoder).

    Raises:
        ModelError: no config.json, no weights, weights cut short, or a model of the other kind.
    """
    main = _module_folders(folder)[0]
    config = _read_json(main / "config.json")
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: no readable config.json, so no model; give a model's folder")
    files = weight_files(folder)
    if not any(file.parent == main for file in files):
        raise ModelError(
            f"{folder}: no weights (*.safetensors or pytorch_model*.bin) beside config.json"
        )
    for file in files:
        if file.suffix == ".safetensors":
            _check_safetensors(file)
    _check_kind(folder, config, kind)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, sorted: of the folder and of the modules it names.

    Checkpoints and other formats in further subfolders are not part of the model. Where a folder
    has both formats, safetensors are the ones that get loaded.
    """
    found: list[Path] = []
    for part in _module_folders(folder):
        found += sorted(part.glob("*.safetensors")) or sorted(part.glob("pytorch_model*.bin"))
    return sorted(set(found))


def weights_digest(folder: Path) -> str:
    """The sha256 of the weights: of the one file, or of the lines `name sha256` of several."""
    files = weight_files(folder)
    if len(files) == 1:
        return _file_digest(files[0])
    lines = [f"{file.relative_to(folder).as_posix()} {_file_digest(file)}\n" for file in files]
    return sha256("".join(lines).encode()).hexdigest()


def _module_folders(folder: Path) -> list[Path]:
    """The folders a sentence-transformers model is made of, the transformer's first."""
    modules = _read_json(folder / "modules.json")
    if not isinstance(modules, list) or not modules:
        return [folder]
    paths = [str(module.get("path", "")) for module in modules if isinstance(module, dict)]
    return [folder / path for path in paths if ".." not in Path(path).parts] or [folder]


def _read_json(path: Path) -> object:
    """The parsed file, or None where there is none that parses."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _check_kind(folder: Path, config: dict[str, object], kind: str) -> None:
    """Refuse the other kind: loaded all the same, it would score with random weights, silently."""
    names = config.get("architectures")
    if not isinstance(names, list) or not names:
        return
    classifies = any(str(name).endswith(_CLASSIFIER) for name in names)
    saved = _read_json(folder / "config_sentence_transformers.json")
    saved_as = saved.get("model_type") if isinstance(saved, dict) else None
    if kind == "cross-encoder" and not classifies and saved_as != "CrossEncoder":
        raise ModelError(f"{folder}: holds {names[0]}, expected a cross-encoder (*{_CLASSIFIER})")
    if kind == "bi-encoder" and classifies and not (folder / "modules.json").is_file():
        raise ModelError(f"{folder}: holds {names[0]}, a cross-encoder; expected a bi-encoder")


def _check_safetensors(path: Path) -> None:
    """Compare the size the header promises with the file's size.

    Format: 8 bytes little-endian header length, the JSON header, the tensors' bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= size - 8 else b""
    try:
        tensors = json.loads(header)
        end = max(
            (t["data_offsets"][1] for n, t in tensors.items() if n != "__metadata__"), default=0
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(
            f"{path}: damaged or cut short ({size} bytes, no whole header); fetch it again"
        ) from error
    if size != 8 + length + end:
        raise ModelError(
            f"{path}: damaged or cut short: {size} bytes, expected {8 + length + end};"
            " fetch it again"
        )


def _file_digest(path: Path) -> str:
    """The file's sha256, remembered by path, size and time: a query must not read 90 MB."""
    stat = path.stat()
    key = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    memo = cache_folder() / "weights-sha256" / sha256(key.encode()).hexdigest()
    known = _recall(memo)
    if known is not None:
        return known
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    _remember(memo, digest.hexdigest())
    return digest.hexdigest()


def _recall(memo: Path) -> str | None:
    try:
        text = memo.read_text("ascii")
    except (OSError, ValueError):
        return None
    return text if len(text) == 64 and set(text) <= set("0123456789abcdef") else None


def _remember(memo: Path, digest: str) -> None:
    """Write by rename, so that no reader sees half; a cache that cannot be written is no error."""
    part = memo.with_name(f"{memo.name}.{os.getpid()}")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(digest, "ascii")
        part.replace(memo)
    except OSError:
        part.unlink(missing_ok=True) if part.exists() else None
