"""Subscriptions: telling a source where to send an organisation's webhooks.

Here: what is asked for, replaced and taken away, safe to repeat. Not here: the calls (each source),
and where addresses and secrets come from (``wiring.hooks``). An address may hold a secret: what is
reported shows it without.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
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
    """What a reset did. ``by_hand``: the source has no way to be told; a person does it there.

    ``removed`` counts those of ours that were there before and are not any more.
    """

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
    if not hook.events:
        raise ConfigurationError(
            f"{hook.organisation} reads nothing from {hook.spec.name} that webhooks are about.",
            not_done="Nothing was subscribed to.",
            remedy="Add datasets, or name `events`, in the organisation's file.",
        )
    with _connected(hook) as api:
        if api is None:
            return _report(hook, "by_hand")
        before = [each for each in api.subscriptions() if hook.owns(each)]
        url = hook.url()
        api.subscribe(hook.ref, url, hook.events, hook.signing_secret)
        left = [each for each in api.subscriptions() if hook.owns(each)]
        others = _others(hook, left, url)
        for each in others:
            api.unsubscribe(each.ref)
    gone = {each.ref for each in before} - ({each.ref for each in left} - {e.ref for e in others})
    return _report(hook, "replaced" if before else "created", len(gone))


def list_all(hook: WantedHook) -> Sequence[ShownSubscription]:
    """Return what is subscribed at the source, ours and others'; nothing when it cannot tell."""
    with _connected(hook) as api:
        found = api.subscriptions() if api is not None else ()
    return [
        ShownSubscription(
            ref=each.ref, url=hook.shown(each.url), events=each.events, is_ours=hook.owns(each)
        )
        for each in found
    ]


def delete(hook: WantedHook) -> int:
    """Remove every subscription of ours; return how many there were. Safe to repeat."""
    with _connected(hook) as api:
        if api is None:
            return 0
        ours = [each.ref for each in api.subscriptions() if hook.owns(each)]
        return sum(api.unsubscribe(ref) for ref in ours)


@contextmanager
def _connected(hook: WantedHook) -> Iterator[SubscribingApi | None]:
    """Connect; None when the source takes no calls about webhooks."""
    with closing(hook.connect()) as api:
        yield cast("SubscribingApi", api) if hasattr(api, "subscribe") else None


def _others(hook: WantedHook, ours: Sequence[Subscription], url: str) -> Sequence[Subscription]:
    """Return ours but the one to keep: each of them would have the same events sent again."""
    right = [each for each in ours if each.url == url]
    kept = next((each for each in right if each.ref == hook.ref), right[0] if right else None)
    if kept is None:
        return ()  # the source does not show it yet: better one too many than none
    return [each for each in ours if each.ref != kept.ref]


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
