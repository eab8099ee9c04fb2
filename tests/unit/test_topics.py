import gzip
from pathlib import Path

import pytest

from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.topics import read_topics

EARLY_TREC = """
<top>
<num> Number: 401
<title> foreign minorities, Germany

<desc> Description:
What language and cultural differences impede
the integration of foreign minorities in Germany?

<narr> Narrative:
A relevant document mentions x < y.
</top>
<top>
<num> Number: 402 </num>
<title> Topic: behavioral genetics &amp; alcohol
<desc> Description:
What is happening?
"""

COVID = """<?xml version="1.0" encoding="UTF-8"?>
<topics task="COVID">
  <topic number="1">
    <query>coronavirus origin</query>
    <question>what is the origin of COVID-19</question>
    <narrative>seeking range of information about R&D</narrative>
  </topic>
  <topic number="2"><title><![CDATA[a < b & c]]></title></topic>
</topics>
"""


def topics(
    tmp_path: Path, content: str | bytes, fields: tuple[str, ...] | None = None
) -> list[Query]:
    path = tmp_path / "topics"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_topics(path, fields)


def test_tab_separated_topics_keep_their_order_and_may_be_empty(tmp_path: Path) -> None:
    found = topics(tmp_path, "b\tgraphene  oxide\r\n\na\t\n")
    assert found == [Query("b", "graphene  oxide"), Query("a", "")]


@pytest.mark.parametrize("header", ["query_id\ttext", "qid\tquery", "ID\tTitle", "query-id\ttext"])
def test_a_header_line_is_no_topic(tmp_path: Path, header: str) -> None:
    assert topics(tmp_path, f"{header}\nq1\tone\n") == [Query("q1", "one")]


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    content = "qid\tsplit\tquery\tnarrative\nq1\ttest\tone\tlong\n"
    assert topics(tmp_path, content) == [Query("q1", "one")]
    assert topics(tmp_path, content, ("query", "narrative")) == [Query("q1", "one long")]


@pytest.mark.parametrize("name", ["_id", "query_id", "qid", "id"])
@pytest.mark.parametrize("text_name", ["text", "query", "title"])
def test_json_lines_take_the_usual_names(tmp_path: Path, name: str, text_name: str) -> None:
    found = topics(tmp_path, f'{{"{name}": 7, "{text_name}": "dark matter", "metadata": {{}}}}\n')
    assert found == [Query("7", "dark matter")]


def test_half_a_surrogate_pair_in_a_text_becomes_a_replacement_character(tmp_path: Path) -> None:
    (query,) = topics(tmp_path, '{"_id": "1", "text": "a \\ud800 b \\ud83d\\ude00"}\n')
    assert query.text == "a \ufffd b \U0001f600"


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    assert topics(tmp_path, "1\tone\u2028two\x0cthree\n") == [Query("1", "one\u2028two\x0cthree")]


def test_trec_topics_without_end_tags(tmp_path: Path) -> None:
    assert topics(tmp_path, EARLY_TREC) == [
        Query("401", "foreign minorities, Germany"),
        Query("402", "behavioral genetics & alcohol"),
    ]
    first = topics(tmp_path, EARLY_TREC.split("</top>")[0], ("title", "narr"))[0]
    assert first.text == "foreign minorities, Germany A relevant document mentions x < y."
    assert topics(tmp_path, EARLY_TREC, ("description",))[1].text == "What is happening?"


def test_trec_topics_in_xml(tmp_path: Path) -> None:
    assert topics(tmp_path, COVID) == [Query("1", "coronavirus origin"), Query("2", "a < b & c")]
    only_first = COVID[: COVID.index('<topic number="2"')]
    long = topics(tmp_path, only_first, ("query", "question", "narrative"))[0]
    assert long.text.endswith("origin of COVID-19 seeking range of information about R&D")


def test_subtopics_do_not_replace_the_topic(tmp_path: Path) -> None:
    content = '<topic number="9" type="faceted"><query>obama</query>'
    content += '<subtopic number="1">x</subtopic></topic>'
    assert topics(tmp_path, content) == [Query("9", "obama")]


def test_latin_1_is_taken_in_mark_up_only(tmp_path: Path) -> None:
    markup = "<top><num>1</num><title>Schr\xf6dinger</title></top>".encode("latin-1")
    assert topics(tmp_path, markup) == [Query("1", "Schrödinger")]
    with pytest.raises(RankingError, match=r"topics:2: found byte 0xf6, expected UTF-8"):
        topics(tmp_path, "1\tok\n2\tSchr\xf6dinger\n".encode("latin-1"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_is_respected(tmp_path: Path, encoding: str) -> None:
    assert topics(tmp_path, COVID.encode(encoding))[0].text == "coronavirus origin"


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    assert topics(tmp_path, gzip.compress(b"1\tone\n")) == [Query("1", "one")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"topics: found no topic, expected lines 'query_id<TAB>text'"),
        ("<html></html>", r"topics: found no topic"),
        ("1 one\n", r"topics:1: found 1 tab-separated columns in '1 one', expected 2"),
        ("1\ta\n2\tb\tc\n", r"topics:2: found 3 tab-separated columns"),
        ("1\ta\n\n1\tb\n", r"topics:3: found query id 1 again.* first on line 1"),
        ("\ta\n", r"topics:1: found an empty query id"),
        ("a b\tx\n", r"topics:1: found white space in the query id 'a b'"),
        ("a\u00a0b\tx\n", r"topics:1: found white space in the query id"),
        ('{"_id": "1", "text": "a"}\n{"_id"\n', r"topics:2: found '\{\"_id\"', expected one JSON"),
        ('{"_id": "1", "text": "a"}\n[1]\n', r"topics:2: found '\[1\]', expected a JSON object"),
        ('{"_id": null, "text": "a"}\n', r"topics:1: found _id 'None', expected a string"),
        ('{"_id": true, "text": "a"}\n', r"topics:1: found _id 'True', expected a string"),
        ('{"_id": "\\ud800", "text": "a"}\n', r"topics:1: found half a surrogate pair"),
        ('{"text": "a"}\n', r"topics:1: found the names text, expected an id under one of _id"),
        ('{"_id": "1", "abstract": "a"}\n', r"found topic 1 with .*abstract, expected text or"),
        ("\n<top>\n<title> a\n</top>", r"topics:2: found a <top> without a number"),
        ("<top><num> 3 <desc> a </top>", r"topics:1: found topic 3 with desc, expected text or"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(RankingError, match=message) as caught:
        topics(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_missing_field_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match="topic 401 with title, desc, narr, expected conc"):
        topics(tmp_path, EARLY_TREC, ("title", "conc"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match="cannot be read: No such file"):
        read_topics(tmp_path / "absent.tsv")
    with pytest.raises(RankingError, match="found a folder"):
        read_topics(tmp_path)
    with pytest.raises(RankingError, match="damaged gzip"):
        topics(tmp_path, gzip.compress(b"1\tone\n" * 100)[:-9])
