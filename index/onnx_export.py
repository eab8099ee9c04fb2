"""Any transformers model as an ONNX graph, traced by PyTorch: for what is no plain BERT."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from scisearch.index.onnx_bert import Output, bert_graph
from scisearch.index.quiet import quiet

if TYPE_CHECKING:
    from onnx import ModelProto

_OPSET = 20  # the highest that the tracing exporter writes; from here on GELU is one node
_PROBE_LENGTH = 17


def float_graph(folder: Path, output: Output, *, has_segments: bool) -> "ModelProto":
    """The model of a folder in float32, for rows without padding; rows and length are dynamic.

    Inputs: `input_ids` and, where the model tells segments apart, `token_type_ids`, int64.

    Raises:
        Exception: PyTorch cannot trace it; of many types, as the model's code raises them.
    """
    return bert_graph(folder, output) or _traced(folder, output, has_segments=has_segments)


def _traced(folder: Path, output: Output, *, has_segments: bool) -> "ModelProto":
    import onnx
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    family = AutoModelForSequenceClassification if output == "logit" else AutoModel
    with quiet():  # a pooler that the file lacks is not used
        model = family.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="eager",
        )

    class WithoutPadding(torch.nn.Module):
        """The model with a mask of ones, and its first output alone."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None
        ) -> torch.Tensor:
            inputs = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
            if token_type_ids is not None:
                inputs["token_type_ids"] = token_type_ids
            first: torch.Tensor = self.model(**inputs)[0]
            return first

    ids = torch.arange(2 * _PROBE_LENGTH).reshape(2, _PROBE_LENGTH) + 5
    inputs = (ids, torch.zeros_like(ids)) if has_segments else (ids,)
    names = ["input_ids", "token_type_ids"][: len(inputs)]
    axes = {name: {0: "rows", 1: "length"} for name in names}
    axes["output"] = {0: "rows"} if output == "logit" else {0: "rows", 1: "length"}
    with TemporaryDirectory() as folder_of_graph, warnings.catch_warnings():
        written = Path(folder_of_graph) / "graph.onnx"
        warnings.simplefilter("ignore")  # tracing warns of every Python number it fixes
        torch.onnx.export(
            WithoutPadding().eval(),
            inputs,
            written,
            input_names=names,
            output_names=["output"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        return onnx.load(written)
