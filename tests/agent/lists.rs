//! Block and allow lists, end to end: real agent, real arbiter, an app that reports calls. Said on the command line, kept
//! in the user's own file, and nothing for a program behind a wall.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, anyhow, bail};
use harness::{FakeProvider, Process, Refused, eventually, options};
use serde_json::Value;
use uuid::Uuid;

use crate::desk::Desk;
use crate::history::{AGENT, OBJECT, open_app};
use crate::identity::walled;

type Dict = HashMap<String, zbus::OwnedVariant>;

const WINE: &str = "sells wine";

/// The agent, once it serves the lists.
pub async fn agent(desk: &Desk, parts: &str) -> Result<Process> {
    let agent = desk.agent(parts).await?;
    let served = async || desk.callctl(&["block"]).await.ok()?.ok();
    eventually("the lists are served", served).await?;
    Ok(agent)
}

/// Done on the command line.
pub async fn said(desk: &Desk, words: &[&str]) -> Result<Value> {
    desk.callctl(words).await?.map_err(|failure| anyhow!("{words:?}: {failure}"))
}

/// Refused on the command line, and why.
pub async fn refused(desk: &Desk, words: &[&str]) -> Result<String> {
    match desk.callctl(words).await? {
        Ok(done) => bail!("{words:?}: {done}"),
        Err(failure) => Ok(failure),
    }
}

/// Somebody calls; the call's UUID, and its object if it may reach the user.
pub async fn calls(app: &FakeProvider, handle: &str) -> (String, Result<String, Refused>) {
    let uuid = Uuid::new_v4().to_string();
    let from = options([("remote-handle", handle.to_owned().into())]);
    let reported = app.report_incoming_call(&uuid, &from).await;
    (uuid, reported)
}

/// Until the arbiter asks the agent, whose role is a moment behind the first entry.
pub async fn turned_away(app: &FakeProvider, handle: &str) -> Result<String> {
    eventually("the caller is turned away", async || match calls(app, handle).await {
        (uuid, Err(why)) if why.short() == "FilteredByBlockList" => Some(uuid),
        (uuid, _) => {
            app.report_ended(&uuid, "unanswered").await.ok()?;
            None
        }
    })
    .await
}

pub async fn rings(app: &FakeProvider, handle: &str) -> Result<()> {
    let (uuid, path) = calls(app, handle).await;
    assert_eq!(app.peer.state(&path?).await?, "ringing", "{handle}");
    Ok(app.report_ended(&uuid, "unanswered").await?)
}

