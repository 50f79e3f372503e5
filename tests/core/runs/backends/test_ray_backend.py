"""Ray's back end against a client that this test speaks for: starts, ends, losses, errors in two lines; Ray's setup."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ray_nodes import no_token

from hrm_core.errors import UserError
from hrm_core.runs.backends import ray_backend
from hrm_core.runs.backends.base import JobState, Order, Resources
from hrm_core.runs.backends.orders import job_folder, read_order, withdraw, write_ended, write_launched
from hrm_core.runs.backends.ray_backend import RayBackend
from hrm_core.runs.backends.ray_node import command, node_words
from hrm_core.runs.backends.ray_setup import make_token, parse_address, ray_environment, token_path

# Answers as the client does; what Ray would say of every job is in a file, and what it was asked goes to another.
CLIENT = """
    import json, os, sys
    from pathlib import Path
    says, asked = Path(sys.argv[1]), Path(sys.argv[2])
    def answer(row):
        print(json.dumps(row), flush=True)
    first = json.loads(says.read_text())
    answer({"error": first["error"]} if "error" in first else {})
    for line in sys.stdin:
        row = json.loads(line)
        with asked.open("a") as file:
            file.write(line)
        now = json.loads(says.read_text())
        if now.get("die"):
            os._exit(1)
        if row["do"] == "start":
            answer({"error": now["refuse"]} if "refuse" in now else {})
        elif row["do"] == "states":
            answer({"states": {job: now["state"] for job in row["jobs"]}})
        else:
            answer({})
