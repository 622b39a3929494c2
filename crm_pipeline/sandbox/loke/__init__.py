"""The fake LOKE: tokens, organisations, customers, lists, payments, orders, webhooks.

What happens in it is a method of ``vendor.Loke``; what clients may call is in ``routes``.
"""
