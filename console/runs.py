"""What `search run` did, as lines of text."""

from scisearch.benchmarks.run_file import Effort, RunReport


def render_run(report: RunReport) -> str:
    """The run's path, its counts and the mean time of each stage."""
    searched = report.n_topics - report.n_continued
    lines = [f"{report.path}: {report.n_topics} topics, {report.mode}"]
    if report.n_continued:
        lines.append(f"{report.n_continued} topics were there from an interrupted run")
    if report.n_without_hits:
        lines.append(f"{report.n_without_hits} topics found nothing")
    lines.extend(f"note: {note}" for note in report.notes)
    if report.reranking is not None:
        lines += _reranked(report.reranking)
    if searched:
        parts = " + ".join(f"{n} {ms / searched:.2f}" for n, ms in report.milliseconds.items())
        mean = sum(report.milliseconds.values()) / searched
        lines.append(f"a topic: {parts} = {mean:.2f} ms")
    return "\n".join(lines)


_STOPPED_BY = {
    "bound": "the bound",
    "time": "the time",
    "cascade": "the choice of the small cross-encoder",
}


def _reranked(effort: Effort) -> list[str]:
    """How much was reranked, where that is not simply all, and how much of it not computed."""
    lines = []
    if effort.scored < effort.candidates:
        agreement = "not known" if effort.agreement is None else f"{effort.agreement:.1%}"
        stopped = " and ".join(
            f"{count} topics by {_STOPPED_BY[name]}"
            for name, count in effort.topics_stopped.items()
            if count
        )
        lines.append(
            f"reranked {effort.scored} of {effort.candidates} candidates"
            f" ({effort.scored / effort.candidates:.1%}; stopped: {stopped}); expected agreement"
            f" with a rerank of all: {agreement}"
        )
        if effort.topics_stopped["time"]:
            lines.append("note: with a budget of time the run is not the same every time")
    if effort.from_cache:
        lines.append(
            f"{effort.from_cache} of {effort.scored} scores are from the score cache: the times"
            " below say little"
        )
    return lines
