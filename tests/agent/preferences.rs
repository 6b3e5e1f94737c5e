//! The user's own rules, end to end: a file is written, and calls are treated so; what is wrong with it, or not the
//! user's to decide, changes nothing.

use std::{fs, path::PathBuf};

use anyhow::{Result, anyhow};
use harness::{FakeProvider, eventually, options};
use serde_json::Value;
use uuid::Uuid;

use crate::desk::Desk;

const SILENCE: &str = "[[rule]]\nname = \"hush\"\nring = \"silence\"\n";

fn file(desk: &Desk) -> Result<PathBuf> {
    let folder = desk.home().join(".config/callarbiter");
    fs::create_dir_all(&folder)?;
    Ok(folder.join("preferences.toml"))
}

/// Why a call makes no sound that comes in now, and its UUID.
async fn silenced(app: &FakeProvider) -> Result<(String, String)> {
    let uuid = Uuid::new_v4().to_string();
    let from = options([("remote-handle", "tel:+4930123456".into())]);
    let call = app.report_incoming_call(&uuid, &from).await?;
    let why = app.peer.property(call.as_str(), "Call", "Silenced").await?;
    app.report_ended(&uuid, "unanswered").await?;
    Ok((String::try_from(why)?, uuid))
}

async fn becomes(app: &FakeProvider, why: &str) -> Result<String> {
    let treated = async || silenced(app).await.ok().filter(|(is, _)| is == why);
    let (_, uuid) = eventually("calls are treated so", treated).await?;
    Ok(uuid)
}

#[tokio::test]
async fn what_the_user_writes_counts_until_it_is_written_otherwise() -> Result<()> {
    let mut desk = Desk::new().await?;
    let mut agent = desk.agent("preferences").await?;
    assert_eq!(silenced(&desk.phone).await?.0, "");
    // The agent was there before the folder.
    let file = file(&desk)?;
    fs::write(&file, SILENCE)?;
    let call = becomes(&desk.phone, "rule").await?;
    let why = desk.callctl(&["why", &call]).await?.map_err(|failure| anyhow!(failure))?;
    let causes = why["causes"].as_array().unwrap();
    let rule = causes.iter().find(|cause| cause["cause"] == "rule").unwrap();
    assert_eq!((&rule["said"], &rule["by"]), (&"hush".into(), &"user".into()), "{why}");

    fs::write(&file, "[[rule]]\nname = \"hush\"\nring = \"softly\"\n")?;
    let place = format!("{}:3:8", file.display());
    let said = async || agent.log().contains(&format!("{place} has a mistake")).then_some(());
    eventually("the agent names the place", said).await?;
    assert_eq!(silenced(&desk.phone).await?.0, "rule", "what was right before stays");
    let wrong = desk.callctl(&["policy", "check", file.to_str().unwrap()]).await?.unwrap_err();
    assert!(wrong.contains("would be refused"), "{wrong}");

    // Neither the death of the agent nor that of the arbiter changes how calls are treated.
    agent.signal("KILL")?;
    agent.end().await?;
    assert_eq!(silenced(&desk.phone).await?.0, "rule");
    desk.arbiter.crash_and_restart().await?;
    let phone = FakeProvider::register(desk.bus(), "org.example.Other").await?;
    assert_eq!(silenced(&phone).await?.0, "rule");

    fs::remove_file(&file)?;
    let _agent = desk.agent("preferences").await?;
    becomes(&phone, "").await?;
    Ok(())
}

