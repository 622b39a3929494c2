"""The fake LOKE: token endpoint, organisations, customers.

Later parts of the vendor (payments, lists, webhooks) become modules beside ``customers`` and
entries in the table of ``routes``.
"""
