//! `callctl record` and `callctl replay` on a real bus: a recording tells what was decided, decides the same when it is
//! played again, and names nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "record/bounds.rs"]
mod bounds;
#[path = "record/lives.rs"]
mod lives;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use harness::{
    Arbiter, Bus, FakeAgent, FakeProvider, Launch, Options, Peer, Process, ROOT, Refused, Reply,
    action, built, eventually, is, options,
};
use serde_json::Value;
use zbus::message::Type;
use zbus::{Message, OwnedObjectPath, OwnedVariant};

const CONFIG: &str = r#"
authorization = "allow"
[agents]
units = ["*"]
[deadlines]
answer-ms = 300
set-held-ms = 300
grace-ms = 300
[[rule]]
name = "no spam"
contacts = ["tel:+49900*"]
ring = "reject"
[emergency]
handles = ["tel:112"]
providers = ["org.example.Phone"]
"#;

/// The same without the rule.
const LENIENT: &str =
    "authorization = \"allow\"\n[deadlines]\nanswer-ms = 300\nset-held-ms = 300\ngrace-ms = 300\n";

const SECRETS: [&str; 12] = [
    "dormouse",
    "wonderland",
    "teapot",
    "Lovelace",
    "Cheshire",
    "30123456",
    "900555",
    "0815*4711",
    "kitchen",
    "555777",
    "ada-card",
    "headphones of",
];

struct Recorder {
    process: Process,
    file: PathBuf,
}

impl Recorder {
    async fn start(arbiter: &Arbiter, name: &str) -> Result<Recorder> {
        Recorder::with(arbiter, name, &[]).await
    }

    async fn with(arbiter: &Arbiter, name: &str, options: &[&str]) -> Result<Recorder> {
        let file = arbiter.bus.directory().join(name);
        let launch = Launch::new(built("callctl", "-p callctl")?)
            .arg("--bus")
            .arg(arbiter.bus.address())
            .arg("record")
            .arg(&file);
        let launch = options.iter().fold(launch, |launch, option| launch.arg(option));
        let process = launch.start(arbiter.bus.directory())?;
        eventually("the recording begins", async || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            text.lines().any(|line| line.starts_with("{\"uses\"")).then_some(())
        })
        .await?;
        Ok(Recorder { process, file })
    }

    async fn stop(&mut self) -> Result<String> {
        self.process.signal("INT")?;
        let status = self.process.end().await?;
        assert!(status.success(), "{}", self.process.log());
        Ok(fs::read_to_string(&self.file)?)
    }
}

fn callctl(arguments: &[&str]) -> Result<std::process::Output> {
    Ok(std::process::Command::new(built("callctl", "-p callctl")?).args(arguments).output()?)
}

