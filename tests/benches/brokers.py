"""Buses of our own, one for each run: dbus-daemon, and dbus-broker (which needs root, for a mount namespace)."""
import contextlib, os, pathlib, shutil, socket, subprocess, tempfile, time

# Every user may come. What is measured must not be a limit of the bus, unless that is the point.
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><keep_umask/><listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
{limits}</busconfig>
"""
LIMITS = """  <limit name="max_incoming_bytes">1000000000</limit><limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit><limit name="auth_timeout">240000</limit>
  <limit name="max_completed_connections">100000</limit><limit name="max_incomplete_connections">10000</limit>
  <limit name="max_connections_per_user">100000</limit><limit name="max_names_per_connection">50000</limit>
  <limit name="max_match_rules_per_connection">50000</limit><limit name="max_replies_per_connection">50000</limit>
"""

# The launcher wants to be activated and to write to the journal: LISTEN_FDS, and a socket that nobody reads.
LAUNCH = """
import os, socket
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind('/run/systemd/journal/socket')
os.dup2(journal.fileno(), 9, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), DBUS_SESSION_BUS_ADDRESS='{address}')
os.execvp('dbus-broker-launch', ['dbus-broker-launch', '--scope', 'user', '--config-file', '{configuration}'])
"""


class Bus:
    def __init__(self, address, pid, directory):
        self.address, self.pid, self.directory = address, pid, directory


def available():
    broker = os.getuid() == 0 and shutil.which("dbus-broker-launch")
    return ["dbus-daemon"] + (["dbus-broker"] if broker else [])


@contextlib.contextmanager
def bus(kind, before=(), shipped=False):
    """A running bus; `before` is put before its command line. `shipped`: with the limits of a system bus."""
    with tempfile.TemporaryDirectory(prefix="callarbiter-bench-") as directory:
        os.chmod(directory, 0o755)
        path = f"{directory}/bus"
        configuration = pathlib.Path(directory, "bus.conf")
        configuration.write_text(CONFIGURATION.format(socket=path, limits="" if shipped else LIMITS))
        with open(f"{directory}/bus.log", "wb") as log:
            process = (broker if kind == "dbus-broker" else daemon)(path, configuration, before, log)
        try:
            wait_until(lambda: accepts(path), f"{kind} does not start")
            pid = process.pid
            if kind == "dbus-broker":
                pid = wait_until(lambda: child_named(process.pid, "dbus-broker"), "no dbus-broker")
            yield Bus(f"unix:path={path}", pid, directory)
        finally:
            process.terminate()
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def daemon(path, configuration, before, log):
    command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile"]
    return subprocess.Popen([*before, *command], stdout=log, stderr=log)


def broker(path, configuration, before, log):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    os.chmod(path, 0o666)
    listening.listen(4096)
    launch = LAUNCH.format(address=f"unix:path={path}", configuration=configuration)
    script = 'mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && exec python3 -c "$1"'

    def hand_over():
        os.dup2(listening.fileno(), 3)
        os.set_inheritable(3, True)

    return subprocess.Popen([*before, "unshare", "-m", "sh", "-c", script, "sh", launch],
                            preexec_fn=hand_over, close_fds=False, stdout=log, stderr=log)


def accepts(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
            return True
        except OSError:
            return False


def child_named(pid, name):
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == name:
                    return int(child)
    return None


def wait_until(ready, otherwise, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = ready()
        if result:
            return result
        time.sleep(0.01)
    raise SystemExit(otherwise)
