//! The user's own rules, end to end: a file is written, and calls are treated so; what is wrong with it, or not the
//! user's to decide, changes nothing.

use std::{fs, path::PathBuf};

use anyhow::{Result, anyhow};
use harness::{FakeProvider, eventually, options};
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
