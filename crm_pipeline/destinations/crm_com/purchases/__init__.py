"""Purchases and their refunds: facts that are posted once and never changed."""
