//! Names, errors and dictionaries come back as they were written; callers are read strictly, the
//! arbiter tolerantly.

use std::collections::HashMap;

use callarbiter_dbus::{
    Action, ActionResult, AgentAnswer, AnswerPlan, AudioApp, CallRef, CallUpdate, Configuration,
    Dict, DoNotDisturbOptions, EndDetails, EndOptions, Endpoint, Error, ErrorKind, ErrorName,
    Fields, PerformOptions, PlanStep, ReconciledCalls, Record, RegistrationState, Ringtone,
    RoleOptions, RoleState, StartOptions, StateDetails, TransactionOptions, Verb, errors, limits,
    names::{self, CallPath, Object},
    words::{
        AppIdSource, Authorization, CallState, Direction, EndReason, EndpointKind, Ground,
        HoldModel, Missed, Origin, Outcome, Records, Ringer, Role, Silenced, Verdict,
    },
};
use zbus::OwnedVariant;

const ID: &str = "0b0c3a52-91f4-4b1e-8d0f-5a1f6f0f2a77";

#[test]
fn a_ringtone_is_a_name_or_a_file_and_what_is_kept_is_said() {
    let of = |dict: &Dict| Configuration::from_dict(dict).map(|read| read.ringtone);
    let file = || std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let given = |ringtone| Configuration { ringtone: Some(ringtone), ..Configuration::default() };
    let sent = given(Ringtone::File(file().into())).to_dict();
    assert_eq!(sent.len(), 1);
    assert!(matches!(of(&sent), Ok(Some(Ringtone::File(_)))));
    assert_eq!(of(&given(Ringtone::Own).to_dict()), Ok(Some(Ringtone::Own)));
    assert_eq!(of(&dict("own-ringtone", false)), Ok(None));
    let wrong = of(&dict("ringtone", 7_u32)).unwrap_err();
    assert!(wrong.message.contains("s or h"), "{}", wrong.message);
}

fn id() -> uuid::Uuid {
    names::uuid(ID).unwrap()
}

fn dict<V: Into<OwnedVariant>>(key: &str, value: V) -> Dict {
    HashMap::from([(key.to_owned(), value.into())])
}

fn text(value: &str) -> OwnedVariant {
    zbus::Variant::from(value).try_to_owned().unwrap()
}

#[test]
fn paths_name_one_object_each() {
    let call = CallPath { uuid: id(), provider: None };
    let qualified = CallPath { uuid: id(), provider: Some(3) };
    let paths = [
        (Object::Root, "/org/callarbiter/Calls1".to_owned()),
        (Object::Provider(1), "/org/callarbiter/Calls1/provider/1".to_owned()),
        (Object::Group(4_294_967_295), "/org/callarbiter/Calls1/group/4294967295".to_owned()),
        (Object::Transaction(0), "/org/callarbiter/Calls1/transaction/0".to_owned()),
        (Object::Call(call), format!("/org/callarbiter/Calls1/call/{}", ID.replace('-', "_"))),
        (
            Object::Call(qualified),
            format!("/org/callarbiter/Calls1/call/p3_{}", ID.replace('-', "_")),
        ),
    ];
    for (object, path) in paths {
        assert_eq!(object.path().as_str(), path);
        assert!(zbus::ObjectPath::try_from(path.as_str()).is_ok());
        assert_eq!(Object::parse(&path), Some(object));
        assert!(object.interfaces().iter().all(|name| names::SERVED.contains(name)));
    }
}

#[test]
fn other_spellings_name_nothing() {
    let upper = ID.to_uppercase().replace('-', "_");
    for rest in [
        "/",
        "/provider",
        "/provider/",
        "/provider/01",
        "/provider/+1",
        "/provider/-1",
        "/provider/4294967296",
        "/group/1/x",
        "/other/1",
        "2/provider/1",
        &format!("/call/{ID}"),
        &format!("/call/{upper}"),
        "/call/p1_",
        "/call/p_x",
        &format!("/call/p01_{}", ID.replace('-', "_")),
        &format!("/call/{}", ID.replace('-', "")),
    ] {
        let path = format!("{}{rest}", names::ROOT_PATH);
        assert_eq!(Object::parse(&path), None, "{path}");
    }
    assert_eq!(Object::parse("/"), None);
    for other in [&ID.replace('-', ""), &format!("{{{ID}}}"), &format!("urn:uuid:{ID}"), ""] {
        assert_eq!(names::uuid(other), None);
    }
}

