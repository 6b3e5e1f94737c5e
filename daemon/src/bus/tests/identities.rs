//! Apps that the daemon cannot name: their registrations wait for an agent, and not for long.

use callarbiter_core::Millis;

use super::*;

/// An agent that knows processes.
const AGENT: &str = ":1.11";

fn with_agent() -> Bus {
    let mut bus = Bus::new();
    let path = OwnedObjectPath::try_from("/agent").unwrap();
    let registration = (path, vec!["identity"], no_options());
    bus.call(AGENT, names::ROOT_PATH, names::MANAGER, "RegisterAgent", &registration);
    bus
}

/// The reply comes later, if at all.
fn register(bus: &mut Bus, sender: &str, app: &str) -> Message {
    let path = OwnedObjectPath::try_from("/delegate").unwrap();
    let call = Message::method_call(names::ROOT_PATH, "RegisterProvider")
        .sender(sender)
        .interface(names::MANAGER)
        .build(&(app, path, no_options()))
        .unwrap();
    bus.deliver(&call);
    call
}

fn question(bus: &Bus) -> String {
    let asked = bus.delivered.iter().rev().find(|message| is_question(message));
    let body = asked.expect("the agent is asked").body();
    let (request, _, options): (String, u32, Dict) = body.deserialize().unwrap();
    assert!(options.contains_key("declared") && options.contains_key("deadline"));
    request
}

fn questions(bus: &Bus) -> usize {
    bus.delivered.iter().filter(|message| is_question(message)).count()
}

fn is_question(message: &Message) -> bool {
    message.message_type() == Type::MethodCall && member(message) == "Identify"
}

fn says(bus: &mut Bus, sender: &str, request: &str, app: &str, source: &str) -> Option<String> {
    let answer = HashMap::from([("app-id", Variant::from(app)), ("source", source.into())]);
    let reply =
        bus.call(sender, names::ROOT_PATH, names::MANAGER, "AgentReply", &(request, answer));
    error_of(&reply)
}

fn source(bus: &mut Bus, reply: &Message) -> String {
    let (path, _): (OwnedObjectPath, Dict) = reply.body().deserialize().unwrap();
    let source = bus.get(":1.12", path.as_str(), names::PROVIDER, "AppIdSource");
    String::try_from(source).unwrap()
}

fn short(error: Option<String>) -> String {
    error.unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned()
}

#[test]
fn what_the_agent_says_is_known_and_asked_once() {
    let mut bus = with_agent();
    let call = register(&mut bus, ":1.12", "org.x.App");
    let second = register(&mut bus, ":1.12", "org.x.Other");
    assert!(bus.reply_to(&call).is_none() && bus.reply_to(&second).is_none());
    assert_eq!(questions(&bus), 1);
    let request = question(&bus);
    assert_eq!(short(says(&mut bus, ":1.12", &request, "org.x.App", "unit")), "InvalidArgument");
    assert_eq!(short(says(&mut bus, AGENT, &request, "no app", "unit")), "InvalidArgument");
    assert_eq!(says(&mut bus, AGENT, &request, "org.x.App", "sandbox"), None);
    let reply = bus.reply_to(&call).unwrap();
    assert_eq!(source(&mut bus, &reply), "sandbox");
    let refused = bus.reply_to(&second).unwrap();
    assert_eq!(short(error_of(&refused)), "AccessDenied", "its sandbox proves another app");
    assert_eq!(short(says(&mut bus, AGENT, &request, "org.x.App", "unit")), "TimedOut");
    let again = register(&mut bus, ":1.12", "org.x.App");
    assert!(bus.reply_to(&again).is_some(), "it is known");
    assert_eq!(questions(&bus), 1);
}

#[test]
fn a_unit_confirms_and_refuses_nobody() {
    for (app, expected) in [("org.x.App", "unit"), ("org.x.Terminal", "declared")] {
        let mut bus = with_agent();
        let call = register(&mut bus, ":1.12", app);
        let request = question(&bus);
        assert_eq!(says(&mut bus, AGENT, &request, "org.x.App", "unit"), None);
        let reply = bus.reply_to(&call).unwrap();
        assert_eq!(source(&mut bus, &reply), expected);
    }
}

#[test]
fn a_silent_agent_keeps_nobody_waiting() {
    let mut bus = with_agent();
    let call = register(&mut bus, ":1.12", "org.x.App");
    assert!(bus.reply_to(&call).is_none());
    let until = bus.now.mono + Millis(500);
    assert_eq!(bus.router.next_deadline(), Some(until));
    bus.wait(1);
    let reply = bus.reply_to(&call).expect("as if there was no agent");
    assert_eq!(source(&mut bus, &reply), "declared");
    let request = question(&bus);
    assert_eq!(short(says(&mut bus, AGENT, &request, "org.x.App", "sandbox")), "TimedOut");
}

#[test]
fn who_left_is_not_registered_and_without_an_agent_nobody_waits() {
    let mut bus = with_agent();
    let call = register(&mut bus, ":1.12", "org.x.App");
    bus.leave(":1.12");
    let request = question(&bus);
    assert_eq!(short(says(&mut bus, AGENT, &request, "org.x.App", "unit")), "TimedOut");
    assert!(bus.reply_to(&call).is_none());
    bus.leave(AGENT);
    let call = register(&mut bus, ":1.13", "org.x.App");
    assert!(bus.reply_to(&call).is_some());
}

#[test]
fn a_flood_is_not_asked_about() {
    let mut bus = with_agent();
    let calls: Vec<Message> = (0..20)
        .map(|n| register(&mut bus, &format!(":1.12{n}"), &format!("org.x.App{n}")))
        .collect();
    assert_eq!(questions(&bus), 16);
    assert_eq!(calls.iter().filter(|call| bus.reply_to(call).is_some()).count(), 4);
}
