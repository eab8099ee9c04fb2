from importlib.util import find_spec

import pytest

from scisearch.benchmarks.peers.catalogue import PEERS, parse_peers, peer_specs
from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import MODES


def test_every_peer_has_a_file_and_one_of_our_systems_beside_it() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    for peer in PEERS:
        assert find_spec(peer.module) is not None
        assert peer.kind in MODES


def test_peers_are_named_in_any_order() -> None:
    assert parse_peers("txtai, bm25s,txtai") == ("bm25s", "txtai")


def test_all_are_those_of_the_catalogue() -> None:
    assert parse_peers("all") == tuple(peer.name for peer in PEERS)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("scifact", "peers: found scifact, expected all or some of rank-bm25,.*before --peers"),
        ("", "peers: found none, expected all"),
        ("bm25s,retriv", r"peers: retriv 0.2.3 asks for pystemmer 2.0.1 .*; leave retriv out"),
    ],
)
def test_what_is_no_peer(names: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_peers(names)


def test_a_card_of_another_version_may_have_other_peers() -> None:
    with pytest.raises(ConfigError, match="peers: found elastic, expected some of rank-bm25"):
        peer_specs(("bm25s", "elastic"))
