//! What must not be said to the arbiter: each gets its typed error, and nothing changes. Every member of
//! every interface that it serves is tried with wrong types; then, word by word, what has the right
//! types and is wrong all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fmt::Debug;
use std::fs;

use anyhow::Result;
use harness::{
    Action, Arbiter, FakeProvider, NAME, Options, Peer, ROOT, Reply, Reported, action, interface,
    options, source,
};
use serde::Serialize;
use zbus::{DynamicType, ObjectPath};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const NOWHERE: &str = "/org/callarbiter/Calls1/call/00000000_0000_4000_8000_000000000000";
const NO_CALL: &str = "00000000-0000-4000-8000-000000000000";

/// Two apps with a ringing call each and a controller: enough for everybody to meddle with the others.
struct Scene {
    phone: FakeProvider,
    other: FakeProvider,
    controller: Peer,
    ringing: Reported,
    others: Reported,
    _arbiter: Arbiter,
}

impl Scene {
    async fn set() -> Result<Scene> {
        let arbiter = Arbiter::on_session_bus().await?;
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let other = FakeProvider::register(&arbiter.bus, "org.example.Other").await?;
        let ringing = phone.report_incoming("sip:rabbit@example.org").await?;
        let others = other.report_incoming("sip:hatter@example.org").await?;
        let controller = arbiter.bus.connect().await?;
        Ok(Scene { phone, other, controller, ringing, others, _arbiter: arbiter })
    }

    /// The call is refused with one of these errors, says why, and changes nothing that anybody can see.
    async fn refused<B>(
        &self,
        by: &Peer,
        path: &str,
        short: &str,
        member: &str,
        body: &B,
        errors: &[&str],
    ) where
        B: Debug + Serialize + DynamicType,
    {
        self.refused_at(by, path, &interface(short), member, body, errors).await;
    }

    async fn refused_at<B>(
        &self,
        by: &Peer,
        path: &str,
        of: &str,
        member: &str,
        body: &B,
        errors: &[&str],
    ) where
        B: Debug + Serialize + DynamicType,
    {
        let before = self.controller.view().await.unwrap();
        let said = by.connection.call_method(Some(NAME), path, Some(of), member, body).await;
        let label = format!("{of}.{member} {body:?}");
        let Err(error) = said else { panic!("{label} was accepted") };
        let (name, message) = harness::error(&error);
        let short = name.strip_prefix(harness::ERROR).unwrap_or(&name);
        assert!(errors.contains(&short), "{label}: {name}: {message}; expected {errors:?}");
        assert!(!message.is_empty(), "{label}: {name} without a word why");
        let changes = self.controller.view().await.unwrap().changes(&before);
        assert_eq!(changes, [""; 0], "{label} changed something");
    }

    async fn manager<B: Debug + Serialize + DynamicType>(
        &self,
        member: &str,
        body: &B,
        error: &str,
    ) {
        self.refused(&self.controller, ROOT, "Manager", member, body, &[error]).await;
    }

    async fn provider<B: Debug + Serialize + DynamicType>(
        &self,
        member: &str,
        body: &B,
        error: &str,
    ) {
        self.refused(&self.phone.peer, &self.phone.path, "Provider", member, body, &[error]).await;
    }

    async fn call<B: Debug + Serialize + DynamicType>(
        &self,
        path: &str,
        member: &str,
        body: &B,
        error: &str,
    ) {
        self.refused(&self.controller, path, "Call", member, body, &[error]).await;
    }

    /// Requested or only planned, the answer is the same.
    async fn transaction(&self, actions: &[Action], error: &str) {
        for member in ["RequestTransaction", "PlanTransaction"] {
            self.manager(member, &(actions, Options::new()), error).await;
        }
    }
}

