//! An app with one fault fails at the rule that it breaks and at no other: the Python example with a line of
//! Python run before it begins. That the example without a fault, and the others, keep every rule is checked with
//! the other real parts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

/// Most of a trial is waiting for what a broken app does not do.
const AT_ONCE: usize = 3;
const PYTHON: &str = "/usr/bin/python3";
/// `D` is the delegate of the example and `p` its module. `replace(name, new)` puts `new(old, self, *arguments)` in
/// the place of a method; `call(old, …)` is the method as it was; `refuse` fails a request.
const FAULTY: &str = "
import sys, provider
p = provider
D = p.Delegate
def replace(name, new):
    old = getattr(D, name)
    setattr(D, name, p.accepts_additional_arguments(
        lambda self, *a, call_info: new(lambda *b: old(self, *b, call_info=call_info), self, *a)))
def refuse(self, request):
    self.provider.Fail(request, p.NAME + '.Error.NotSupported', 'a fault')
def refuses(name, when=lambda self, request, *a: True):
    replace(name, lambda old, self, request, *a:
        refuse(self, request) if when(self, request, *a) else old(request, *a))
B = p.AddressedMessageBus
def stays(bus):
    bus.connection.set_exit_on_close = lambda exit: None
    return bus
exec(sys.argv.pop(1))
p.main()
";

/// The names of the rules that failed and of those that were not tried, and the exit status.
fn verdicts(fault: &str, incoming: bool) -> (Vec<String>, Vec<String>, Option<i32>) {
    let callctl = PathBuf::from(env!("CARGO_BIN_EXE_callctl"));
    let daemon = callctl.with_file_name("callarbiterd");
    assert!(daemon.is_file(), "{} is missing: `cargo build -p callarbiterd`", daemon.display());
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python");
    let mut command = Command::new(callctl);
    command.env("PYTHONPATH", examples).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["--json", "conformance", "--unreachable", "sip:nobody@example.org"]);
    command.args(["--busy", "sip:busy@example.org", "--dial", "kill -ALRM $APP_PID"]);
    if incoming {
        for (option, signal) in [
            ("--incoming", "USR1"),
            ("--remote-end", "USR2"),
            ("--remote-hold", "HUP"),
            ("--remote-resume", "HUP"),
        ] {
            command.args([option, &format!("kill -{signal} $APP_PID")]);
        }
    }
    command.args(["--", PYTHON, "-c", FAULTY, fault, "--bus", "{bus}"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect(&complaint);
    let with = |verdict: &str| {
        let rules = report["rules"].as_array().unwrap().iter();
        let rules = rules.filter(|rule| rule["verdict"] == verdict);
        rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    };
    (with("failed"), with("not-tried"), output.status.code())
}

/// Pairs of a rule and an app that breaks it.
fn each_fails_its_own_rule(faults: &[(&str, &str)]) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let try_some = || {
        while let Some((rule, fault)) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (failed, untried, status) = verdicts(fault, true);
            if failed != [*rule] || status != Some(1) {
                let seen = format!("{rule}: failed {failed:?}, not tried {untried:?}, {status:?}");
                wrong.lock().unwrap().push(seen);
            }
        }
    };
    thread::scope(|threads| (0..AT_ONCE).for_each(|_| drop(threads.spawn(try_some))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_was_not_tried_does_not_count_as_passed() {
    let (failed, untried, status) = verdicts("pass", false);
    assert_eq!((failed, status), (vec![], Some(0)));
    for rule in ["reports-incoming", "names-caller", "answers", "declines", "drops-refused"] {
        assert!(untried.iter().any(|name| name == rule), "{rule} in {untried:?}");
    }
}

#[test]
fn faults_in_a_call() {
    each_fails_its_own_rule(&[
        ("registers", "p.register = lambda *_: None"),
        ("starts", "refuses('PerformStart')"),
        ("mutes", "refuses('PerformSetMuted')"),
        (
            "ignores-strangers",
            "D.PerformSetMuted = p.accepts_additional_arguments(
    lambda self, r, c, muted, o, call_info: self.fulfil(r, 'mute' if muted else 'unmute'))",
        ),
        (
            "answers-in-order",
            "replace('PerformSetMuted', lambda old, s, r, c, muted, o: p.GLib.timeout_add(200 if muted else 0,
        lambda: old(r, c, muted, o)))",
        ),
        ("plays-tones", "refuses('PerformPlayDtmf')"),
        ("plays-pauses", "p.PAUSE = 0"),
        ("plays-pauses", "refuses('PerformPlayDtmf', lambda s, r, c, digits, o: ',' in digits)"),
        ("turns-video", "refuses('PerformSetVideo')"),
        ("turns-video", "refuses('PerformSetVideo', lambda s, r, c, video, o: not video)"),
        ("reports-remote-hold", "p.remote_hold = lambda delegate: None"),
        (
            "reports-remote-hold",
            "D.on = False
def remote_hold(delegate):
    delegate.on = not delegate.on
    for call in delegate.calls:
        delegate.tell('ReportState', call, 'held' if delegate.on else 'active', {})
p.remote_hold = remote_hold",
        ),
        (
            "reports-remote-resume",
            "h = p.remote_hold; once = [1]; p.remote_hold = lambda d: once and once.pop() and h(d)",
        ),
        ("holds", "refuses('PerformSetHeld')"),
        ("resumes", "refuses('PerformSetHeld', lambda s, r, c, held, o: not held)"),
        (
            "same-state",
            "refuses('PerformSetHeld', lambda s, r, c, held, o: r not in s.answered \
             and s.calls[c]['state'] == ('held' if held else 'active'))",
        ),
        ("repeats", "refuses('PerformSetMuted', lambda s, r, *_: r in s.answered)"),
        ("performs-once", "f = D.fulfil; D.fulfil = lambda *a: f(*a) or True"),
        (
            "takes-time-out",
            "D.late = False
replace('ActionTimedOut', lambda old, s, *a: setattr(s, 'late', True))
refuses('PerformSetHeld', lambda s, *_: s.late)",
        ),
    ]);
}

