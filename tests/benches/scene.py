"""What every measurement stands on: the programs that are built, a bus with the services on it, and one run of the
measuring client. It measures nothing itself."""
import contextlib, json, os, pathlib, subprocess, sys, tempfile

sys.dont_write_bytecode = True

import brokers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TOOLS = TARGET / "benches"
ARBITER = "org.callarbiter.Calls1"
FLOORS = {"C": "org.callarbiter.Floor1", "C again": "org.callarbiter.Floor2"}
ALLOW = 'authorization = "allow"\n'
# Reports come as fast as they are answered here.
CONFIGURATION = ALLOW + "[limits]\nreports-per-second = 1000000\n"


def build(options):
    TOOLS.mkdir(parents=True, exist_ok=True)
    check(["make", "-s", "-C", HERE / "c", f"O={TOOLS}"])
    if not options.daemon:
        # As packages build it: without the bus inside.
        check(["cargo", "build", "-q", "--release", "-p", "callarbiterd", "--no-default-features"], cwd=ROOT)
        options.daemon = str(TARGET / "release" / "callarbiterd")


def before(options):
    """One CPU and one real-time priority for the bus, the services and the harness: nothing gets in between, and what
    is measured is work, not luck. This script stays outside: a FIFO process that reaps children can spin for ever."""
    pinned = [] if options.free else ["taskset", "-c", str(os.cpu_count() - 1)]
    fifo = ["chrt", "-f", "10"]
    allowed = subprocess.run([*fifo, "true"], stderr=subprocess.DEVNULL).returncode == 0
    return [*(fifo if allowed else []), *pinned]


def check(command, **more):
    subprocess.run([str(word) for word in command], check=True, **more)


def machine():
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{len(model)} x {model[0]}, Linux {os.uname().release}" if model else os.uname().release


def keeps_state(daemon):
    """Whether it can."""
    return "--state" in subprocess.run([daemon, "--help"], capture_output=True, text=True, check=True).stdout


class Scene:
    """A bus with the arbiter on it, and the floor twice. `state`: whether the arbiter writes ahead what it would need after
    its death; as the options say, if nothing is said here. `shipped`: with the bounds that the bus and the arbiter have where nobody has changed them."""

    def __init__(self, kind, options, floors=2, state=None, shipped=False):
        self.kind, self.options, self.floors, self.shipped = kind, options, floors, shipped
        self.state = options.state if state is None else state

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.bus = self.stack.enter_context(brokers.bus(self.kind, self.options.before, self.shipped))
        self.environment = dict(os.environ, DBUS_SESSION_BUS_ADDRESS=self.bus.address)
        self.log = self.stack.enter_context(open(f"{self.bus.directory}/log", "wb"))
        self.services, self.processes = {}, {}
        for label in list(FLOORS)[:self.floors]:
            self.start(label, FLOORS[label], [TOOLS / "floor", FLOORS[label]])
        self.command = self.daemon()
        self.start("arbiter", ARBITER, self.command)
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def daemon(self):
        configuration = pathlib.Path(self.bus.directory, "callarbiter.toml")
        configuration.write_text(ALLOW if self.shipped else CONFIGURATION)
        command = [self.options.daemon, "--bus", self.bus.address, "--config", configuration]
        if self.state:
            # As where it is installed: in memory.
            memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.bus.directory
            command += ["--state", self.stack.enter_context(tempfile.TemporaryDirectory(dir=memory))]
        return command

    def start(self, label, name, command):
        process = subprocess.Popen([*self.options.before, *map(str, command)], env=self.environment,
                                   stdout=self.log, stderr=self.log)
        self.stack.callback(end, process)
        self.processes[label] = process
        self.services[label] = (process.pid, name)
        ping = list(map(str, [TOOLS / "harness", self.bus.address, name, f"{role(label)}-ping", 1]))
        brokers.wait_until(lambda: subprocess.run(ping, capture_output=True).returncode == 0, f"{label} does not start")

    def kill(self, label):
        end(self.processes[label])

    def harness(self, label, command, *arguments, options=()):
        """Its command line."""
        pid, name = self.services[label]
        words = [TOOLS / "harness", *options, "--watch", f"service={pid}", "--watch", f"bus={self.bus.pid}",
                 self.bus.address, name, f"{role(label)}-{command}", *arguments]
        return [*self.options.before, *map(str, words)]

    def measure(self, label, command, *arguments, observe="call", user=None):
        who = [] if user is None else ["--user", user, "--print", "each"]
        words = self.harness(label, command, *arguments, options=["--observe", observe, *who])
        run = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if run.returncode:
            raise SystemExit(f"{role(label)}-{command}: {run.stderr.strip()}")
        return json.loads(run.stdout)


def end(process):
    process.kill()
    process.wait()


def role(label):
    return "arbiter" if label == "arbiter" else "floor"


def status(pid, key):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


@contextlib.contextmanager
def held(scene, calls, domains):
    """Live calls, held by apps that are there."""
    words = [TOOLS / "harness", scene.bus.address, ARBITER, "arbiter-hold", str(calls), str(domains)]
    with subprocess.Popen([*scene.options.before, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as apps:
        try:
            if apps.stdout.readline() != b"held\n":
                raise SystemExit("the calls could not be reported")
            yield
        finally:
            apps.stdin.close()