#[tokio::test]
async fn wrong_types_for_every_member() -> Result<()> {
    let scene = Scene::set().await?;
    scene.phone.script("PerformAnswer", Reply::Never);
    let answer = action("Answer", [("call", scene.ringing.uuid.clone().into())]);
    let transaction = scene.controller.request(&[answer], &Options::new()).await?;
    let objects = [
        ("Manager", ROOT, &scene.controller),
        ("AudioSession", ROOT, &scene.controller),
        ("Provider", &scene.phone.path, &scene.phone.peer),
        ("Call", &scene.others.path, &scene.controller),
        ("Transaction", &transaction, &scene.controller),
    ];
    let invalid = ["org.freedesktop.DBus.Error.InvalidArgs"];
    let mut tried = 0;
    for (short, path, by) in objects {
        for method in methods(short)? {
            scene.refused(by, path, short, &method.name, &(7u8, 1.5f64), &invalid).await;
            scene.refused(by, path, short, &method.name, &vec![("a", 1u8)], &invalid).await;
            if method.arguments > 0 {
                scene.refused(by, path, short, &method.name, &(), &invalid).await;
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "the interface files were not read: {tried} methods");
    Ok(())
}

#[tokio::test]
async fn what_does_not_exist() -> Result<()> {
    let scene = Scene::set().await?;
    let by = &scene.controller;
    let dbus = |name: &str| format!("org.freedesktop.DBus.Error.{name}");
    let (object, of) = (dbus("UnknownObject"), dbus("UnknownInterface"));
    let (method, property, read_only) =
        (dbus("UnknownMethod"), dbus("UnknownProperty"), dbus("PropertyReadOnly"));
    for path in [
        "/",
        "/org/example",
        "/org/callarbiter/Calls1/provider/999",
        "/org/callarbiter/Calls1/group/7",
    ] {
        scene.refused(by, path, "Provider", "Unregister", &(), &[&object, &of]).await;
    }
    for path in [NOWHERE, "/org/callarbiter/Calls1/call/x", "/org/callarbiter/Calls1/call/x/y"] {
        let get = (interface("Call"), "State");
        scene.refused_at(by, path, PROPERTIES, "Get", &get, &[&object]).await;
        scene.refused(by, path, "Call", "Hold", &(), &[&object, "UnknownCall"]).await;
    }
    scene.refused(by, ROOT, "Manager", "Explode", &(), &[&method]).await;
    scene.refused(by, ROOT, "Call", "Hold", &(), &[&of, &method]).await;
    scene.refused(by, ROOT, "Explosives", "Explode", &(), &[&of]).await;
    let get = |name: &'static str| (interface("Manager"), name);
    scene.refused_at(by, ROOT, PROPERTIES, "Get", &get("Explosives"), &[&property]).await;
    scene.refused_at(by, ROOT, PROPERTIES, "Get", &(interface("Call"), "State"), &[&of]).await;
    let set = (interface("Manager"), "Version", zbus::Variant::from("0"));
    scene.refused_at(by, ROOT, PROPERTIES, "Set", &set, &[&read_only]).await;
    Ok(())
}

#[tokio::test]
async fn registrations() -> Result<()> {
    let scene = Scene::set().await?;
    let at = ObjectPath::try_from("/delegate")?;
    let new = "org.example.New";
    for app in
        ["", ".hidden", "two words", "sl/ash", "new\nline", "a..b", "a.", "-", &"x".repeat(256)]
    {
        let registration = (app, at.clone(), Options::new());
        scene.manager("RegisterProvider", &registration, "InvalidArgument").await;
    }
    let schemes: Vec<String> = (0..17).map(|n| format!("scheme{n}")).collect();
    for (key, value) in [
        ("display-name", 5u32.into()),
        ("display-name", "x".repeat(257).into()),
        ("display-name", "bell\u{7}".into()),
        ("instance", "x".repeat(65).into()),
        ("icon", "x".repeat(256).into()),
        ("icon", "/dev/zero".into()),
        ("ringtone", "../../secret".into()),
        ("usage-description", "x".repeat(513).into()),
        ("supported-schemes", "sip".into()),
        ("supported-schemes", schemes.into()),
        ("supported-schemes", vec!["x".repeat(33)].into()),
        ("supports-video", "yes".into()),
        ("maximum-call-groups", (-1i32).into()),
    ] {
        let registration = (new, at.clone(), options([(key, value)]));
        scene.manager("RegisterProvider", &registration, "InvalidArgument").await;
    }
    let many: Vec<String> = (0..65).map(|n| format!("key{n}")).collect();
    let many: std::collections::HashMap<&str, zbus::Variant<'_>> =
        many.iter().map(|key| (key.as_str(), 1u8.into())).collect();
    scene.manager("RegisterProvider", &(new, at.clone(), many), "InvalidArgument").await;
    let taken = ("org.example.Phone", at.clone(), Options::new());
    scene.manager("RegisterProvider", &taken, "AlreadyRegistered").await;
    // No process of a test runs in a unit that the administrator lists.
    scene.manager("RegisterAgent", &(at.clone(), vec!["ui"], Options::new()), "AccessDenied").await;
    scene.manager("RegisterAgent", &(at, vec!["king"], Options::new()), "NotSupported").await;
    scene.manager("SetDoNotDisturb", &(true, Options::new()), "AccessDenied").await;
    for bad in [vec!["x".repeat(257)], vec!["a\nb".to_owned()], vec![String::new(); 257]] {
        let how = options([("allow", bad.into())]);
        scene.manager("SetDoNotDisturb", &(true, how), "InvalidArgument").await;
    }
    scene.manager("SetAuthorization", &("org.example.X", "authorized"), "AccessDenied").await;
    for (app, word) in [("", "denied"), ("a b", "denied"), ("a", ""), ("a", "restricted")] {
        scene.manager("SetAuthorization", &(app, word), "InvalidArgument").await;
    }
    for request in ["", "nonsense", "000000000000-1", "000000000000-i0"] {
        scene.manager("AgentReply", &(request, Options::new()), "InvalidArgument").await;
    }
    Ok(())
}

#[tokio::test]
async fn reports() -> Result<()> {
    let scene = Scene::set().await?;
    let uuid = scene.ringing.uuid.as_str();
    let (fresh, none) = ("11111111-1111-4111-8111-111111111111", Options::new());
    for bad in ["", "nonsense", "00000000000040008000000000000000", &uuid[1..]] {
        scene.provider("ReportIncomingCall", &(bad, &none), "InvalidArgument").await;
        scene.provider("ReportCall", &(bad, "outgoing", "dialing", &none), "InvalidArgument").await;
        scene.provider("UpdateCall", &(bad, &none), "InvalidArgument").await;
        scene.provider("ReportState", &(bad, "active", &none), "InvalidArgument").await;
        scene.provider("ReportEnded", &(bad, "failed", &none), "InvalidArgument").await;
    }
    for (key, value) in [
        ("remote-handle", 5u32.into()),
        ("remote-handle", "x".repeat(257).into()),
        ("remote-handle", "sip:\0x".replace('\0', "\u{1}").into()),
        ("display-name", "x".repeat(257).into()),
        ("has-video", "no".into()),
        ("ring-timeout", 999u32.into()),
        ("ring-timeout", 600_001u32.into()),
        ("correlation-id", "x".repeat(129).into()),
        ("contact-id", "x".repeat(129).into()),
    ] {
        let update = options([(key, value)]);
        scene.provider("ReportIncomingCall", &(fresh, &update), "InvalidArgument").await;
        scene
            .provider("ReportCall", &(fresh, "outgoing", "dialing", &update), "InvalidArgument")
            .await;
        scene.provider("UpdateCall", &(uuid, &update), "InvalidArgument").await;
    }
    scene.provider("ReportCall", &(fresh, "sideways", "dialing", &none), "InvalidArgument").await;
    scene.provider("ReportCall", &(fresh, "outgoing", "", &none), "InvalidArgument").await;
    for state in ["singing", "ended", "answering"] {
        scene.provider("ReportCall", &(fresh, "outgoing", state, &none), "InvalidArgument").await;
        scene.provider("ReportState", &(uuid, state, &none), "InvalidArgument").await;
    }
    scene.provider("ReportCall", &(fresh, "incoming", "dialing", &none), "InvalidArgument").await;
    scene.provider("ReportState", &(uuid, "alerting", &none), "InvalidState").await;
    scene
        .provider(
            "ReportState",
            &(uuid, "active", options([("remote-held", 1u8.into())])),
            "InvalidArgument",
        )
        .await;
    scene.provider("ReportEnded", &(uuid, "boredom", &none), "InvalidArgument").await;
    let wordy = options([("message", "x".repeat(513).into())]);
    scene.provider("ReportEnded", &(uuid, "failed", wordy), "InvalidArgument").await;
    scene.provider("ReportState", &(fresh, "active", &none), "UnknownCall").await;
    scene.provider("UpdateCall", &(fresh, &none), "UnknownCall").await;
    // Another app's call is none of its own.
    let others = scene.others.uuid.as_str();
    scene.provider("ReportState", &(others, "active", &none), "UnknownCall").await;
    scene.provider("UpdateCall", &(others, &none), "UnknownCall").await;
    Ok(())
}

#[tokio::test]
async fn the_same_report_twice_changes_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.controller.view().await?;
    let again = options([("remote-handle", "sip:rabbit@example.org".into())]);
    let path = scene.phone.report_incoming_call(&scene.ringing.uuid, &again).await?;
    assert_eq!(path, scene.ringing.path);
    assert_eq!(scene.controller.view().await?.changes(&before), [""; 0]);
    scene.phone.report_ended(&scene.ringing.uuid, "remote-ended").await?;
    let ended = (scene.ringing.uuid.as_str(), Options::new());
    scene.provider("ReportIncomingCall", &ended, "AlreadyEnded").await;
    scene.provider("UpdateCall", &ended, "AlreadyEnded").await;
    let active = (scene.ringing.uuid.as_str(), "active", Options::new());
    scene.provider("ReportState", &active, "AlreadyEnded").await;
    for member in ["Hold", "Unhold", "Leave", "Silence"] {
        scene.call(&scene.ringing.path, member, &(), "AlreadyEnded").await;
    }
    scene.call(&scene.ringing.path, "Answer", &Options::new(), "AlreadyEnded").await;
    // A push that comes after the end that nobody here knew: it never rings.
    let never = "22222222-2222-4222-8222-222222222222";
    scene.phone.report_ended(never, "remote-ended").await?;
    scene.provider("ReportIncomingCall", &(never, Options::new()), "AlreadyEnded").await;
    Ok(())
}

#[tokio::test]
async fn words_about_requests() -> Result<()> {
    let scene = Scene::set().await?;
    for word in ["", "never-issued", &"x".repeat(300)] {
        scene.provider("Fulfil", &(word, Options::new()), "InvalidArgument").await;
        scene.provider("Fail", &(word, "org.example.Error", ""), "InvalidArgument").await;
        scene.provider("Progress", &(word, 1000u32), "InvalidArgument").await;
    }
    scene.phone.script("PerformAnswer", Reply::Never);
    let answer = action("Answer", [("call", scene.ringing.uuid.clone().into())]);
    scene.controller.request(&[answer], &Options::new()).await?;
    let asked = scene.phone.wait_asked("PerformAnswer", 1).await?;
    // Another provider cannot answer in its place.
    let theirs = (asked.request.as_str(), Options::new());
    let (other, path) = (&scene.other.peer, &scene.other.path);
    scene.refused(other, path, "Provider", "Fulfil", &theirs, &["InvalidArgument"]).await;
    scene.refused(other, &scene.phone.path, "Provider", "Fulfil", &theirs, &["AccessDenied"]).await;
    assert_eq!(scene.controller.state(&scene.ringing.path).await?, "answering");
    scene.phone.fail(&asked.request, "org.example.Error.Busy", "busy").await?;
    scene.controller.expect("its end", |m| harness::is(m, "Call", "Transition")).await?;
    // Decided: no word makes it active again.
    let before = scene.controller.view().await?;
    let _ = scene.phone.fulfil(&asked.request).await;
    assert_eq!(scene.controller.view().await?.changes(&before), [""; 0]);
    let late = (asked.request.as_str(), 1000u32);
    scene.provider("Progress", &late, "TimedOut").await;
    Ok(())
}

#[tokio::test]
async fn a_word_after_its_deadline() -> Result<()> {
    let bus = harness::Bus::session().await?;
    let quick = format!("{}[deadlines]\nanswer-ms = 300\n", harness::ALLOW);
    let arbiter = Arbiter::on(bus, &quick).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    phone.script("PerformAnswer", Reply::Never);
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    let controller = arbiter.bus.connect().await?;
    assert_eq!(controller.answer(&call.path).await.unwrap_err().short(), "TimedOut");
    phone.wait_asked("ActionTimedOut", 1).await?;
    phone.wait_asked("PerformEnd", 1).await?;
    let asked = phone.wait_asked("PerformAnswer", 1).await?;
    let refused = phone.fulfil(&asked.request).await.unwrap_err();
    assert_eq!(refused.short(), "TimedOut");
    assert_eq!(controller.answer(&call.path).await.unwrap_err().short(), "AlreadyEnded");
    Ok(())
}

#[tokio::test]
async fn transactions() -> Result<()> {
    let scene = Scene::set().await?;
    let call = || ("call", scene.ringing.uuid.clone().into());
    scene.transaction(&[], "EmptyTransaction").await;
    scene.transaction(&[action("Explode", [call()])], "UnknownAction").await;
    scene.transaction(&[action("Answer", [])], "InvalidArgument").await;
    scene.transaction(&[action("Answer", [("call", 7u32.into())])], "InvalidArgument").await;
    scene.transaction(&[action("Answer", [("call", "nonsense".into())])], "InvalidArgument").await;
    scene.transaction(&[action("Answer", [("call", NO_CALL.into())])], "UnknownCall").await;
    scene.transaction(&[action("SetHeld", [call()])], "InvalidArgument").await;
    scene.transaction(&[action("SetHeld", [call(), ("held", true.into())])], "InvalidState").await;
    scene
        .transaction(&[action("PlayDtmf", [call(), ("digits", "xyz".into())])], "InvalidArgument")
        .await;
    let stale = action("Answer", [call(), ("expected-state", "held".into())]);
    scene.transaction(&[stale], "StaleState").await;
    let unknown = action("Answer", [call(), ("expected-state", "singing".into())]);
    scene.transaction(&[unknown], "InvalidArgument").await;
    // One wrong action refuses all: the call before it is not answered.
    let good = || action("Answer", [call()]);
    scene.transaction(&[good(), action("Explode", [])], "UnknownAction").await;
    let crowd: Vec<Action> = (0..33).map(|_| good()).collect();
    scene.transaction(&crowd, "LimitExceeded").await;
    for (key, value) in
        [("token", "nonsense".into()), ("token", 7u8.into()), ("wait", "yes".into())]
    {
        let how = options([(key, value)]);
        scene.manager("RequestTransaction", &(vec![good()], how), "InvalidArgument").await;
    }
    for handle in ["", &"x".repeat(257), "sip:bell\u{7}"] {
        scene.manager("StartCall", &(handle, Options::new()), "InvalidArgument").await;
    }
    let nobody = options([("provider", "org.example.Nobody".into())]);
    scene.manager("StartCall", &("sip:a@example.org", nobody), "UnknownProvider").await;
    scene.manager("StartCall", &("carrier-pigeon:1", Options::new()), "UnknownProvider").await;
    Ok(())
}

#[tokio::test]
async fn verbs_that_do_not_fit() -> Result<()> {
    let scene = Scene::set().await?;
    let path = &scene.ringing.path;
    for member in ["Hold", "Unhold", "Leave"] {
        scene.call(path, member, &(), "InvalidState").await;
    }
    scene.call(path, "SetMuted", &(true,), "InvalidState").await;
    scene.call(path, "SendDtmf", &("5",), "InvalidState").await;
    scene.call(path, "SendDtmf", &("five",), "InvalidArgument").await;
    scene.call(path, "SendDtmf", &("5".repeat(129),), "InvalidArgument").await;
    scene.call(path, "End", &options([("reason", "boredom".into())]), "InvalidArgument").await;
    scene.call(path, "End", &options([("reason", 1u8.into())]), "InvalidArgument").await;
    scene.controller.answer(path).await?;
    scene.controller.wait_audio("granted").await?;
    let join = |path: &str| (ObjectPath::try_from(path.to_owned()).unwrap(),);
    scene.call(path, "Join", &join(path), "InvalidArgument").await;
    scene.call(path, "Join", &join(NOWHERE), "UnknownCall").await;
    scene.call(path, "Join", &join("/org/example"), "InvalidArgument").await;
    scene.call(path, "Join", &join(&scene.others.path), "NotSupported").await;
    scene.call(path, "Silence", &(), "InvalidState").await;
    let audio = ("speaker",);
    scene
        .refused(
            &scene.controller,
            ROOT,
            "AudioSession",
            "SelectEndpoint",
            &audio,
            &["NotSupported"],
        )
        .await;
    Ok(())
}

#[tokio::test]
async fn apps_act_on_their_own_calls_only() -> Result<()> {
    let scene = Scene::set().await?;
    let (by, none) = (&scene.other.peer, Options::new());
    let denied = ["AccessDenied"];
    scene.refused(by, &scene.ringing.path, "Call", "Answer", &none, &denied).await;
    scene.refused(by, &scene.ringing.path, "Call", "End", &none, &denied).await;
    let answer = vec![action("Answer", [("call", scene.ringing.uuid.clone().into())])];
    scene.refused(by, ROOT, "Manager", "RequestTransaction", &(answer, none), &denied).await;
    scene.refused(by, &scene.phone.path, "Provider", "Unregister", &(), &denied).await;
    Ok(())
}

struct Method {
    name: String,
    arguments: usize,
}

/// The methods of an interface file.
fn methods(short: &str) -> Result<Vec<Method>> {
    let xml = fs::read_to_string(source(&format!("dbus-interfaces/xml/{}.xml", interface(short))))?;
    let mut methods: Vec<Method> = vec![];
    let mut inside = false;
    for tag in xml.split('<').map(|tag| tag.split('>').next().unwrap_or_default()) {
        if let Some(name) = tag.strip_prefix("method name=\"") {
            let name = name.split('"').next().unwrap_or_default().to_owned();
            methods.push(Method { name, arguments: 0 });
            inside = !tag.ends_with('/');
        } else if tag == "/method" {
            inside = false;
        } else if inside && tag.starts_with("arg ") && tag.contains("direction=\"in\"") {
            methods.last_mut().expect("an argument of a method").arguments += 1;
        }
    }
    Ok(methods)
}
