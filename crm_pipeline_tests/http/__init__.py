"""Tests of the HTTP layer, over real sockets on this machine."""
