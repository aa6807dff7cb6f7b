"""The library beside its peers: speed, memory, imports, and quality for equal time.

`make bench` runs all of it and writes results/performance.json, from which book/performance.md reads.
"""
