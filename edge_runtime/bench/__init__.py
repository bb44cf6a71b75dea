"""The latency benchmark, which ``edge-runtime bench`` and benchmarks/latency.py both run.

options ─ latency ─ start ─ child     measure: searches here, start-up and memory in fresh processes
└──── report ─ table    tell: statistics and warnings, JSON, a table
"""
