"""`python -m lakewarden`: the command line where the console script isn't on PATH."""

from lakewarden.cli.main import run

if __name__ == "__main__":
    run()
