from pathlib import Path

import numpy as np

from scisearch.benchmarks.vector_types_speed import compare_types


def test_types_are_compared_on_queries_that_are_no_documents(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).standard_normal((1200, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = compare_types(rows[:1000], rows[1000:1020], ["IVF8,Flat", "IVF8,SQ8"], tmp_path)
    assert list(found) == ["Flat", "IVF8,Flat", "IVF8,SQ8"]
    assert found["Flat"]["recall_at_100"] == 1
    assert 0.9 < found["IVF8,Flat"]["recall_at_100"] <= 1
    assert found["IVF8,Flat"]["tuned_recall"] >= 0.97
    assert found["IVF8,Flat"]["parameters"]["nprobe"] >= 4
    assert found["IVF8,SQ8"]["bytes"] < found["Flat"]["bytes"]
    assert all(one["query_processor_ms"] >= 0 for one in found.values())
