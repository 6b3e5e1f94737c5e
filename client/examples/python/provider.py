#!/usr/bin/python3
"""A provider of calls in Python, to read from top to bottom: it registers, reports an incoming call, does what the
arbiter asks (here: says so and agrees) and prints when its audio may run. It has no network and no sound of its own: signal
USR1 plays a far end that calls, USR2 one that hangs up, HUP one that holds the call or takes that back, ALRM a user who
dials at its own keyboard. Its network does not know sip:nobody@…, and sip:busy@… is busy.

    provider.py --app-id org.example.Phone --bus session --incoming sip:rabbit@example.org

Needs dasbus (Debian: python3-dasbus python3-gi). The interfaces come from the XML files of the project, installed in
/usr/share/dbus-1/interfaces or in dbus-interfaces/xml of the sources.
"""
import argparse
import collections
import functools
import pathlib
import signal
import uuid

from dasbus.client.observer import DBusObserver
from dasbus.connection import AddressedMessageBus, SessionMessageBus, SystemMessageBus
from dasbus.error import DBusError
from dasbus.loop import EventLoop
from dasbus.server.interface import accepts_additional_arguments
from dasbus.typing import get_variant
from gi.repository import GLib

NAME, ROOT, DELEGATE = "org.callarbiter.Calls1", "/org/callarbiter/Calls1", "/org/example/Provider"
NOBODY, BUSY = "sip:nobody@", "sip:busy@"
PAUSE = 2000  # ms: a comma among tones
SOURCES = pathlib.Path(__file__).resolve().parents[3] / "dbus-interfaces" / "xml"


def interface(name):
    """The XML of one interface."""
    directories = [SOURCES, pathlib.Path("/usr/share/dbus-1/interfaces")]
    return next(file.read_text() for file in (d / f"{NAME}.{name}.xml" for d in directories) if file.exists())


def asked(method):
    """Only the arbiter may ask: anybody else on the bus could otherwise answer your calls."""

    @accepts_additional_arguments
    @functools.wraps(method)
    def checked(self, *arguments, call_info):
        if call_info["sender"] == owner(self.bus):
            method(self, *arguments)

    return checked


def owner(bus):
    try:
        return bus.proxy.GetNameOwner(NAME)
    except (DBusError, GLib.Error):
        return None  # the arbiter, or the bus, has just left