#[test]
fn faults_with_audio_and_more_calls() {
    each_fails_its_own_rule(&[
        ("opens-audio", "replace('AudioActivated', lambda *_: None)"),
        ("closes-audio", "replace('AudioDeactivated', lambda *_: None)"),
        (
            "reopens-audio",
            "D.first = None
def activated(old, s, r, calls, generation, o):
    s.first = s.first or generation
    if generation == s.first: old(r, calls, generation, o)
replace('AudioActivated', activated)",
        ),
        (
            "two-calls",
            "D.over = False
replace('PerformEnd', lambda old, s, *a: (setattr(s, 'over', True), old(*a)))
refuses('PerformSetHeld', lambda s, r, c, held, o: s.over and not held)",
        ),
        (
            "swaps",
            "refuses('PerformSetHeld', lambda s, r, c, held, o: r not in s.answered and not held
        and any(other['state'] == 'held' for known, other in s.calls.items() if known != c))",
        ),
        ("joins", "refuses('PerformSetGroup')"),
        ("leaves", "refuses('PerformSetGroup', lambda s, r, c, other, o: not other)"),
        (
            "holds-group",
            "D.grouped = False
replace('PerformSetGroup', lambda old, s, r, c, other, o: (setattr(s, 'grouped', bool(other)), old(r, c, other, o)))
refuses('PerformSetHeld', lambda s, *_: s.grouped)",
        ),
        (
            "performs-whole",
            "import sys; sys.argv.append('--modem'); refuses('PerformTransaction')",
        ),
        ("asks-for-time", "replace('PerformPlayDtmf', lambda old, s, r, *a: ([s.tell('Progress', r, 1000) for _ in range(4)], old(r, *a)))"),
    ]);
}

