"""A dialect that only tests speak: all that a new one needs is this folder and one line that registers it.

``hook`` on PYTHONPATH registers it in a gateway's processes, ``plugin`` in a test process; ``cases`` are its wire cases.
"""
