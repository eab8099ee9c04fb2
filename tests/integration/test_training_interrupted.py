"""A training that was killed, had no room or no numbers: nothing is lost, and it goes on."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scisearch.index.errors import TrainingError
from scisearch.index.progress import NoProgress
from scisearch.rerank.training.data import TrainingData
from scisearch.rerank.training.train import train
from scisearch.tests.toy_training import (
    ON_CPU,
    resumable,
    scored_data,
    tiny,
    toy_data,
)

pytestmark = pytest.mark.slow


KILLED = """
import os, signal
from dataclasses import replace
from pathlib import Path
from scisearch.index.progress import NoProgress
from scisearch.rerank.training.train import train
from scisearch.tests import toy_training as toys

class Killer(NoProgress):
    steps = 0

    def advance(self, count):
        self.steps += count
        if self.steps == {steps}:
            os.kill(os.getpid(), signal.SIGKILL)

train(toys.{data}(), Path({output!r}), toys.resumable(Path({base!r}), {loss!r}),
      replace(toys.ON_CPU, progress=Killer()))
"""


class Watcher(NoProgress):
    def __init__(self) -> None:
        self.steps = 0
        self.told: list[str] = []

    def advance(self, count: int) -> None:
        self.steps += count

    def tell(self, line: str) -> None:
        self.told.append(line)


@pytest.mark.parametrize(
    ("loss", "data"), [("bce", toy_data), ("residual", scored_data), ("soft", scored_data)]
)
def test_a_killed_training_continues_to_the_same_weights_and_table(
    loss: str, data: Callable[[], TrainingData], tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    recipe = resumable(tiny_cross_encoder, loss)
    whole = train(data(), tmp_path / "whole", recipe, ON_CPU)
    # 9 steps an epoch: killed within the second one, after the checkpoint at step 12
    script = KILLED.format(
        steps=14,
        output=str(tmp_path / "killed"),
        base=str(tiny_cross_encoder),
        data=data.__name__,
        loss=loss,
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert (tmp_path / "killed" / "work" / "checkpoints" / "checkpoint-12").is_dir()

    with pytest.raises(TrainingError, match="holds an unfinished training of other data or set"):
        train(data(), tmp_path / "killed", replace(recipe, seed=1), ON_CPU)
    watcher = Watcher()
    continued = train(data(), tmp_path / "killed", recipe, replace(ON_CPU, progress=watcher))
    assert watcher.steps == 27 - 12
    assert continued.sha256 == whole.sha256
    assert continued.epochs == whole.epochs
    # what is known is told at once; the base was measured before the kill
    second, third = (f"validation loss {one.validation_loss:.4f}" for one in whole.epochs[2:])
    assert [line.split(", ")[0] for line in watcher.told] == [
        f"epoch 2: {second}",
        f"epoch 3: {third}",
    ]


def test_one_that_had_stopped_early_is_not_trained_on(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    recipe = tiny(tiny_cross_encoder, epochs=9, patience=1, learning_rate=1e-7)
    whole = train(toy_data(), tmp_path / "whole", recipe, ON_CPU)
    assert whole.stopped_early

    class Full(NoProgress):
        def finish(self) -> None:
            raise OSError(28, "No space left on device")  # after the run, before the model

    with pytest.raises(TrainingError, match=r"No space left on device.*again to continue"):
        train(toy_data(), tmp_path / "again", recipe, replace(ON_CPU, progress=Full()))
    watcher = Watcher()
    again = train(toy_data(), tmp_path / "again", recipe, replace(ON_CPU, progress=watcher))
    assert not watcher.steps
    assert (again.sha256, again.epochs) == (whole.sha256, whole.epochs)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    # each step multiplies the weights by about 1 - learning rate x weight decay
    recipe = tiny(tiny_cross_encoder, learning_rate=0.5, weight_decay=1e6, checkpoint_steps=1)
    message = r"the (training|validation) loss is (nan|inf) at step .*good checkpoint is .*point-\d"
    with pytest.raises(TrainingError, match=message) as caught:
        train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert "use a lower --learning-rate" in str(caught.value)
    assert list((tmp_path / "m" / "work" / "checkpoints").glob("checkpoint-*/model.safetensors"))


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (100_000, r"m: cannot be written \(.*File too large.*\); make room and give the same"),
        (150_000, r"checkpoint-9: cannot be written .*there is no checkpoint yet; make room"),
    ],
)
def test_a_full_disk_is_one_line_and_the_training_goes_on_when_there_is_room(
    room: int, message: str, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = tiny(tiny_cross_encoder, epochs=1)
    # the weights have 105 kB, the optimizer's state twice that
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(TrainingError, match=message):
            train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "m" / "work").glob("checkpoints/checkpoint-*"))
    train(toy_data(), tmp_path / "m", recipe, ON_CPU)


def test_a_checkpoint_that_cannot_be_written_keeps_the_one_before(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    class Blocking(NoProgress):
        steps = 0

        def advance(self, count: int) -> None:
            self.steps += count
            if self.steps == 10:  # the second epoch's checkpoint, at step 18, finds its name taken
                (tmp_path / "m" / "work" / "checkpoints" / "checkpoint-18").write_text("")

    recipe = tiny(tiny_cross_encoder)
    options = replace(ON_CPU, progress=Blocking())
    with pytest.raises(TrainingError, match=r"checkpoint-18: cannot .*checkpoint is .*point-9; "):
        train(toy_data(), tmp_path / "m", recipe, options)
    (tmp_path / "m" / "work" / "checkpoints" / "checkpoint-18").unlink()
    report = train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert report.sha256 == train(toy_data(), tmp_path / "n", recipe, ON_CPU).sha256
