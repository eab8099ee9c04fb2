import subprocess
import sys
from pathlib import Path

import pytest

from scisearch.index.build_state import BuildState
from scisearch.index.errors import BuildError, CorruptIndexError, IndexFormatError
from scisearch.index.generations import build_lock, live_generation, next_name, publish
from scisearch.index.manifest import MANIFEST_NAME, Manifest, check_sizes, file_entries
from scisearch.index.seal import check_seal, seal
from scisearch.index.verification import verify_index


def finished(index: Path, content: str, format_version: int = 1) -> Path:
    """A finished generation with two files, not yet published."""
    folder = index / "build" / "generation"
    (folder / "lexical").mkdir(parents=True)
    (folder / "documents.arrow").write_text(content)
    (folder / "lexical" / "data.npy").write_text(content * 2)
    manifest = Manifest(
        n_documents=1,
        n_rejected=0,
        corpus={},
        analyzer={},
        bm25={},
        encoder=None,
        vectors=None,
        tokens=None,
        files=file_entries(folder),
        libraries={},
        format_version=format_version,
    )
    (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    publish(tmp_path, finished(tmp_path, "first"), next_name(tmp_path))
    return tmp_path


def test_a_published_generation_is_live_and_sound(index: Path) -> None:
    live = live_generation(index)
    assert live.folder == index / "gen-000001"
    check_sizes(live.folder, live.manifest)
    verification = verify_index(index)
    assert verification.sound
    assert [check.name for check in verification.checks] == ["documents.arrow", "lexical/data.npy"]


def test_the_next_generation_replaces_it_and_the_one_before_is_kept(index: Path) -> None:
    publish(index, finished(index, "second"), next_name(index))
    publish(index, finished(index, "third"), next_name(index))
    assert live_generation(index).folder.name == "gen-000003"
    assert sorted(path.name for path in index.glob("gen-*")) == ["gen-000002", "gen-000003"]


def test_publishing_continues_after_a_kill_between_rename_and_current(index: Path) -> None:
    name = next_name(index)
    folder = finished(index, "second")
    folder.rename(index / name)
    assert live_generation(index).folder.name == "gen-000001"
    publish(index, folder, name)
    assert live_generation(index).folder.name == "gen-000002"


@pytest.mark.parametrize("name", ["documents.arrow", "lexical/data.npy"])
def test_a_flipped_byte_is_named_by_verify_and_stops_the_next_open(index: Path, name: str) -> None:
    live = live_generation(index)
    seal(live)
    path = live.folder / name
    content = bytearray(path.read_bytes())
    content[1] ^= 1
    path.write_bytes(content)
    check_sizes(live.folder, live.manifest)
    bad = [check for check in verify_index(index).checks if check.problem]
    assert [check.name for check in bad] == [name]
    with pytest.raises(CorruptIndexError, match=rf"{name}: sha256 \w+…, expected \w+…; restore"):
        check_seal(live)


def test_a_missing_a_short_and_a_strange_file_are_named(index: Path) -> None:
    live = live_generation(index)
    (live.folder / "documents.arrow").unlink()
    (live.folder / "lexical" / "data.npy").write_text("x")
    (live.folder / "notes.txt").write_text("mine")
    problems = {check.name: check.problem for check in verify_index(index).checks}
    assert problems == {
        "documents.arrow": "missing",
        "lexical/data.npy": "1 bytes, expected 10",
        "notes.txt": "not in the manifest",
    }
    with pytest.raises(CorruptIndexError, match=r"documents.arrow: missing, expected 5 bytes"):
        check_sizes(live.folder, live.manifest)


def test_a_changed_manifest_and_a_changed_current_are_refused(index: Path) -> None:
    manifest = index / "gen-000001" / MANIFEST_NAME
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"n_documents": 1', b'"n_documents": 2'))
    with pytest.raises(CorruptIndexError, match=r"manifest.json: its sha256 is not"):
        live_generation(index)
    manifest.write_bytes(content)
    current = index / "CURRENT"
    current.write_bytes(current.read_bytes().replace(b"gen", b"gem"))
    with pytest.raises(CorruptIndexError, match=r"CURRENT: found 'gem-.*expected 'gen-NNNNNN"):
        live_generation(index)


def test_another_format_version_is_refused_with_both_and_the_way_out(tmp_path: Path) -> None:
    publish(tmp_path, finished(tmp_path, "x", format_version=99), next_name(tmp_path))
    with pytest.raises(IndexFormatError, match=r"index format 99, .* reads format 1; build"):
        live_generation(tmp_path)


def test_no_index_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match=r"holds no index; make one with search build-index"):
        live_generation(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexFormatError, match=r"file: is no folder"):
        live_generation(tmp_path / "file")


def test_a_copy_is_checked_once_and_then_sealed(index: Path) -> None:
    live = live_generation(index)
    check_seal(live)
    sealed = index / "gen-000001.seal"
    before = sealed.read_bytes()
    copy = live.folder / "copy"
    (live.folder / "documents.arrow").rename(copy)
    (live.folder / "documents.arrow").write_bytes(copy.read_bytes())
    copy.unlink()
    check_seal(live)
    assert sealed.read_bytes() != before


HOLD = """
import sys
from pathlib import Path
from scisearch.index.generations import build_lock
with build_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_builder_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(BuildError, match=r"another process is building here; wait"),
            build_lock(tmp_path),
        ):
            pass
        other.kill()
    with build_lock(tmp_path):
        pass


def test_an_unwritable_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BuildError, match=r"cannot be written .*name another folder with --index"),
        build_lock(tmp_path / "file" / "index"),
    ):
        pass


def test_a_build_continues_only_its_own_work(tmp_path: Path) -> None:
    work = tmp_path / "build"
    state = BuildState(work, "corpus A")
    assert not state.continued
    state.finish("documents", {"n_documents": 3})
    (work / "shard").write_text("kept")
    again = BuildState(work, "corpus A")
    assert again.continued
    assert again.result("documents") == {"n_documents": 3}
    assert again.result("lexical") is None
    other = BuildState(work, "corpus B")
    assert not other.continued
    assert not (work / "shard").exists()


def test_a_damaged_state_starts_afresh(tmp_path: Path) -> None:
    work = tmp_path / "build"
    BuildState(work, "A").finish("documents", {})
    (work / "state.json").write_bytes(b'{"finger')
    assert not BuildState(work, "A").continued
