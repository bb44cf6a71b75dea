"""In place of ssh on a test's PATH: runs the remote command here, as a device that has a home of its own.

FAKE_SSH_HOSTS/HOST/            the device's HOME
FAKE_SSH_HOSTS/HOST/store/      its EDGE_RUNTIME_HOME
FAKE_SSH_HOSTS/HOST/arguments   what ssh was called with, a line each time
FAKE_SSH_HOSTS/HOST/cut         after how many bytes the line breaks, the next time only
FAKE_SSH_HOSTS/HOST/answer      what the device says instead of running anything
FAKE_SSH_HOSTS/HOST/bin/        programs on its PATH, before the system's
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

broken = threading.Event()


def main() -> int:
    behind = sys.argv.index("--") + 2
    options, command = sys.argv[1:behind], " ".join(sys.argv[behind:])  # as ssh joins them
    host = options[-1].rpartition("@")[2]
    home = Path(os.environ["FAKE_SSH_HOSTS"], host)
    if not home.is_dir():
        print(f"ssh: Could not resolve hostname {host}: Name or service not known", file=sys.stderr)
        return 255
    with (home / "arguments").open("a") as log:
        log.write(" ".join(options) + "\n")
    if (home / "answer").exists():
        sys.stdout.buffer.write((home / "answer").read_bytes())
        sys.stdout.flush()
        os.close(1)
        sys.stdin.buffer.read()
        os._exit(0)
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(home), "EDGE_RUNTIME_HOME": str(home / "store"), "PATH": path}
    if not (home / "cut").exists():
        os.execvpe("sh", ["sh", "-c", command], environment)
    left = int((home / "cut").read_text())
    (home / "cut").unlink()
    return cut(["sh", "-c", command], environment, left)


def cut(command: list[str], environment: dict[str, str], left: int) -> int:
    """Passes on so many bytes; then neither side hears the other again."""
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        threading.Thread(target=answers, args=(process,)).start()
        while left and (piece := os.read(0, min(left, 4096))):
            process.stdin.write(piece)
            process.stdin.flush()
            left -= len(piece)
        broken.set()
        process.stdin.close()
    print("client_loop: send disconnect: Broken pipe", file=sys.stderr)
    return 255


def answers(process: subprocess.Popen[bytes]) -> None:
    """What the device says, until the line breaks."""
    assert process.stdout is not None
    while piece := os.read(process.stdout.fileno(), 4096):
        if not broken.is_set():
            os.write(1, piece)


if __name__ == "__main__":
    sys.exit(main())