#[test]
fn error_names_come_back_and_others_are_kept() {
    assert_eq!(ErrorKind::ALL.len(), 27);
    for kind in ErrorKind::ALL {
        assert_eq!(kind.name(), format!("{}{}", errors::PREFIX, kind.short_name()));
        assert!(zbus::names::ErrorName::try_from(kind.name()).is_ok());
        assert_eq!(ErrorKind::from_name(kind.name()), Some(*kind));
        assert_eq!(ErrorName::from(kind.name()), ErrorName::Known(*kind));
        assert!(kind.meaning().ends_with('.') && !kind.meaning().starts_with(' '));
    }
    for other in ["org.callarbiter.Calls1.Error.Later", "org.example.Error.Busy", "Busy", ""] {
        assert_eq!(ErrorKind::from_name(other), None);
        assert_eq!(ErrorName::from(other).as_str(), other);
    }
}

#[test]
fn an_error_reply_keeps_its_name_and_message() {
    let call = zbus::Message::method_call("/x", "Y").build(&()).unwrap();
    let name = ErrorKind::CannotHold.name();
    let reply = zbus::Message::error(&call.header(), name).build(&"the other call").unwrap();
    let received = zbus::Error::from(reply);
    let error = Error::from_zbus(&received).unwrap();
    assert_eq!(error.kind(), Some(ErrorKind::CannotHold));
    assert_eq!(error.message, "the other call");
    assert_eq!(error.to_string(), "the other call");
    assert!(!format!("{error:?}").contains("other"), "a debug form goes into logs");

    let unknown = zbus::fdo::Error::UnknownObject("gone".into()).into();
    let error = Error::from_zbus(&unknown).unwrap();
    assert_eq!(error.name.as_str(), "org.freedesktop.DBus.Error.UnknownObject");
    assert_eq!((error.kind(), &*error.message), (None, "gone"));
    assert!(Error::from_zbus(&zbus::Error::InvalidReply).is_none());
}

fn all_actions() -> Vec<Action> {
    let call = CallRef::Uuid(id());
    let object = CallRef::Object(CallPath { uuid: id(), provider: Some(7) });
    let mut actions: Vec<Action> = [
        Verb::Start {
            handle: "tel:+4930123456".into(),
            provider: Some("org.example.Phone".into()),
            call: Some(id()),
            has_video: true,
        },
        Verb::Start { handle: "sip:a@b".into(), provider: None, call: None, has_video: false },
        Verb::Answer { call },
        Verb::End { call, reason: Some(EndReason::Declined), message: Some("later".into()) },
        Verb::End { call: object, reason: None, message: None },
        Verb::SetHeld { call, held: true },
        Verb::SetMuted { call: object, muted: false },
        Verb::SetGroup { call, with: Some(object) },
        Verb::SetGroup { call, with: None },
        Verb::PlayDtmf { call, digits: "12#,A".into() },
        Verb::SetVideo { call, video: false },
        Verb::Silence { call },
    ]
    .map(Action::from)
    .into();
    actions.push(Action::from(Verb::Answer { call }).expecting(CallState::Ringing));
    actions
}

#[test]
fn actions_come_back() {
    for action in all_actions() {
        let (name, parameters) = action.to_wire();
        assert!(Verb::NAMES.contains(&name.as_str()));
        assert_eq!(Action::from_wire(&name, &parameters), Ok(action.clone()));

        let mut more = parameters.clone();
        more.insert("x-later".into(), OwnedVariant::from(7u32));
        assert_eq!(Action::from_wire(&name, &more), Ok(action), "unknown keys are ignored");
    }
}

