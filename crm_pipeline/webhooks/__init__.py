"""The receiver of webhooks: proved, stored durably, then acknowledged.

Here: HTTP, limits, the group commit, health and figures. Not here: what an event means; the drain
reads the inbox under the organisation's sync lease.
"""

from crm_pipeline.webhooks.receiver import Receiver, ReceiverOptions, run_receiver

__all__ = ["Receiver", "ReceiverOptions", "run_receiver"]
