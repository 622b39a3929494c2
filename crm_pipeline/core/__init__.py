"""Pure rules on typed records: no clock, no environment, no network, no database."""
