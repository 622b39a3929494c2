"""What steers and observes the fake vendors: faults, the request log, the admin endpoints."""