#[test]
fn actions_do_not_show_whom_they_are_about() {
    for action in all_actions() {
        let shown = format!("{action:?} {:?}", action.verb);
        for private in ["4930", "a@b", "later", "12#"] {
            assert!(!shown.contains(private), "{shown}");
        }
    }
}

#[test]
fn malformed_actions_are_refused_with_the_key_and_never_the_value() {
    let long = "x".repeat(limits::HANDLE_BYTES + 1);
    let cases: &[(&str, Dict, &str)] = &[
        ("Answer", Dict::new(), "`call`"),
        ("Answer", dict("call", true), "`call`"),
        ("Answer", dict("call", text("secret")), "`call`"),
        ("Answer", dict("call", text("/org/callarbiter/Calls1/group/1")), "`call`"),
        ("SetHeld", dict("call", text(ID)), "`held`"),
        ("SetGroup", dict("call", text(ID)), "`with`"),
        ("Start", dict("handle", text("")), "`handle`"),
        ("Start", dict("handle", text(&long)), "`handle`"),
        ("Start", dict("handle", text("tel:\u{1b}[2Jsecret")), "`handle`"),
    ];
    for (name, parameters, key) in cases {
        let error = Action::from_wire(name, parameters).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument), "{name}");
        assert!(error.message.contains(key), "{}", error.message);
        assert!(!error.message.contains("secret"));
    }

    let mut parameters = dict("call", text(ID));
    parameters.insert("expected-state".into(), text("humming"));
    let error = Action::from_wire("Answer", &parameters).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument));
    let mut parameters = dict("call", text(ID));
    parameters.insert("reason".into(), text("bored"));
    assert!(Action::from_wire("End", &parameters).is_err());

    let error = Action::from_wire("Juggle", &Dict::new()).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::UnknownAction));
    let many: Dict =
        (0..=limits::DICT_KEYS).map(|n| (n.to_string(), OwnedVariant::from(true))).collect();
    assert!(Action::from_wire("Answer", &many).is_err());
}

#[test]
fn handles_that_ring_all_the_same_are_bounded() {
    let allow = |handles: Vec<String>| DoNotDisturbOptions { allow: handles, ..Default::default() };
    let some = allow(vec!["tel:1".into(), "sip:a@b".into()]);
    assert_eq!(DoNotDisturbOptions::from_dict(&some.to_dict()), Ok(some.clone()));
    assert_eq!(format!("{some:?}"), "DoNotDisturbOptions[\"allow\"]");
    let long = "x".repeat(limits::HANDLE_BYTES + 1);
    for many in [vec!["1".into(); limits::ALLOWED_HANDLES + 1], vec![long], vec!["a\nb".into()]] {
        let error = DoNotDisturbOptions::from_dict(&allow(many).to_dict()).unwrap_err();
        assert!(error.message.contains("`allow`"), "{}", error.message);
    }
    assert!(DoNotDisturbOptions::from_dict(&dict("allow", text("tel:1"))).is_err());
}

#[test]
fn an_agents_answer_is_bounded() {
    let answer = AgentAnswer {
        authorization: Some(Authorization::Denied),
        app_id: Some("org.example.Phone".into()),
        source: Some(AppIdSource::Sandbox),
        name: Some("Ada".into()),
        contact_id: Some("1".into()),
        enforced: true,
        muted: vec![Object::Provider(1).path().into()],
        verdict: Some(Verdict::Silence),
        urgent: true,
        reason: Some(Ground::Anonymous),
        detail: Some("Ada's list".into()),
        ..AgentAnswer::failed("org.example.No", "no")
    };
    assert_eq!(AgentAnswer::from_dict(&answer.to_dict()), Ok(answer.clone()));
    assert!(!format!("{answer:?}").contains("Ada"));
    for (key, most) in [
        ("name", limits::DISPLAY_NAME_BYTES),
        ("contact-id", limits::OPAQUE_ID_BYTES),
        ("message", limits::MESSAGE_BYTES),
        ("detail", limits::MESSAGE_BYTES),
    ] {
        let error = AgentAnswer::from_dict(&dict(key, text(&"x".repeat(most + 1)))).unwrap_err();
        assert!(error.message.contains(key), "{}", error.message);
        assert!(AgentAnswer::from_dict(&dict(key, text("\u{1b}[2J"))).is_err());
        assert!(AgentAnswer::from_dict(&dict(key, true)).is_err());
    }
}