fn replay(file: &Path, more: &[&str]) -> Result<Vec<Value>> {
    let file = file.to_str().unwrap();
    let output = callctl(&[&["--json", "replay", file], more].concat())?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{err}\n{out}");
    Ok(out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What two apps, an agent and a user do in half a minute of trouble, most of it about people.
async fn live(arbiter: &Arbiter, alice: &Peer, phone: FakeProvider, first: &str) -> Result<()> {
    let chatter = FakeProvider::register(&arbiter.bus, "org.example.Chatter").await?;
    let desk = FakeAgent::with(&arbiter.bus, &["dnd", "contacts", "audio"]).await?;
    // A second call: the first is held for it, resumed when it ends.
    let update = options([
        ("remote-handle", "sip:dormouse@wonderland.example".into()),
        ("display-name", "Ada Lovelace".into()),
    ]);
    let uuid = uuid::Uuid::new_v4().to_string();
    let second = chatter.report_incoming_call(&uuid, &update).await?;
    let asked = desk.asked("LookUp", 1).await?;
    desk.answer(&asked, [("name", "Cheshire Cat".into()), ("contact-id", "ada-card".into())])
        .await?;
    alice.answer(&second).await?;
    alice.wait_state(first, "held").await?;
    chatter.report_ended(&uuid, "remote-ended").await?;
    alice.unhold(first).await?;
    // One that its app cannot answer, one that it does not answer in time.
    let failed = "org.callarbiter.Calls1.Error.ActionFailed";
    chatter.script("PerformAnswer", Reply::Fail(failed, "the teapot is full"));
    let third = chatter.report_incoming("tel:+49-30-123456").await?;
    alice.answer(&third.path).await.unwrap_err();
    chatter.script("PerformAnswer", Reply::Never);
    let fourth = chatter.report_incoming("+49 30 123456").await?;
    alice.answer(&fourth.path).await.unwrap_err();
    // A rule, do-not-disturb with an exception, who tries again.
    let spam = chatter.report_incoming("tel:+49 900-555 123").await.unwrap_err().to_string();
    assert!(spam.contains("no spam"), "{spam}");
    let quiet = options([("allow", vec!["sip:dormouse@wonderland.example"].into())]);
    let _: () = desk.peer.call(ROOT, "Manager", "SetDoNotDisturb", &(true, quiet)).await?;
    chatter.report_incoming("tel:+49555777").await.unwrap_err();
    chatter.report_incoming("tel:+49-555-777").await?;
    let let_through = chatter.report_incoming("sips:dormouse@WONDERLAND.example").await?;
    alice.wait_state(&let_through.path, "ringing").await?;
    // Tones, where the sound goes, a hold that fails, a plan of several steps.
    let tones =
        action("PlayDtmf", [("call", uuid_of(first).into()), ("digits", "0815*4711#".into())]);
    let wait = || options([("wait", true.into())]);
    alice.request(&[tones], &wait()).await?;
    let place = HashMap::from([
        ("id", zbus::Variant::from("usb")),
        ("name", "headphones of the kitchen".into()),
        ("kind", "headset".into()),
    ]);
    let _: () = desk.peer.call(ROOT, "Manager", "SetEndpoints", &(vec![place], "usb")).await?;
    phone.script("PerformSetHeld", Reply::Fail(failed, "the teapot is full"));
    chatter.script("PerformAnswer", Reply::Fulfil);
    alice.answer(&let_through.path).await.unwrap_err();
    alice.call::<_, ()>(first, "Call", "Mute", &()).await.ok();
    // An app goes and does not come back, another leaves.
    drop(phone);
    eventually("the call of the lost app ends", async || {
        alice.state(first).await.is_err().then_some(())
    })
    .await?;
    let _: () = chatter.tell("Unregister", &()).await?;
    drop(desk);
    Ok(())
}

fn uuid_of(path: &str) -> String {
    path.rsplit('/').next().unwrap().replace('_', "-")
}

#[tokio::test]
async fn a_recording_decides_again_what_was_decided_and_names_nobody() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let alice = arbiter.bus.connect().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    // It begins in the middle of things.
    let first = phone.report_incoming("tel:+4930123456").await?;
    alice.answer(&first.path).await?;
    alice.wait_audio("granted").await?;
    let observer = arbiter.bus.connect().await?;
    let before = observer.view().await?.revision;
    let mut recorder = Recorder::start(&arbiter, "session.jsonl").await?;
    live(&arbiter, &alice, phone, &first.path).await?;
    let last = alice.view().await?.revision;
    let text = recorder.stop().await?;
    for secret in SECRETS {
        assert!(
            !text.to_lowercase().contains(&secret.to_lowercase()),
            "{secret} is in the recording"
        );
    }
    for kept in ["org.example.Chatter", "no spam", "tel:112", "tel:+0", "sip:#", "sips:#"] {
        assert!(text.contains(kept), "{kept} is not in the recording");
    }

    let played = replay(&recorder.file, &[])?;
    let (closing, inputs) = played.split_last().unwrap();
    assert_eq!(closing["played"]["unlike"], 0);
    assert!(inputs.iter().all(|input| input["as_recorded"] == true));
    let decided: Vec<String> = inputs
        .iter()
        .flat_map(|input| input["decisions"].as_array().unwrap())
        .filter(|decision| decision["revision"].is_u64())
        .filter_map(decided)
        .collect();
    eventually("the observer has read everything", async || {
        let seen = observer.received().iter().filter_map(revision).max();
        (seen? >= last).then_some(())
    })
    .await?;
    let seen: Vec<String> = observer.received().iter().filter_map(published).collect();
    assert!(seen.len() > 60, "{before} to {last}: {seen:#?}");
    assert_eq!(decided[..seen.len()], seen, "decided again and seen");

    let people = callctl(&["--color", "never", "replay", recorder.file.to_str().unwrap()])?;
    let people = String::from_utf8(people.stdout)?;
    for sentence in [
        "org.example.Chatter reports call",
        "active → held",
        "its app could not answer it (ActionFailed)",
        "the rule no spam applies",
        "do-not-disturb is on, but for 1 handles",
        "was too late for Answer",
        "its app is told FilteredByDoNotDisturb",
        "leaves the bus",
        "is over: provider-lost",
        "decided as they were when they were recorded",
    ] {
        assert!(people.contains(sentence), "{sentence}\n{people}");
    }

    // Without the rule the unwanted call would have rung.
    let rules = arbiter.bus.directory().join("lenient.toml");
    fs::write(&rules, LENIENT)?;
    let rules = rules.to_str().unwrap();
    let compared = replay(&recorder.file, &["--config", rules, "--differences"])?;
    let (then, instead) = (compared[0]["decisions"].to_string(), &compared[0]["instead"]);
    assert!(then.contains("FilteredByScreening"), "{then}");
    assert!(instead["differs"] == true && instead.to_string().contains("ringing"), "{instead}");
    let same = replay(&recorder.file, &["--rules", arbiter.daemon.config.to_str().unwrap()])?;
    assert_eq!(
        same.last().unwrap()["played"]["different"],
        0,
        "rules about handles apply all the same"
    );
    arbiter.assert_no_personal_data(&SECRETS);
    spoilt(&text, arbiter.bus.directory())
}

/// What may become of a file.
fn spoilt(text: &str, directory: &Path) -> Result<()> {
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines.join("\n") + "\n"
    };
    let saved = lines.iter().rposition(|line| line.starts_with("{\"saved\"")).unwrap();
    let inputs = |at: &usize| lines[*at].starts_with("{\"input\"");
    let last = (0..lines.len()).rfind(inputs).unwrap();
    let first = (0..lines.len()).find(inputs).unwrap();
    let call = lines[saved].replace("\"number\":", "\"number\":9");
    let (twice, later) = (lines[saved], lines[first].replace("Register", "Teleport"));
    for (name, text, place, words) in [
        ("cut", text[..text.len() - 9].to_owned(), lines.len(), "the recording was cut off"),
        ("later", with(first, &later), first + 1, "unknown variant `Teleport`"),
        ("late", with(last, twice), last + 1, "the state stands at the beginning"),
        ("order", with(last, lines[first]), last + 1, "the lines are not in order"),
        ("two", with(last, lines[0]), last + 1, "another recording begins here"),
        (
            "lost",
            with(first, "{\"end\":{\"reason\":\"time\"}}"),
            first + 2,
            "nothing comes after the end",
        ),
        ("unsound", with(saved, &call), 0, "the state at its beginning cannot be restored"),
    ] {
        let file = directory.join(name);
        fs::write(&file, text)?;
        let output = callctl(&["replay", file.to_str().unwrap()])?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        let place = if place > 0 { format!("{name}:{place}:") } else { format!("{name}:") };
        assert!(said.contains(&place) && said.contains(words), "{place} {words}: {said}");
    }
    Ok(())
}

