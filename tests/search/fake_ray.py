"""As much of Ray as a pool of actors needs, on a clock that is moved by hand: every way in which a worker can be lost."""

from types import SimpleNamespace

from mvsearch.search.ray.worker import Inquest, Presence

SAME = {"python": "3.11", "mvsearch": "1.0", "torch": "2.9"}
NOTHING = Inquest("", 0)


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorUnavailableError(RayActorError):
    pass


class NodeDiedError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class FakeRay:
    """Actors whose tasks say what becomes of them.

    A task is called with its item; what it returns is the result, an exception that it returns is what Ray would raise,
    and a number of seconds (`Takes`) is how long the result takes.
    """

    def __init__(self, found=NOTHING, versions=SAME):
        self.exceptions = SimpleNamespace(
            RayError=RayError, RayActorError=RayActorError, ActorUnavailableError=ActorUnavailableError,
            NodeDiedError=NodeDiedError, OutOfMemoryError=OutOfMemoryError,
        )  # fmt: skip
        self.found, self.versions = found, versions
        self.time = 0.0
        self.pending = {}
        self.most = self.started = self.killed = 0
        self.stuck = False

    def clock(self):
        return self.time

    def later(self, value, seconds):
        ref = object()
        self.pending[ref] = (self.time + seconds, value)
        self.most = max(self.most, len(self.pending))
        return ref

    def wait(self, refs, num_returns, timeout):
        ready = sorted((self.pending[r][0], k) for k, r in enumerate(refs))
        if not ready or ready[0][0] > self.time + timeout:
            self.time += timeout
            return [], refs
        self.time = max(self.time, ready[0][0])
        return [refs[ready[0][1]]], []

    def get(self, ref):
        _, value = self.pending.pop(ref)
        if isinstance(value, Exception):
            raise value
        return value

    def kill(self, actor, no_restart):
        self.killed += 1

    def start(self, name):
        """Of the pool: makes an actor."""
        self.started += 1
        return Actor(self)

    def remote(self, **options):
        """A task on a node: the inquest."""
        return lambda task: SimpleNamespace(remote=lambda *_: self.later(self.found, 1.0))


class Actor:
    def __init__(self, ray):
        there = Presence("node", "10.0.0.2", 0, ray.versions)
        never = 1e12 if ray.stuck else 1.0
        self.presence = SimpleNamespace(remote=lambda: ray.later(there, never))
        self.call = SimpleNamespace(remote=lambda task, item: _call(ray, task, item))


class Takes:
    """A result after a while."""

    def __init__(self, seconds, value=None):
        self.seconds, self.value = seconds, value


def _call(ray, task, item):
    value = task(item)
    seconds = 1.0
    if isinstance(value, Takes):
        seconds, value = value.seconds, value.value
    return ray.later(value if isinstance(value, Exception) else (value, 0), seconds)