#[tokio::test]
async fn a_blocked_caller_is_turned_away_and_the_history_says_by_which_entry() -> Result<()> {
    let desk = Desk::new().await?;
    let agent = agent(&desk, "history,lists").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    rings(&app, "tel:+4930123456").await?;
    let file = desk.home().join(".local/share/callarbiter/lists.sqlite");
    assert!(!file.exists(), "without an entry there is no file");

    let added = said(&desk, &["block", "+49 30 123456", "--reason", WINE]).await?;
    assert_eq!(added["address"], "tel:+4930123456");
    let blocked = turned_away(&app, "tel:+49-30-123456").await?;
    rings(&app, "tel:+4930123457").await?;
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);

    let told = async || {
        let told = desk.callctl(&["history", "--missed"]).await.ok()?.ok()?;
        let calls = told["calls"].as_array()?;
        calls.iter().find(|call| call["call"] == blocked.as_str()).cloned()
    };
    let told = eventually("the call is in the history", told).await?;
    assert_eq!((&told["missed"], &told["reason"]), (&"blocked".into(), &"filtered".into()));
    let why = said(&desk, &["why", &blocked]).await?;
    assert!(why.to_string().contains("tel:+4930123456: sells wine"), "{why}");

    let checked = said(&desk, &["block", "check", "0049 30 123456"]).await?;
    assert_eq!(
        (&checked["verdict"], &checked["entry"]["reason"]),
        (&"reject".into(), &WINE.into())
    );
    let why = refused(&desk, &["allow", "remove", "+4930123456"]).await?;
    assert!(why.contains("`block` has `tel:+4930123456`"), "{why}");
    said(&desk, &["block", "remove", "+4930123456"]).await?;
    eventually("nobody is asked any more", async || {
        let (uuid, path) = calls(&app, "tel:+4930123456").await;
        app.report_ended(&uuid, "unanswered").await.ok();
        path.ok().map(drop)
    })
    .await?;
    for log in [agent.log(), desk.arbiter.daemon.process.log()] {
        assert!(!log.contains("30123456") && !log.contains(WINE), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn patterns_apps_anonymous_callers_and_a_time() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = agent(&desk, "lists").await?;
    let (app, other) = (
        open_app(&desk, "org.example.Softphone").await?,
        open_app(&desk, "org.example.Other").await?,
    );
    said(&desk, &["block", "tel:+4930*", "--app", "org.example.Softphone"]).await?;
    said(&desk, &["block", "sip:*@spam.example"]).await?;
    said(&desk, &["block", "anonymous"]).await?;
    said(&desk, &["allow", "tel:+493077*"]).await?;
    turned_away(&app, "tel:+49301").await?;
    rings(&other, "tel:+49301").await?;
    rings(&app, "tel:+4930771").await?;
    for handle in ["sip:bob@a.spam.example", "sip:anonymous@anonymous.invalid"] {
        turned_away(&other, handle).await?;
    }
    rings(&other, "sip:bob@notspam.example").await?;

    // Over in a second, which the agent counts.
    let soon = options([("expires-at", (now() + 1_500_000).into())]);
    let added = ("block", "tel:+49401", soon);
    let lists = "org.callarbiter.Agent1.Lists";
    let _: Dict = other.peer.call_at(AGENT, OBJECT, lists, "Add", &added).await?;
    turned_away(&other, "tel:+49401").await?;
    eventually("the entry is over", async || rings(&other, "tel:+49401").await.ok()).await?;
    let shown = said(&desk, &["block", "list", "+49401"]).await?;
    assert_eq!(shown["entries"][0]["over"], true, "{shown}");
    for (words, help) in [
        (["block", "tel:030*"], "begins with its country"),
        (["block", "*"], "scheme"),
        (["block", "sip:a*b@example.org"], "stands at the end"),
    ] {
        let why = refused(&desk, &words).await?;
        assert!(why.contains("InvalidArgument") && why.contains(help), "{why}");
    }
    Ok(())
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[tokio::test]
async fn who_is_allowed_rings_through_do_not_disturb() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = agent(&desk, "lists").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let desktop = desk.bus().connect().await?;
    let nothing = zbus::ObjectPath::try_from("/")?;
    let role = (nothing, ["dnd"].as_slice(), harness::Options::new());
    let _: Dict = desktop.call(harness::ROOT, "Manager", "RegisterAgent", &role).await?;
    let loudly = (true, harness::Options::new());
    let _: () = desktop.call(harness::ROOT, "Manager", "SetDoNotDisturb", &loudly).await?;
    let (_, stranger) = calls(&app, "sip:bob@example.org").await;
    assert_eq!(stranger.unwrap_err().short(), "FilteredByDoNotDisturb");
    said(&desk, &["allow", "sip:ada@example.org"]).await?;
    eventually("she rings all the same", async || rings(&app, "sip:ada@example.org").await.ok())
        .await?;
    let (_, stranger) = calls(&app, "sip:carol@example.org").await;
    assert_eq!(stranger.unwrap_err().short(), "FilteredByDoNotDisturb");
    Ok(())
}

#[tokio::test]
async fn files_come_and_go_whole_and_a_killed_agent_keeps_the_list() -> Result<()> {
    let desk = Desk::new().await?;
    let mut first = agent(&desk, "lists").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let folder = desk.bus().directory().to_owned();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    fs::write(path("wrong.csv"), "list,address\nblock,tel:+491\nblock,tel:030*\n")?;
    let why = refused(&desk, &["block", "import", &path("wrong.csv")]).await?;
    assert!(why.contains("line 3") && why.contains("begins with its country"), "{why}");
    assert_eq!(said(&desk, &["block"]).await?["total"], 0, "nothing of it is there");

    fs::write(path("spam.csv"), "address,reason\n+49 30 1,\"wine, cheap\"\nsip:*@spam.example,\n")?;
    assert_eq!(said(&desk, &["block", "import", &path("spam.csv")]).await?["entries"], 2);
    let cards = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada\r\nCATEGORIES:Family,allowed\r\nTEL:+49 30 2\r\n\
        EMAIL:ada@example.org\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\nFN:Bob\r\nTEL:5\r\nEND:VCARD\r\n";
    fs::write(path("people.vcf"), cards)?;
    let imported = said(&desk, &["allow", "import", &path("people.vcf")]).await?;
    assert_eq!((&imported["entries"], &imported["left_out"]), (&2.into(), &1.into()));
    turned_away(&app, "tel:+49301").await?;

    // In the middle of a larger one: all of it or nothing.
    let many: String = (0..20_000).map(|n| format!("tel:+4988{n:06}\n")).collect();
    fs::write(path("many.csv"), format!("address\n{many}"))?;
    let importing = path("many.csv");
    let words = ["block", "import", &importing];
    let (interrupted, killed) = tokio::join!(desk.callctl(&words), async {
        let begun = || desk.home().join(".local/share/callarbiter/lists.sqlite-journal").exists();
        eventually("it writes", async || begun().then_some(())).await?;
        first.signal("KILL")?;
        first.end().await
    });
    killed?;
    drop(interrupted);
    let _second = agent(&desk, "lists").await?;
    let total = said(&desk, &["block"]).await?["total"].as_u64();
    assert!(matches!(total, Some(4 | 20_004)), "{total:?}");
    turned_away(&app, "tel:+49301").await?;
    rings(&app, "tel:+49302").await?;

    let exported = said(&desk, &["block", "export", &path("out.csv")]).await?;
    assert!(exported["entries"].as_u64() >= Some(2), "{exported}");
    let out = fs::read_to_string(path("out.csv"))?;
    assert!(
        out.contains("block,tel:+49301,,\"wine, cheap\",\r\n"),
        "{}",
        &out[..200.min(out.len())]
    );
    said(&desk, &["block", "clear"]).await?;
    assert_eq!(said(&desk, &["block"]).await?["total"], 2);
    Ok(())
}

#[tokio::test]
async fn nothing_of_it_is_for_programs_behind_a_wall() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = agent(&desk, "lists").await?;
    said(&desk, &["block", "tel:+4930123456"]).await?;
    for (member, arguments) in [
        ("Entries", vec!["{}"]),
        ("Add", vec!["allow", "tel:+491", "{}"]),
        ("Remove", vec!["block", "tel:+4930123456", "{}"]),
        ("Clear", vec!["block"]),
        ("Export", vec!["{}"]),
        ("LookUp", vec!["tel:+4930123456", "{}"]),
    ] {
        let info = "[Application]\nname=org.example.Boxed\n";
        let launch = walled(&desk, Some(info))?.arg("/usr/bin/gdbus").arg("call");
        let method = format!("{AGENT}.Lists.{member}");
        let address = desk.bus().address();
        let words =
            ["--address", &address, "--dest", AGENT, "--object-path", OBJECT, "--method", &method];
        let launch =
            words.into_iter().chain(arguments).fold(launch, |launch, word| launch.arg(word));
        let mut asking = launch.start(desk.bus().directory())?;
        asking.end().await?;
        let told = format!("{}{}", asking.output(), asking.log());
        assert!(told.contains("AccessDenied") && !told.contains("30123456"), "{member}: {told}");
    }
    assert_eq!(said(&desk, &["block"]).await?["total"], 1);
    Ok(())
}
