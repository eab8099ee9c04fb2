"""What was built, what an index is made of, and whether it is sound, as lines of text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scisearch.benchmarks.demo import DemoFiles
    from scisearch.index.build_plan import BuildReport
    from scisearch.index.verification import Verification


def render_build(report: "BuildReport") -> str:
    """One paragraph on a finished build."""
    lines = [f"{report.index}: {report.n_documents} documents, {report.generation} is live"]
    if report.continued:
        lines.append("continued from an interrupted build")
    if report.rejects is not None:
        lines.append(f"{report.n_rejected} rows were left out; see {report.rejects}")
    if report.vectors is None:
        lines.append("no vectors (--no-dense): search it with BM25")
    else:
        lines.append(f"vectors: {vector_line(report.vectors)}")
    times = " + ".join(f"{name} {value:.1f}" for name, value in report.seconds.items())
    lines.append(f"{times} = {sum(report.seconds.values()):.1f} s")
    return "\n".join(lines)


def vector_line(vectors: Mapping[str, object]) -> str:
    """The type of a vector index and its measured recall."""
    recall = vectors.get("recall_at_100")
    if recall is None:
        return f"{vectors['factory']}, exact"
    return f"{vectors['factory']}, recall@100 against exact search {float(str(recall)):.4f}"


def render_description(description: Mapping[str, object]) -> str:
    """`search info` for a reader: one line a fact, tables indented below their name."""
    lines: list[str] = []
    for name, value in description.items():
        if isinstance(value, Mapping):
            lines.append(f"{name}:")
            lines.extend(f"  {key}: {inner}" for key, inner in value.items())
        else:
            lines.append(f"{name}: {'none' if value is None else value}")
    return "\n".join(lines)


def render_checks(verification: "Verification") -> str:
    """One line for each file, and a verdict."""
    lines = [
        f"{'ok ' if check.problem is None else 'BAD'} {check.name}"
        + (f": {check.problem}" if check.problem else "")
        for check in verification.checks
    ]
    bad = sum(check.problem is not None for check in verification.checks)
    verdict = "sound" if verification.sound else f"{bad} bad files; build the index again"
    return "\n".join([*lines, f"{verification.generation}: {verdict}"])


def render_demo(files: "DemoFiles") -> str:
    """What was written, and what to type next."""
    return "\n".join(
        [
            f"{files.corpus}: {files.n_documents} abstracts, written for this demo",
            f"{files.topics}: {files.n_queries} queries",
            f"{files.qrels}: graded judgements",
            f"next: search build-index {files.corpus}",
        ]
    )
