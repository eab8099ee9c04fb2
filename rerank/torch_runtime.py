"""The forward pass of a cross-encoder on PyTorch, on a CPU or a GPU."""

import inspect
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError
from scisearch.index.openmp import prepare_openmp
from scisearch.index.quiet import quiet
from scisearch.rerank.batches import Batch
from scisearch.rerank.pair_model import PairModel
from scisearch.rerank.scoring import Pending

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# rows x longest of one forward pass. Small batches pad less, large ones keep a GPU busy.
BATCH_TOKENS_CPU = 4096
BATCH_TOKENS_GPU = 65536
_GPU_LENGTH_STEP = 8  # matrices of half precision that tensor cores need not pad
_GPU_IN_FLIGHT = 2  # one runs while the next is assembled and sent


class TorchRuntime:
    """A loaded sequence-classification model. Satisfies `Runtime` (rerank/scoring.py).

    float32 on a CPU; half precision on CUDA and MPS, with the last layer in float32.
    """

    def __init__(self, model: PairModel, device: str, batch_tokens: int | None = None) -> None:
        """Load the model onto the device. `batch_tokens` None: by the device.

        Raises:
            ModelError: the model does not load there, or its file lacks weights.
        """
        self._name = model.name
        self._device = device
        self._model = _load(model, device)
        accepted = inspect.signature(self._model.forward).parameters
        self._has_segments = model.has_segments and "token_type_ids" in accepted
        on_gpu = device != "cpu"
        default = BATCH_TOKENS_GPU if on_gpu else BATCH_TOKENS_CPU
        self.batch_tokens = default if batch_tokens is None else batch_tokens
        self.length_step = _GPU_LENGTH_STEP if on_gpu else 1
        self._is_cuda = device.startswith("cuda")
        self.in_flight = _GPU_IN_FLIGHT if self._is_cuda else 1

    def forward(self, batch: Batch) -> NDArray[np.float32]:
        """The batch's raw logits, (rows,) float32. Raises as `start`."""
        return self.start(batch)()

    def start(self, batch: Batch) -> Pending:
        """Send the batch to the device; CUDA computes it while the caller does something else.

        A batch that the device has no memory for is halved, and so are those that follow.

        Raises:
            ModelError: there is no memory for one pair alone.
        """
        import torch

        try:
            return self._sent(batch)
        except torch.cuda.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ModelError(
                    f"{self._name}: no memory on {self._device} for one pair of"
                    f" {batch.input_ids.shape[1]} tokens; use a lower max_length or --device cpu"
                ) from error
        # Outside the handler, where the failed pass's tensors are free again.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.batch_tokens = max(1, batch.input_ids.size // 2)
        first, second = (self.forward(half) for half in batch.halves())
        return lambda: np.concatenate([first, second])

    def _sent(self, batch: Batch) -> Pending:
        import torch

        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if self._has_segments:
            inputs["token_type_ids"] = batch.token_type_ids
        with torch.inference_mode(), _unplanned_attention():
            tensors = {name: self._on_device(array) for name, array in inputs.items()}
            output: torch.Tensor = self._model(**tensors).logits
            logits = output[:, 0].float()
            if not self._is_cuda:
                found: NDArray[np.float32] = logits.cpu().numpy()
                return lambda: found
            return _fetched(logits)

    def _on_device(self, array: NDArray[np.int64]) -> "torch.Tensor":
        import torch

        values = torch.from_numpy(array)
        if not self._is_cuda:
            return values.to(self._device)
        return values.pin_memory().to(self._device, non_blocking=True)


def _unplanned_attention() -> AbstractContextManager[object]:
    """CUDA computes attention without cuDNN, whose kernels are planned anew for every shape.

    Batches have many shapes, and planning took longer than scoring (benchmarks/LOG.md, 2026-11-28).
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(
        [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    )


def _fetched(logits: "torch.Tensor") -> Pending:
    """Waits until the logits of a CUDA device have come into page-locked memory."""
    import torch

    with torch.cuda.device(logits.device):
        here = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=True)
        here.copy_(logits, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()

    def wait() -> NDArray[np.float32]:
        arrived.synchronize()
        found: NDArray[np.float32] = here.numpy()
        return found

    return wait


def _load(model: PairModel, device: str) -> "PreTrainedModel":
    """The model on its device, ready to score; refused where any weight is not from the file."""
    prepare_openmp()
    import torch
    from transformers import AutoModelForSequenceClassification

    dtype = torch.float32 if device == "cpu" else torch.float16
    loaded: PreTrainedModel
    try:
        with quiet():
            loaded, report = AutoModelForSequenceClassification.from_pretrained(
                str(model.folder),
                local_files_only=True,
                trust_remote_code=False,
                dtype=dtype,
                output_loading_info=True,
            )
        _check_complete(model.name, report)
        loaded.train(mode=False)
        torch.nn.Module.to(loaded, device)
    except ModelError:
        raise
    except Exception as error:  # json, key, shape, pickle, safetensors and device errors
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{model.name}: does not load as a cross-encoder on {device} ({line})"
        ) from error
    if dtype != torch.float32:
        compute_output_in_float32(loaded)
    return loaded


def _check_complete(name: str, report: dict[str, Any]) -> None:
    missing = sorted(map(str, report["missing_keys"]))
    if missing:
        raise ModelError(
            f"{name}: its file has no weights for {', '.join(missing[:3])}"
            f" ({len(missing)} missing); they would be random: expected a trained cross-encoder"
        )


def compute_output_in_float32(model: "PreTrainedModel") -> None:
    """Change the model to compute its one output in float32, whatever the layers below are in.

    In half precision, logits near 8 that are less than 1/128 apart would tie.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module.out_features == 1:
            module.float()
            module.register_forward_pre_hook(lambda _module, args: (args[0].float(), *args[1:]))
