"""Every exception of the product, sorted by what to do next, and the exit codes.

Here: the tree and its exit codes. Not here: handling. A message has three parts: what happened,
what was not done, what to do next. It never holds a secret or a person's data.
"""

from typing import ClassVar, Literal

NextStep = Literal["retry", "fix_data", "fix_configuration", "report_bug"]

EXIT_OK = 0
EXIT_CHANGES = 2
EXIT_DATA = 65
EXIT_BUG = 70
EXIT_TRY_LATER = 75
EXIT_CONFIGURATION = 78


class CrmPipelineError(Exception):
    """Base of all errors of the product.

    ``happened``, ``not_done`` and ``remedy`` are sentences; ``code`` is a stable snake_case word
    that reports and tests can group by.
    """

    next_step: ClassVar[NextStep] = "report_bug"
    exit_code: ClassVar[int] = EXIT_BUG
    code: ClassVar[str] = "bug"

    def __init__(self, happened: str, *, not_done: str = "", remedy: str = "") -> None:
        self.happened = happened
        self.not_done = not_done
        self.remedy = remedy
        super().__init__(" ".join(part for part in (happened, not_done, remedy) if part))


class TryLaterError(CrmPipelineError):
    """Nothing is wrong on our side: the same call may succeed later."""

    next_step = "retry"
    exit_code = EXIT_TRY_LATER
    code = "try_later"


class DataError(CrmPipelineError):
    """A source or a CRM sent, or holds, something that cannot be used as it is."""

    next_step = "fix_data"
    exit_code = EXIT_DATA
    code = "bad_data"


class ConfigurationError(CrmPipelineError):
    """A setting, a file or a credential has to be changed by a person."""

    next_step = "fix_configuration"
    exit_code = EXIT_CONFIGURATION
    code = "bad_configuration"


class BugError(CrmPipelineError):
    """The product broke a rule of its own."""


class OrganisationUnknownError(ConfigurationError):
    """No file describes the organisation that was asked for."""

    code = "organisation_unknown"


class SecretMissingError(ConfigurationError):
    """A secret is referred to by name and that name holds nothing."""

    code = "secret_missing"


class CredentialsRefusedError(ConfigurationError):
    """The other side refused our credentials after one forced renewal."""

    code = "credentials_refused"


class OrganisationGoneError(ConfigurationError):
    """The source no longer lets our client reach the organisation (uninstalled, or wrong id)."""

    code = "organisation_gone"


class ForeignLinkError(DataError):
    """A next link points to another host; it was not followed and no token was sent."""

    code = "foreign_link"


class MalformedAnswerError(DataError):
    """An answer is not what its contract says: not JSON, cut short, wrong shape."""

    code = "malformed_answer"


class SourceUnstableError(DataError):
    """Repeated full scans kept finding new rows, or a full page came without a next link."""

    code = "source_unstable"


class UnreachableError(TryLaterError):
    """No connection could be made: surely nothing was sent."""

    code = "unreachable"


class AnswerLostError(TryLaterError):
    """The request left and no usable answer came: its effect is unknown."""

    code = "answer_lost"


class ThrottledError(TryLaterError):
    """The other side asked us to slow down (429): surely nothing was done.

    ``retry_after_seconds`` is the header's value, if there was one.
    """

    code = "throttled"

    def __init__(
        self,
        happened: str,
        *,
        not_done: str = "",
        remedy: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(happened, not_done=not_done, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class LeaseHeldError(TryLaterError):
    """Another living process does this work for this organisation right now."""

    code = "lease_held"


class PlanStaleError(TryLaterError):
    """The plan no longer starts from what the CRM is known to hold, or a newer one exists."""

    code = "plan_stale"


class PlanGuardedError(DataError):
    """A guard stopped the plan; it can be applied only when approved by its digest."""

    code = "plan_guarded"


class PlanUnknownError(ConfigurationError):
    """No stored plan has the digest that was asked for."""

    code = "plan_unknown"


class UnbalancedError(BugError):
    """The outcomes of a plan do not add up to its changes: the run must not be green."""

    code = "unbalanced"


class LedgerDamagedError(CrmPipelineError):
    """A state file is damaged or of another version; it is never silently replaced."""

    code = "ledger_damaged"
