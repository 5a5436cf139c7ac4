#!/usr/bin/env python
"""Run a command of the gateway: `manage.py help` lists them, `manage.py serve` starts it."""

import gc
import os
import sys

from pxbin_site.conf.config import ConfigurationError


def main() -> None:
    """Read the settings, say everything that is wrong with them, else run the command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")
    gc.disable()  # imports create no cycles worth collecting; the collections cost a sixth of the start
    try:
        if sys.argv[1:2] == ["serve"]:
            from pxbin_site.config_files import command_line

            command_line.take_settings(sys.argv[1:], os.environ)
        import pxbin_site.settings  # noqa: F401  (Django would hide a problem here behind "unknown command")
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    import django
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        django.setup()
        gc.freeze()
        gc.enable()
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:  # of what only the start finds out
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except OperationalError as error:
        print(f"The database cannot be used: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # while `serve` runs, Ctrl-C is its own affair; this one came before, or in another command
        print("stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        gc.freeze()  # else the interpreter's last collections look at everything once more before it ends: 0.4 s


if __name__ == "__main__":
    main()
