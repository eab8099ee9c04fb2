import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from scisearch.index.documents import Documents, DocumentWriter
from scisearch.index.errors import FilterError
from scisearch.retrieval.filters import Filter, allowed_documents, parse_filter

UTC = dt.UTC
COLUMNS = {
    "doc_id": ["a", "b", "c", "d"],
    "title": ["On Nature", "", "Straße", "nature of x"],
    "text": ["t", "t", "t", "t"],
    "year": pa.array([2015, 2019, None, 2020], pa.int64()),
    "small": pa.array([0, 255, None, 7], pa.uint8()),
    "score": pa.array([0.1, 2.0, None, float("nan")], pa.float32()),
    "half": pa.array(np.array([0.1, 2.0, 3.0, 4.0], np.float16)),
    "price": pa.array([Decimal("1.50"), None, Decimal("2.00"), Decimal("9.99")]),
    "open": pa.array([True, False, None, True]),
    "venue": ["Nature", "nature", None, ""],
    "tags": pa.array([["x", "y"], [], None, ["y", None]], pa.list_(pa.string())),
    "cites": pa.array([[1, 5], None, [9], []], pa.list_(pa.int64())),
    "day": pa.array([dt.date(2019, 1, 1), dt.date(2019, 12, 31), None, dt.date(2020, 2, 29)]),
    "when": pa.array(
        [
            dt.datetime(2019, 5, 3, 0, 0, tzinfo=UTC),
            dt.datetime(2019, 5, 3, 23, 59, 59, tzinfo=UTC),
            None,
            dt.datetime(2019, 5, 4, tzinfo=UTC),
        ],
        pa.timestamp("ms", "UTC"),
    ),
    "local": pa.array([dt.datetime(2019, 5, 3, 12), None, None, None], pa.timestamp("ns")),
    "berlin": pa.array(
        [dt.datetime(2019, 5, 2, 22, 0), None, None, None], pa.timestamp("us", "Europe/Berlin")
    ),
    "hour": pa.array([dt.time(12), dt.time(13), None, None], pa.time32("s")),
    "blob": pa.array([b"x", None, None, None]),
    "Publication Year": [1, 2, 3, 4],
    "p < 0.05": ["yes", "no", "yes, twice", None],
    "meta": pa.array([{"year": 1, "deep": {"z": "q"}}, None, {"year": 3}, {}]),
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    path = tmp_path_factory.mktemp("filters") / "documents.arrow"
    table = pa.table(COLUMNS)
    with DocumentWriter(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=3):
            writer.write(batch)
    return Documents.open(path)


def allowed(documents: Documents, *expressions: str) -> str:
    mask = allowed_documents(documents, [parse_filter(text) for text in expressions])
    assert mask.dtype == np.bool_
    assert mask.shape == (4,)
    return "".join(documents.doc_ids(np.flatnonzero(mask)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year >= 2015", Filter("year", ">=", ("2015",))),
        ("year>=2015", Filter("year", ">=", ("2015",))),
        (" year == 2015 ", Filter("year", "=", ("2015",))),
        ("year != 2015", Filter("year", "!=", ("2015",))),
        ("Publication Year < 3", Filter("Publication Year", "<", ("3",))),
        ("title ~ p > 0.05", Filter("title", "~", ("p > 0.05",))),
        ("title ~ why?", Filter("title", "~", ("why?",))),
        ("title = growth in mice", Filter("title", "=", ("growth in mice",))),
        ("venue in Nature, Science", Filter("venue", "in", ("Nature", "Science"))),
        ('venue IN "a, b",c', Filter("venue", "in", ("a, b", "c"))),
        ("a in b in c", Filter("a", "in", ("b in c",))),
        ("origin=x", Filter("origin", "=", ("x",))),
        ("venue?", Filter("venue", "?")),
        ("two words ?", Filter("two words", "?")),
        ('"p < 0.05" = yes', Filter("p < 0.05", "=", ("yes",))),
        ('"p < 0.05" in yes', Filter("p < 0.05", "in", ("yes",))),
        ('"p < 0.05"?', Filter("p < 0.05", "?")),
        ('venue = ""', Filter("venue", "=", ("",))),
        ("venue = '> x'", Filter("venue", "=", ("> x",))),
    ],
)
def test_an_expression_is_divided_at_its_leftmost_operator(
    expression: str, expected: Filter
) -> None:
    assert parse_filter(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", "no operator, expected 'column = value'"),
        ("year", "no operator, expected 'column = value'"),
        ("?", "no column"),
        ("= 5", "no column"),
        ('"a" b = 5', "no column"),
        ("year =", "no value"),
        ("year => 5", "two operators in a row"),
        ("year in ", "no operator|empty value"),
        ("year in 1,,2", "an empty value"),
        ("two\nlines", r"filter 'two\\nlines': no operator"),
    ],
)
def test_an_expression_of_another_form(expression: str, expected: str) -> None:
    with pytest.raises(FilterError, match=expected):
        parse_filter(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year = 2019", "b"),
        ("year != 2019", "acd"),  # the complement of =, the document without a year included
        ("year >= 2019", "bd"),
        ("year > 2019", "d"),
        ("year <= 2019", "ab"),
        ("year < 2019", "a"),
        ("YEAR in 2015, 2020", "ad"),
        ("year?", "abd"),
        ("small = 255", "b"),
        ("score = 0.1", "a"),
        ("score > 0.1", "b"),
        ("score <= 1e300", "ab"),
        ("score != 2", "acd"),
        ("score?", "ab"),
        ("half = 0.1", "a"),
        ("half >= 3", "cd"),
        ("price = 1.5", "a"),
        ("price > 1.999", "cd"),
        ("open = true", "ad"),
        ("open = No", "b"),
        ("open != true", "bc"),
        ("venue = Nature", "a"),
        ('venue = ""', "d"),
        ("venue ~ NATURE", "ab"),
        ("venue?", "ab"),
        ("venue in Nature, nature", "ab"),
        ("venue > Nature", "b"),
        ("title ~ nature", "ad"),
        ("title ~ STRAẞE", "c"),
        ("title ~ .", ""),
        ("doc_id in a, d, zzz", "ad"),
        ("tags = x", "a"),
        ("tags = y", "ad"),
        ("tags != y", "bc"),
        ("tags ~ Y", "ad"),
        ("tags in q, x", "a"),
        ("tags?", "ad"),
        ("cites > 4", "ac"),
        ("day = 2019", "ab"),
        ("day > 2019", "d"),
        ("day >= 2019", "abd"),
        ("day <= 2019", "ab"),
        ("day < 2019-12-31", "a"),
        ("day = 2020-02", "d"),
        ("day != 2019-01-01", "bcd"),
        ("day in 2019-01, 2020-02-29", "ad"),
        ("when = 2019-05-03", "ab"),
        ("when = 2019-05-03T23:59:59", "b"),
        ("when = 2019-05-03T23:59:59+00:00", "b"),
        ("when >= 2019-05-04T02:00:00+02:00", "d"),
        ("when <= 2019-05-03", "ab"),
        ("when > 2019-05-03", "d"),
        ("local = 2019-05-03", "a"),
        ("local < 2019-05-03 12:00:01", "a"),
        ("berlin = 2019-05-03", "a"),  # 22:00 UTC is midnight in the zone of the column
        ("hour < 12:30", "a"),
        ("blob?", "a"),
        ("Publication Year <= 2", "ab"),
        ('"p < 0.05" in "yes, twice", no', "bc"),
        ("meta.year >= 1", "ac"),
        ("meta.deep.z = q", "a"),
        ("meta.year?", "ac"),
        ("meta?", "acd"),
    ],
)
def test_which_documents_are_allowed(documents: Documents, expression: str, expected: str) -> None:
    assert allowed(documents, expression) == expected