#[test]
fn what_an_agent_is_told_about_an_app_is_read() {
    let mut entry = dict("provider", Object::Provider(1).path());
    entry.extend(dict("app-id", text("org.example.Phone")));
    entry.extend(dict("audio", true));
    let app = AudioApp::from_dict(&entry).unwrap();
    assert_eq!((app.provider.as_str(), app.pid), ("/org/callarbiter/Calls1/provider/1", None));
    assert!(app.audio && !app.silence && app.app_id == "org.example.Phone");
    let error = AudioApp::from_dict(&dict("audio", true)).unwrap_err();
    assert!(error.message.contains("provider"), "{}", error.message);
}

#[test]
fn records_come_back_and_tell_nobody() {
    let record = Record {
        id: format!("{ID}.1.1"),
        call: ID.to_owned(),
        app_id: "org.example.Phone".to_owned(),
        provider_name: "Phone".to_owned(),
        direction: Direction::Incoming,
        handle: "tel:1".to_owned(),
        display_name: "Ada".to_owned(),
        contact_id: "book/1".to_owned(),
        created_at: 1,
        connected_at: 0,
        ended_at: 2,
        reason: EndReason::RemoteEnded,
        detail: "gone".to_owned(),
        missed: Some(Missed::ShortRing),
        silenced: Silenced::No,
        emergency: false,
        has_video: true,
        records: Records::Full,
        lost: 3,
        why: vec![dict("cause", text("reported")), dict("detail", text("Ada"))],
    };
    let mut dict = record.to_dict();
    assert_eq!(Record::from_dict(&dict), Ok(record.clone()));
    assert!(!format!("{record:?}").contains("Ada"));
    assert!(!Record { why: vec![], ..record }.to_dict().contains_key("why"));
    assert!(!dict.contains_key("connected-at") && !dict.contains_key("emergency"));
    dict.extend(self::dict("why", text("because")));
    assert!(Record::from_dict(&dict).unwrap_err().message.contains("`why` has the type s"));
    dict.remove("id");
    assert!(Record::from_dict(&dict).unwrap_err().message.contains("`id`"));
}

#[test]
fn endpoints_come_back_and_are_bounded() {
    let endpoint =
        Endpoint { id: "sink".into(), name: "Ada's".into(), kind: EndpointKind::Headset };
    assert_eq!(Endpoint::from_dict(&endpoint.to_dict()), Ok(endpoint));
    let bare = Endpoint::from_dict(&dict("id", text("sink"))).unwrap();
    assert_eq!((bare.name.as_str(), bare.kind.as_str()), ("sink", "other"));
    let long = "x".repeat(limits::ENDPOINT_ID_BYTES + 1);
    for bad in [dict("name", text("sink")), dict("id", text("")), dict("id", text(&long))] {
        assert!(Endpoint::from_dict(&bad).is_err());
    }
}

#[test]
fn options_come_back() {
    let transaction = TransactionOptions { wait: true, token: Some(id()) };
    assert_eq!(TransactionOptions::from_dict(&transaction.to_dict()), Ok(transaction));
    let start = StartOptions {
        provider: Some("org.example.Phone".into()),
        call: Some(id()),
        has_video: true,
        wait: true,
        token: Some(id()),
    };
    assert_eq!(StartOptions::from_dict(&start.to_dict()), Ok(start));
    assert_eq!(StartOptions::from_dict(&Dict::new()), Ok(StartOptions::default()));
    assert!(TransactionOptions::from_dict(&dict("token", text("no uuid"))).is_err());
    assert!(TransactionOptions::from_dict(&dict("wait", 1u32)).is_err());
    let end = EndOptions { reason: Some(EndReason::Busy), message: Some("bye".into()) };
    assert_eq!(EndOptions::from_dict(&end.to_dict()), Ok(end));
    let state = RegistrationState { authorization: Authorization::Denied, epoch: "e1".into() };
    assert_eq!(RegistrationState::from_dict(&state.to_dict()), state);
    let free = RoleOptions { only_free: true };
    assert_eq!(RoleOptions::from_dict(&free.to_dict()), Ok(free));
    assert!(RoleOptions::from_dict(&dict("only-free", text("yes"))).is_err());
    let given = RoleState { roles: vec![Role::Audio, Role::from("king")] };
    assert_eq!(RoleState::from_dict(&given.to_dict()), given);
}

