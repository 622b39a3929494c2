"""The measurements behind ``docs/performance.md``: ``python -m crm_pipeline_tests.benchmarks``.

Every repeat runs in a fresh process against a sandbox in another one, and alternates with its
baseline. Times are reported, never asserted: the machine is noisy, the ratios are what counts.
"""
