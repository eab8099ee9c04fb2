"""The bar as a terminal gets it, on a pseudo-terminal; lines where stderr is a file."""

import os
import re
import subprocess
import sys
import time

import pytest

from scisearch.console.progress import LoggedProgress

BAR = """
import time
from scisearch.console.progress import stderr_progress
progress = stderr_progress()
progress.start("embed", 300, "docs", 100)
for i in range(24):
    time.sleep(0.1)
    progress.advance(5)
    if i == 22:
        progress.tell("halfway")
progress.finish()
"""


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are a POSIX matter")
def test_a_long_stage_shows_rate_and_time_left_on_a_terminal() -> None:
    leader, follower = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", BAR], stderr=follower, stdout=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end is closed: all is read
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait() == 0
    lines = [line for line in shown.decode().split("\r") if "docs" in line]
    assert lines, shown
    assert re.search(
        r"embedding: +\d+%.*\d+/300 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ docs/s\]", lines[-1]
    )
    # a bar that appeared after two seconds started with what was done before
    assert int(re.findall(r"(\d+)/300", lines[0])[0]) > 150
    assert b"halfway\r\n" in shown


def test_a_short_job_writes_nothing_where_stderr_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", BAR], capture_output=True, check=True)
    assert done.stderr == done.stdout == b""


def test_a_long_job_writes_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = LoggedProgress(seconds=60)
    progress.start("embed", 12_000, "docs", done=2_000)
    for _ in range(6):
        now[0] += 25
        progress.advance(500)
    progress.finish()
    progress.tell("base: accuracy 0.5")
    # 500 documents in 25 s; the third of them is the first after a minute
    assert capsys.readouterr().err.splitlines() == [
        "embedding: 3,500 of 12,000 docs, 20 docs/s, 7 min left",
        "embedding: 5,000 of 12,000 docs, 20 docs/s, 6 min left",
        "base: accuracy 0.5",
    ]
    progress.start("topics", 500, "topics", done=100)
    now[0] += 100
    progress.advance(50)
    assert capsys.readouterr().err == "topics: 150 of 500, 0.5 topics/s, 12 min left\n"
    progress.start("read", None, "docs")
    now[0] += 61
    progress.advance(7_000_000)
    progress.start("train", 100, "steps")
    now[0] += 600
    progress.advance(1)
    now[0] += 1_200
    progress.advance(98)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 7,000,000 docs, 114,754 docs/s",
        "training: 1 of 100 steps, 0.0017 steps/s, 16 h 30 min left",
        "training: 99 of 100 steps, 0.055 steps/s, 18 s left",
    ]
