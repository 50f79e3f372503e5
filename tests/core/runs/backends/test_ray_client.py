"""Our side of Ray, against a Ray whose answers are set: what becomes of a job, and why there is no connection."""

from __future__ import annotations

import sys
import types

import pytest

from hrm_core.runs.backends import ray_client


class FakeErrors:
    """Ray's errors, as far as the client names them."""

    class RayError(Exception):
        """All of them."""

    class RayActorError(RayError):
        """An actor is gone."""

    class ActorUnavailableError(RayActorError):
        """For now."""


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7",
            "is another version: ",
        ),
        ("AuthenticationError: token is wrong", "does not take us: AuthenticationError: token is wrong"),
    ],
)
def test_a_cluster_of_another_version_or_token_is_said(monkeypatch: pytest.MonkeyPatch, says: str, words: str) -> None:
    def init(**more: object) -> None:
        raise RuntimeError(says)

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init))
    client, error = ray_client.connect("10.1.2.3:6379", "space")
    assert client is None and words in error and len(error.splitlines()) <= 2
    assert ("Install the same Ray and Python on every node." in error) == says.startswith("Version")


class FakeRay:
    """A cluster of one node whose answers are set."""

    exceptions = FakeErrors

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.killed: list[object] = []

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    def wait(self, refs: list[object], timeout: float) -> tuple[list[object], list[object]]:
        return (refs, [])

    def get(self, ref: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def get_actor(self, name: str, namespace: str) -> object:
        raise ValueError(f"no actor {name}")

    def kill(self, actor: object) -> None:
        self.killed.append(actor)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((0, ""), "ended", ""),
        ((None, "not shared"), "ended", "not shared"),
        (None, "lost", "its process ended without a word"),
        (FakeErrors.RayActorError("x"), "lost", "its node or its process is gone"),
        (FakeErrors.ActorUnavailableError("x"), "waiting", None),
        (FakeErrors.RayError("No module\n named hrm_core"), "ended", "Ray could not run it: No module named hrm_core"),
    ],
)
def test_what_ray_says_of_a_job(answer: object, kind: str, words: str | None) -> None:
    client = ray_client.Client(FakeRay(answer), "space")
    client.asked["job"] = object()
    told = client.answer({"do": "states", "jobs": ["job"]})["states"]["job"]
    assert (told["kind"], told.get("words")) == (kind, words)
    assert "job" not in client.asked
    again = client.state("job")
    assert again == {"kind": "lost", "words": "Ray knows it no more"}


def test_a_run_that_no_node_could_ever_take_is_refused() -> None:
    client = ray_client.Client(FakeRay(None), "space")
    error = client.answer({"do": "start", "job": "a", "gpus": 1, "cpus": 1})["error"]
    assert error.splitlines() == [
        "no node of Ray's has the 1 GPUs and 1 cores that a run is given; there: 0 GPUs and 2 cores.",
        "Join a larger node, or change --gpus and --cpus (settings queue.job_gpus and queue.job_cpus).",
    ]