"""


class Fake:
    """A back end with such a client."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.runs.mkdir()
        self.says, self.asked = folder / "says.json", folder / "asked.jsonl"
        script = folder / "client.py"
        script.write_text(textwrap.dedent(CLIENT))
        self.say({"kind": "waiting"})
        client = [sys.executable, str(script), str(self.says), str(self.asked)]
        self.backend = RayBackend(self.runs, Resources(1, 3), "127.0.0.1:6379", client)

    def say(self, state: Mapping[str, object], **more: object) -> None:
        """What Ray says from now on."""
        self.says.write_text(json.dumps({"state": state, **more}))

    def start(self) -> str:
        """A job."""
        return self.backend.start(Order((sys.executable, "-c", "pass"), self.runs / "r1"))

    def requests(self) -> list[dict[str, object]]:
        """What the client was asked."""
        return [json.loads(line) for line in self.asked.read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(ray_backend, "FRESH_S", 0.0)
    made = Fake(tmp_path)
    yield made
    made.backend.close()


def test_a_job_waits_runs_and_ends_as_its_folder_says(fake: Fake) -> None:
    job = fake.start()
    folder = job_folder(fake.runs, job)
    first = fake.requests()[0]
    assert (first["do"], first["job"], first["gpus"], first["cpus"]) == ("start", job, 1, 3)
    assert first["place"] == str(folder.path) and first["nonce"] == folder.nonce.read_text()
    assert stat.S_IMODE(folder.path.stat().st_mode) == stat.S_IMODE(folder.path.parent.stat().st_mode) == 0o700
    order = read_order(folder)
    assert order is not None and order.argv == (sys.executable, "-c", "pass")
    assert fake.backend.state(job) == JobState("waiting")
    write_launched(folder, "ray:node7/abc", 1)
    assert fake.backend.state(job) == JobState("running", where="ray:node7/abc")
    write_ended(folder, 3, cut=False)
    assert fake.backend.state(job) == JobState("ended", 3, "", "ray:node7/abc")
    assert fake.requests()[-1] == {"do": "stop", "job": job}


def test_a_node_that_is_gone_and_a_job_that_was_cut_are_lost(fake: Fake) -> None:
    job = fake.start()
    write_launched(job_folder(fake.runs, job), "ray:node7/abc", 1)
    fake.say({"kind": "lost", "words": "its node or its process is gone"})
    assert fake.backend.state(job) == JobState("lost", None, "its node or its process is gone", "ray:node7/abc")
    fake.say({"kind": "waiting"})
    cut = fake.start()
    write_ended(job_folder(fake.runs, cut), 0, cut=True, words="its engine left it")
    assert fake.backend.state(cut).kind == "lost"


def test_why_a_job_did_not_begin_comes_by_ray_where_the_folder_is_not_shared(fake: Fake) -> None:
    job = fake.start()
    fake.say({"kind": "ended", "code": None, "words": "node x does not see this runs folder"})
    assert fake.backend.state(job) == JobState("ended", None, "node x does not see this runs folder")


def test_a_job_that_is_taken_back_finds_no_order(fake: Fake) -> None:
    job = fake.start()
    fake.backend.stop(job)
    assert read_order(job_folder(fake.runs, job)) is None
    withdraw(job_folder(fake.runs, job))
    assert fake.requests()[-1] == {"do": "stop", "job": job}


def test_what_ray_refuses_is_said_and_leaves_no_order(fake: Fake) -> None:
    fake.say({}, refuse="no node of Ray's has the 1 GPUs\nJoin a larger node\x1b[31m")
    with pytest.raises(UserError) as found:
        fake.start()
    assert found.value.message == "no node of Ray's has the 1 GPUs\nJoin a larger node␛[31m"
    assert not list((fake.runs / "queue/jobs").glob("*/order.json"))


def test_a_client_that_dies_is_unknown_and_then_another_one(fake: Fake) -> None:
    job = fake.start()
    fake.say({}, die=True)
    assert fake.backend.state(job).kind == "unknown"
    fake.say({"kind": "waiting"})
    assert fake.backend.state(job) == JobState("waiting")


def test_a_client_that_cannot_connect_says_why_and_is_not_asked_again_at_once(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.say({}, error="Ray at 127.0.0.1:6379 is another version: Ray 2.1\nInstall the same Ray")
    with pytest.raises(UserError, match=r"is another version: Ray 2.1\nInstall the same Ray"):
        fake.start()
    fake.say({"kind": "waiting"})
    with pytest.raises(UserError, match=r"is another version: Ray 2.1\nInstall the same Ray"):
        fake.start()
    monkeypatch.setattr(ray_backend, "AGAIN_S", 0.0)
    assert fake.backend.state(fake.start()) == JobState("waiting")


def test_nothing_at_the_address_no_token_and_no_ray_are_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_token(tmp_path, monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"no Ray answers at 127.0.0.1:{port} .*\n.*ray-start --address 127.0.0.1:{port}"
        ):
            RayBackend(tmp_path, Resources(), f"127.0.0.1:{port}").check()
        taken.listen()
        with pytest.raises(UserError, match=r"there is no token for Ray in .*ray_token.\nCopy it from the machine"):
            RayBackend(tmp_path, Resources(), f"127.0.0.1:{port}").check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--on ray needs Ray: pip install 'hrm-console\[ray\]'"):
        RayBackend(tmp_path, Resources(), "127.0.0.1:6379").check()


def test_every_process_of_rays_has_the_token_on_and_tells_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    made = ray_environment({"RAY_AUTH_MODE": "disabled", "A": "b"})
    assert (made["RAY_AUTH_MODE"], made["RAY_USAGE_STATS_ENABLED"], made["A"]) == ("token", "0", "b")
    assert made["RAY_AUTH_TOKEN_PATH"] == str(token_path())
    assert "RAY_AUTH_TOKEN_PATH" not in ray_environment({"RAY_AUTH_TOKEN": "x"})
    make_token()
    first = token_path().read_text()
    make_token()
    assert len(first) == 64 and token_path().read_text() == first
    assert stat.S_IMODE(os.stat(token_path()).st_mode) == 0o600


def test_a_head_is_started_on_its_address_without_the_dashboard() -> None:
    words = node_words("localhost:6379", head=True, cpus=None, gpus=0, folder="/t")
    assert "--node-ip-address=127.0.0.1" in words and "--port=6379" in words and "--temp-dir=/t" in words
    assert "--include-dashboard=false" in words and "--disable-usage-stats" in words and "--num-gpus=0" in words
    assert "--address=10.0.0.5:6379" in node_words("10.0.0.5:6379", head=False, cpus=2, gpus=None)
    assert command("127.0.0.1:1", head=False, cpus=None, gpus=1)[-4:] == ["127.0.0.1:1", "join", "-", "1"]


@pytest.mark.parametrize("address", ["", "a", "a:b", ":6379", "a:0", "a:70000", "a b:1", "--head:1;x", "a;b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"is no address of Ray; write HOST:PORT"):
        parse_address(address)
