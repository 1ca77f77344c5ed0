"""Replication, the service on one VM.

Ordered -> Provisioning -> Protected <-> Paused;  Provisioning | Protected | Failed -> Stopping -> Stopped
Generation 3's replications come as Protected: they were, before they were brought here.
"""

from ampdr.lifecycle import Lifecycle, Move, State

REPLICATION = Lifecycle(
    "replication",
    states=[
        State("ordered", "Ordered", "info", "clock"),
        State("provisioning", "Provisioning", "info", "loader-circle"),
        State("protected", "Protected", "ok", "circle-check"),
        State("paused", "Paused", "off", "pause"),
        State("failed", "Failed", "bad", "octagon-alert"),
        State("stopping", "Stopping", "info", "loader-circle"),
        State("stopped", "Stopped", "off", "circle-x"),
    ],
    moves=[
        Move("accept", ("ordered",), "provisioning", "worker"),
        Move("protect", ("provisioning",), "protected", "worker"),
        Move("pause", ("protected",), "paused", "worker, when a live failover runs"),
        Move("resume", ("paused",), "protected", "worker, when the live failover is terminated"),
        Move("fail", ("provisioning", "stopping"), "failed", "worker, after three refusals"),
        Move("retry_provisioning", ("failed",), "provisioning", "Support"),
        Move("retry_stopping", ("failed",), "stopping", "Support"),
        Move("cancel", ("ordered",), "stopped", "customer"),
        Move("stop", ("provisioning", "protected", "failed"), "stopping", "customer"),
        Move("finish", ("stopping",), "stopped", "worker"),
    ],
    adopted="protected",
)
