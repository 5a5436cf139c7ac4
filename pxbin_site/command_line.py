"""The command line of the gateway: `manage.py` of a checkout, `pxbin` of an installed package, `python -m pxbin_site`."""

import gc
import os
import re
import sys

from pxbin_site.conf.config import ConfigurationError

OUTDATED = re.compile("no such (table|column)|(relation|column) .* does not exist")
"""Errors of a database whose tables are older than the code."""


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
    from django.db import DatabaseError, InterfaceError

    try:
        django.setup()
        gc.freeze()
        gc.enable()
        execute_from_command_line(sys.argv)
        sys.stdout.flush()  # here a reader that has left is noticed; at the end of the interpreter it would be an error
    except ConfigurationError as error:  # of what only the start finds out
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except (DatabaseError, InterfaceError) as error:
        text = " ".join(str(error).split())
        hint = "; `manage.py setup` brings its tables up to date" if OUTDATED.search(text) else ""
        print(f"The database cannot be used: {text}{hint}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # while `serve` runs, Ctrl-C is its own affair; this one came before, or in another command
        print("stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        gc.freeze()  # else the interpreter's last collections look at everything once more before it ends: 0.4 s
