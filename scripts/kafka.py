"""An Apache Kafka broker of one's own, on this machine: nothing to install but Java, nothing left outside this checkout.

python scripts/kafka.py start --foreground      # until Ctrl-C
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import NoReturn

if sys.version_info < (3, 11):  # noqa: UP036  # this is where an older Python is told
    sys.exit(f"This needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}. Try: python3.12 scripts/kafka.py ...")

import kafka_process
import kafka_protocol
from kafka_broker import Broker
from kafka_config import HOST
from kafka_jars import JARS, REPOSITORY, ROOT, BrokerError, class_path

DATA = ROOT / ".tools" / "kafka-data"
PORT = 9092
TOPIC = "transactions-stream"
PARTITIONS = 4
STOPPED_BY_SIGNAL = 143  # how Java ends when it is asked to

EXAMPLES = """\
examples:
  python scripts/kafka.py start --foreground             # until Ctrl-C, in this terminal; make kafka does the same
  python scripts/kafka.py start                          # in the background, with the topic transactions-stream
  python scripts/kafka.py start --port 9093 --data /tmp/second --topic payments --partitions 8
  python scripts/kafka.py status                         # where it answers; exit code 1 if it doesn't
  python scripts/kafka.py stop                           # topics and events remain, for the next start
  python scripts/kafka.py jars                           # download only, for a start without network
"""

READY = """\
{uri}

In another terminal:
  lakewarden simulate --out {uri} --rate 1200
  lakewarden stream --lake ./lake --source {uri}

{end}
The topic and its events remain in {data}.
"""


def start(arguments: argparse.Namespace) -> int:
    """Start a broker that has the topic, and say where it answers."""
    broker = Broker(
        arguments.data,
        port=arguments.port or None,
        partitions=arguments.partitions,
        detached=not arguments.foreground,
        install_java=True,
        repository=arguments.repository,
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        broker.start()
        broker.create_topic(arguments.topic, arguments.partitions)
        stop_it = f"python scripts/kafka.py stop{_data_option(arguments.data)}"
        end = "Ctrl-C stops the broker." if arguments.foreground else f"The broker runs until this:\n  {stop_it}\n"
        print(READY.format(uri=broker.uri(arguments.topic), end=end, data=_short(broker.data)), end="", flush=True)
        if not arguments.foreground:
            return 0
        code = broker.wait()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave the broker behind
        broker.stop()
        print("The broker has stopped.")
        return 0
    except BrokerError:
        broker.stop()
        raise
    if code == STOPPED_BY_SIGNAL:  # by `stop`, from elsewhere
        print("The broker has been stopped.")
        return 0
    raise BrokerError(f"The broker ended by itself (exit code {code}).", f"read {broker.log}, and start it again")


def stop(arguments: argparse.Namespace) -> int:
    """Stop the broker of a folder."""
    pid = kafka_process.stop(arguments.data)
    if pid is None:
        raise BrokerError(f"No broker runs in {arguments.data}.", "to see where one could: python scripts/kafka.py status --data DIR")
    print(f"The broker of {_short(arguments.data)} (process {pid}) has stopped.")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Say whether a broker runs in a folder, and where it answers."""
    state = kafka_process.running(arguments.data)
    if state is None:
        raise BrokerError(f"No broker runs in {arguments.data}.", f"python scripts/kafka.py start{_data_option(arguments.data)}")
    if not kafka_protocol.answers(state["port"]):
        raise BrokerError(
            f"A broker runs in {arguments.data} (process {state['pid']}) and does not answer at {HOST}:{state['port']}.",
            "wait if it has just been started; otherwise stop it and start it again",
        )
    print(f"kafka://{HOST}:{state['port']}  process {state['pid']}, in {_short(arguments.data)}")
    return 0


def jars(arguments: argparse.Namespace) -> int:
    """Download what a broker needs."""
    count = len(class_path(repository=arguments.repository).split(os.pathsep))
    print(f"{count} jars are in {_short(JARS)}.")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    words = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="kafka.py",
        description="An Apache Kafka broker on this machine, for trying things out.",
        epilog=EXAMPLES,
        formatter_class=words,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for act in (start, stop, status, jars):
        told = str(act.__doc__)
        command = commands.add_parser(act.__name__, help=told, description=told, epilog=EXAMPLES, formatter_class=words)
        command.set_defaults(act=act)
        if act is not jars:
            command.add_argument(
                "--data",
                type=lambda text: Path(text).resolve(),
                default=DATA,
                metavar="DIR",
                help=f"the broker's folder; {_short(DATA)} without",
            )
        if act in (start, jars):
            command.add_argument(
                "--repository", default=REPOSITORY, metavar="URL", help="Maven repository to download from; %(default)s without"
            )
        if act is start:
            command.add_argument(
                "--port", type=_port, default=PORT, metavar="N", help="where it answers, on loopback; 0: a free one (%(default)s)"
            )
            command.add_argument("--topic", default=TOPIC, metavar="NAME", help="the topic to make (%(default)s)")
            command.add_argument("--partitions", type=_count, default=PARTITIONS, metavar="N", help="of a topic that is made (%(default)s)")
            command.add_argument("--foreground", action="store_true", help="stay, and stop the broker at Ctrl-C")
    return top


def main() -> int:
    """Run a command; an error is one sentence and what to do next."""
    arguments = parser().parse_args()
    try:
        return int(arguments.act(arguments))
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to 65535, or 0 for a free one")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of partitions: 1 or more")
    return int(text)


def _data_option(data: Path) -> str:
    return "" if data == DATA else f" --data {shlex.quote(str(data))}"


def _short(path: Path) -> str:
    """Return a path as seen from here."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
