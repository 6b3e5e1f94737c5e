//! What polkit is asked, and who is heard when. `:1.19…` are connections of this process's user behind a
//! wall, `:1.2…` of somebody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const WALLED: &str = ":1.190";

/// A bus with polkit on it, and a ringing call.
fn with_polkit() -> Bus {
    let mut bus = Bus::new();
    bus.router = Bus::router(Some(Permissions::default()));
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    assert!(questions(&mut bus).is_empty(), "no wall, nothing to ask");
    bus
}

fn subscribe(bus: &mut Bus, sender: &str) -> Message {
    let subscribe = Message::method_call(names::ROOT_PATH, "Subscribe")
        .interface(names::MANAGER)
        .sender(sender)
        .build(&no_options())
        .unwrap();
    bus.deliver(&subscribe);
    subscribe
}

fn questions(bus: &mut Bus) -> Vec<Message> {
    bus.asks().into_iter().filter(|ask| member(ask) == "CheckAuthorization").collect()
}

fn question(bus: &mut Bus) -> Message {
    let mut questions = questions(bus);
    assert_eq!(questions.len(), 1);
    questions.remove(0)
}

fn about(question: &Message) -> String {
    let ((_, subject), ..): ((String, Dict), String, HashMap<String, String>, u32, String) =
        question.body().deserialize().unwrap();
    String::try_from(subject["name"].clone()).unwrap()
}

/// The same answer to every question about the connection of this one.
fn answer(bus: &mut Bus, question: &Message, reply: impl Fn(&Message) -> Message) {
    let mut next = Some(question.clone());
    while let Some(question) = next {
        bus.deliver(&reply(&question));
        let same = |message: &Message| {
            message.message_type() == Type::MethodCall
                && member(message) == "CheckAuthorization"
                && about(message) == about(&question)
        };
        let at = bus.delivered.iter().position(same);
        next = at.map(|at| bus.delivered.remove(at));
    }
}

fn decide(bus: &mut Bus, question: &Message, authorized: bool, challenge: bool) {
    answer(bus, question, |question| decision(question, authorized, challenge));
}

fn decision(question: &Message, authorized: bool, challenge: bool) -> Message {
    let details: HashMap<&str, &str> = HashMap::new();
    let reply = Message::method_return(&question.header()).sender(":1.7");
    reply.build(&((authorized, challenge, details),)).unwrap()
}

fn fail(bus: &mut Bus, question: &Message, sender: &str, name: &str) {
    answer(bus, question, |question| {
        let error = Message::error(&question.header(), name).sender(sender);
        error.build(&"no").unwrap()
    });
}

/// With whom the call is, as the reply to a subscription tells it; `None` if there is no reply yet.
fn shown(bus: &mut Bus, subscription: &Message) -> Option<String> {
    let reply = bus.reply_to(subscription)?;
    let (_, objects): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    let call = objects.values().find_map(|interfaces| interfaces.get(names::CALL)).unwrap();
    Some(String::try_from(call["DisplayName"].clone()).unwrap())
}

#[test]
fn granted_it_sees_with_whom() {
    let mut bus = with_polkit();
    let subscription = subscribe(&mut bus, WALLED);
    let question = question(&mut bus);
    let header = question.header();
    assert_eq!(header.destination().unwrap(), "org.freedesktop.PolicyKit1");
    assert_eq!(header.interface().unwrap(), "org.freedesktop.PolicyKit1.Authority");
    assert_eq!(header.path().unwrap(), "/org/freedesktop/PolicyKit1/Authority");
    assert_eq!(question.body().signature().to_string_no_parens(), "(sa{sv})sa{ss}us");
    let ((kind, _), action, details, flags, cancellation): (
        (String, Dict),
        String,
        HashMap<String, String>,
        u32,
        String,
    ) = question.body().deserialize().unwrap();
    assert_eq!((kind.as_str(), action.as_str()), ("system-bus-name", "org.callarbiter.control"));
    assert_eq!((about(&question).as_str(), flags, cancellation.as_str()), (WALLED, 0, ""));
    assert!(details.is_empty());

    assert_eq!(shown(&mut bus, &subscription), None, "it is not decided yet");
    bus.deliver(&decision(&question, true, false));
    let second = self::question(&mut bus);
    let (_, action, ..): ((String, Dict), String, HashMap<String, String>, u32, String) =
        second.body().deserialize().unwrap();
    assert_eq!((about(&second).as_str(), action.as_str()), (WALLED, "org.callarbiter.place-call"));
    assert_eq!(shown(&mut bus, &subscription), None, "it is not decided yet");
    bus.deliver(&decision(&second, false, false));
    assert_eq!(shown(&mut bus, &subscription).unwrap(), "Mum");
    let start = ("tel:+123", no_options());
    let refused = bus.call(WALLED, names::ROOT_PATH, names::MANAGER, "StartCall", &start);
    assert_eq!(error_of(&refused).unwrap(), "org.callarbiter.Calls1.Error.AccessDenied");
}

