"""Tests of the destinations: one suite for all that discovery finds, and one for each."""
