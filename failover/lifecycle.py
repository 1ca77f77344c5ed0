"""The ticket is the decision, the failover is one VM's line of it.

Ticket:   Waiting for Support -> Approved | Rejected | Withdrawn | Lapsed
Failover: Requested -> Starting -> Running -> Terminating -> Terminated;  Requested -> Dropped
          Starting -> Start failed -> Starting | Undoing -> Dropped
          Terminating -> Termination failed -> Terminating
"""

from ampdr.lifecycle import Lifecycle, Move, State

TICKET = Lifecycle(
    "ticket",
    states=[
        State("waiting", "Waiting for Support", "warn", "clock"),
        State("approved", "Approved", "ok", "circle-check"),
        State("rejected", "Rejected", "bad", "ban"),
        State("withdrawn", "Withdrawn", "off", "circle-x"),
        State("lapsed", "Lapsed", "off", "circle-x"),
    ],
    moves=[
        Move("approve", ("waiting",), "approved", "Support"),
        Move("reject", ("waiting",), "rejected", "Support"),
        Move("withdraw", ("waiting",), "withdrawn", "authorized user"),
        Move("lapse", ("waiting",), "lapsed", "worker"),
    ],
)

FAILOVER = Lifecycle(
    "failover",
    states=[
        State("requested", "Requested", "warn", "clock"),
        State("starting", "Starting", "info", "loader-circle"),
        State("start_failed", "Start failed", "bad", "octagon-alert"),
        State("undoing", "Undoing", "info", "loader-circle"),
        State("running", "Running", "info", "circle-check"),
        State("terminating", "Terminating", "info", "loader-circle"),
        State("termination_failed", "Termination failed", "bad", "octagon-alert"),
        State("terminated", "Terminated", "off", "circle-x"),
        State("dropped", "Dropped", "off", "circle-x"),
    ],
    moves=[
        Move("start", ("requested",), "starting", "worker, once the ticket is approved"),
        Move("drop", ("requested",), "dropped", "worker, once the ticket is rejected, withdrawn or lapsed"),
        Move("run", ("starting",), "running", "worker"),
        Move("fail_start", ("starting",), "start_failed", "worker, after three refusals"),
        Move("retry_start", ("start_failed",), "starting", "Support"),
        Move("give_up", ("start_failed",), "undoing", "Support"),
        Move("undone", ("undoing",), "dropped", "worker"),
        Move("terminate", ("running",), "terminating", "worker, by an approved request or a test's end date"),
        Move("fail_termination", ("terminating",), "termination_failed", "worker, after three refusals"),
        Move("retry_termination", ("termination_failed",), "terminating", "Support, or an approved request"),
        Move("end", ("terminating",), "terminated", "worker"),
    ],
)

STARTED = ("starting", "start_failed", "undoing", "running", "terminating", "termination_failed")
OPEN = ("requested", *STARTED)
SHOWN = ("running", "terminating", "termination_failed")  # the stand-in is listed
ENDED = ("terminated", "dropped")
