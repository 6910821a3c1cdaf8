"""The database's server as one that fails: killed, shut down, started again. A story breaks only its own."""

from dataclasses import dataclass

from sim.errors import SimError
from sim.postgres.leases import Lease
from sim.postgres.private import PrivateServer
from sim.timeline import Timeline

ACTOR = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerActor:
    """The server of one stack; `private` is None where other scenarios use it too.

    Every call raises `SimError` (`stage/shared_server`) then. Nobody can look at the database while the server is down:
    a story starts its workers before, and the server again before it goes on.
    """

    private: PrivateServer | None
    lease: Lease
    timeline: Timeline

    def kill(self) -> None:
        """Effects: every process of the server is gone as by `kill -9`, and with it what was not committed."""
        self._own().kill()
        self._told("kill")

    def shut_down(self) -> None:
        """Effects: the server has ended in order, and everybody is disconnected."""
        self._own().stop()
        self._told("shut_down")

    def start(self) -> None:
        """Effects: the server serves again, after crash recovery where it was killed.

        Raises: `SimError` (`postgres/start_failed`).
        """
        self._own().start()
        self._told("start")

    def look(self) -> None:
        """Raises: `SimError` (`stage/server_down`) where the story has left its server down."""
        if self.private is not None and not self.private.postmaster.is_running():
            raise SimError(
                "stage/server_down",
                "the story ends with its server down, and nobody can judge what it left; call stack.postgres.start()",
            )

    def _own(self) -> PrivateServer:
        if self.private is None:
            raise SimError(
                "stage/shared_server",
                "other scenarios use this server too; mark the scenario @pytest.mark.private_server to have one of its "
                "own",
            )
        return self.private

    def _told(self, what: str) -> None:
        # Nobody has told the stage's own connection: it would only notice at its next question.
        self.lease.close()
        self.timeline.record(actor=ACTOR, kind=f"server.{what}", subject="postgres")
