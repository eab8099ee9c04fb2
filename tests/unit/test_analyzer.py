import time
from itertools import chain

import pytest

from scisearch.index.analyzer import Analyzer, AnalyzerConfig
from scisearch.index.errors import IndexFormatError
from scisearch.index.text_folding import fold, fold_aligned

ANALYZER = Analyzer()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("grain-boundaries", ["grainboundari", "grain", "boundari"]),
        ("input/output", ["input/output", "input", "output"]),
        ("and/or", []),
        ("Fe2O3 NaHCO3", ["fe2o3", "fe", "nahco3", "nahco"]),
        ("He+ he", ["he+"]),
        ("BRCA1", ["brca1", "brca"]),
        ("CYP2D6*4", ["cyp2d6*4", "cyp2d6", "cyp"]),
        ("J1234+5678", ["j1234+5678", "j1234", "1234", "5678"]),
        ("0.05 1,400 5.5e-3 10^-6", ["0.05", "1400", "5.5e-3", "10-6", "10"]),
        ("10mg", ["10mg", "10", "mg"]),
        ("hep-th/9901001", ["hepth/9901001", "hep", "th", "9901001"]),
        ("arXiv:2101.00001", ["arxiv", "2101.00001"]),
        ("me@foo.org.", ["me@foo.org", "foo", "org"]),
        ("C++, C# and .NET", ["c++", "c#", ".net"]),
        ("Alzheimer's can't O'Neill", ["alzheim", "oneil", "neill"]),
        ("the U.S.A. e.g. here", ["usa"]),
        ("\\mathrm{Fe} and \\frac{alpha}{beta}", ["fe", "alpha", "beta"]),
        ("量子力学", ["量子", "量", "子力", "子", "力学", "力", "学"]),
        ("they do n't grow , it 's", ["grow"]),
        ("", []),
        (" -- ... \0 \ud800 \u200b !", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert sorted(ANALYZER.terms(text)) == sorted(terms)


@pytest.mark.parametrize(
    "spellings",
    [
        ["grain-boundary", "grain\u2010boundary", "GRAIN\u2013BOUNDARY"],
        ["TNF-\u03b1", "TNF\u03b1", "TNF-alpha", "TNF$\\alpha$", "TNF-$\\alpha$", "tnf-\u0391"],
        ["Schrödinger", "Schrodinger", "SCHRO\u0308DINGER", 'Schr\\"odinger', "Schr{\\\"o}dinger"],
        ["Fe2O3", "Fe₂O₃", "Fe$_2$O$_3$", "Fe_{2}O_{3}", "\\mathrm{Fe}_2\\mathrm{O}_3"],
        ["Ca2+", "Ca²⁺"],
        ["10^-6", "10⁻⁶", "10$^{-6}$"],
        ["5 μm", "5 µm", "5 um"],
        ["β-sheet", "beta-sheet", "$\\beta$-sheet"],
        ["naïve", "naive", "\uff2e\uff21\uff29\uff36\uff25"],
        ["efﬁcient", "efficient"],
        ["한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"],
        ["コンピュータ", "コンヒ\u309aュータ"],
    ],
)  # fmt: skip
def test_spellings_that_are_the_same_terms(spellings: list[str]) -> None:
    assert len({tuple(ANALYZER.terms(text)) for text in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("IL-6", "IL6", "il6"),
        ("14C", "C-14", "c14"),
        ("235U", "uranium U-235", "u235"),
        ("[3H]thymidine", "H-3", "h3"),
        ("TNFalpha", "TNF-\u03b1", "tnfalpha"),
        ("TNF\u03b1", "TNF alpha", "alpha"),
        ("grain-boundary", "grain boundary", "boundari"),
        ("grain-boundary", "grainboundaries", "grainboundari"),
        ("arXiv:2101.00001v2", "2101.00001", "2101.00001"),
        ("https://doi.org/10.1000/ab.c-1", "doi:10.1000/AB.C-1.", "10.1000/ab.c-1"),
        ("http://www.foo.org/x/", "foo.org x", "foo"),
    ],
)
def test_spellings_that_meet(one: str, other: str, shared: str) -> None:
    assert shared in set(ANALYZER.terms(one)) & set(ANALYZER.terms(other))


def test_spans_are_the_terms_with_their_places_in_the_original() -> None:
    text = "The eﬃcient TNF\u03b1\u2013TNFR1 axis, $\\beta$-sheets, 量子 at 5 μm (IL-6)"
    spans = ANALYZER.spans(text)
    assert list(chain.from_iterable(span.terms for span in spans)) == ANALYZER.terms(text)
    places = {span.terms[0]: text[span.start : span.end] for span in spans}
    assert places["effici"] == "eﬃcient"
    assert places["alpha"] == "\u03b1"
    assert places["beta"] == "\\beta"
    assert places["um"] == "μm"
    assert places["il6"] == "IL-6"
    assert places["量子"] == "量子"


def test_aligned_text_is_the_folded_text() -> None:
    text = "Ångström İstanbul ½ \\emph{x}_{2} ŉ β-\u03b1 ﷺ"
    aligned = fold_aligned(text)
    assert aligned.text == fold(text)
    assert len(aligned.starts) == len(aligned.ends) == len(aligned.text)


def test_config_goes_through_json() -> None:
    config = AnalyzerConfig(stemmer=None, stop_words=False, wholes=False)
    assert AnalyzerConfig.from_json(config.to_json()) == config
    assert Analyzer(config).terms("The grain-boundaries") == ["the", "grain", "boundaries"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "unknown setting 'colour', expected stemmer, stop_words, version, wholes"),
        ({"version": 99}, "version 99, expected 1"),
        ({"stemmer": "klingon"}, "stemmer 'klingon'"),
    ],
)
def test_config_of_another_version_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(IndexFormatError, match=message):
        AnalyzerConfig.from_json(values)


@pytest.mark.parametrize(
    "unit",
    ["a", "a.", "a-", "1.", "1,", "a@", "10.1234/", "http://", "\\", "\\a", "{}", "+", "a+", "a'",
     "\u03b1", "量", "a\u03b1", "_{", "e\u0301", "\u0301", "a1", ".net", "a.b@c.", "www.",
     "\u1100\u1161"],
)  # fmt: skip
def test_long_adversarial_text_takes_linear_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    begin = time.perf_counter()
    ANALYZER.terms(text + "@")
    ANALYZER.terms("@10.://www._{" + text)
    assert time.perf_counter() - begin < 10  # quadratic would be hours