#[test]
fn refused_it_sees_that_there_is_a_call_and_is_not_asked_about_again() {
    type Answer = fn(&mut Bus, &Message);
    let answers: [Answer; 5] = [
        |bus, question| decide(bus, question, false, false),
        // Somebody could be asked for a password: not by us.
        |bus, question| decide(bus, question, false, true),
        |bus, question| {
            let absent = "org.freedesktop.DBus.Error.ServiceUnknown";
            fail(bus, question, "org.freedesktop.DBus", absent);
        },
        |bus, question| fail(bus, question, ":1.7", "org.freedesktop.PolicyKit1.Error.Failed"),
        |bus, question| {
            answer(bus, question, |question| {
                let nonsense = Message::method_return(&question.header()).sender(":1.7");
                nonsense.build(&"yes").unwrap()
            });
        },
    ];
    for answer in answers {
        let mut bus = with_polkit();
        let subscription = subscribe(&mut bus, WALLED);
        let question = question(&mut bus);
        answer(&mut bus, &question);
        assert_eq!(shown(&mut bus, &subscription).unwrap(), "");
        let again = subscribe(&mut bus, WALLED);
        assert_eq!(shown(&mut bus, &again).unwrap(), "");
        assert!(questions(&mut bus).is_empty());
    }
}

#[test]
fn on_a_bus_without_polkit_nobody_is_asked() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    let subscription = subscribe(&mut bus, WALLED);
    assert_eq!(shown(&mut bus, &subscription).unwrap(), "");
    assert!(questions(&mut bus).is_empty());
}

#[test]
fn what_waited_is_heard_in_its_order() {
    let mut bus = with_polkit();
    let sent: Vec<Message> = (0..5).map(|_| subscribe(&mut bus, WALLED)).collect();
    let question = question(&mut bus);
    // One who is not asked about does not wait for those who are.
    let other = subscribe(&mut bus, ":1.101");
    assert_eq!(shown(&mut bus, &other).unwrap(), "Mum");
    decide(&mut bus, &question, true, false);
    let replied: Vec<_> =
        bus.delivered.iter().filter_map(|message| message.header().reply_serial()).collect();
    let expected: Vec<_> =
        sent.iter().map(|message| message.primary_header().serial_num()).collect();
    assert_eq!(replied, expected);
}

#[test]
fn a_silent_polkit_grants_nothing_and_keeps_nobody_waiting() {
    let mut bus = with_polkit();
    let subscription = subscribe(&mut bus, WALLED);
    let question = question(&mut bus);
    bus.wait(4);
    assert_eq!(shown(&mut bus, &subscription), None);
    assert!(
        bus.router.next_deadline().unwrap() <= bus.now.mono + callarbiter_core::Millis::secs(1)
    );
    bus.wait(1);
    assert_eq!(shown(&mut bus, &subscription).unwrap(), "");
    decide(&mut bus, &question, true, false);
    let again = subscribe(&mut bus, WALLED);
    assert_eq!(shown(&mut bus, &again).unwrap(), "", "it is decided once");
}

#[test]
fn questions_wait_for_questions() {
    let mut bus = with_polkit();
    let most = admission::PERMISSION_QUESTIONS;
    let names: Vec<String> = (0..most + 3).map(|n| format!(":1.19{n}")).collect();
    let subscriptions: Vec<Message> = names.iter().map(|name| subscribe(&mut bus, name)).collect();
    let first = questions(&mut bus);
    assert_eq!(first.iter().map(about).collect::<Vec<_>>(), names[..most]);
    // Who leaves while it is queued is not asked about.
    bus.leave(&names[most]);
    decide(&mut bus, &first[0], true, false);
    assert_eq!(shown(&mut bus, &subscriptions[0]).unwrap(), "Mum");
    assert_eq!(about(&question(&mut bus)), names[most + 1]);
    // Whoever leaves while it is asked about frees its place when polkit answers.
    bus.leave(&names[1]);
    assert!(questions(&mut bus).is_empty());
    decide(&mut bus, &first[1], true, false);
    assert_eq!(about(&question(&mut bus)), names[most + 2]);
    assert!(bus.reply_to(&subscriptions[1]).is_none());
}

