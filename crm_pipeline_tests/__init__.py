"""The tests of crm_pipeline, by kind: each folder's name says what its tests may use."""