def test_all_filters_must_hold(documents: Documents) -> None:
    assert allowed(documents) == "abcd"
    assert allowed(documents, "year >= 2019", "open = true") == "d"
    assert allowed(documents, "year >= 2019", "year < 2000") == ""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("jahr = 5", r"no column 'jahr'; expected one of doc_id \(string\), .* year \(int64\)"),
        ("meta.month = 5", r"no column 'meta\.month'"),
        ("year = new", r"'new' is no int64, expected a whole number.*; columns: doc_id \(string\)"),
        ("year = 2015.5", "'2015.5' is no int64"),
        ("small = 256", "'256' is no uint8, expected a whole number within its range"),
        ("score = nan", "'nan' is no float"),
        ("price = cheap", "'cheap' is no decimal"),
        ("open = maybe", "'maybe' is no bool, expected true or false"),
        ("open > true", "a bool has no order"),
        ("day = May", r"'May' is no date32\[day\], expected a date like 2019"),
        ("day = 2019-13", "'2019-13' is no date32"),
        ("day = 2019-05-03T12:00:00", "is no date32"),
        ("when = noon", r"expected a time like 2019"),
        ("local = 2019-05-03T12:00:00Z", "is no timestamp"),
        ("local < 9998", "'9998'|out of"),
        ("year ~ 20", "year is int64, ~ needs text"),
        ("blob = x", r"a binary can only be asked for with '\?'"),
        ("meta = x", r"a struct.* can only be asked for with '\?'"),
    ],
)
def test_a_filter_that_does_not_fit(documents: Documents, expression: str, expected: str) -> None:
    with pytest.raises(FilterError, match=f"^[^\n]*{expected}[^\n]*$"):
        allowed_documents(documents, [parse_filter(expression)])


def test_a_filter_prints_as_it_is_typed() -> None:
    assert str(parse_filter("year>=2015")) == "year >= 2015"
    assert str(parse_filter("venue in a,b")) == "venue in a, b"
    assert str(parse_filter("venue ?")) == "venue?"
