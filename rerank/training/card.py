"""The model card that `search train` writes: README.md in the model's folder."""

from collections.abc import Sequence
from dataclasses import dataclass

from scisearch.index.durable import replace_file
from scisearch.rerank.training.lists import ListCounts
from scisearch.rerank.training.losses import (
    DISTILLED_SHARE,
    DISTILLED_WEIGHT,
    KAPPA,
    OFFSET_SHARE,
    positive_weight,
)
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.report import NOT_BETTER, TrainingReport, epoch_markdown

_LOSSES = {
    "bce": "BinaryCrossEntropyLoss on raw logits, pos_weight {weight:g}",
    "listwise": "ListNetLoss (softmax over a list, an even share for each positive)",
    "lambda": "LambdaLoss (NDCG-Loss2++)",
    "residual": "cross-entropy of the softmax over a list whose logits are logit + {kappa:g} x"
    " sharpness x fused score + correction for sampled negatives, the fused score left out on"
    " {alone:.0%} of the lists; over the first {share:.0%} of the steps also the divergence from"
    " the first stage's own softmax, its weight falling from {start:g} to 0",
    "soft": "cross-entropy of the softmax over a list, corrected for sampled negatives, from a"
    " target that is {judged:.0%} the judgements and for the rest the first stage's own softmax of"
    " sharpness x fused score",
    "margin-mse": "MarginMSELoss against the margins of the teacher {teacher}",
}


@dataclass(frozen=True, slots=True)
class CardSection:
    """A part of the card that others measured: calibration, contrast suite, gate."""

    title: str
    markdown: str


def write_card(report: TrainingReport, sections: Sequence[CardSection] = ()) -> None:
    """Write the card into the model's folder; `sections` stand after the results."""
    replace_file(report.output / "README.md", card_text(report, sections).encode())


def card_text(report: TrainingReport, sections: Sequence[CardSection] = ()) -> str:
    """The card as markdown."""
    parts: list[str | CardSection] = [
        _front_matter(report),
        f"# {report.output.resolve().name}",
        _summary(report),
        CardSection("Intended use", _use(report)),
        CardSection("Training data", _data(report)),
        CardSection("Recipe", _recipe(report)),
        CardSection("Results by epoch", _epochs(report)),
        *sections,
        CardSection("Limits", _limits(report.recipe)),
        CardSection("How to reproduce it", _reproduction(report)),
    ]
    texts = [
        f"## {one.title}\n\n{one.markdown.strip()}" if isinstance(one, CardSection) else one
        for one in parts
    ]
    return "\n\n".join(texts) + "\n"


def _front_matter(report: TrainingReport) -> str:
    lines = ["---", "library_name: sentence-transformers", "pipeline_tag: text-ranking"]
    lines += ["tags:", "- cross-encoder", "- reranker", "- scientific-literature"]
    return "\n".join([*lines, f"base_model: {report.base}", "---"])


def _summary(report: TrainingReport) -> str:
    before, best = report.epochs[0], report.best
    warning = "" if report.helped else f"\n\n**{NOT_BETTER}**"
    return (
        f"A cross-encoder that scores how well a text answers a query, trained from"
        f" {report.base} with scisearch. It gives one raw logit a pair; higher is better.\n\n"
        f"On {report.validation.lists} held-out lists nDCG@10 went from {before.ndcg:.4f} to"
        f" {best.ndcg:.4f} and MAP from {before.average_precision:.4f} to"
        f" {best.average_precision:.4f} (epoch {best.epoch} of {len(report.epochs) - 1}). These"
        f" lists chose the epoch, so they flatter it; they say nothing of other collections."
        f"{warning}\n\n"
        f"{report.n_parameters / 1e6:.1f} million parameters; sha256 of the weights:"
        f" `{report.sha256}`"
    )


def _use(report: TrainingReport) -> str:
    folder = report.output.resolve().name
    return (
        "The last stage of a search over scientific literature: it reorders some 100 candidates"
        " that BM25 and a bi-encoder found. It is no first stage, since it reads every pair"
        " together, and no judge of whether a text is true.\n\n"
        f'```sh\nsearch query "…" --reranker {folder}\n```\n\n'
        "```python\n"
        "from sentence_transformers import CrossEncoder\n\n"
        f'model = CrossEncoder("{folder}")\n'
        'scores = model.predict([("a query", "a title and an abstract")])\n'
        "```"
    )


