"""The bar as a terminal gets it: on a pseudo-terminal, and not at all elsewhere."""

import os
import re
import subprocess
import sys

import pytest

BAR = """
import time
from scisearch.console.progress import TerminalProgress
progress = TerminalProgress()
progress.start("embed", 300, "docs", 100)
for _ in range(24):
    time.sleep(0.1)
    progress.advance(5)
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


def test_nothing_is_shown_where_stderr_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", BAR], capture_output=True, check=True)
    assert done.stderr == done.stdout == b""
