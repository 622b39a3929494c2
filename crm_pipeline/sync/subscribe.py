"""Subscriptions: telling a source where to send an organisation's webhooks.

Here: what is asked for, replaced and taken away, safe to repeat. Not here: the calls (each source),
and where addresses and secrets come from (``wiring.hooks``). An address may hold a secret: what is
reported shows it without.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, cast

from crm_pipeline.core.ports import Secret, SourceApi, SourceSpec, SubscribingApi, Subscription
from crm_pipeline.errors import ConfigurationError

#: Stands for the secret part of an address.
HIDDEN = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedHook:
    """What one organisation wants to be told by one source.

    ``address`` is where the receiver takes it; ``secret_ending`` gives its last part where the
    address itself is the secret, else ``signing_secret`` is what the source signs with.
    """

    organisation: str
    spec: SourceSpec
    connect: Callable[[], SourceApi]
    ref: str
    address: str
    secret_ending: Secret | None
    signing_secret: Secret | None
    events: tuple[str, ...]

    def url(self) -> str:
        """Return the whole address. It may hold a secret: it is for the source alone."""
        if self.secret_ending is None:
            return self.address
        return f"{self.address}/{self.secret_ending()}"

    def owns(self, subscription: Subscription) -> bool:
        """Whether a subscription is ours: by its name, or by where it is sent to."""
        return (
            subscription.ref == self.ref
            or subscription.url == self.address
            or subscription.url.startswith(f"{self.address}/")
        )

    def shown(self, url: str) -> str:
        """Return an address of ours without its secret, any other as it is."""
        start = f"{self.address}/"
        return start + HIDDEN if url.startswith(start) else url


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSubscription:
    """One subscription for people's eyes: no secret is in it."""

    ref: str
    url: str
    events: tuple[str, ...]
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetReport:
    """What a reset did. ``by_hand``: the source has no way to be told; a person does it there."""

    organisation: str
    source: str
    did: Literal["created", "replaced", "by_hand"]
    url: str
    events: tuple[str, ...]
    removed: int = 0


def reset(hook: WantedHook) -> ResetReport:
    """Make the source send this organisation's webhooks to us, once, with the present secret.

    What is subscribed already is replaced; further subscriptions of ours, such as one with an
    address of before, are removed after it. Safe to repeat. Raises what the source's calls raise.
    """
    if not can_subscribe(hook):
        return _report(hook, "by_hand")
    if not hook.events:
        raise ConfigurationError(
            f"{hook.organisation} reads nothing from {hook.spec.name} that webhooks are about.",
            not_done="Nothing was subscribed to.",
            remedy="Add datasets, or name `events`, in the organisation's file.",
        )
    with closing(hook.connect()) as connected:
        api = cast("SubscribingApi", connected)
        before = [each for each in api.subscriptions() if hook.owns(each)]
        url = hook.url()
        api.subscribe(hook.ref, url, hook.events, hook.signing_secret)
        removed = _remove_others(api, hook, url)
    return _report(hook, "replaced" if before else "created", removed)


def list_all(hook: WantedHook) -> Sequence[ShownSubscription]:
    """Return what is subscribed at the source, ours and others'; nothing when it cannot tell."""
    if not can_subscribe(hook):
        return ()
    with closing(hook.connect()) as connected:
        found = cast("SubscribingApi", connected).subscriptions()
    return [
        ShownSubscription(
            ref=each.ref, url=hook.shown(each.url), events=each.events, is_ours=hook.owns(each)
        )
        for each in found
    ]


def delete(hook: WantedHook) -> int:
    """Remove every subscription of ours; return how many there were. Safe to repeat."""
    if not can_subscribe(hook):
        return 0
    with closing(hook.connect()) as connected:
        api = cast("SubscribingApi", connected)
        ours = [each.ref for each in api.subscriptions() if hook.owns(each)]
        return sum(api.unsubscribe(ref) for ref in ours)


def can_subscribe(hook: WantedHook) -> bool:
    """Whether the source can be told by a call where to send webhooks."""
    return bool(hook.spec.hook_events)


def _remove_others(api: SubscribingApi, hook: WantedHook, url: str) -> int:
    """Keep one subscription to ``url``, remove the others of ours: each would send it again."""
    ours = [each for each in api.subscriptions() if hook.owns(each)]
    right = [each for each in ours if each.url == url]
    kept = next((each for each in right if each.ref == hook.ref), right[0] if right else None)
    if kept is None:
        return 0  # the source does not show it yet: better one too many than none
    return sum(api.unsubscribe(each.ref) for each in ours if each.ref != kept.ref)


def _report(
    hook: WantedHook, did: Literal["created", "replaced", "by_hand"], removed: int = 0
) -> ResetReport:
    return ResetReport(
        organisation=hook.organisation,
        source=hook.spec.name,
        did=did,
        url=hook.address if hook.secret_ending is None else f"{hook.address}/{HIDDEN}",
        events=hook.events,
        removed=removed,
    )
