"""Brings a bundle to devices: over ssh, into a mounted card, onto a stick. docs/flashing.md is for people.

    targets.py     where to: what a target on the command line means
    source.py      what: a bundle's directory, proven; a transport file is unpacked for it
    connection.py  a running ``edge-runtime receive``, here or at the other end of ssh
    transfer.py    the desktop's half of what is said to it (`edge_runtime.store.messages`)
    stick.py       a stick, on which a device looks for a file to install
    run.py         all targets at once, each on its own
    summary.py     what came of it
    bootstrap.py   the runtime itself, for a device that has none; wheelhouse.py fetches it
    service.py     a systemd unit that proves bundles when a device starts
    script.py      runs the shell scripts of both there

The network is ssh's business: its configuration, keys and known hosts hold, and nothing here knows a
password.
"""
