"""What a user waits while another one floods the service: the arbiter beside the floor, under the same flood."""
import contextlib, json, os, pwd, random, statistics, subprocess, time
from typing import NamedTuple

import scene

# Any two; dbus-daemon lets nobody in whose name it does not know.
FLOODER, NEIGHBOUR = sorted({user.pw_uid for user in pwd.getpwall()} - {0})[:2]


class Flood(NamedTuple):
    title: str
    command: str | None
    arguments: list = []                # messages, connections, unanswered at a time on each; negative: never reads
    slice: int = 40                     # of the neighbour's requests, so that it lasts a fraction of a second


# The neighbour's requests in a round: enough that the second worst is the p99. They are asked in slices, because a CPU
# that runs nothing but SCHED_FIFO for a second is taken away for 50 ms, for whatever else waits for it.
REQUESTS, REST = 200, 0.1

# A bus lets a connection have 128 calls without a reply: with 100, every message comes to the service.
FLOODS = [
    Flood("no flood", None),
    Flood("50,000 calls", "flood-calls", [50_000, 1, 100]),
    Flood("50,000 calls, replies never read", "flood-calls", [50_000, 1, -100]),
    Flood("50,000 calls on 20 connections", "flood-calls", [50_000, 20, 10], 20),
    Flood("50,000 refused calls", "flood-refused", [50_000, 1, 100]),
    Flood("10,000 registrations", "flood-registrations", [10_000, 1, 100]),
    Flood("10,000 subscriptions", "flood-subscriptions", [10_000, 1, 100], 20),
    # Last those whose calls outlive each flooder by the ten seconds in which it could come back: the replies to
    # subscriptions, which the floor's have not, would show them.
    Flood("50,000 reports, a subscriber never reads", "flood-reports", [50_000, 1, 100]),
    # Seldom begun, for the same reason.
    Flood("snapshots of 250 calls", "flood-snapshots", [10_000, 1, 10]),
]


def table(kind, options):
    if os.getuid():
        print(f"## Flood ({kind})\n\n* needs root: the flooder and its neighbour are two users\n", flush=True)
        return
    results = {}
    with scene.Scene(kind, options, shipped=True) as services:
        for _ in range(1 if options.quick else max(3, options.rounds // 3)):
            for flood in FLOODS:
                for label in random.sample(list(services.services), len(services.services)):
                    results.setdefault((flood.title, label), []).append(neighbour(services, label, flood, options.quick))
    print(f"## A neighbour's request while another user floods ({kind})\n")
    print("| flood | C: p50 | p99 | arbiter: p50 | p99 | ratio of p99 (C again) | messages/s, C | arbiter |")
    print("|---" * 8 + "|")
    for flood in FLOODS:
        print(line(flood, {label: results[flood.title, label] for label in services.services}))
    print(flush=True)


class Round(NamedTuple):
    waits: list                         # µs, ascending
    pace: float                         # of the flood, messages a second

    def quantile(self, share):
        return self.waits[int(len(self.waits) * share)]


def neighbour(services, label, flood, quick):
    waits, paces = [], []
    while len(waits) < (10 if quick else REQUESTS):
        with flooding(services, label, flood) as harm:
            run = services.measure(label, "neighbour", 10 if quick else flood.slice, user=NEIGHBOUR)
        waits += run["us"]["controller"]["each"]
        paces.append(harm.get("a second", 0))
        time.sleep(0 if quick else REST)
    return Round(sorted(waits), statistics.median(paces))


@contextlib.contextmanager
def flooding(services, label, flood):
    """From when it has begun; afterwards, what it was."""
    harm = {}
    if flood.command is None:
        yield harm
        return
    words = services.harness(label, flood.command, *flood.arguments, options=["--user", FLOODER])
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flooder:
        try:
            if flooder.stdout.readline() != b"flooding\n":
                raise SystemExit(f"{flood.title}: it does not begin")
            yield harm
        finally:
            flooder.stdin.close()
        harm.update(json.loads(flooder.stdout.read())["counts"])


def line(flood, results):
    def median(label, value):
        return statistics.median(map(value, results[label]))

    def ratio(label):
        return statistics.median(one.quantile(0.99) / other.quantile(0.99) for one, other in zip(results[label], results["C"]))

    times = [f"{median(label, lambda run: run.quantile(share)):.0f} µs" for label in ("C", "arbiter") for share in (0.5, 0.99)]
    paces = [f"{median(label, lambda run: run.pace):.0f}" if flood.command else "–" for label in ("C", "arbiter")]
    return f"| {flood.title} | {' | '.join(times)} | **{ratio('arbiter'):.2f}** ({ratio('C again'):.2f}) | {' | '.join(paces)} |"
