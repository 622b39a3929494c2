"""The command line: one small file for each command.

Here: options, tables, progress, exit codes. Not here: work; a command looks up what it needs in
``wiring``, calls one use case and shows what came of it. Heavy modules are imported inside the
commands that need them, so that ``--help`` and ``status`` answer at once.
"""
