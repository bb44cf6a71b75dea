"""A systemd service on a device, which proves its bundles each time it starts (``edge-runtime prove``).

    root's store      /etc/systemd/system/edge-runtime.service
    another user's    ~/.config/systemd/user/edge-runtime.service

The unit runs STORE/runtime/current, so that it need not change with the runtime. It is written where it is
not there or is another one, and enabled; the next start of the device is the first that runs it. A device
without systemd gets none. A user has one, and so has a device: the store that was flashed last.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass

from build_tools.errors import FlashError
from build_tools.flash import script
from build_tools.flash.targets import SshTarget
from edge_runtime import schema
from edge_runtime.schema import SchemaError, shown
from edge_runtime.terminal import printable

NAME = "edge-runtime.service"
SYSTEM_FOLDER = "/etc/systemd/system"

_FAILING = f"{NAME} cannot be set up there"
_PLAIN = re.compile(r"/[A-Za-z0-9_./@:+,=-]+")  # means the same to systemd wherever it stands in a unit
_ANSWERS = ("same", "written")

_MANAGER = """\
if [ "$(id -u)" = 0 ]; then manage() { systemctl "$@"; }
else
  XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR
  manage() { systemctl --user "$@"; }
fi
"""
"""Shell: systemctl for the system where root asks, else for the user."""

_ASK = (
    _MANAGER
    + """\
current=$root/runtime/current/bin
if ! [ -x "$current/edge-runtime" ] || ! "$current/edge-runtime" prove --help >/dev/null 2>&1; then
  echo "no runtime in $root/runtime that can prove bundles; --bootstrap brings it" >&2; exit 1
fi
systemd= user= lingers=
if manage show -p Version >/dev/null 2>&1; then systemd=yes; fi
if [ "$(id -u)" != 0 ]; then
  user=$(id -un)
  lingers=$(loginctl show-user "$user" -p Linger --value 2>/dev/null || true)
fi
exec "$current/python" -c "$1" "$root" "$systemd" "$user" "$lingers"
"""
)

_FACTS = """\
import json, sys
root, systemd, user, lingers = sys.argv[1:]
facts = {"root": root, "systemd": systemd == "yes", "user": user, "lingers": lingers == "yes"}
print(json.dumps(facts))
"""

_WRITE = (
    _MANAGER
    + """\
set -eu
name=$1 folder=${2:-${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user}
umask 022
mkdir -p "$folder"
cat > "$folder/.$name.new"
if cmp -s "$folder/.$name.new" "$folder/$name"; then
  rm "$folder/.$name.new"; answer=same
else
  mv "$folder/.$name.new" "$folder/$name"; answer=written
  sync
  manage daemon-reload
fi
manage is-enabled -q "$name" || manage enable -q "$name"
sync
echo "$answer"
"""
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device tells about its services.

    Attributes:
        root: its store.
        systemd: whether it runs, for this user.
        user: by name; empty for root.
        lingers: whether that user's services run from the device's start on, or only while logged in.
    """

    root: str
    systemd: bool
    user: str
    lingers: bool


def install(target: SshTarget, *, unattended: bool) -> str:
    """Writes and enables it; returns what came of that, in a few words.

    Raises:
        FlashError: there is no runtime in the store, or a step fails.
        LineError: the line broke.
    """
    facts = _facts(script.run(target, _ASK, _FACTS, failing=_FAILING, unattended=unattended))
    if not facts.systemd:
        return f"no {NAME}: systemd does not run there; have 'edge-runtime prove' run at its start"
    folder = "" if facts.user else SYSTEM_FOLDER
    with tempfile.TemporaryFile() as text:
        text.write(unit(facts.root, system=not facts.user).encode())
        text.seek(0)
        answer = script.run(
            target, _WRITE, NAME, folder, failing=_FAILING, unattended=unattended, stdin=text
        ).decode("utf-8", "replace")
    if answer.strip() not in _ANSWERS:
        raise FlashError(f"{_FAILING}: found the answer {printable(shown(answer[:200]))}")
    done = f"{NAME} {'was there' if answer.strip() == 'same' else 'written'}"
    if facts.user and not facts.lingers:
        hint = f"only once {printable(facts.user)} logs in; 'sudo loginctl enable-linger' there changes that"
        return f"{done}; it runs {hint}"
    return f"{done}; it runs at each start"


def unit(root: str, *, system: bool) -> str:
    """The unit for a store.

    Args:
        root: the store's absolute path on the device.
        system: for root's manager; a user's can confine only what is in a namespace of users of its own.

    Raises:
        FlashError: the path has a character that systemd might read in its own way.
    """
    if not _PLAIN.fullmatch(root):
        problem = "expected an absolute path of letters, digits and _./@:+,=-"
        raise FlashError(f"{_FAILING}: {problem}; found the store {printable(shown(root))}")
    return _UNIT.format(
        root=root,
        user_namespace="" if system else "PrivateUsers=yes\n",
        target=("multi-user.target" if system else "default.target"),
    )


_UNIT = """\
# Written by edge-build flash --service, which overwrites it; changes belong into edge-runtime.service.d/.
[Unit]
Description=Prove the installed edge-runtime bundles
RequiresMountsFor={root}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={root}/runtime/current/bin/edge-runtime prove
Environment=EDGE_RUNTIME_HOME={root}
WorkingDirectory=/
Nice=5
MemoryMax=75%
{user_namespace}NoNewPrivileges=yes
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={root}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy={target}
"""


def _facts(answer: bytes) -> Facts:
    try:
        return schema.decode(Facts, json.loads(answer))
    except (SchemaError, ValueError, RecursionError):
        found = printable(shown(answer[:200].decode("utf-8", "replace")))
        raise FlashError(f"{_FAILING}: expected what the device runs, as JSON; found {found}") from None
