"""`python -m hrm_core.cli`: the `hrm` command, for launchers such as torchrun that name a module."""

from __future__ import annotations

from hrm_core.cli.main import main

if __name__ == "__main__":
    main()
