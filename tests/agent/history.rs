//! History: each call once in a real SQLite file, whoever is killed and however full the disk is; told and erased on
//! the session bus, and called again from it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use harness::{FakeProvider, Reply, built, eventually, options};
use serde_json::Value;
use zbus::OwnedVariant;

pub use crate::desk::AGENT;
use crate::desk::Desk;

type Dict = std::collections::HashMap<String, OwnedVariant>;

pub const OBJECT: &str = "/org/callarbiter/Agent1";

/// Calls: more than wait in the arbiter until somebody takes them down.
const MANY: u64 = 300;

/// An app of which all may be kept.
pub async fn open_app(desk: &Desk, app: &str) -> Result<FakeProvider> {
    let configuration = options([("display-name", "Phone".into()), ("records", "full".into())]);
    FakeProvider::on(desk.bus().connect().await?, app, &configuration).await
}

/// A call that nobody answered; its UUID.
pub async fn missed(app: &FakeProvider, handle: &str) -> Result<String> {
    let call = app.report_incoming(handle).await?;
    app.report_ended(&call.uuid, "remote-ended").await?;
    Ok(call.uuid)
}

/// The UUIDs of all calls in the history, the newest first; none where nobody answers.
pub async fn kept(desk: &Desk) -> Option<Vec<String>> {
    let filter = options([("limit", 1000u32.into())]);
    let asked =
        desk.phone.peer.call_at(AGENT, OBJECT, "org.callarbiter.Agent1.History", "Query", &filter);
    let (records, _): (Vec<Dict>, Dict) = asked.await.ok()?;
    let uuid = |record: Dict| String::try_from(record["call"].try_clone().ok()?).ok();
    records.into_iter().map(uuid).collect()
}

pub async fn has(desk: &Desk, wanted: &[String]) -> Result<()> {
    let wanted: BTreeSet<&String> = wanted.iter().collect();
    let all = async || {
        let kept = kept(desk).await?;
        (kept.len() >= wanted.len()).then_some(kept)
    };
    let kept = eventually("the calls are in the history", all).await?;
    ensure!(kept.len() == wanted.len(), "a call twice: {kept:?}");
    ensure!(kept.iter().collect::<BTreeSet<_>>() == wanted, "{kept:?}, not {wanted:?}");
    Ok(())
}

pub async fn callctl(desk: &Desk, words: &[&str]) -> Result<(bool, String)> {
    let program = desk.launch(built("callctl", "-p callctl")?)?.arg("--bus").arg("session");
    let program = words.iter().fold(program, |program, word| program.arg(word));
    let mut process = program.start(desk.bus().directory())?;
    let status = process.end().await?;
    Ok((status.success(), format!("{}{}", process.output(), process.log())))
}

pub async fn json(desk: &Desk, words: &[&str]) -> Result<Value> {
    let (done, said) = callctl(desk, &[&["--json"], words].concat()).await?;
    ensure!(done, "{words:?}: {said}");
    serde_json::from_str(&said).context(said)
}

#[tokio::test]
async fn an_agent_that_comes_late_keeps_all_and_tells_it_to_the_user_alone() -> Result<()> {
    let mut desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let mut calls = vec![missed(&app, "tel:+4930123456").await?];
    let talk = app.report_incoming("sip:ada@example.org").await?;
    app.peer.answer(&talk.path).await?;
    app.report_ended(&talk.uuid, "remote-ended").await?;
    calls.push(talk.uuid);
    // Of the desk's own phone nothing may be kept.
    missed(&desk.phone, "tel:+491701").await?;
    desk.arbiter.crash_and_restart().await?;
    let agent = desk.agent("history").await?;
    has(&desk, &calls).await?;

    let folder = desk.home().join(".local/share/callarbiter");
    let mode =
        |path: &Path| Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode() & 0o777);
    assert_eq!((mode(&folder)?, mode(&folder.join("history.sqlite"))?), (0o700, 0o600));

    let (_, said) = callctl(&desk, &["history"]).await?;
    assert!(
        said.contains("missed: it rang only briefly") && said.contains("talked 00:0"),
        "{said}"
    );
    assert!(said.contains("from sip:ada@example.org") && said.contains("Phone"), "{said}");
    let found = json(&desk, &["history", "--missed", "--with", "tel:+49-30-123456"]).await?;
    assert_eq!(found["calls"][0]["handle"], "tel:+4930123456");
    assert_eq!(found["calls"].as_array().map(Vec::len), Some(1));

    let (done, said) = callctl(&desk, &["history", "erase", "--with", "+49 30 123456"]).await?;
    assert!(done && said.contains("1 call is erased"), "{said}");
    has(&desk, &calls[1..]).await?;
    let (done, said) = callctl(&desk, &["history", "erase"]).await?;
    assert!(!done && said.contains("--older-than"), "{said}");
    desk.arbiter.assert_no_personal_data(&["ada@example", "30123456"]);
    let log = agent.log();
    assert!(!log.contains("ada@example") && !log.contains("30123456"), "{log}");
    Ok(())
}