#[tokio::test]
async fn what_is_the_administrators_is_not_the_users() -> Result<()> {
    let config = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n\
                  [preferences]\nallow = [\"ring-ms\"]\nring-ms-max = 20000\n";
    let desk = Desk::with(config).await?;
    fs::write(file(&desk)?, SILENCE)?;
    let agent = desk.agent("preferences").await?;
    let refused = async || agent.log().contains("AccessDenied").then_some(());
    eventually("the arbiter refuses", refused).await?;
    assert_eq!(silenced(&desk.phone).await?.0, "");
    Ok(())
}

/// What `callctl preferences` shows of one choice: what counts, who says so, and what the user chose.
async fn shown(desk: &Desk, key: &str) -> Result<(Value, Value, Value)> {
    let config = desk.arbiter.daemon.config.display().to_string();
    let shown = desk.callctl(&["preferences", "--config", &config]).await?;
    let shown = shown.map_err(|failure| anyhow!(failure))?;
    let choices = shown["choices"].as_array().unwrap();
    let choice = choices.iter().find(|choice| choice["key"] == key).unwrap();
    Ok((choice["value"].clone(), choice["source"].clone(), choice["chosen"].clone()))
}

#[tokio::test]
async fn a_choice_is_made_and_unmade_and_what_is_written_beside_it_stays() -> Result<()> {
    let config = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n[policy]\nwhen-busy = \"end\"\n\
                  [preferences]\nallow = [\"ring\", \"ring-ms\", \"ringing\"]\nring-ms-max = 20000\n";
    let desk = Desk::with(config).await?;
    let file = file(&desk)?;
    let mine = format!("# mine\nringing = 2 # two\n\n{SILENCE}");
    fs::write(&file, &mine)?;
    let _agent = desk.agent("preferences").await?;
    becomes(&desk.phone, "rule").await?;
    let is = |value: &str, source: &str, chosen: Option<&str>| {
        (value.into(), source.into(), chosen.map_or(Value::Null, Value::from))
    };
    assert_eq!(shown(&desk, "ringing").await?, is("2", "user", Some("2")));
    assert_eq!(shown(&desk, "when-busy").await?, is("end", "administrator", None));
    assert_eq!(shown(&desk, "ring-ms").await?, is("60000", "default", None));

    for (key, value, words) in [
        ("ring-ms", "20001", "ring-ms is 20001, but may be 5000 to 20000 (ring-ms-min and"),
        ("when-busy", "end", "when-busy is the administrator's; `allow` in [preferences]"),
        ("ringing", "many", "ringing is \\\"many\\\", but must be a number from 0 to 256"),
        ("rings", "2", "there is no \\\"rings\\\"; there are when-busy, after-remote-end"),
    ] {
        let refused = desk.callctl(&["preferences", "set", key, value]).await?.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    let refused = desk.callctl(&["preferences", "unset", "rings"]).await?.unwrap_err();
    assert!(refused.contains("there is no"), "{refused}");
    assert_eq!(fs::read_to_string(&file)?, mine, "what is refused is not written");

    let set = desk.callctl(&["preferences", "set", "ring-ms", "6000"]).await?;
    assert_eq!(set.map_err(|failure| anyhow!(failure))?["value"], "6000");
    assert_eq!(fs::read_to_string(&file)?, mine.replace("two\n", "two\nring-ms = 6000\n"));
    assert_eq!(shown(&desk, "ring-ms").await?, is("6000", "user", Some("6000")));
    assert_eq!(silenced(&desk.phone).await?.0, "rule", "the rules are still there");
    let call = desk.phone.report_incoming("tel:+4930123456").await?;
    let at = async |property: &str| -> Result<u64> {
        Ok(desk.phone.peer.property(&call.path, "Call", property).await?.try_into()?)
    };
    let rings = at("RingDeadline").await? - at("CreatedAt").await?;
    assert!(rings < 6_100_000, "six seconds, and not a minute: {rings}");
    desk.phone.report_ended(&call.uuid, "unanswered").await?;

    let unset = desk.callctl(&["preferences", "unset", "ring-ms"]).await?;
    assert_eq!(unset.map_err(|failure| anyhow!(failure))?["value"], Value::Null);
    assert_eq!(fs::read_to_string(&file)?, mine);
    assert_eq!(shown(&desk, "ring-ms").await?, is("60000", "default", None));

    // Who edits it by hand is told where the mistake is, and nothing is written over it.
    let wrong = "ringing = \"two\"\n";
    fs::write(&file, wrong)?;
    let refused = desk.callctl(&["preferences", "set", "ring-ms", "6000"]).await?.unwrap_err();
    assert!(refused.contains("preferences.toml:1:11: "), "{refused}");
    assert_eq!(fs::read_to_string(&file)?, wrong);
    let told = async || {
        let shown = desk.callctl(&["preferences"]).await.ok()?.ok()?;
        shown["problem"].as_str().map(str::to_owned)
    };
    let problem = eventually("the mistake is shown", told).await?;
    assert!(problem.contains("preferences.toml:1:11: "), "{problem}");
    assert_eq!(shown(&desk, "ringing").await?, is("2", "user", Some("2")), "it counts still");
    Ok(())
}
