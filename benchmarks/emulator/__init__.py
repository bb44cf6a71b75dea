"""A small ARM board with no network, emulated by QEMU: Debian 12, Python 3.11, 256 or 512 MB of memory.

    image.py     builds what it boots from, once: kernel, root disk, ssh key
    packages.py  the aarch64 wheels of the runtime's dependencies, as a second disk
    machine.py   boots it as a Cortex-A53, A72 or A76, runs commands over ssh, cuts its power
    runtime.py   the runtime and a bundle on it

Tests (tests/device) and benchmarks (instructions.py) share it. It proves that code runs on these
processors and what it computes there; it does not tell how fast a board is.
"""