/// Wherever the agent dies between the arbiter's order and its answer.
#[tokio::test]
async fn each_call_is_there_once_however_often_the_agent_is_killed() -> Result<()> {
    let desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let mut calls = Vec::new();
    for round in 0..12 {
        let mut agent = desk.agent("history").await?;
        for n in 0..3 {
            calls.push(missed(&app, &format!("tel:{round}{n}")).await?);
        }
        // Round trips on the bus are the clock: each agent lives a little longer than the one before.
        for _ in 0..round * 2 {
            app.peer.owner(AGENT).await?;
        }
        agent.signal("KILL")?;
        agent.end().await?;
    }
    let _agent = desk.agent("history").await?;
    has(&desk, &calls).await
}

#[tokio::test]
async fn while_the_disk_is_full_calls_go_on_and_are_kept_later_or_counted_as_lost() -> Result<()> {
    let desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let disk = Disk::mount(&desk.home().join("small"))?;
    let place = [("XDG_DATA_HOME", disk.0.clone())];
    let agent = desk.agent_in("history", &place).await?;
    let first = [missed(&app, "tel:1").await?];
    has(&desk, &first).await?;
    disk.fill()?;
    assert_eq!(kept(&desk).await, Some(first.to_vec()), "it can be read all the same");
    for n in 0..MANY {
        missed(&app, &format!("tel:{n}")).await?;
    }
    let said = async || agent.log().contains("the disk is full").then_some(());
    eventually("the agent says that the disk is full", said).await?;
    let call = app.report_incoming("sip:ada@example.org").await?;
    app.peer.answer(&call.path).await?;
    assert_eq!(app.peer.state(&call.path).await?, "active");
    app.report_ended(&call.uuid, "remote-ended").await?;
    fs::remove_file(disk.0.join("filler"))?;
    // It would be asked again after a rest; one that comes is asked at once.
    drop(agent);
    let _agent = desk.agent_in("history", &place).await?;
    let lost = eventually("all are kept, or counted as lost", async || {
        let told = json(&desk, &["history", "--limit", "1000"]).await.ok()?;
        let calls = told["calls"].as_array()?;
        let lost: u64 = calls.iter().filter_map(|call| call["lost"].as_u64()).sum();
        (calls.len() as u64 + lost == MANY + 2).then_some(lost)
    })
    .await?;
    assert!(lost > 0 && lost < MANY, "{lost}");
    Ok(())
}

#[tokio::test]
async fn people_are_called_again_through_the_app_of_last_time() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let (soft, other) = (
        open_app(&desk, "org.example.Softphone").await?,
        open_app(&desk, "org.example.Other").await?,
    );
    let call = missed(&soft, "sip:ada@example.org").await?;
    has(&desk, std::slice::from_ref(&call)).await?;
    let (done, said) = callctl(&desk, &["history", "call", &call[..8]]).await?;
    assert!(done && said.contains("calling"), "{said}");
    let started = soft.wait_asked("PerformStart", 1).await?;
    soft.report_ended(&started.uuid().unwrap(), "remote-ended").await?;

    let (done, said) =
        callctl(&desk, &["favourites", "add", "sip:ada@example.org", "--name", "Ada"]).await?;
    assert!(done, "{said}");
    has(&desk, &[call, started.uuid().unwrap()]).await?;
    let favourites = json(&desk, &["favourites"]).await?;
    assert_eq!(favourites[0]["provider"], "org.example.Softphone", "{favourites}");
    let (done, said) = callctl(&desk, &["favourites", "call", "ada"]).await?;
    assert!(done, "{said}");
    soft.wait_asked("PerformStart", 2).await?;
    assert!(other.asked().iter().all(|asked| asked.member != "PerformStart"));

    let (done, said) = callctl(&desk, &["history", "call", "ffff"]).await?;
    assert!(!done && said.contains("no call's id begins so"), "{said}");
    let (done, said) = callctl(&desk, &["favourites", "remove", "tel:5"]).await?;
    assert!(!done && said.contains("favourite"), "{said}");
    Ok(())
}

