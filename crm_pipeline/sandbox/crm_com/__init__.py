"""The fake CRM.COM, back-office API v2: contacts, purchases, wallets, products, orders.

A key opens a ``Business``; everything a client can call is in the tables of the ``*_calls`` modules
and of ``routes``. Tests and admin calls work behind the clients' back through ``vendor`` (contacts,
tags, switches), ``desk`` (money, purchases) and ``shop`` (products, orders, webhooks).
"""
