"""Contacts: people, found by our key as their code."""
