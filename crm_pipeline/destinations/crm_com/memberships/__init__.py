"""Memberships: which of our tags a contact carries. Tags of others are never touched."""