/// A change as somebody sees it who subscribed: what, of which object.
fn published(message: &Message) -> Option<String> {
    if message.message_type() != Type::Signal {
        return None;
    }
    let (header, body) = (message.header(), message.body());
    let path = header.path()?.to_string();
    type Dict = HashMap<String, OwnedVariant>;
    match header.member()?.as_str() {
        "InterfacesAdded" => {
            let (path, _): (OwnedObjectPath, HashMap<String, Dict>) = body.deserialize().ok()?;
            Some(format!("added {}", object(path.as_str())))
        }
        "InterfacesRemoved" => {
            let (path, _): (OwnedObjectPath, Vec<String>) = body.deserialize().ok()?;
            Some(format!("removed {}", object(path.as_str())))
        }
        "PropertiesChanged" => {
            let (_, dict, _): (String, Dict, Vec<String>) = body.deserialize().ok()?;
            let mut names: Vec<&str> = dict.keys().map(String::as_str).collect();
            names.sort_unstable();
            Some(format!("changed {} {}", object(&path), names.join(" ")))
        }
        "Transition" => {
            let (old, new, _, revision): (String, String, String, u64) = body.deserialize().ok()?;
            Some(format!("transition {} {old} {new} {revision}", object(&path)))
        }
        "Finished" => Some(format!("finished {}", object(&path))),
        "Notice" => {
            let (_, call, _, revision): (String, OwnedObjectPath, String, u64) =
                body.deserialize().ok()?;
            Some(format!("notice {} {revision}", object(call.as_str())))
        }
        _ => None,
    }
}

