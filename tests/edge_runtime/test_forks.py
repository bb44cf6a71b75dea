"""What is renewed in a forked process."""

from __future__ import annotations

import subprocess
import sys

FORK = """
import os
from edge_runtime.forks import renew_in_forks

class Locked:
    renewed = 0

    def renew(self):
        self.renewed += 1

kept, gone = Locked(), Locked()
for each in (kept, gone):
    renew_in_forks(each)
del each, gone
child = os.fork()
if not child:
    os._exit(10 + kept.renewed)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), kept.renewed)
"""


def test_what_lives_is_renewed_once_and_in_the_child_alone() -> None:
    """The parent's threads are all there still."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["11", "0"], "")
