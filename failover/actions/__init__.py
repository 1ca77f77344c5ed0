"""What people may do with failovers: request, withdraw, decide, confirm, end, and, as Support, retry or give up."""

from failover.actions.by_phone import end_by_phone, file_by_phone, may_request, need_lead
from failover.actions.decisions import (
    Check,
    approve,
    checks,
    reject,
    version_of,
    why_not_approver,
)
from failover.actions.endings import (
    confirm,
    ending_of,
    refuse_nothing_to_end,
    request_termination,
    withdraw,
    wrong_in_termination,
)
from failover.actions.extending import latest_end, refuse_nothing_to_extend, request_extension
from failover.actions.requests import (
    TEST_DAYS,
    TEST_DAYS_AT_MOST,
    Wish,
    listed_names,
    need_listing,
    need_read,
    request_failover,
    wrong_in,
)
from failover.actions.results import record_result, refuse_no_result
from failover.actions.settling import give_up, retry, settle, tries_of
from failover.tasks.words import Lines, lines_of, ticket_word

__all__ = [
    "TEST_DAYS",
    "TEST_DAYS_AT_MOST",
    "Check",
    "Lines",
    "Wish",
    "approve",
    "checks",
    "confirm",
    "end_by_phone",
    "ending_of",
    "file_by_phone",
    "give_up",
    "latest_end",
    "lines_of",
    "listed_names",
    "may_request",
    "need_lead",
    "need_listing",
    "need_read",
    "record_result",
    "refuse_no_result",
    "refuse_nothing_to_end",
    "refuse_nothing_to_extend",
    "reject",
    "request_extension",
    "request_failover",
    "request_termination",
    "retry",
    "settle",
    "ticket_word",
    "tries_of",
    "version_of",
    "why_not_approver",
    "withdraw",
    "wrong_in",
    "wrong_in_termination",
]
