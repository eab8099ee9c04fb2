"""What `search run` did, as lines of text."""

from scisearch.benchmarks.run_file import RunReport


def render_run(report: RunReport) -> str:
    """The run's path, its counts and the mean time of each stage."""
    searched = report.n_topics - report.n_continued
    lines = [f"{report.path}: {report.n_topics} topics, {report.mode}"]
    if report.n_continued:
        lines.append(f"{report.n_continued} topics were there from an interrupted run")
    if report.n_without_hits:
        lines.append(f"{report.n_without_hits} topics found nothing")
    lines.extend(f"note: {note}" for note in report.notes)
    if searched:
        parts = " + ".join(f"{n} {ms / searched:.2f}" for n, ms in report.milliseconds.items())
        mean = sum(report.milliseconds.values()) / searched
        lines.append(f"a topic: {parts} = {mean:.2f} ms")
    return "\n".join(lines)
