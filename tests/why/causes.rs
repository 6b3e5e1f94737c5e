//! Every kind of cause that the arbiter knows, each in a scene in which it comes about, as `callctl why` tells it. Who went
//! to sleep or left the screen (`away`, `back`) only logind says, which this bus has not.

use std::collections::BTreeSet;

use harness::{Bus, FakeAgent, action, eventually, options};
use uuid::Uuid;

use super::*;

const CONFIG: &str = r#"
authorization = "allow"
[agents]
units = ["*"]
[deadlines]
set-held-ms = 1000
dialing-ms = 300
enforcement-ms = 100
[limits]
ringing-per-provider = 1
[[rule]]
name = "no spam"
contacts = ["tel:+49900*"]
ring = "reject"
"#;

/// What is told of the calls of the scenes, in words that stand for what happened.
const CAUSES: [(&str, &str); 31] = [
    ("agent", "make all else quiet in time"),
    ("arbiter-restarted", "the arbiter was restarted"),
    ("asked", "its app was asked to answer it"),
    ("audio-granted", "it has the audio"),
    ("audio-released", "it gave the audio back"),
    ("authorization", "its app is authorized to provide calls"),
    ("became", "it is active now"),
    ("called-off", "no longer wanted: to answer it"),
    ("claimed", "its app still has it: active"),
    ("deadline", "it came no nearer to the far end in time"),
    ("do-not-disturb", "do-not-disturb is on: calls are refused"),
    ("ended", "it ended: remote-ended"),
    ("failed", "its app could not hold it (ActionFailed)"),
    ("focus-back", "it has the focus again, so it is resumed"),
    ("fulfilled", "its app did so: answer it"),
    ("held", "held by the arbiter, for another call"),
    ("let-through", "the desktop lets this caller through"),
    ("limit", "a limit was reached"),
    ("listed", "a list of the user says reject: +49301"),
    ("no-room", "would not make room for it"),
    ("not-done", "it could not answer it"),
    ("provider-back", "its app is back"),
    ("provider-lost", "its app went away"),
    ("reported", "its app reported it as ringing"),
    ("requested", "a program of the user asked to answer it"),
    ("room-for", "it is to make room for call"),
    ("rule", "the rule no spam applies"),
    ("screened", "the screening says reject"),
    ("stays-held", "it stays on hold until the user resumes it"),
    ("timed-out", "it had 1 s"),
    ("told", "its app said by itself that it is held"),
];

#[tokio::test]
async fn every_cause_comes_about_and_is_told() -> Result<()> {
    let mut stage = Stage::set().await?;
    let mut calls = stage.talk().await?;
    calls.extend(stage.turn_away().await?);
    calls.extend(stage.lose_everything().await?);
    let (mut names, mut sentences) = (BTreeSet::new(), String::new());
    for call in calls {
        let told: Value =
            serde_json::from_str(&callctl(&stage.arbiter, &["--json", "why", &call]).await?)?;
        for cause in told["causes"].as_array().unwrap() {
            names.insert(cause["cause"].as_str().unwrap().to_owned());
            sentences += &format!("{}\n", cause["sentence"].as_str().unwrap());
        }
    }
    let expected: BTreeSet<String> = CAUSES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected, "{sentences}");
    for (name, sentence) in CAUSES {
        assert!(sentences.contains(sentence), "{name}: {sentence}\n{sentences}");
    }
    Ok(())
}

struct Stage {
    alice: Peer,
    phone: FakeProvider,
    chatter: FakeProvider,
    arbiter: Arbiter,
}

impl Stage {
    async fn set() -> Result<Stage> {
        let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let chatter = FakeProvider::register(&arbiter.bus, "org.example.Chatter").await?;
        let alice = arbiter.bus.connect().await?;
        Ok(Stage { alice, phone, chatter, arbiter })
    }

    /// Calls that are answered, held for each other, and that their apps spoil.
    async fn talk(&self) -> Result<Vec<String>> {
        let Stage { alice, phone, chatter, .. } = self;
        let first = phone.report_incoming(HANDLE).await?;
        alice.answer(&first.path).await?;
        let second = chatter.report_incoming(HANDLE).await?;
        alice.answer(&second.path).await?;
        alice.end(&second.path).await?;
        alice.wait_state(&first.path, "active").await?;
        let third = chatter.report_incoming(HANDLE).await?;
        alice.answer(&third.path).await?;
        chatter.report_ended(&third.uuid, "remote-ended").await?;
        eventually("it stays on hold", async || {
            let why = explain(alice, &first.uuid).await.ok()?;
            names(&why).contains(&"stays-held".to_owned()).then_some(())
        })
        .await?;
        alice.unhold(&first.path).await?;
        let () = phone.tell("ReportState", &(&first.uuid, "held", Options::new())).await?;
        alice.unhold(&first.path).await?;

        let failed = "org.callarbiter.Calls1.Error.ActionFailed";
        phone.script("PerformSetHeld", Reply::Fail(failed, WORDS));
        let fourth = chatter.report_incoming(HANDLE).await?;
        alice.answer(&fourth.path).await.unwrap_err();
        alice.end(&fourth.path).await?;
        phone.script("PerformSetHeld", Reply::Never);
        alice.hold(&first.path).await.unwrap_err();
        alice.end(&first.path).await?;

        chatter.script("PerformAnswer", Reply::Never);
        let fifth = chatter.report_incoming(HANDLE).await?;
        let answer = action("Answer", [("call", fifth.uuid.clone().into())]);
        let before = chatter.asked().iter().filter(|a| a.member == "PerformAnswer").count();
        alice.request(&[answer], &Options::new()).await?;
        chatter.wait_asked("PerformAnswer", before + 1).await?;
        alice.end(&fifth.path).await?;
        Ok(vec![first.uuid, second.uuid, third.uuid, fourth.uuid, fifth.uuid])
    }

