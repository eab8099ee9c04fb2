import os
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.arrays import create_array, open_array
from scisearch.index.errors import CorruptIndexError


@pytest.mark.parametrize("n", [0, 1, 100_000])
def test_what_is_written_through_the_map_is_read_back(tmp_path: Path, n: int) -> None:
    array = create_array(tmp_path / "a.npy", np.int32, n)
    array[:] = np.arange(n)
    assert open_array(tmp_path / "a.npy", "int32").tolist() == list(range(n))


@pytest.mark.skipif(os.name == "nt", reason="blocks of a file are a POSIX matter")
def test_the_space_on_the_disk_is_taken_before_anything_is_written(tmp_path: Path) -> None:
    """Else a full disk ends the process by SIGBUS in the middle of a build."""
    create_array(tmp_path / "a.npy", np.float32, 1_000_000)
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 4_000_000


def test_another_element_type_is_refused(tmp_path: Path) -> None:
    create_array(tmp_path / "a.npy", np.int32, 3)
    with pytest.raises(CorruptIndexError, match=r"holds int32 of shape \(3,\), expected one"):
        open_array(tmp_path / "a.npy", "float32")