#[test]
fn one_users_waiting_is_not_charged_to_others() {
    let mut bus = with_polkit();
    let connections = admission::PARKED_PER_USER / admission::PARKED_PER_PEER;
    for n in 0..connections {
        for _ in 0..admission::PARKED_PER_PEER {
            let sent = subscribe(&mut bus, &format!(":1.19{n}"));
            assert!(bus.reply_to(&sent).is_none());
        }
    }
    let one_more = subscribe(&mut bus, WALLED);
    let refused = bus.reply_to(&one_more).unwrap();
    assert_eq!(error_of(&refused).unwrap(), "org.callarbiter.Calls1.Error.LimitExceeded");
    // No room to wait: heard at once, without what only polkit could give.
    let late = subscribe(&mut bus, ":1.1999");
    assert_eq!(shown(&mut bus, &late).unwrap(), "");
    questions(&mut bus);
    subscribe(&mut bus, ":1.200");
    assert!(questions(&mut bus).is_empty(), "all questions are open already");
    bus.wait(5);
    let receiver = |message: &Message| message.header().destination().unwrap().to_string();
    assert!(bus.delivered.iter().any(|message| receiver(message) == ":1.200"));
}

#[test]
fn a_recording_ends_with_the_permission() {
    let mut bus = with_polkit();
    subscribe(&mut bus, WALLED);
    let question = question(&mut bus);
    decide(&mut bus, &question, true, false);
    bus.call(WALLED, names::ROOT_PATH, names::MANAGER, "Record", &(no_options(),));
    let told = |bus: &mut Bus| {
        let mut signals = bus.signals_to(WALLED);
        signals.retain(|signal| member(signal) == "Recorded");
        signals
    };
    assert!(!told(&mut bus).is_empty());
    // The administrator says no of an app, and it turns out to be this one.
    let uid = callarbiter_core::Uid(Bus::uid(WALLED));
    let peer = bus.router.peers.walled(uid).next().unwrap().caller.peer;
    let app = Some(("org.example.A".into(), callarbiter_core::AppIdSource::Sandbox));
    bus.router.peers.learn(peer, app, &bus.router.permits).unwrap();
    let mut access = bus.router.permits.access.clone();
    let said = callarbiter_config::Permits { control: Some(false), ..Default::default() };
    access.apps.insert("org.example.A".to_owned(), said);
    let (settings, mut out) = (bus.router.arbiter.settings().clone(), Vec::new());
    bus.router.configure(bus.now, settings, access, &mut out);
    bus.deliver_all(out);
    let (_, lines): (u64, Vec<Vec<u8>>) =
        told(&mut bus).pop().unwrap().body().deserialize().unwrap();
    let last: callarbiter_core::Line = callarbiter_records::read(lines.last().unwrap()).unwrap();
    assert!(matches!(last, callarbiter_core::Line::End { reason } if reason == "denied"));
    assert!(bus.router.tapes.is_empty());
}

#[test]
fn everything_about_an_app_is_one_entry() {
    const AGENT: &str = ":1.11";
    let mut bus = Bus::new();
    let access = bus.router.permits.access.clone();
    let mut settings = bus.router.arbiter.settings().clone();
    settings.policy.authorization = AuthorizationPolicy::Ask;
    bus.router.configure(bus.now, settings, access, &mut Vec::new());
    let agent = zbus::ObjectPath::from_static_str("/agent").unwrap();
    let registration = (agent, vec!["consent"], no_options());
    bus.call(AGENT, names::ROOT_PATH, names::MANAGER, "RegisterAgent", &registration);
    let mut said = |apps: &[&str]| {
        let word = |app: &&str| {
            let calls = Variant::from("denied");
            HashMap::from([("app-id", Variant::from(app.to_string())), ("authorization", calls)])
        };
        let words: Vec<_> = apps.iter().map(word).collect();
        let body = (words, no_options());
        let reply = bus.call(AGENT, names::ROOT_PATH, names::MANAGER, "SetApps", &body);
        let why = error_of(&reply).map(|_| reply.body().deserialize::<String>().unwrap());
        let uid = callarbiter_core::Uid(Bus::uid(AGENT));
        let domain = bus.router.arbiter.domain(uid).unwrap();
        let known: Vec<String> = domain.apps_decided().map(|app| app.to_string()).collect();
        (known, why.unwrap_or_default())
    };
    let both = ["org.example.A", "org.example.B"];
    assert_eq!(said(&both).0, both);
    let (known, why) = said(&["org.example.C", "org.example.D", "org.example.C"]);
    assert_eq!(known, both, "all of it or nothing");
    assert!(why.starts_with("org.example.C is there twice"), "{why}");
    let (known, why) = said(&["org.example.."]);
    assert!(known == both && why.contains("each part between dots"), "{why}");
}
