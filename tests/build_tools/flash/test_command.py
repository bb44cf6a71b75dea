"""``edge-build flash`` from arguments to exit status."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from build_tools import cli

from .conftest import Device, Version

Devices = Callable[[str], Device]


def test_a_table_and_a_status(devices: Devices, version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each target; the status tells when one failed, and nothing is cut off in a pipe."""
    devices("pi")
    arguments = ["flash", str(version("1.0.0")), "--no-self-test", "--to", "ssh://pi", "ssh://gone"]
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["target", "result", "sent,", "MB", "s"]
    assert lines[1].split()[:2] == ["ssh://pi", "installed"]
    assert lines[2].split()[:2] == ["ssh://gone", "failed"]
    assert lines[2].rstrip().endswith("Name or service not known")
    assert "ssh://pi: send 0." in captured.err
    assert "1 of 2 targets failed; the same command tries those again" in captured.err
    assert cli.main([*arguments[:-1], "--to", "ssh://pi"]) == 1
    assert "--to: ssh://pi stands there twice" in capsys.readouterr().err


def test_json(devices: Devices, version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    devices("pi")
    assert cli.main(["flash", str(version("1.0.0")), "--no-self-test", "--to", "ssh://pi", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert set(result) == {"target", "state", "detail", "sent", "seconds"}
    assert result["state"] == "installed"


@pytest.mark.parametrize("option", ["--bootstrap", "--service"])
def test_options_without_a_device(version: Version, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """A store on a card cannot start a runtime, nor have systemd do it."""
    assert cli.main(["flash", str(version("1.0.0")), option, "--to", "store:/nowhere"]) == 1
    assert f"{option}: expected a device that ssh reaches" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--tries", "-1"], ["--retries", "x"], ["--tries", "9999"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are checked before anything begins."""
    with pytest.raises(SystemExit):
        cli.main(["flash", "bundle", "--to", "ssh://pi", *arguments])
    assert "expected a whole number from 0 to 1000" in capsys.readouterr().err