#[test]
fn what_a_provider_says_comes_back() {
    let configuration = Configuration {
        display_name: Some("Phone".into()),
        icon: Some("phone".into()),
        ringtone: Some(Ringtone::Theme("phone-incoming-call".into())),
        usage_description: Some("To ring.".into()),
        supports_video: Some(false),
        supported_schemes: Some(vec!["tel".into(), "sip".into()]),
        maximum_call_groups: Some(1),
        maximum_calls_per_group: Some(3),
        hold_model: Some(HoldModel::ProviderWide),
        transactions: Some(true),
        records: Some(Records::Opaque),
        ringer: Some(Ringer::Itself),
        instance: Some("tab-1".into()),
    };
    assert_eq!(Configuration::from_dict(&configuration.to_dict()), Ok(configuration));
    let later = Configuration::from_dict(&dict("records", text("some"))).unwrap();
    assert_eq!(later.records, Some(Records::Other("some".into())));
    let schemes =
        Configuration { supported_schemes: Some(vec!["TEL:".into()]), ..Default::default() };
    assert!(Configuration::from_dict(&schemes.to_dict()).is_err());

    let update = CallUpdate {
        remote_handle: Some("tel:110".into()),
        display_name: Some("Ada".into()),
        has_video: Some(true),
        can_hold: Some(false),
        can_group: Some(true),
        can_dtmf: Some(false),
        ring_timeout_ms: Some(30_000),
        correlation_id: Some("c".into()),
        contact_id: Some("k".into()),
        encrypted: Some(true),
    };
    assert!(!format!("{update:?}").contains("Ada"));
    assert_eq!(CallUpdate::from_dict(&update.to_dict()), Ok(update));
    for ms in [999u32, 600_001] {
        assert!(CallUpdate::from_dict(&dict("ring-timeout", ms)).is_err());
    }

    let held = StateDetails { remote_held: Some(false) };
    assert_eq!(StateDetails::from_dict(&held.to_dict()), Ok(held));
    let end = EndDetails { message: Some("486".into()) };
    assert_eq!(EndDetails::from_dict(&end.to_dict()), Ok(end));
}

#[test]
fn what_the_arbiter_asks_comes_back_and_is_read_tolerantly() {
    let options = PerformOptions {
        deadline_ms: Some(5000),
        origin: Some(Origin::Headset),
        has_video: true,
        reason: Some(EndReason::AnsweredElsewhere),
        message: Some("m".into()),
    };
    assert_eq!(PerformOptions::from_dict(&options.to_dict()), options);
    let odd = PerformOptions::from_dict(&dict("deadline", true));
    assert_eq!(odd, PerformOptions::default());

    let calls = ReconciledCalls(vec![(id(), CallState::Active)]);
    assert_eq!(ReconciledCalls::from_wire(&calls.to_wire()), calls);
    assert_eq!(ReconciledCalls::from_results(&calls.to_results()), Ok(Some(calls)));
    assert_eq!(ReconciledCalls::from_results(&Dict::new()), Ok(None));
    assert!(ReconciledCalls::from_results(&dict("calls", true)).is_err());
    let none = ReconciledCalls::default();
    assert_eq!(ReconciledCalls::from_results(&none.to_results()), Ok(Some(none)));
}

