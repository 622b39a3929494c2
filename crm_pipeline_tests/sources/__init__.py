"""Tests of the sources: one suite for all that discovery finds, and one for each source."""