#[test]
fn faults_at_the_end() {
    each_fails_its_own_rule(&[
        ("ends", "refuses('PerformEnd')"),
        ("ends", "replace('PerformEnd', lambda *_: None)"),
        (
            "ends-ended",
            "refuses('PerformEnd', lambda s, r, c, o: c not in s.calls and r not in s.answered)",
        ),
        (
            "cancels",
            "D.begun = None
replace('PerformStart', lambda old, s, r, c, *a: (setattr(s, 'begun', c), old(r, c, *a)))
for said in ['PerformSetMuted', 'AudioActivated']:
    replace(said, lambda old, s, *a: (setattr(s, 'begun', None), old(*a)))
refuses('PerformEnd', lambda s, r, c, o: s.begun == c)",
        ),
        (
            "ends-held",
            "refuses('PerformEnd', lambda s, r, c, o: s.calls.get(c, {}).get('state') == 'held')",
        ),
        ("starts-video", "refuses('PerformStart', lambda s, r, c, handle, o: 'has-video' in o)"),
        ("fails-start", "p.NOBODY = 'sip:nowhere@'"),
        (
            "tells-why",
            "t = D.tell; D.tell = lambda s, word, *a: t(s, word, *((*a[:-1], '') if word == 'Fail' else a))",
        ),
        (
            "tells-busy",
            "t = D.tell; D.tell = lambda s, word, *a: t(s, word, *['failed' if x == 'busy' else x for x in a])",
        ),
        ("reports-own", "p.dial = lambda *_: None"),
        (
            "reports-own",
            "t = D.tell; D.tell = lambda s, word, *a: t(s, word, *((*a[:-1], {}) if word == 'ReportCall' else a))",
        ),
        (
            "keeps-revoked",
            "replace('AuthorizationSet', lambda old, s, a: a == 'authorized' or p.remote_end(s))",
        ),
        (
            "late-start",
            "D.late = None
replace('ActionTimedOut', lambda old, s, r, c, action: setattr(s, 'late', action == 'Start' and c))
refuses('PerformEnd', lambda s, r, c, o: c == s.late)",
        ),
        (
            "late-start",
            "D.late = None
replace('ActionTimedOut', lambda old, s, r, c, action: setattr(s, 'late', action == 'Start' and c))
replace('PerformEnd', lambda old, s, r, c, o: s.fulfil(r, 'end') if c == s.late else old(r, c, o))",
        ),
        ("reports-remote-end", "p.remote_end = lambda delegate: None"),
        (
            "reports-caller-gone",
            "e = p.remote_end
p.remote_end = lambda d: all(call['state'] == 'ringing' for call in d.calls.values()) or e(d)",
        ),
        (
            "reports-caller-gone",
            "e = p.remote_end
def remote_end(d):
    for call in [call for call, known in d.calls.items() if known['state'] == 'ringing']:
        del d.calls[call]
        d.tell('ReportEnded', call, 'declined', {})
    e(d)
p.remote_end = remote_end",
        ),
        (
            "end-reason",
            "def remote_end(delegate):
    while delegate.calls:
        call, known = delegate.calls.popitem()
        delegate.tell('ReportEnded', call, 'unanswered' if known['state'] == 'ringing' else 'failed', {})
p.remote_end = remote_end",
        ),
        (
            "declines",
            "refuses('PerformEnd', lambda s, r, c, o: s.calls.get(c, {}).get('state') == 'ringing')",
        ),
        (
            "silent-after-end",
            "replace('PerformEnd', lambda old, s, r, c, o: (old(r, c, o), s.tell('ReportState', c, 'active', {})))",
        ),
        ("unregisters", "p.leave = lambda delegate, loop: loop.quit()"),
        ("unregisters", "p.leave = lambda delegate, loop: None"),
    ]);
}

#[test]
fn faults_with_incoming_calls() {
    each_fails_its_own_rule(&[
        ("reports-incoming", "p.report_incoming = lambda *_: None"),
        (
            "names-caller",
            "g = p.get_variant; p.get_variant = lambda t, v: g(t, '' if 'rabbit' in str(v) else v)",
        ),
        (
            "reports-once",
            "r = p.report_incoming; p.report_incoming = lambda *a: [r(*a), r(*a)].clear()",
        ),
        ("answers", "refuses('PerformAnswer')"),
        (
            "late-answer",
            "D.late = None
replace('ActionTimedOut', lambda old, s, r, c, action: setattr(s, 'late', action == 'Answer' and c))
replace('PerformEnd', lambda old, s, r, c, o: None if c == s.late else old(r, c, o))",
        ),
        (
            "new-uuid",
            "r, new = p.report_incoming, p.uuid.uuid4; u = new()
def report_incoming(*a):
    p.uuid.uuid4 = lambda: u
    r(*a)
    p.uuid.uuid4 = new
p.report_incoming = report_incoming",
        ),
        (
            "drops-refused",
            "def report_incoming(delegate, handle):
    call = str(p.uuid.uuid4())
    delegate.calls[call] = {'direction': 'incoming', 'state': 'ringing'}
    delegate.tell('ReportIncomingCall', call, {'remote-handle': p.get_variant('s', handle)})
p.report_incoming = report_incoming",
        ),
        (
            "reports-in-order",
            "replace('PerformAnswer', lambda old, s, r, c, o: (old(r, c, o), s.tell('ReportState', c, 'talking', {})))",
        ),
    ]);
}

#[test]
fn faults_when_the_arbiter_goes() {
    each_fails_its_own_rule(&[
        ("reconciles", "refuses('Reconcile')"),
        (
            "keeps-calls",
            "replace('Reconcile', lambda old, s, r, calls: (s.calls.clear(), old(r, calls)))",
        ),
        (
            "keeps-held",
            "replace('Reconcile', lambda old, s, r, calls: ([known.update(state='active') for known in s.calls.values()],
        old(r, calls)))",
        ),
        (
            "claims-own",
            "replace('Reconcile', lambda old, s, r, calls: s.fulfil(r, 'reconcile',
        {'calls': p.get_variant('a{sa{sv}}', calls)}))",
        ),
        (
            "registers-again",
            "r = p.register; once = [1]; p.register = lambda *a: once and once.pop() and r(*a)",
        ),
        (
            "reports-again",
            "r = p.register; p.register = lambda b, d, *a: (setattr(d, 'epoch', None), r(b, d, *a))",
        ),
        ("resets", "replace('Reset', lambda *_: None)"),
        ("notices-bus", "p.AddressedMessageBus = lambda a: stays(B(a))"),
    ]);
}
