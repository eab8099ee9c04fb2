from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.rerank.config_file import load_config, settings_of, write_config
from scisearch.rerank.interpolation import NORMALISATIONS
from scisearch.rerank.search_config import BM25_ENGINES, MODES, SearchConfig
from scisearch.retrieval.fusion import FUSION_KINDS, Fusion

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
shares = st.floats(0, 1)
counts = st.integers(1, 10**9)
fusions = st.builds(
    Fusion,
    st.sampled_from(FUSION_KINDS),
    shares,
    st.floats(0, allow_infinity=False),
    dense_span=st.none() | st.floats(0, 2),
)
configs = st.builds(
    SearchConfig,
    mode=st.none() | st.sampled_from(MODES),
    depth=counts,
    rerank_depth=counts,
    cutoff=counts,
    fusion=fusions,
    reranker=st.none() | texts,
    phrase_weight=st.floats(0, allow_infinity=False),
    rerank_weight=st.none() | shares,
    rerank_normalisation=st.none() | st.sampled_from(NORMALISATIONS),
    min_probability=st.none() | shares,
    long_documents=st.sampled_from(["cut", "maxp"]),
    bm25_engine=st.sampled_from(BM25_ENGINES),
    encoder=st.none() | texts,
    device=st.none() | texts,
    offline=st.booleans(),
    runtime=st.sampled_from(["auto", "onnx", "torch"]),
)


@settings(deadline=None)  # files
@given(configs, st.lists(texts, max_size=3))
def test_a_config_that_is_written_and_read_is_the_same(
    config: SearchConfig, comments: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        write_config(path, settings_of(config), comments=comments)
        assert load_config(path) == config
