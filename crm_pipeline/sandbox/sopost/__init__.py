"""The fake SoPost: webhooks, orders, campaigns, over HTTP Basic.

Here: brands and their people (``brands``, ``consumers``), orders and hooks (``vendor``), endpoints
(``routes``), commands (``admin``). Not here: how a hook travels (``delivery``).
"""
