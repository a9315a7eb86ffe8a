"""`python -m soak`: examine, print tables, and end with 1 if a goal was missed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.report import Section, as_text, write_json

from . import agree, crash, hostile, run

DESCRIPTION = "Shows whether every call is counted exactly, under load and when processes die."

EPILOG = """
  run      N calls of all formats, lengths and endings; the journal must have each exactly once.
           Prints lag and backlog over time; memory, descriptors and threads of each process.
  crash    kill -9 of the proxy, of the tally, of both; SIGSTOP; a full disk; a rotated file; a
           renamed directory; SIGTERM with many streams in flight: what is lost, doubled, damaged.
  hostile  answers made to hurt: what arrives, how long the loop is held, how much memory it takes.
  agree    several proxies on one directory, started and killed in varied order: page, metrics,
           status line and report against the sum of the journal.

Where no tally process runs, what happens to the tally happens to the proxy. The exit code is 1 if a
goal was missed. --set gives mitmdump an option, e.g. --set usage_tally=inline.

examples:
  scripts/soak run --calls 300000 --concurrency 64    at saturation, a quarter of an hour
  scripts/soak run --calls 300000 --concurrency 2     below it
  scripts/soak crash --times 1000                     an hour
  scripts/soak crash --times 50 --events kill-proxy,rotate
  scripts/soak hostile --scale 0.1                    inputs of a tenth of the size
  scripts/soak agree --proxies 5
"""


def main() -> None:
    """Do what the command line says."""
    arguments = _parse()
    options = dict(each.split("=", 1) for each in arguments.set)
    sections = _examine(arguments, options)
    for section in sections:
        print(as_text(section))
    if arguments.json is not None:
        write_json(arguments.json, sections)
    sys.exit(any(goal.verdict != "met" for section in sections for goal in section.goals))


def _examine(arguments: argparse.Namespace, options: dict[str, str]) -> list[Section]:
    match arguments.command:
        case "run":
            return run.run(arguments.calls, arguments.concurrency, arguments.seed, options)
        case "crash":
            plan = crash.Plan(
                times=arguments.times,
                events=tuple(arguments.events.split(",")),
                concurrency=arguments.concurrency,
                seed=arguments.seed,
                streams=arguments.streams,
                pause=arguments.pause,
                allowed=arguments.allowed,
                under_load=arguments.under_load,
                options=options,
            )
            return crash.crash(plan)
        case "hostile":
            return hostile.hostile(arguments.scale, arguments.inputs.split(","), options)
        case _:
            return agree.agree(arguments.proxies, arguments.steps, arguments.seed, options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    command = commands.add_parser("run")
    command.add_argument("--calls", type=int, default=20_000, metavar="N")
    command.add_argument("--concurrency", type=int, default=32, metavar="C", help="connections")
    command = commands.add_parser("crash")
    command.add_argument("--times", type=int, default=40, metavar="N", help="trials")
    command.add_argument("--concurrency", type=int, default=8, metavar="C", help="connections")
    events = ",".join(crash.EVENTS)
    command.add_argument("--events", default=events, help=f"in turn; by default {events}")
    command.add_argument("--streams", type=int, default=500, help="in flight at a SIGTERM")
    command.add_argument("--pause", type=float, default=crash.PAUSE, help="seconds of SIGSTOP")
    command.add_argument(
        "--allowed",
        type=float,
        default=crash.ALLOWED,
        help="seconds before a kill in which a call may be lost",
    )
    command.add_argument(
        "--under-load",
        type=float,
        default=crash.UNDER_LOAD,
        help="most seconds of load before each event",
    )
    command = commands.add_parser("hostile")
    command.add_argument("--scale", type=float, default=1.0, help="of the inputs' sizes")
    inputs = ",".join(hostile.INPUTS)
    command.add_argument("--inputs", default=inputs, help=f"by default {inputs}")
    command = commands.add_parser("agree")
    command.add_argument("--proxies", type=int, default=2)
    command.add_argument("--steps", type=int, default=12, help="starts, stops and kills")
    for each in commands.choices.values():
        each.add_argument("--seed", type=int, default=1)
        each.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
        each.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    for name, known in (("events", crash.EVENTS), ("inputs", hostile.INPUTS)):
        if unknown := set(getattr(arguments, name, "").split(",")) - {"", *known}:
            parser.error(f"unknown {name}: {', '.join(unknown)}; there are {', '.join(known)}")
    return arguments


main()
