"""Run a command of the gateway where there is no `manage.py`: `python -m pxbin_site serve`."""

from pxbin_site.command_line import main

if __name__ == "__main__":
    main()
