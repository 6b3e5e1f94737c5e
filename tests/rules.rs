//! The administrator's rules on the bus: what a call does by them, and that a reload is for new calls only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;

use anyhow::Result;
use harness::{Arbiter, Bus, FakeProvider, eventually, is};

const RULES: &str = r#"
authorization = "allow"
[[rule]]
name = "night shift"
apps = ["org.example.Quiet"]
ring = "silence"
[[rule]]
name = "no spam"
contacts = ["tel:+49900*"]
ring = "reject"
[[rule]]
name = "door"
apps = ["org.example.Door"]
answer-after-ms = 300
"#;

async fn silenced(app: &FakeProvider, call: &str) -> Result<String> {
    Ok(String::try_from(app.peer.property(call, "Call", "Silenced").await?)?)
}

async fn reload(arbiter: &Arbiter, config: &str, told: &str) -> Result<()> {
    fs::write(&arbiter.daemon.config, config)?;
    arbiter.daemon.process.signal("HUP")?;
    let log = || arbiter.daemon.process.log();
    eventually(told, async || log().contains(told).then_some(())).await
}

#[tokio::test]
async fn calls_ring_and_are_turned_away_by_rules() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, RULES).await?;
    let quiet = FakeProvider::register(&arbiter.bus, "org.example.Quiet").await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let call = quiet.report_incoming("tel:+4930555123").await?;
    assert_eq!(silenced(&quiet, &call.path).await?, "rule");
    let call = phone.report_incoming("tel:+4930555123").await?;
    assert_eq!(silenced(&phone, &call.path).await?, "");
    let refused = phone.report_incoming("tel:+49-900-555123").await.unwrap_err().to_string();
    assert!(refused.contains("FilteredByScreening") && refused.contains("no spam"), "{refused}");
    arbiter.assert_no_personal_data(&["555123"]);
    Ok(())
}

#[tokio::test]
async fn an_intercom_is_announced_and_answers_itself() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, RULES).await?;
    let door = FakeProvider::register(&arbiter.bus, "org.example.Door").await?;
    // Who has looked is told what changes.
    door.peer.view().await?;
    let call = door.report_incoming("sip:door@example.org").await?;
    let announced = |m: &zbus::Message| {
        let body = m.body();
        let notice = body.deserialize::<(&str, zbus::ObjectPath<'_>, &str, u64)>();
        is(m, "Manager", "Notice") && notice.is_ok_and(|(kind, ..)| kind == "answers-itself")
    };
    door.peer.expect("it is announced", announced).await?;
    assert_eq!(door.peer.state(&call.path).await?, "ringing");
    let asked = door.wait_asked("PerformAnswer", 1).await?;
    assert_eq!(asked.uuid().as_deref(), Some(&*call.uuid));
    door.peer.wait_state(&call.path, "active").await?;
    Ok(())
}

#[tokio::test]
async fn a_reload_is_for_new_calls_and_a_wrong_one_for_none() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, RULES).await?;
    let quiet = FakeProvider::register(&arbiter.bus, "org.example.Quiet").await?;
    let old = quiet.report_incoming("tel:1").await?;
    let before = quiet.peer.view().await?;

    let wrong = "[[rule]]\nname = \"loud\"\nring = \"very\"\n";
    reload(&arbiter, wrong, "the old configuration stays").await?;
    let log = arbiter.daemon.process.log();
    assert!(log.contains("callarbiter.toml:3:8: ring is \"very\""), "{log}");
    let call = quiet.report_incoming("tel:2").await?;
    assert_eq!(silenced(&quiet, &call.path).await?, "rule", "the old rules");

    reload(&arbiter, "authorization = \"allow\"\n", "read again").await?;
    eventually("new calls ring aloud", async || {
        let call = quiet.report_incoming("tel:3").await.ok()?;
        let silenced = silenced(&quiet, &call.path).await.ok()?;
        quiet.report_ended(&call.uuid, "remote-ended").await.ok()?;
        silenced.is_empty().then_some(())
    })
    .await?;
    let after = quiet.peer.view().await?;
    assert_eq!(after.objects[&old.path], before.objects[&old.path]);
    Ok(())
}
