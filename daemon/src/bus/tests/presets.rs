//! What becomes of an app's registration while polkit is asked whether it may provide calls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const APP: &str = "org.example.Phone";
const PHONE: &str = ":1.100";

/// A bus with polkit on it, where nobody has decided about any app.
fn undecided() -> Bus {
    let mut bus = Bus::new();
    let mut settings = Settings::default();
    settings.policy.authorization = AuthorizationPolicy::Ask;
    let access = Access::default();
    bus.router = Router::new(settings, access, Some(Permissions::default()), None);
    bus
}

fn registration(sender: &str, app: &str) -> Message {
    let body = (app, zbus::ObjectPath::try_from("/app").unwrap(), no_options());
    let call = Message::method_call(names::ROOT_PATH, "RegisterProvider");
    call.interface(names::MANAGER).sender(sender).build(&body).unwrap()
}

fn questions(bus: &mut Bus) -> Vec<Message> {
    bus.asks().into_iter().filter(|ask| member(ask) == "CheckAuthorization").collect()
}

fn decision(question: &Message, authorized: bool, challenge: bool) -> Message {
    let details: HashMap<&str, &str> = HashMap::new();
    let reply = Message::method_return(&question.header()).sender(":1.7");
    reply.build(&((authorized, challenge, details),)).unwrap()
}

fn authorization(bus: &mut Bus, registration: &Message) -> Option<String> {
    let reply = bus.reply_to(registration)?;
    let (_, state): (OwnedObjectPath, Dict) = reply.body().deserialize().unwrap();
    Some(String::try_from(state["authorization"].clone()).unwrap())
}

#[test]
fn a_registration_waits_for_the_rule_and_is_what_it_says() {
    for (authorized, challenge, word) in
        [(true, false, "authorized"), (false, false, "restricted"), (false, true, "not-determined")]
    {
        let mut bus = undecided();
        let call = registration(PHONE, APP);
        bus.deliver(&call);
        let question = questions(&mut bus).remove(0);
        let (_, action, details, ..): (
            (String, Dict),
            String,
            HashMap<String, String>,
            u32,
            String,
        ) = question.body().deserialize().unwrap();
        assert_eq!((&*action, &*details["app-id"]), ("org.callarbiter.provide-calls", APP));
        assert_eq!(authorization(&mut bus, &call), None, "it is not decided yet");
        bus.deliver(&decision(&question, authorized, challenge));
        assert_eq!(authorization(&mut bus, &call).unwrap(), word);
    }
}

#[test]
fn an_absent_and_a_silent_polkit_leave_it_to_the_user() {
    let mut bus = undecided();
    let call = registration(PHONE, APP);
    bus.deliver(&call);
    let question = questions(&mut bus).remove(0);
    let error = Message::error(&question.header(), "org.freedesktop.DBus.Error.ServiceUnknown");
    bus.deliver(&error.sender("org.freedesktop.DBus").build(&"no").unwrap());
    assert_eq!(authorization(&mut bus, &call).unwrap(), "not-determined");

    let call = registration(":1.101", "org.example.Other");
    bus.deliver(&call);
    let question = questions(&mut bus).remove(0);
    bus.wait(5);
    assert_eq!(authorization(&mut bus, &call).unwrap(), "not-determined");
    bus.deliver(&decision(&question, true, false));
    let seen = bus.call(
        ":1.101",
        "/org/callarbiter/Calls1/provider/2",
        "org.freedesktop.DBus.Properties",
        "Get",
        &(names::PROVIDER, "Authorization"),
    );
    let seen: OwnedVariant = seen.body().deserialize().unwrap();
    assert_eq!(String::try_from(seen).unwrap(), "not-determined", "that is too late");
}

#[test]
fn few_are_asked_at_once_all_in_the_end_and_a_flood_is_refused() {
    let mut bus = undecided();
    let app = |n: usize| (format!(":1.1{n:03}"), format!("org.example.App{n}"));
    let calls: Vec<Message> =
        (0..64).map(app).map(|(sender, app)| registration(&sender, &app)).collect();
    calls.iter().for_each(|call| bus.deliver(call));
    let (sender, name) = app(64);
    let flood = registration(&sender, &name);
    bus.deliver(&flood);
    let refused = error_of(&bus.reply_to(&flood).unwrap()).unwrap();
    assert_eq!(refused, "org.callarbiter.Calls1.Error.LimitExceeded");
    // One of them leaves before its turn.
    let (left, _) = app(63);
    bus.leave(&left);
    let mut open = questions(&mut bus);
    assert_eq!(open.len(), 8);
    let mut asked = open.len();
    while let Some(question) = open.pop() {
        bus.deliver(&decision(&question, true, false));
        let next = questions(&mut bus);
        asked += next.len();
        open.extend(next);
    }
    assert_eq!(asked, 63);
    assert_eq!(calls.iter().filter(|call| bus.reply_to(call).is_some()).count(), 63);
}
