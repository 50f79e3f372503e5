"""Room `runs`: how Ray is used here: with a token, without its dashboard, on loopback unless an address is named.

address -> (host, port), the environment of every process of Ray's that we start. Ray's token authentication is off by
default, and whoever reaches a cluster without it runs what he likes there (CVE-2023-48022): ours is always on. Ray
resolves 127.0.0.1 to the machine's outer address and listens on all; `stay_on_loopback` keeps it where it was told.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, make_folder
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import config_dir

LOOPBACK: Final = ("127.0.0.1", "localhost")
TOKEN_PATH: Final = "RAY_AUTH_TOKEN_PATH"
TOKEN: Final = "RAY_AUTH_TOKEN"


def parse_address(address: str) -> tuple[str, int]:
    """HOST:PORT. UserError (2) for anything else."""
    host, _, port = address.rpartition(":")
    if (
        not host
        or not port.isdecimal()
        or not 0 < int(port) < 65536
        or not host.replace(".", "").replace("-", "").isalnum()
    ):
        raise UserError(f"{clean(address[:80])!r} is no address of Ray; write HOST:PORT, such as 127.0.0.1:6379.")
    return ("127.0.0.1" if host in LOOPBACK else host), int(port)


def token_path() -> Path:
    """Where our token lies: beside the settings, for the user alone."""
    return config_dir() / "ray_token"


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether there is a token to show."""
    return bool(environment.get(TOKEN)) or os.path.isfile(environment.get(TOKEN_PATH) or token_path())


def make_token() -> None:
    """Draws the token, if there is none. UserError (1) if the disk refuses."""
    if has_token(os.environ):
        return
    path = token_path()
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    except OSError as error:
        raise explain_os_error(error) from error


def ray_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of Ray's: the token on, nothing told to anybody about its use."""
    made = {**environment, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    if not made.get(TOKEN) and not made.get(TOKEN_PATH):
        made[TOKEN_PATH] = str(token_path())
    return made


def stay_on_loopback(host: str) -> None:
    """In a process of Ray's, before it begins: with 127.0.0.1 as its address, Ray listens there alone."""
    if host != LOOPBACK[0]:
        return
    import ray._private.services as services

    services.get_node_ip_address = lambda address=None: LOOPBACK[0]


def need_ray() -> None:
    """UserError (1) if Ray is not installed; it is not imported here."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise UserError("--on ray needs Ray: pip install 'hrm-console[ray]'", 1)
