#!/usr/bin/python3
"""A provider of calls in Python, to read from top to bottom: it registers, reports an incoming call, does what the
arbiter asks (here: says so and agrees) and prints when its audio may run. It has no network and no sound of its own.

    provider.py --app-id org.example.Phone --bus session --incoming sip:rabbit@example.org

Needs dasbus (Debian: python3-dasbus python3-gi). The interfaces come from the XML files of the project, installed in
/usr/share/dbus-1/interfaces or in dbus-interfaces/xml of the sources.
"""
import argparse
import functools
import pathlib
import uuid

from dasbus.client.observer import DBusObserver
from dasbus.connection import AddressedMessageBus, SessionMessageBus, SystemMessageBus
from dasbus.error import DBusError
from dasbus.loop import EventLoop
from dasbus.server.interface import accepts_additional_arguments
from dasbus.typing import get_variant

NAME, ROOT, DELEGATE = "org.callarbiter.Calls1", "/org/callarbiter/Calls1", "/org/example/Provider"
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
        if call_info["sender"] == self.bus.proxy.GetNameOwner(NAME):
            method(self, *arguments)

    return checked


class Delegate:
    """What the arbiter calls. These calls want no reply: Fulfil or Fail is the answer, now or later."""

    __dbus_xml__ = interface("ProviderDelegate")

    def __init__(self, bus):
        self.bus, self.provider, self.audible = bus, None, set()

    def fulfil(self, request, word, results=None):
        print(word, flush=True)
        try:
            self.provider.Fulfil(request, results or {})
        except DBusError as error:
            # It was decided without us, or the arbiter is being restarted and will ask again.
            print("not heard:", error, flush=True)

    @asked
    def PerformStart(self, request, call, handle, options):
        self.fulfil(request, "start")  # dial here; and then report how it goes on
        self.provider.ReportState(call, "active", {})

    @asked
    def PerformAnswer(self, request, call, options):
        self.fulfil(request, "answer")  # without sound: AudioActivated will come

    @asked
    def PerformEnd(self, request, call, options):
        self.fulfil(request, "end")

    @asked
    def PerformSetHeld(self, request, call, held, options):
        self.fulfil(request, "hold" if held else "unhold")

    @asked
    def PerformSetMuted(self, request, call, muted, options):
        self.fulfil(request, "mute" if muted else "unmute")

    @asked
    def PerformPlayDtmf(self, request, call, digits, options):
        self.fulfil(request, f"dtmf of {len(digits)}")  # a log must not tell which: it may be a PIN

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
        # The arbiter was restarted, or we were: which of these calls are still there, and in what state? A real
        # provider answers from what it knows, and reports by ReportCall what the arbiter does not list.
        kept = {call: {"state": known["state"]} for call, known in calls.items()}
        self.fulfil(request, "reconcile", {"calls": get_variant("a{sa{sv}}", kept)})

    @asked
    def refuse(self, request, *_rest):
        self.provider.Fail(request, f"{NAME}.Error.NotSupported", "this example has neither conferences nor video")

    PerformSetGroup = PerformSetVideo = PerformTransaction = refuse

    @asked
    def ActionTimedOut(self, request, call, action):
        print("too late:", action, flush=True)

    @asked
    def AuthorizationSet(self, authorization):
        print("authorization:", authorization, flush=True)

    @asked
    def Reset(self):
        self.audible.clear()  # the arbiter has lost its state: drop all calls


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


def register(bus, delegate, app_id):
    configuration = {
        "display-name": get_variant("s", "Python example"),
        "supported-schemes": get_variant("as", ["sip", "tel"]),
    }
    manager = bus.get_proxy(NAME, ROOT, interface_name=f"{NAME}.Manager")
    path, state = manager.RegisterProvider(app_id, DELEGATE, configuration)
    delegate.provider = bus.get_proxy(NAME, path, interface_name=f"{NAME}.Provider")
    print("registered:", state["authorization"].get_string(), flush=True)


def report_incoming(delegate, options):
    if options.incoming:
        call = str(uuid.uuid4())
        delegate.provider.ReportIncomingCall(call, {"remote-handle": get_variant("s", options.incoming)})
        options.incoming = None
        print("incoming:", call, flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--app-id", default="org.example.PythonPhone")
    options.add_argument("--bus", default="system", help="system, session or an address")
    options.add_argument("--incoming", metavar="HANDLE", help="report a call from this address")
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
    arbiter.service_available.connect(lambda _: register(bus, delegate, options.app_id))
    arbiter.service_available.connect(lambda _: report_incoming(delegate, options))
    arbiter.connect_once_available()
    EventLoop().run()


if __name__ == "__main__":
    main()