class Delegate:
    """What the arbiter calls. These calls want no reply: Fulfil or Fail is the answer, now or later."""

    __dbus_xml__ = interface("ProviderDelegate")

    def __init__(self, bus):
        self.bus, self.provider, self.audible = bus, None, set()
        self.calls, self.epoch = {}, None  # the live calls, each with its direction and state
        self.answered = collections.OrderedDict()

    def fulfil(self, request, word, results=None):
        """Says that it is done. A request that comes again is answered again, but not performed twice."""
        again = request in self.answered
        if not again:
            print(word, flush=True)
        self.answered[request] = True
        if len(self.answered) > 256:
            self.answered.popitem(last=False)
        self.tell("Fulfil", request, results or {})
        return not again

    def tell(self, method, *words):
        try:
            getattr(self.provider, method)(*words)
        except (DBusError, GLib.Error) as error:
            # The bus is gone, or it was decided without us, or the arbiter is being restarted and will ask again.
            print("not heard:", error, flush=True)

    def place(self, call):
        self.calls[call] = {"direction": "outgoing", "state": "active", "remote-held": False}
        self.tell("ReportState", call, "active", {})  # dial here; and then report how it goes on

    def set_state(self, call, state):
        if call in self.calls:
            self.calls[call]["state"] = state

    @asked
    def PerformStart(self, request, call, handle, options):
        if handle.startswith(NOBODY):
            self.tell("Fail", request, f"{NAME}.Error.ActionFailed", "nobody is known by that name")
        elif self.fulfil(request, "start"):
            if handle.startswith(BUSY):
                self.tell("ReportEnded", call, "busy", {})
            else:
                self.place(call)

    @asked
    def PerformAnswer(self, request, call, options):
        if self.fulfil(request, "answer"):  # without sound: AudioActivated will come
            self.set_state(call, "active")

    @asked
    def PerformEnd(self, request, call, options):
        self.calls.pop(call, None)
        self.fulfil(request, "end")

    @asked
    def PerformSetHeld(self, request, call, held, options):
        if self.fulfil(request, "hold" if held else "unhold"):
            self.set_state(call, "held" if held else "active")

    @asked
    def PerformSetMuted(self, request, call, muted, options):
        self.fulfil(request, "mute" if muted else "unmute")

    @asked
    def PerformPlayDtmf(self, request, call, digits, options):
        # Play them here; it is done when they were played. A log must not tell which: it may be a PIN.
        played = functools.partial(self.fulfil, request, f"dtmf of {len(digits)}")
        GLib.timeout_add(PAUSE * digits.count(","), lambda: played() and GLib.SOURCE_REMOVE)

    @asked
    def PerformSetGroup(self, request, call, other, options):
        self.fulfil(request, "join" if other else "leave")  # mix its sound with the other's here, or no longer

    @asked
    def PerformSetVideo(self, request, call, video, options):
        self.fulfil(request, "video on" if video else "video off")  # start or stop the camera here

    @asked
    def PerformTransaction(self, request, steps, options):
        # Only with --modem: what a mobile network does in one, such as hold and answer.
        if self.fulfil(request, f"{len(steps)} steps in one"):
            for action, step in steps:
                call = step["call"].get_string()
                if action == "Start":
                    self.place(call)
                else:
                    held = action == "SetHeld" and step["held"].get_boolean()
                    self.set_state(call, "held" if held else "active")

    @asked
    def AudioActivated(self, request, calls, generation, options):
        self.audible |= set(calls)  # open microphone and speaker here, and then agree
        self.fulfil(request, f"audio on for {len(calls)}")

    @asked
    def AudioDeactivated(self, request, calls, generation, options):
        self.audible -= set(calls)  # close them, and then agree: the next call's audio waits for it
        self.fulfil(request, f"audio off for {len(calls)}")

    @asked
    def Reconcile(self, request, calls):
        # The arbiter was restarted, or we were: which of these calls are still there, and in what state?
        ours = {call: self.calls[call] for call in calls if call in self.calls}
        kept = {call: {"state": get_variant("s", known["state"])} for call, known in ours.items()}
        self.fulfil(request, "reconcile", {"calls": get_variant("a{sa{sv}}", kept)})

    @asked
    def ActionTimedOut(self, request, call, action):
        print("too late:", action, flush=True)

    @asked
    def AuthorizationSet(self, authorization):
        print("authorization:", authorization, flush=True)

    @asked
    def Reset(self):
        self.calls.clear()  # the arbiter leaves for good: hang up, and say nothing more about these calls
        self.audible.clear()


class Application:
    """What a desktop starts an app by, and brings it to the front; with a desktop entry that says DBusActivatable."""

    __dbus_xml__ = """<node><interface name="org.freedesktop.Application">
        <method name="Activate"><arg name="platform" type="a{sv}" direction="in"/></method>
        <method name="Open"><arg name="uris" type="as" direction="in"/>
            <arg name="platform" type="a{sv}" direction="in"/></method>
        <method name="ActivateAction"><arg name="name" type="s" direction="in"/>
            <arg name="parameter" type="av" direction="in"/><arg name="platform" type="a{sv}" direction="in"/></method>
    </interface></node>"""

    def Activate(self, platform):
        print("activated", flush=True)

    def Open(self, uris, platform):
        print("opened:", len(uris), flush=True)  # show whom to call; the call itself comes by PerformStart

    def ActivateAction(self, name, parameter, platform):
        pass


