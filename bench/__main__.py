"""`python -m bench`: run the sections, print their tables, and whether the goals are met."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import bodies, hooks, live, profile, proxy, reporting, tap
from .report import FULL, QUICK, Plan, Section, as_text, write_json

SECTIONS: dict[str, Callable[[Plan], Section]] = {
    "tap": tap.run,
    "hooks": hooks.run,
    "proxy": proxy.run,
    "bodies": bodies.run,
    "live": live.run,
    "report": reporting.run,
}


def main() -> None:
    """Run the sections that the command line names."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="What the addon costs, side by side in one run."
    )
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"of {', '.join(SECTIONS)}; all if none is named",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds: a minute or two, and much more noise"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="instead say which functions the time of the addon goes to",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="CHECKOUT",
        help="measure the addon of another checkout beside this one's (proxy)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - SECTIONS.keys():
        parser.error(
            f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}"
        )
    if arguments.profile:
        profile.run()
        return
    plan = replace(QUICK if arguments.quick else FULL, before=arguments.before)
    began = time.monotonic()
    done: list[Section] = []
    for name, run in SECTIONS.items():
        if not arguments.sections or name in arguments.sections:
            section = run(plan)
            print(as_text(section), flush=True)
            done.append(section)
    print(f"\n{time.monotonic() - began:.0f} seconds.")
    if arguments.json is not None:
        write_json(arguments.json, done)


main()