fn revision(message: &Message) -> Option<u64> {
    let body = message.body();
    if is(message, "Call", "Transition") {
        return body.deserialize::<(String, String, String, u64)>().ok().map(|told| told.3);
    }
    let (_, dict, _): (String, HashMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    u64::try_from(dict.get("Revision")?.try_clone().ok()?).ok()
}

fn object(path: &str) -> String {
    let rest = path.strip_prefix(ROOT).unwrap_or(path);
    match rest.split('/').collect::<Vec<_>>()[..] {
        ["", "call", uuid] => format!("call {}", uuid.replace('_', "-")),
        ["", kind, number] => format!("{kind} {number}"),
        _ => "the audio".to_owned(),
    }
}

/// The same of a decision that was played.
fn decided(decision: &Value) -> Option<String> {
    let object = match decision["call"].as_str() {
        Some(uuid) => format!("call {uuid}"),
        None => decision["object"].as_str()?.split(" (").next()?.to_owned(),
    };
    let text = |key: &str| decision[key].as_str().unwrap_or_default().to_owned();
    let revision = &decision["revision"];
    Some(match decision["what"].as_str()? {
        "changed" => {
            let names = decision["properties"].as_array()?.iter().filter_map(Value::as_str);
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            format!("changed {object} {}", names.join(" "))
        }
        "transition" => format!("transition {object} {} {} {revision}", text("old"), text("new")),
        "notice" => format!("notice {object} {revision}"),
        what => format!("{what} {object}"),
    })
}

#[tokio::test]
async fn one_records_at_a_time_and_for_nobody_else() -> Result<()> {
    let arbiter = Arbiter::on_system_bus().await?;
    let alice = arbiter.bus.connect_as("alice").await?;
    let record = async |peer: &Peer| -> Result<(), Refused> {
        peer.call(ROOT, "Manager", "Record", &(Options::new(),)).await
    };
    record(&alice).await?;
    let again = record(&arbiter.bus.connect_as("alice").await?).await.unwrap_err();
    assert_eq!(again.short(), "LimitExceeded", "{again:?}");
    let bob = arbiter.bus.connect_as("bob").await?;
    record(&bob).await?;
    let lines = |peer: &Peer| -> usize {
        let told = peer.received();
        let recorded = told.iter().filter(|message| is(message, "Manager", "Recorded"));
        recorded.map(|m| m.body().deserialize::<(u64, Vec<Vec<u8>>)>().unwrap().1.len()).sum()
    };
    // Where there is nothing yet: the rules, who has seats, and through which apps people were talked to.
    let beginning = 3;
    for peer in [&alice, &bob] {
        eventually("it begins", async || (lines(peer) == beginning).then_some(())).await?;
    }
    let phone = FakeProvider::register_as(&arbiter.bus, "alice", "org.example.Phone").await?;
    phone.report_incoming("tel:+4930123456").await?;
    eventually("alice's is told", async || (lines(&alice) > beginning + 2).then_some(())).await?;
    assert_eq!(lines(&bob), beginning, "bob's recording says nothing of alice");
    // Who leaves ends it.
    drop(alice);
    let third = arbiter.bus.connect_as("alice").await?;
    eventually("another may record", async || record(&third).await.ok()).await?;
    Ok(())
}

#[test]
fn what_is_no_recording_is_refused_with_its_line_and_what_is_wrong() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for (name, text, place, words) in [
        ("empty", "", "", "the file is empty"),
        ("text", "hello\n", ":1:", "this is no recording"),
        ("other", "{\"calls\":[]}\n", ":1:", "this is no recording"),
        (
            "newer",
            "{\"begin\":{\"version\":7,\"build\":\"9.9.9\"}}\n",
            ":1:",
            "has format 7, and this callctl knows formats up to 1; replay it with callctl 9.9.9 or later",
        ),
        ("cut", "{\"begin\":{\"version\":1", ":1:", "ends in the middle of this line"),
        ("binary", "\u{0}\u{1}\n", ":1:", "this is no recording"),
    ] {
        let file = directory.path().join(name);
        fs::write(&file, text)?;
        let output = callctl(&["replay", file.to_str().unwrap()])?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{name}{place}")) && said.contains(words), "{name}: {said}");
    }
    let huge = directory.path().join("huge");
    let file = fs::File::create(&huge)?;
    file.set_len(3 << 30)?;
    let output = callctl(&["replay", huge.to_str().unwrap()])?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("huge:1:") && said.contains("bytes"), "{said}");
    let missing = callctl(&["replay", directory.path().join("none").to_str().unwrap()])?;
    assert!(String::from_utf8(missing.stderr)?.contains("No such file"));
    Ok(())
}
