"""Runs of a whole pipeline: what they count, and how an interrupted one is continued."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scisearch.benchmarks.run_file import write_run_file
from scisearch.index.progress import NoProgress
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import ModelSettings, write_model_settings
from scisearch.rerank.search_config import MODES, Mode, SearchConfig
from scisearch.retrieval.ranking import Hit
from scisearch.retrieval.run_writer import RunWriter
from scisearch.tests.toy_pipeline import CORPUS, TOPICS, build, config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    return build(tmp_path_factory.mktemp("index"), CORPUS, tiny_encoder)


@pytest.fixture
def interrupted_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[SearchPipeline, Path], None]:
    """Writes a run until two topics of a batch of four are written."""

    def write(pipeline: SearchPipeline, path: Path) -> None:
        whole = RunWriter.write
        written: list[str] = []

        def write_two(self: RunWriter, query_id: str, hits: Sequence[Hit]) -> None:
            whole(self, query_id, hits)
            written.append(query_id)
            if len(written) == 2:
                raise KeyboardInterrupt("after two")

        with monkeypatch.context() as patch:
            patch.setattr(RunWriter, "write", write_two)
            with pytest.raises(KeyboardInterrupt, match="after two"):
                write_run_file(pipeline, TOPICS, path, tag="t", batch=4)

    return write


def test_the_topics_of_a_batch_count_together(index: Path, tmp_path: Path) -> None:
    counts: list[int] = []

    class Counted(NoProgress):
        def advance(self, count: int) -> None:
            counts.append(count)

    pipeline = SearchPipeline.open(index, SearchConfig(mode="bm25"))
    progress = Counted()
    write_run_file(pipeline, TOPICS, tmp_path / "a.run", tag="t", batch=4, progress=progress)
    assert counts == [4, 2]


@pytest.mark.parametrize("mode", MODES)
def test_an_interrupted_run_continues_to_the_same_bytes(
    index: Path,
    tiny_cross_encoder: Path,
    tmp_path: Path,
    mode: Mode,
    interrupted_run: Callable[[SearchPipeline, Path], None],
) -> None:
    pipeline = SearchPipeline.open(index, config(mode, tiny_cross_encoder))
    whole, cut = tmp_path / "whole.run", tmp_path / "cut.run"
    write_run_file(pipeline, TOPICS, whole, tag="t", batch=4)

    interrupted_run(pipeline, cut)
    assert not cut.exists()
    report = write_run_file(pipeline, TOPICS, cut, tag="t", batch=4)
    assert report.n_continued == 2
    assert cut.read_bytes() == whole.read_bytes()


def test_a_run_begins_anew_when_its_model_is_weighed_otherwise(
    index: Path,
    cross_encoder_with: Callable[[ModelSettings], Path],
    tmp_path: Path,
    interrupted_run: Callable[[SearchPipeline, Path], None],
) -> None:
    model = cross_encoder_with(ModelSettings(Interpolation(0.3)))
    fresh, cut = tmp_path / "fresh.run", tmp_path / "cut.run"
    pipeline = SearchPipeline.open(index, config("rerank", model))
    interrupted_run(pipeline, cut)
    write_model_settings(model, ModelSettings(Interpolation(0.9)))
    for path in (cut, fresh):
        pipeline = SearchPipeline.open(index, config("rerank", model))
        assert write_run_file(pipeline, TOPICS, path, tag="t", batch=4).n_continued == 0
    assert cut.read_bytes() == fresh.read_bytes()