#[test]
fn what_the_arbiter_says_of_actions_comes_back() {
    for action in all_actions() {
        let why = Error::new(ErrorKind::TimedOut, "no word within 5 s");
        let result = ActionResult::new(&action, Outcome::TimedOut, Some(why.clone()));
        let (name, wire) = result.to_wire();
        assert_eq!(ActionResult::from_wire(&name, &wire), result);
        assert_eq!(Action::from_wire(&result.action, &result.parameters), Ok(action.clone()));

        let step = PlanStep::new(&action, true);
        let (name, wire) = step.to_wire();
        assert_eq!(PlanStep::from_wire(&name, &wire), step);
    }
    let odd = ActionResult::from_wire("Later", &dict("outcome", text("postponed")));
    assert_eq!((odd.outcome, odd.error), (Outcome::Other("postponed".into()), None));

    let plan = AnswerPlan {
        holds: vec![Object::Call(CallPath { uuid: id(), provider: None }).owned_path()],
        ends: vec![],
        error: Some(Error::new(ErrorKind::CannotHold, "dialling")),
    };
    assert_eq!(AnswerPlan::from_dict(&plan.to_dict()), plan);
    assert_eq!(AnswerPlan::from_dict(&Dict::new()), AnswerPlan::default());
}

#[test]
fn words_of_later_versions_are_kept() {
    for word in CallState::KNOWN {
        let state = CallState::from(*word);
        assert!(!matches!(state, CallState::Other(_)));
        assert_eq!(state.as_str(), *word);
    }
    assert_eq!(CallState::from("parked"), CallState::Other("parked".into()));
    assert_eq!(CallState::from("parked").to_string(), "parked");
}

#[test]
fn bounds_count_bytes_and_refuse_control_characters() {
    let umlauts = "ü".repeat(limits::HANDLE_BYTES / 2);
    assert!(limits::text_fits(&umlauts, limits::HANDLE_BYTES));
    assert!(!limits::text_fits(&format!("{umlauts}x"), limits::HANDLE_BYTES));
    assert!(!limits::text_fits("a\nb", 10) && !limits::text_fits("a\u{85}b", 10));
    for good in ["org.example.Phone_2-x", "firefox", "_a", "0ad", "org.7zip.FileManager", "a-.b"] {
        assert!(limits::is_app_id(good), "{good}");
    }
    let bad = ["", ".org", "org.", "a..b", "-", "a.-b", "--help", ".", "a/b", "a b", "ä"];
    for bad in bad.into_iter().chain([&*"a".repeat(256)]) {
        assert!(!limits::is_app_id(bad), "{bad}");
    }
    assert!(limits::is_scheme("x-example") && !limits::is_scheme("1x") && !limits::is_scheme(""));
    let mut published: Vec<_> = limits::PUBLISHED.iter().map(|(name, _)| name).collect();
    published.sort_unstable();
    published.dedup();
    assert_eq!(published.len(), limits::PUBLISHED.len());
    assert!(Fields::trusted(&dict("k", text("v"))).text("k", 0).is_err());
}

#[test]
fn a_name_reorders_and_hides_nothing_and_is_no_reason_to_refuse_a_call() {
    let name = |name: &str| Dict::from([("display-name".to_owned(), text(name))]);
    for (given, shown) in [
        ("\u{202e}knaB ruoY\u{202c}", "knaB ruoY"),
        ("\u{2066}Ada\u{2069}\u{200b} \u{feff}L\u{ad}ove\u{2028}lace", "Ada Lovelace"),
        ("\u{202d}\u{2067}\u{2068}\u{206a}", ""),
        // What scripts and emoji need.
        ("\u{200f}علي\u{61c} می\u{200c}روم", "\u{200f}علي\u{61c} می\u{200c}روم"),
        ("👩\u{200d}🔬 🏴\u{e0067}\u{e007f}", "👩\u{200d}🔬 🏴\u{e0067}\u{e007f}"),
    ] {
        let update = CallUpdate::from_dict(&name(given)).unwrap();
        assert_eq!(update.display_name.as_deref(), Some(shown));
        let configuration = Configuration::from_dict(&name(given)).unwrap();
        assert_eq!(configuration.display_name.as_deref(), Some(shown));
        let answer = Dict::from([("name".to_owned(), text(given))]);
        assert_eq!(AgentAnswer::from_dict(&answer).unwrap().name.as_deref(), Some(shown));
    }
    assert!(CallUpdate::from_dict(&name("a\nb")).is_err());
}
