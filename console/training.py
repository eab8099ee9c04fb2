"""A training's data and its outcome as text."""

from typing import TYPE_CHECKING

from scisearch.console.contrast import render_contrast
from scisearch.console.gate import render_gate
from scisearch.console.tables import Table
from scisearch.rerank.interpolation import Interpolation

if TYPE_CHECKING:
    from scisearch.benchmarks.bound_choice import BoundChoice
    from scisearch.benchmarks.interpolation_choice import InterpolationChoice
    from scisearch.benchmarks.judged_training import Judgement
    from scisearch.benchmarks.reranker_fit import RerankerFit
    from scisearch.rerank.training.card import CardSection
    from scisearch.rerank.training.data import TrainingData
    from scisearch.rerank.training.report import TrainingReport


def render_data(data: "TrainingData") -> str:
    """The counts of both sides, and what was left out."""
    from scisearch.rerank.training.lists import counts

    rows = []
    for name, lists in (("training", data.train), ("validation", data.validation)):
        of = counts(lists)
        numbers = (of.lists, of.queries, of.pairs, of.positives)
        rows.append([name, *(f"{number:,}" for number in numbers), f"{of.positive_share:.1%}"])
    table = Table(["", "lists", "queries", "pairs", "relevant", "share"], rows)
    return "\n".join([table.plain(), *(f"note: {note}" for note in data.notes)])


def _table_of_epochs(report: "TrainingReport") -> str:
    """The table by epoch, and what was kept."""
    from scisearch.rerank.training.report import HEADER, MEANING, epoch_cells

    rows = [
        [("* " if row.epoch == report.best_epoch else "  ") + cells[0], *cells[1:]]
        for row, cells in zip(report.epochs, epoch_cells(report.epochs), strict=True)
    ]
    stopped = ", stopped early" if report.stopped_early else ""
    kept = f"* kept, by {report.recipe.metric}{stopped}. {MEANING}"
    return f"{Table(HEADER, rows).plain()}\n{kept}"


def _last_lines(report: "TrainingReport") -> str:
    """What was written, and what to type next."""
    return (
        f"{report.output}: {report.n_parameters:,} parameters, sha256 {report.sha256[:12]}…,"
        f" {report.seconds:.0f} s on {report.device}, {report.precision}; its card is"
        f" {report.output / 'README.md'}\n"
        f"next: search query … --reranker {report.output}"
    )


def render_judgement(judgement: "Judgement") -> str:
    """The training, and below it what else is known of the model."""
    from scisearch.rerank.training.report import NOT_BETTER

    parts = [_table_of_epochs(judgement.training)]
    parts += [f"{one.title}\n{one.markdown}" for one in _sections(judgement, markdown=False)]
    if not judgement.training.helped:
        parts.append(f"warning: {NOT_BETTER}")
    parts += [f"note: {note}" for note in judgement.notes]
    return "\n\n".join([*parts, _last_lines(judgement.training)])


def card_sections(judgement: "Judgement") -> "list[CardSection]":
    """What the model card says of it."""
    return _sections(judgement, markdown=True)


def _sections(judgement: "Judgement", *, markdown: bool) -> "list[CardSection]":
    from scisearch.benchmarks.judged_training import RELIABILITY_FILE
    from scisearch.rerank.training.calibrate import calibration_markdown
    from scisearch.rerank.training.card import CardSection
    from scisearch.rerank.training.leakage import render_leaks

    found: list[CardSection] = []
    for name, report in judgement.gates.items():
        text = render_gate(report, markdown=markdown)
        found.append(
            CardSection(f"On collections that it did not learn from, against: {name}", text)
        )
    if judgement.leaks is not None:
        told = render_leaks(judgement.leaks)
        told = f"```\n{told}\n```" if markdown else told
        found.append(CardSection("Overlap with these collections, removed before training", told))
    if judgement.interpolation is not None:
        text = render_interpolation(judgement.interpolation, markdown=markdown)
        found.append(CardSection("Weight against the first stages", text))
    if judgement.bound is not None:
        text = render_bound(judgement.bound, markdown=markdown)
        found.append(CardSection("When --rerank auto stops", text))
    if judgement.calibration is not None:
        text = calibration_markdown(judgement.calibration)
        if markdown:
            text += f"\n\n![predicted and observed relevance]({RELIABILITY_FILE})"
        found.append(CardSection("Calibration", text))
    if judgement.contrast:
        text = render_contrast(judgement.contrast, markdown=markdown)
        found.append(CardSection("Contrast suite: keyword bias", text))
    return found


