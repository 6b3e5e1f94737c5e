"""Latencies, rates and CPU time of the arbiter beside the floor: what is measured, and the tables of it."""
import random, statistics
from typing import NamedTuple

import scene


IN_FULL = "C, same messages"


class Row(NamedTuple):
    part: str
    title: str
    command: str
    arguments: list
    series: str | None                  # what the latency is of; none for a rate
    observe: str = "call"
    in_full: bool = False               # the floor can say all that the contract says as well


def rows(options, parts):
    scale = 20 if options.quick else 1
    few, reports = [300 // scale], [400 // scale]
    piped = [max(1600 // scale, 128), 16, 8]
    every = [
        Row("report", "report → observer", "report", reports, "observer", "all", in_full=True),
        Row("answer", "mute: message for message as C", "mute", few, "controller", "call"),
        Row("answer", "answer, no observer", "answer", few, "controller", "nothing", in_full=True),
        Row("answer", "answer, observer of the call", "answer", few, "controller", "call", in_full=True),
        Row("answer", "answer, observer of everything", "answer", few, "controller", "all", in_full=True),
        Row("pipe", "16 controllers × 8", "pipe", piped, None, "call", in_full=True),
        Row("pipe", "16 × 8, observer of everything", "pipe", piped, None, "all", in_full=True),
        Row("fanout", "one change to 100 subscribers", "fanout", [60 // scale, 100], "last observer", "all"),
    ]
    return [row for row in every if row.part in parts]


def table(kind, options):
    measured = rows(options, options.parts)
    if not measured:
        return
    results = {}
    with scene.Scene(kind, options) as services:
        for _ in range(options.rounds):
            for row in measured:
                for label, command in random.sample(subjects(row), len(subjects(row))):
                    service = "C" if label == IN_FULL else label
                    run = services.measure(service, command, *row.arguments, observe=row.observe)
                    results.setdefault((row.title, label), []).append(run)
    print(f"## {kind}\n")
    print(f"| | C | C again | {IN_FULL} | arbiter | ratio (C again) | to same messages "
          f"| service CPU: C | {IN_FULL} | arbiter | ratio (C again) | to same messages |")
    print("|---" * 12 + "|")
    for row in measured:
        print(line(row, {label: results[row.title, label] for label, _ in subjects(row)}))
    print(flush=True)


def subjects(row):
    every = [("C", row.command), ("C again", row.command), ("arbiter", row.command)]
    return every + ([(IN_FULL, row.command + "-in-full")] if row.in_full else [])


def line(row, results):
    wanted, unit = figure(row), " µs" if row.series else "/s"

    def columns(value, unit, labels, digits):
        cells = [f"{median(map(value, results[label])):.{digits}f}{unit}" if label in results else "–" for label in labels]
        again = ratio(results, value, "C again", "C")
        cells.append(f"**{ratio(results, value, 'arbiter', 'C'):.2f}** ({again:.2f})")
        cells.append(f"**{ratio(results, value, 'arbiter', IN_FULL):.2f}**" if row.in_full else "–")
        return cells

    cells = columns(wanted, unit, ["C", "C again", IN_FULL, "arbiter"], 0)
    cells += columns(cpu, " µs", ["C", IN_FULL, "arbiter"], 1)
    missed = sum(run["counts"].get("resynchronised", 0) for run in results["arbiter"])
    title = row.title + (f" (missed something and subscribed again {missed} times)" if missed else "")
    return f"| {title} | {' | '.join(cells)} |"


def median(values):
    return statistics.median(list(values))


def ratio(results, value, one, other):
    """Within a round, because the machine is not the same from round to round; the median of the rounds."""
    return median(value(a) / value(b) for a, b in zip(results[one], results[other]))


def figure(row):
    return (lambda run: run["us"][row.series]["p50"]) if row.series else (lambda run: run["rate"])


def cpu(run):
    return run["cpu_us"]["service"]


def persistence(kind, options):
    """What it costs to write ahead: the same rows with `--state` and without, each beside its own floor."""
    if not scene.keeps_state(options.daemon):
        print(f"## State ({kind})\n\n* `{options.daemon}` has no `--state`\n", flush=True)
        return
    chosen = ("report → observer", "answer, observer of the call", "16 controllers × 8")
    measured = [row for row in rows(options, ["report", "answer", "pipe"]) if row.title in chosen]
    results = {}
    for _ in range(max(1, options.rounds // 3)):
        for state in random.sample([False, True], 2):
            with scene.Scene(kind, options, floors=1, state=state) as services:
                for _ in range(1 if options.quick else 3):
                    for row in measured:
                        for label in random.sample(["C", "arbiter"], 2):
                            run = services.measure(label, row.command, *row.arguments, observe=row.observe)
                            results.setdefault((row.title, state), {}).setdefault(label, []).append(run)
    print(f"## State, written ahead ({kind})\n")
    print("| | arbiter / C, without | with `--state` | service CPU, without | with `--state` | more |")
    print("|---" * 6 + "|")
    for row in measured:
        without, kept = results[row.title, False], results[row.title, True]
        burnt = [median(map(cpu, of["arbiter"])) for of in (without, kept)]
        print(f"| {row.title} | {ratio(without, figure(row), 'arbiter', 'C'):.2f} "
              f"| **{ratio(kept, figure(row), 'arbiter', 'C'):.2f}** "
              f"| {burnt[0]:.1f} µs | {burnt[1]:.1f} µs | **{burnt[1] - burnt[0]:+.1f} µs** |")
    print(flush=True)
