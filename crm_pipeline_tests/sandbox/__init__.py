"""The sandbox itself: is it as faithful, as nasty and as fast as the tests of others need."""