def render_interpolation(choice: "InterpolationChoice", *, markdown: bool = False) -> str:
    """Mean nDCG@10 by weight, and what was chosen."""
    from scisearch.rerank.interpolation import NORMALISATIONS

    weights = sorted({one.weight for one in choice.means})
    rows = [
        [
            f"{weight:.2f}",
            *(f"{choice.mean(weight, name):.4f}" for name in NORMALISATIONS),
        ]
        for weight in weights
    ]
    table = Table(["weight", *NORMALISATIONS], rows)
    names = ", ".join(f"{name} ({n} queries)" for name, n in choice.collections.items())
    return (
        f"{table.markdown() if markdown else table.plain()}\n\n"
        f"Mean nDCG@10 over {names}. Kept: {choice.chosen.weight:g} with"
        f" {choice.chosen.normalisation}{_depending(choice.chosen)};"
        f" the first stages alone have {choice.unused:.4f}."
    )


def _depending(setting: Interpolation) -> str:
    found = ""
    if setting.lengths is not None:
        short, long = setting.lengths
        found += f", whole from {long} tokens of the candidates' median document, none to {short}"
    if setting.likeness is not None:
        broad, narrow = setting.likeness
        found += f", whole to a mean cosine of {broad} of two documents, none from {narrow}"
    return found


def render_bound(choice: "BoundChoice", *, markdown: bool = False) -> str:
    """What each allowance saves and costs, by collection, and which one was kept."""
    names = list(next(iter(choice.tried.values())))
    rows = []
    for allowed, of in choice.tried.items():
        mean = choice.mean(allowed)
        marked = "* " if allowed == choice.bound.allowed else "  "
        numbers = (f"{mean.scored:.1%}", f"{mean.loss:+.4f}", f"{mean.agreement:.1%}")
        losses = [f"{one.loss:+.4f} ± {one.error:.4f}, {one.scored:.0%}" for one in of.values()]
        rows.append([f"{marked}{allowed:g}", *numbers, f"{mean.expected:.1%}", *losses])
    header = ["allowed", "scored", "loss", "top 10 kept", "expected", *names]
    table = Table(header, rows)
    chosen = choice.chosen
    return (
        f"{table.markdown() if markdown else table.plain()}\n\n"
        "allowed: newcomers to the top 10 that a stop may be expected to cost; scored: share of the"
        " candidates; loss: of nDCG@10 against scoring all, ± its standard error. The first columns"
        " are of all queries; each collection is judged by a bound that was fitted without it."
        f" Kept: {choice.bound.allowed:g}, which scores {chosen.scored:.0%} and"
        f" loses {chosen.loss:.4f} on average."
    )


def render_fit(fit: "RerankerFit") -> str:
    """What was chosen for a model, and where it is kept."""
    from scisearch.rerank.model_settings import SETTINGS_FILE
    from scisearch.rerank.training.calibrate import calibration_markdown

    parts = []
    if fit.weight is not None:
        parts.append(render_interpolation(fit.weight))
    if fit.bound is not None:
        parts.append(render_bound(fit.bound))
    if fit.calibration is not None:
        parts.append(calibration_markdown(fit.calibration))
    parts += [f"note: {note}" for note in fit.notes]
    return "\n\n".join([*parts, f"kept in {fit.model / SETTINGS_FILE}"])
