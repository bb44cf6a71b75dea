"""Where an open bundle came from, to be asked whether another one is there by now."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import choice, device_config
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Verification
from edge_runtime.errors import StoreError
from edge_runtime.parts import Parts
from edge_runtime.store import layout, opening

Identity = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """What `edge_runtime.open` was asked for; see there.

    Attributes:
        bundle: the name of an installed bundle, or a directory.
        installed: whether it is a name.
    """

    bundle: str | os.PathLike[str]
    encoder: str | None = None
    threads: int | None = None
    verify: Verification | None = None
    installed: bool = False

    @classmethod
    def of(
        cls,
        bundle: str | os.PathLike[str],
        encoder: str | None = None,
        threads: int | None = None,
        verify: Verification | None = None,
    ) -> Source:
        """Decides now what `bundle` stands for: another working directory, or a folder that is called like an
        installed bundle later on, changes nothing.
        """
        if layout.is_name(bundle):
            return cls(bundle, encoder, threads, verify, installed=True)
        return cls(_absolute(bundle), encoder, threads, verify)

    def open(self) -> Parts:
        """What is there now. Raises as `edge_runtime.open` does."""
        config = device_config.read()
        if self.installed:
            opened = opening.open_installed(str(self.bundle), verify=self.verify)
        else:
            opened = opening.open_bundle(self.bundle, verify=self.verify)
        try:
            bundles.check_signer(opened.root, config.keys)
            resolved = choice.resolve(opened.manifest, opened.root, self.encoder, config=config)
            return Parts.load(opened, encoder=resolved, threads=self.threads, config=config)
        except BaseException:
            opened.close()
            raise

    def identity(self) -> Identity | None:
        """Of the bundle that is there now: equal as long as it is the same one; None where none can be seen.

        It takes two system calls and reads no file.
        """
        try:
            directory = layout.current(str(self.bundle)) if self.installed else self.bundle
            if directory is None:
                return None
            found = Path(directory, manifests.FILENAME).stat()
        except (OSError, StoreError, TypeError, ValueError):  # what is wrong, `open` says
            return None
        return str(directory), found.st_ino, found.st_size, found.st_mtime_ns


def _absolute(bundle: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The same directory wherever the process goes; what is no path is left for `Source.open` to refuse."""
    if not isinstance(bundle, (str, os.PathLike)):
        return bundle
    try:
        return str(Path(os.fsdecode(bundle)).absolute())
    except (OSError, TypeError, ValueError):
        return bundle