/// The arbiter, killed and without its state, does not know the calls any more.
#[tokio::test]
async fn why_a_call_was_what_it_was_is_known_for_as_long_as_the_history_has_it() -> Result<()> {
    let mut desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let words = "the teapot is full";
    app.script("PerformAnswer", Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", words));
    let call = app.report_incoming("sip:ada@example.org").await?;
    app.peer.answer(&call.path).await.unwrap_err();
    let shy = FakeProvider::on(
        desk.bus().connect().await?,
        "org.example.Shy",
        &options([("display-name", "Shy".into()), ("records", "opaque".into())]),
    )
    .await?;
    shy.script("PerformAnswer", Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", words));
    let hidden = shy.report_incoming("sip:bob@example.org").await?;
    shy.peer.answer(&hidden.path).await.unwrap_err();
    has(&desk, &[call.uuid.clone(), hidden.uuid.clone()]).await?;
    let by_the_arbiter = json(&desk, &["why", &call.uuid]).await?;

    desk.arbiter.stop("KILL").await?;
    fs::remove_dir_all(&desk.arbiter.daemon.state)?;
    let told = json(&desk, &["why", &call.uuid]).await?;
    assert_eq!(told, by_the_arbiter, "it is asked without an arbiter, too");
    desk.arbiter.start().await?;
    assert_eq!(json(&desk, &["why", &call.uuid[..8]]).await?, by_the_arbiter);
    assert_eq!(json(&desk, &["why", &call.uuid.replace('-', "")[..12]]).await?, by_the_arbiter);
    assert_eq!(json(&desk, &["why", &call.path]).await?, by_the_arbiter);
    let shown = json(&desk, &["history", "show", &call.uuid[..8]]).await?;
    assert_eq!(shown["causes"], by_the_arbiter["causes"]);
    let id = shown["id"].as_str().context("it has an id")?;
    assert_eq!(json(&desk, &["why", id]).await?, by_the_arbiter);
    let (_, said) = callctl(&desk, &["history", "show", id]).await?;
    for line in
        ["Call             ", "from sip:ada@example.org", "Phone (org.example.Softphone)", words]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    // The newest of all is the one without words.
    let (_, said) = callctl(&desk, &["why"]).await?;
    assert!(said.contains("its app could not answer it") && !said.contains("teapot"), "{said}");
    let (_, said) = callctl(&desk, &["history", "show", &hidden.uuid]).await?;
    assert!(said.contains("from somebody") && said.contains("only that it was"), "{said}");

    let (done, said) = callctl(&desk, &["history", "call", &hidden.uuid]).await?;
    assert!(!done && said.contains("its application keeps that to itself"), "{said}");
    let (done, said) = callctl(&desk, &["history", "erase", "--call", &call.uuid]).await?;
    assert!(done, "{said}");
    let (done, said) = callctl(&desk, &["why", &call.uuid]).await?;
    assert!(!done && said.contains("in the history: no call's id begins so"), "{said}");
    let file = fs::read(desk.home().join(".local/share/callarbiter/history.sqlite"))?;
    assert!(!file.windows(6).any(|part| part == b"teapot"), "its causes are gone, too");
    Ok(())
}

#[tokio::test]
async fn without_an_agent_callctl_says_how_to_start_it() -> Result<()> {
    let desk = Desk::new().await?;
    let (done, said) = callctl(&desk, &["history"]).await?;
    assert!(!done && said.contains("systemctl --user start callarbiter-agent"), "{said}");
    let _agent = desk.agent("power").await?;
    let (done, said) = callctl(&desk, &["history"]).await?;
    assert!(!done && said.contains("the agent of this session does not serve"), "{said}");
    Ok(())
}

/// A file system of a few pages; unmounted when dropped.
pub struct Disk(pub std::path::PathBuf);

impl Disk {
    pub fn mount(place: &Path) -> Result<Disk> {
        fs::create_dir_all(place)?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(place)
            .status()?;
        ensure!(mount.success(), "a file system cannot be mounted: run this as root");
        Ok(Disk(place.to_owned()))
    }

    pub fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.0.join("filler"))?;
        while filler.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