def _data(report: TrainingReport) -> str:
    lines = ["| | lists | queries | pairs | relevant | share |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [_counts("training", report.train), _counts("validation", report.validation), ""]
    lines += ["Sources: " + (", ".join(f"`{name}`" for name in report.sources) or "none named")]
    told = ", ".join(f"{name} ({count:,} lists)" for name, count in report.licences.items())
    lines += [f"Licences: {told}."]
    return "\n".join([*lines, *(f"\n{note}" for note in report.notes)])


def _counts(name: str, of: ListCounts) -> str:
    cells = [name, f"{of.lists:,}", f"{of.queries:,}", f"{of.pairs:,}", f"{of.positives:,}"]
    return "| " + " | ".join([*cells, f"{of.positive_share:.1%}"]) + " |"


def _recipe(report: TrainingReport) -> str:
    recipe = report.recipe
    loss = _LOSSES[recipe.loss].format(
        weight=positive_weight(recipe, report.train),
        teacher=recipe.teacher,
        kappa=KAPPA,
        alone=1 - OFFSET_SHARE,
        share=DISTILLED_SHARE,
        start=DISTILLED_WEIGHT,
        judged=recipe.label_share,
    )
    unit = "pairs" if recipe.loss == "bce" else f"queries of at most {recipe.list_size} texts"
    changes = [
        "a new, untrained output" if recipe.new_head else "",
        f"only its layers {', '.join(map(str, recipe.layers))}" if recipe.layers else "",
        "a vocabulary cut to the tokens of the lists" if recipe.trim_vocabulary else "",
        f"embeddings and lowest {recipe.freeze} layers frozen" if recipe.freeze is not None else "",
    ]
    base = ", ".join([f"`{report.base}`", *filter(None, changes)])
    stop = (
        f", stopped after {recipe.patience} epochs without a better {recipe.metric}"
        if recipe.patience
        else ""
    )
    lines = [
        f"* base: {base} (sha256 `{report.base_sha256}`)",
        f"* loss: {loss}",
        f"* optimiser: AdamW (fused), learning rate {recipe.learning_rate:g}, weight decay"
        f" {recipe.weight_decay:g}, linear schedule, warm-up over {recipe.warmup:.0%} of the steps",
        f"* batches of {recipe.batch_size} {unit}, of like length",
        f"* at most {recipe.epochs} epochs{stop}; the best by {recipe.metric} is kept",
        f"* {recipe.max_length} tokens a pair; seed {recipe.seed}",
        f"* trained on {report.device} in {_duration(report.seconds)}, {report.precision}",
    ]
    return "\n".join(lines)


def _epochs(report: TrainingReport) -> str:
    return f"{epoch_markdown(report)}\n![losses and measures by epoch](curves.png)"


def _limits(recipe: Recipe) -> str:
    weighed = (
        "* Its logits are no probabilities: the weight of relevant pairs in the loss moved them up."
        if recipe.loss == "bce"
        else "* Its logits are no probabilities: only their order was trained."
    )
    if recipe.loss == "residual":
        weighed += (
            " They learned beside the first stage's scores and say what those get wrong: use the"
            " model interpolated, not alone. The measures above are of the logits alone."
        )
    return "\n".join(
        [
            "* Domain: it knows the kinds of queries and texts of its lists; on others it may rank"
            " worse than the list it was given. Measure before use (`search evaluate`).",
            f"* Length: a pair beyond {recipe.max_length} tokens is cut, the longer text first;"
            " what is cut is not read. `--long maxp` scores passages instead.",
            "* Latency: it reads every pair, so its time grows with the number of candidates and"
            " their length; on a CPU 100 abstracts take seconds.",
            "* Keywords: a word that is frequent in one field of the lists can pull a text of"
            " another field up; negations and swapped roles are easily missed.",
            weighed,
            "* Language: that of its lists.",
        ]
    )


def _reproduction(report: TrainingReport) -> str:
    command = report.command or "scisearch.rerank.training.train.train (called from Python)"
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return (
        f"```sh\n{command}\n```\n\n"
        f"with {versions}. The same lists, recipe and machine give the same weights; another"
        " machine gives others in the last digits. All settings and figures: `training.json`."
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
