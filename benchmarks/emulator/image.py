"""Builds what the machine boots from: Debian 12 for arm64 with Python 3.11 and sshd, a kernel, an ssh key.

No maintainer script runs (mmdebstrap only unpacks), so nothing is emulated and it takes well under a minute.
Packages come from this computer's own apt sources where it is Debian 12, else from those that mmdebstrap
knows.
"""

from __future__ import annotations

import gzip
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from emulator import bytecode, cache, disk, tools
from emulator.errors import EmulatorError, UnavailableError

SUITE = "bookworm"
DISK_MB = 1600
HOST = "edge"
"""What the machine's host key is known as in known_hosts, whatever port it listens on."""

PACKAGES = (
    *("base-files", "base-passwd", "bash", "busybox-static", "ca-certificates", "coreutils", "dash"),
    *("e2fsprogs", "findutils", "grep", "gzip", "iproute2", "kmod", "libgcc-s1", "libstdc++6"),
    *("linux-image-cloud-arm64", "mount", "openssh-server", "openssh-sftp-server", "procps", "python3"),
    *("python3-venv", "rsync", "sed", "tar", "util-linux", "zlib1g"),
)
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng")
UNUSED = (
    "boot",
    "usr/lib/modules",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "var/cache",
    "var/lib/apt",
)

_GUEST = Path(__file__).parent / "guest"
_SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))


@dataclass(frozen=True, slots=True)
class Image:
    """A folder with everything that a machine boots from. Machines copy the disk; nobody writes it."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """Linux."""
        return self.folder / "kernel"

    @property
    def initramfs(self) -> Path:
        """What the kernel runs first: drivers, then the disk."""
        return self.folder / "initramfs.gz"

    @property
    def disk(self) -> Path:
        """The root file system, raw."""
        return self.folder / "root.img"

    @property
    def key(self) -> Path:
        """The private ssh key that root on the machine accepts."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The machine's public host key, for ssh."""
        return self.folder / "known_hosts"


def image() -> Image:
    """The image, built if this recipe was not built before.

    Raises:
        UnavailableError: it is not built and cannot be built here.
        EmulatorError: a step of building it fails.
    """
    tools.require(tools.RUN)
    inputs = [*map(Path, (__file__, bytecode.__file__, disk.__file__)), *sorted(_GUEST.iterdir())]
    return Image(cache.folder("image", [path.read_bytes() for path in inputs], _build))


def _build(folder: Path) -> None:
    tools.require(tools.BUILD)
    tools.require_root()
    made, root = Image(folder), folder / "root"
    _unpack_debian(root)
    _configure(root, made)
    _take_kernel(root, made)
    bytecode.compile_files(root / "usr/lib/python3", at="/usr/lib/python3")
    bytecode.compile_files(root / f"usr/lib/python{bytecode.PYTHON}", at=f"/usr/lib/python{bytecode.PYTHON}")
    for name in UNUSED:
        shutil.rmtree(root / name, ignore_errors=True)
    disk.write(made.disk, root, size_mb=DISK_MB)
    shutil.rmtree(root)


def _unpack_debian(root: Path) -> None:
    command: list[str | Path] = ["mmdebstrap", "--arch=arm64", "--variant=extract"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--include={','.join(PACKAGES)}"]
    command += ["--aptopt=Acquire::Languages none", SUITE, root, *_sources()]
    tools.call(command, about=f"unpacking Debian {SUITE} for arm64", error=UnavailableError)
    # They may name hosts that only this computer reaches.
    for path in (root / "etc/apt/sources.list.d").iterdir():
        path.unlink()
    (root / "etc/apt/sources.list").unlink(missing_ok=True)


def _sources() -> list[Path]:
    """The apt sources of this computer, where they are those of the suite."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return []
    if release.get("VERSION_CODENAME") != SUITE:
        return []
    return [path for path in _SOURCES if path.is_file() and path.stat().st_size]


def _configure(root: Path, made: Image) -> None:
    """What the packages' own scripts would have done, as far as it is needed here, and ssh for root."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    users = (root / "etc/passwd").read_text().replace("root:*:", "root::", 1)
    (root / "etc/passwd").write_text(f"{users}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
    (root / "etc/hostname").write_text(f"{HOST}\n")
    (root / "dev/pts").mkdir(parents=True, exist_ok=True)
    shutil.copy(_GUEST / "init", root / "sbin/edge-init")
    (root / "sbin/edge-init").chmod(0o755)
    _allow_ssh(root, made)


def _allow_ssh(root: Path, made: Image) -> None:
    shutil.copy(_GUEST / "sshd_config", root / "etc/ssh/sshd_config")
    host_key, allowed = root / "etc/ssh/ssh_host_ed25519_key", root / "root/.ssh/authorized_keys"
    for path in (host_key, made.key):
        command: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", HOST, "-f", path]
        tools.call(command, about="making an ssh key")
    allowed.parent.mkdir(mode=0o700, parents=True)
    shutil.copy(made.key.with_suffix(".pub"), allowed)
    allowed.chmod(0o600)
    (root / "root").chmod(0o700)
    made.known_hosts.write_text(f"{HOST} {host_key.with_suffix('.pub').read_text()}")


def _take_kernel(root: Path, made: Image) -> None:
    """The kernel, and an initramfs that loads the drivers without udev."""
    (version,) = (path.name for path in (root / "lib/modules").iterdir())
    shutil.copy(root / f"boot/vmlinuz-{version}", made.kernel)
    tools.call(["depmod", "-b", root, version], about="listing the kernel's modules")
    tree = made.folder / "initramfs"
    for name in ("bin", "dev", "proc", "mnt", "lib"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin")
    shutil.copy(_GUEST / "initramfs-init", tree / "init")
    (tree / "init").chmod(0o755)
    modules = _modules(root, version)
    for path in modules:
        shutil.copy(path, tree / "lib")
    (tree / "modules").write_text("".join(f"{path.name}\n" for path in modules))
    _archive(tree, made.initramfs)
    shutil.rmtree(tree)


def _modules(root: Path, version: str) -> list[Path]:
    """The drivers, each after those that it needs."""
    found: dict[Path, None] = {}
    for driver in DRIVERS:
        command: list[str | Path] = ["modprobe", "-d", root, "-S", version, "--show-depends", driver]
        for line in tools.call(command, about=f"looking for the driver {driver}").splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "insmod":
                found[Path(rest.split()[0])] = None
    if not found:
        raise EmulatorError(f"kernel {version}: expected modules for {', '.join(DRIVERS)}; found none")
    return list(found)


def _archive(tree: Path, path: Path) -> None:
    names = "".join(f"{each.relative_to(tree)}\n" for each in sorted(tree.rglob("*")))
    draft = path.with_suffix(".cpio")
    command: list[str | Path] = ["cpio", "--quiet", "-o", "-H", "newc", "-D", tree, "-F", draft]
    tools.call(command, about="packing the initramfs", stdin=names)
    path.write_bytes(gzip.compress(draft.read_bytes(), mtime=0))
    draft.unlink()
