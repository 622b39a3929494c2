"""``python -m crm_pipeline``: the command line, also where no console script is installed."""

from crm_pipeline.cli.main import run

if __name__ == "__main__":
    run()
