"""The fake CRM.COM, back-office API v2: contacts, tags, custom fields.

Later parts of the vendor (purchases, products, orders) become modules beside ``contacts`` and
entries in the table of ``routes``.
"""
