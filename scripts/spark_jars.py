"""What the Spark engine needs beyond PySpark: the jars that `spark-jars.txt` pins by their sha256, below `.tools/spark`.

python scripts/spark_jars.py      # downloads what is missing, and says where it is
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from kafka_jars import REPOSITORY, ROOT, BrokerError, class_path, find_java

JARS = ROOT / ".tools" / "spark"
PINNED = ROOT / "scripts" / "spark-jars.txt"


def spark_jars(folder: Path = JARS, repository: str = REPOSITORY, pinned: Path = PINNED) -> list[Path]:
    """The jars, in the pinned order; downloads those that are missing or damaged."""
    return [Path(jar) for jar in class_path(folder, repository, pinned).split(os.pathsep)]


def main() -> int:
    """Bring the jars, and say where they are."""
    top = argparse.ArgumentParser(prog="spark_jars.py", description="The jars that Lakewarden's Spark engine needs beyond PySpark.")
    top.add_argument("--repository", default=REPOSITORY, metavar="URL", help="Maven repository to download from; %(default)s without")
    try:
        jars = spark_jars(repository=top.parse_args().repository)
        print(f"{len(jars)} jars are in {JARS}")
        print("Java:", find_java(what="Spark"))
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