def register(bus, delegate, app_id, modem=False):
    configuration = {
        "display-name": get_variant("s", "Python example"),
        "supported-schemes": get_variant("as", ["sip", "tel"]),
        "supports-video": get_variant("b", True),
    }
    if modem:
        configuration["hold-model"] = get_variant("s", "provider-wide")
        configuration["transactions"] = get_variant("b", True)
    manager = bus.get_proxy(NAME, ROOT, interface_name=f"{NAME}.Manager")
    path, state = manager.RegisterProvider(app_id, DELEGATE, configuration)
    delegate.provider = bus.get_proxy(NAME, path, interface_name=f"{NAME}.Provider")
    print("registered:", state["authorization"].get_string(), flush=True)
    epoch, delegate.epoch = delegate.epoch, state["epoch"].get_string()
    if epoch not in (None, delegate.epoch):
        # It has lost what it knew, our calls too.
        for call, known in delegate.calls.items():
            delegate.tell("ReportCall", call, known["direction"], known["state"], {})


def report_incoming(delegate, handle):
    call = str(uuid.uuid4())
    try:
        delegate.provider.ReportIncomingCall(call, {"remote-handle": get_variant("s", handle)})
    except DBusError as error:
        print("refused:", error, flush=True)  # tell the network, and forget the call
        return
    delegate.calls[call] = {"direction": "incoming", "state": "ringing", "remote-held": False}
    print("incoming:", call, flush=True)


def dial(delegate, handle):
    call = str(uuid.uuid4())
    delegate.calls[call] = {"direction": "outgoing", "state": "active", "remote-held": False}
    # Nobody asked for it: the arbiter hears of it as of a fact.
    delegate.tell("ReportCall", call, "outgoing", "active", {"remote-handle": get_variant("s", handle)})


def remote_end(delegate):
    while delegate.calls:
        call, known = delegate.calls.popitem()
        delegate.tell("ReportEnded", call, "unanswered" if known["state"] == "ringing" else "remote-ended", {})


def remote_hold(delegate):
    for call, known in delegate.calls.items():
        known["remote-held"] = not known["remote-held"]
        # Without a state: held would be a hold at this end.
        delegate.tell("ReportState", call, "", {"remote-held": get_variant("b", known["remote-held"])})


def leave(delegate, loop):
    delegate.calls.clear()  # hang up; to the arbiter they end with the registration
    if delegate.provider:
        delegate.tell("Unregister")
    loop.quit()


def on_signal(number, act, *words):
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, lambda: act(*words) or GLib.SOURCE_CONTINUE)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--app-id", default="org.example.PythonPhone")
    options.add_argument("--bus", default="system", help="system, session or an address")
    options.add_argument("--incoming", metavar="HANDLE", help="report a call from this address")
    options.add_argument("--modem", action="store_true", help="hold all calls at once, as a mobile network does")
    options.add_argument("--activatable", action="store_true", help="own the app id on the session bus")
    options.add_argument("uris", nargs="*", help="whom to call, where a desktop started us for it")
    options = options.parse_args()
    buses = {"system": SystemMessageBus, "session": SessionMessageBus}
    bus = buses[options.bus]() if options.bus in buses else AddressedMessageBus(options.bus)

    delegate = Delegate(bus)
    bus.publish_object(DELEGATE, delegate)
    if options.activatable:
        session = SessionMessageBus()
        session.publish_object("/" + options.app_id.replace(".", "/").replace("-", "_"), Application())
        session.register_service(options.app_id)
    # A bus that is restarted needs a new connection: whoever started us does that.
    bus.connection.set_exit_on_close(True)
    # Whenever the arbiter comes: now, later, and again when it was restarted.
    arbiter = DBusObserver(bus, NAME)
    arbiter.service_available.connect(lambda _: register(bus, delegate, options.app_id, options.modem))
    if options.incoming:
        first = iter([options.incoming])
        arbiter.service_available.connect(lambda _: [report_incoming(delegate, handle) for handle in first])
    arbiter.connect_once_available()
    loop = EventLoop()
    on_signal(signal.SIGUSR1, report_incoming, delegate, "sip:rabbit@example.org")
    on_signal(signal.SIGUSR2, remote_end, delegate)
    on_signal(signal.SIGHUP, remote_hold, delegate)
    on_signal(signal.SIGTERM, leave, delegate, loop)
    # One that GLib does not know.
    signal.signal(signal.SIGALRM, lambda *_: dial(delegate, "sip:hatter@example.org"))
    loop.run()


if __name__ == "__main__":
    main()