    /// Calls that do not reach the user, and one that does.
    async fn turn_away(&self) -> Result<Vec<String>> {
        let Stage { chatter, arbiter, .. } = self;
        let turned_away = async |handle: &'static str, error: &str| -> Result<String> {
            let uuid = Uuid::new_v4().to_string();
            let update = options([("remote-handle", handle.into())]);
            let refused = chatter.report_incoming_call(&uuid, &update).await.unwrap_err();
            anyhow::ensure!(refused.short() == error, "{refused:?}");
            Ok(uuid)
        };
        let desk = FakeAgent::with(&arbiter.bus, &["dnd"]).await?;
        let disturb = async |on: bool| -> Result<(), Refused> {
            let allow = options([("allow", vec!["sip:ada@example.org"].into())]);
            desk.peer.call(ROOT, "Manager", "SetDoNotDisturb", &(on, allow)).await
        };
        disturb(true).await?;
        let mut calls = vec![turned_away(HANDLE, "FilteredByDoNotDisturb").await?];
        let ada = chatter.report_incoming("sip:ada@example.org").await?;
        calls.push(ada.uuid.clone());
        disturb(false).await?;
        calls.push(turned_away(HANDLE, "Busy").await?);
        chatter.report_ended(&ada.uuid, "remote-ended").await?;
        calls.push(turned_away("tel:+49900555123", "FilteredByScreening").await?);

        let screener = FakeAgent::with(&arbiter.bus, &["screening"]).await?;
        for (nth, (ground, error)) in
            [("block-list", "FilteredByBlockList"), ("screening", "FilteredByScreening")]
                .into_iter()
                .enumerate()
        {
            let looks = async {
                let asked = screener.asked("Screen", nth + 1).await?;
                let said = [("reason", ground.into()), ("detail", "+49301".into())];
                let [reason, detail] = said;
                let rejects = [("verdict", "reject".into()), reason, detail];
                anyhow::Ok(screener.answer(&asked, rejects).await?)
            };
            let (call, looked) = tokio::join!(turned_away(HANDLE, error), looks);
            looked?;
            calls.push(call?);
        }
        Ok(calls)
    }

    /// An agent that does not answer, an app that goes and is back, a network that says nothing, and the arbiter's own end.
    async fn lose_everything(&mut self) -> Result<Vec<String>> {
        let silent = FakeAgent::with(&self.arbiter.bus, &["audio"]).await?;
        let call = Uuid::new_v4().to_string();
        let active = (&call, "outgoing", "active", Options::new());
        let path: zbus::OwnedObjectPath = self.phone.tell("ReportCall", &active).await?;
        self.alice.wait_audio("granted").await?;
        drop(silent);
        let phone = FakeProvider::register(&self.arbiter.bus, "org.example.Spare").await?;
        drop(std::mem::replace(&mut self.phone, phone));
        eventually("its app is gone", async || {
            let why = explain(&self.alice, &call).await.ok()?;
            names(&why).contains(&"provider-lost".to_owned()).then_some(())
        })
        .await?;
        self.phone = FakeProvider::register(&self.arbiter.bus, "org.example.Phone").await?;
        eventually("it is claimed", async || {
            let why = explain(&self.alice, &call).await.ok()?;
            names(&why).contains(&"claimed".to_owned()).then_some(())
        })
        .await?;
        let lost = Uuid::new_v4().to_string();
        let dials = (&lost, "outgoing", "dialing", Options::new());
        let _: zbus::OwnedObjectPath = self.chatter.tell("ReportCall", &dials).await?;
        eventually("it is over", async || {
            let why = explain(&self.alice, &lost).await.ok()?;
            names(&why).contains(&"ended".to_owned()).then_some(())
        })
        .await?;
        self.arbiter.crash_and_restart().await?;
        self.alice.wait_state(path.as_str(), "active").await?;
        Ok(vec![call, lost])
    }
}
