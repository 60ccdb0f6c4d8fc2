"""What the files in ``deployments/`` say, made true on a Prefect server; what is true is left alone."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from flows.deploying.automations import automations
from flows.deploying.deployments import deployments
from flows.deploying.leftovers import leftovers
from flows.deploying.pools import pools
from flows.deploying.record import write_record
from flows.deploying.schedules import schedules
from flows.deploying.standing import standing_on
from flows.deploying.steps import Change
from flows.deploying.wanted import Given, Wanted, read_wanted

__all__ = ["Change", "Given", "Wanted", "deploy", "read_wanted"]


def deploy(wanted: Wanted, *, dry_run: bool = False) -> list[Change]:
    """Make a server as the files say; the same again changes nothing.

    Everything is looked at before anything is done, so that a fault leaves the server as it was.

    Returns
    -------
    What was done to pools, queues, deployments, schedules and automations, or would be with ``dry_run``.
    """
    with get_client(sync_client=True) as client:
        parts, server = (pools, deployments, schedules, automations, leftovers), standing_on(client, wanted)
        steps = [step for part in parts for step in part(server, wanted)]
        if not dry_run:
            for step in steps:
                step.act()
            write_record(client, wanted, server.record, standing_on(client, wanted).deployments)
    return [step.change for step in steps]
