#!/usr/bin/env python
"""Run a command of the gateway: `manage.py help` lists them, `manage.py serve` starts it."""

from pxbin_site.command_line import main

if __name__ == "__main__":
    main()
