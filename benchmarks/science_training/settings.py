"""What a training of our own weights does, as one value, and the clock that it follows."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from scisearch.benchmarks.science_training.mixtures import MIXTURE, with_shares
from scisearch.index.errors import ConfigError

if TYPE_CHECKING:
    import torch

Numbers = Literal["float32", "bf16"]
RELEVANT = 3  # texts of a list, at most
MOST_RELEVANT = 6  # that may be asked for: of the eight texts of a list on a CPU
# tokens that the pairs of a step are cut to, and how often: a whole abstract is seen in most, since
# a model that saw halves of them learns to guess what the first stage could read
LONGEST: tuple[tuple[int, float], ...] = ((160, 0.3), (224, 0.4), (288, 0.3))


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults are those of a processor; a GPU takes more lists and larger micro-batches."""

    seconds: float  # of the whole training, continued ones counted together
    device: str = "cpu"
    numbers: Numbers = "bf16"  # of the products; the weights stay in float32
    workers: int = 1  # processes, on a CPU; on a GPU: processes that prepare its lists
    lists: int = 16  # of eight texts, in a step
    micro_batch: int = 48  # pairs computed together
    frozen: int | None = 1  # lowest layers left as they are, and the embeddings; None: nothing
    learning_rate: float = 1e-4  # of AdamW, linear up and down
    weight_decay: float = 0.01
    warmup: float = 0.04  # share of the time
    averaged: float = 0.2  # share of the time, the last, whose weights are averaged
    checkpoint_seconds: float = 240.0
    seed: int = 1
    longest: tuple[tuple[int, float], ...] = LONGEST
    unrelated: int = 0  # texts of a list that are no candidates; with them the order of these stays
    contrasts: int = 0  # contrast lists in a step, beside `lists`
    relevant: int = RELEVANT  # texts of a list, at most
    # of the lists, by kind; the kinds that are not named share the rest as they do by default
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            ConfigError: a number is out of its range, or a kind of `shares` is unknown.
        """
        for name in ("seconds", "workers", "lists", "micro_batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} {getattr(self, name)}; expected a number above 0")
        if self.unrelated < 0:
            raise ConfigError(f"unrelated {self.unrelated}; expected 0 or more texts of a list")
        if self.contrasts < 0:
            raise ConfigError(f"contrasts {self.contrasts}; expected 0 or more lists of a step")
        if not 1 <= self.relevant <= MOST_RELEVANT:
            raise ConfigError(
                f"relevant {self.relevant}; expected 1 to {MOST_RELEVANT} texts of a list, which"
                " leaves it two others"
            )
        with_shares(MIXTURE, self.shares)
        if not 0 <= self.warmup < 1 or not 0 <= self.averaged < 1:
            raise ConfigError(
                f"warmup {self.warmup}, averaged {self.averaged}; expected shares from 0 to below 1"
            )

    @property
    def dtype(self) -> "torch.dtype":
        """What the products are computed in."""
        import torch

        return torch.bfloat16 if self.numbers == "bf16" else torch.float32

    def within(self, positions: int) -> "Settings":
        """The same for a model that reads no more than so many tokens."""
        cut = tuple((min(length, positions), share) for length, share in self.longest)
        return replace(self, longest=cut)

    def rate(self, done: float) -> float:
        """The learning rate when a share `done` (0 to 1) of the time has passed."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        return self.learning_rate * max(0.0, 1 - done) / (1 - self.warmup)

    def to_json(self) -> dict[str, object]:
        """Every setting by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the training is: the schedule follows time, since the time is what is lent."""

    begun: float  # time.time()
    before: float  # seconds that were trained before, by what is continued
    total: float

    @classmethod
    def from_now(cls, before: float, total: float) -> "Clock":
        """One that begins to run."""
        return cls(time.time(), before, total)

    def restarted(self) -> "Clock":
        """The same, from now on."""
        return self.from_now(self.before, self.total)

    def seconds(self) -> float:
        """Seconds trained."""
        return time.time() - self.begun + self.before

    def done(self) -> float:
        """The share of the time that has passed, 0 to 1."""
        return min(1.0, max(0.0, self.seconds() / self.total))
