//! What the history keeps, for how long, and who may erase it: by killed arbiters, by late and careful users, and by
//! apps behind walls.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use harness::{Daemon, FakeProvider, ROOT, Refused, eventually, options};
use serde_json::Value;
use uuid::Uuid;
use zbus::{OwnedObjectPath, OwnedVariant};

use crate::desk::Desk;
use crate::history::{AGENT, OBJECT, callctl, has, json, kept, missed, open_app};
use crate::identity::walled;

const HANDLE: &str = "sip:ada@example.org";

/// The arbiter dies at every point of a call's life, and while its record is handed over; the app says again what it
/// said.
#[tokio::test]
async fn each_call_is_there_once_wherever_the_arbiter_is_killed() -> Result<()> {
    let mut desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let (mut calls, mut killed, mut survived) = (Vec::new(), 0, 0);
    for point in 1.. {
        let uuid = Uuid::new_v4().to_string();
        calls.push(uuid.clone());
        let mut deaths = u32::from(!doomed(&mut desk, point).await?);
        while says(&app, &uuid).await.is_err() {
            desk.arbiter.daemon.process.end().await?;
            desk.arbiter.start().await?;
            deaths += 1;
        }
        eventually("it is kept, or the arbiter is dead", async || {
            let kept = kept(&desk).await.is_some_and(|kept| kept.contains(&uuid));
            (kept || desk.arbiter.daemon.process.ended().is_some()).then_some(())
        })
        .await
        .with_context(|| format!("point {point}"))?;
        ensure!(deaths <= 1, "it died {deaths} times");
        let dead = deaths > 0 || desk.arbiter.daemon.process.ended().is_some();
        (killed, survived) = if dead { (killed + 1, 0) } else { (killed, survived + 1) };
        // It may have died after the last look.
        if survived == 3 {
            break;
        }
    }
    println!("killed {killed} times");
    ensure!(killed > 10, "there are more points than {killed}: is this the daemon of the tests?");
    if desk.arbiter.daemon.process.ended().is_some() {
        desk.arbiter.start().await?;
    }
    has(&desk, &calls).await
}

/// Another arbiter that dies at this point of its work; false: before it served.
async fn doomed(desk: &mut Desk, point: u64) -> Result<bool> {
    if desk.arbiter.daemon.process.ended().is_none() {
        desk.arbiter.stop("KILL").await?;
    }
    let Daemon { config, state, .. } = &desk.arbiter.daemon;
    let (config, at) = (fs::read_to_string(config)?, point.to_string());
    let variables = [("CALLARBITER_CRASH_AT", at.as_str())];
    let doomed = Daemon::launch_with(&desk.arbiter.bus, &config, state, &variables)?;
    match doomed.ready(&desk.arbiter.bus).await {
        Ok(daemon) => desk.arbiter.daemon = daemon,
        Err(_) => {
            desk.arbiter.start().await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// A call from its report to its end, as an app says it that may have said it before.
async fn says(app: &FakeProvider, uuid: &str) -> Result<(), Refused> {
    let configuration = options([("display-name", "Phone".into()), ("records", "full".into())]);
    let delegate = zbus::ObjectPath::from_static_str_unchecked("/delegate");
    let registration = ("org.example.Softphone", delegate, configuration);
    let (path, _): (OwnedObjectPath, HashMap<String, OwnedVariant>) =
        app.peer.call(ROOT, "Manager", "RegisterProvider", &registration).await?;
    let over = |refused: Refused| match refused.short() {
        "AlreadyEnded" => Ok(()),
        _ => Err(refused),
    };
    let update = options([("remote-handle", HANDLE.into())]);
    let reported = app.peer.call(&path, "Provider", "ReportIncomingCall", &(uuid, update)).await;
    reported.map(|_: OwnedObjectPath| ()).or_else(over)?;
    let ended = (uuid, "remote-ended", harness::Options::new());
    app.peer.call(&path, "Provider", "ReportEnded", &ended).await.or_else(over)
}

#[tokio::test]
async fn an_agent_that_comes_far_too_late_is_told_how_many_calls_are_lost() -> Result<()> {
    let desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let mut calls = Vec::new();
    for n in 0..260 {
        calls.push(missed(&app, &format!("tel:{n}")).await?);
    }
    let agent = desk.agent("history").await?;
    has(&desk, &calls[4..]).await?;
    assert!(
        agent.log().contains("calls before this one are not in the history"),
        "{}",
        agent.log()
    );
    let (_, said) = callctl(&desk, &["history", "--limit", "300"]).await?;
    let oldest = said.lines().last().context("it lists them")?;
    // Why is known of all that are left, also of those that the arbiter would not remember by now.
    let shown = json(&desk, &["history", "show", &calls[4]]).await?;
    assert_eq!(shown["causes"][0]["cause"], "reported", "{shown}");
    assert!(
        oldest.contains("from tel:4") && oldest.contains("4 before it are missing"),
        "{oldest}"
    );
    Ok(())
}

/// Erasing is whole or not at all, wherever the agent dies, and what was said to be erased does not come back.
#[tokio::test]
async fn calls_are_erased_once_and_for_all() -> Result<()> {
    let desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    for round in 0..10 {
        let mut agent = desk.agent("history").await?;
        let calls = [missed(&app, "tel:1").await?, missed(&app, "tel:2").await?];
        has(&desk, &calls).await?;
        let erase = async { callctl(&desk, &["history", "erase", "--all"]).await };
        let kill = async {
            // Round trips on the bus are the clock.
            for _ in 0..round * 10 {
                app.peer.owner(AGENT).await?;
            }
            agent.signal("KILL")
        };
        let (erased, killed) = tokio::join!(erase, kill);
        killed?;
        let (erased, said) = erased?;
        agent.end().await?;
        let _next = desk.agent("history").await?;
        let left = eventually("it is served", async || kept(&desk).await).await?;
        ensure!(left.is_empty() || !erased && left.len() == 2, "{erased} {said}: {left:?}");
        let (erased, said) = callctl(&desk, &["history", "erase", "--all"]).await?;
        ensure!(erased, "{said}");
        ensure!(kept(&desk).await == Some(vec![]));
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_history_is_set_aside_and_said_to_be() -> Result<()> {
    let desk = Desk::new().await?;
    let agent = desk.agent("history").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    has(&desk, &[missed(&app, "tel:1").await?]).await?;
    let file = desk.home().join(".local/share/callarbiter/history.sqlite");
    fs::write(&file, "this was a history once")?;
    has(&desk, &[missed(&app, "tel:2").await?]).await?;
    let (_, said) = callctl(&desk, &["history"]).await?;
    assert!(said.contains("are in a file that was damaged"), "{said}");
    assert!(agent.log().contains("the file is damaged; it is set aside"), "{}", agent.log());
    Ok(())
}

#[tokio::test]
async fn no_more_is_kept_than_the_app_lets_and_the_user_wants() -> Result<()> {
    let desk = Desk::new().await?;
    let wishes = desk.home().join(".config/callarbiter");
    fs::create_dir_all(&wishes)?;
    fs::write(wishes.join("agent.toml"), "[history]\ncalls = 3\n")?;
    let _agent = desk.agent("history").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let secret = app.report_incoming("sip:secret@example.org").await?;
    let told = missed(&app, HANDLE).await?;
    // What counts is what the app says when the call ends.
    records(&app, "none").await?;
    app.report_ended(&secret.uuid, "remote-ended").await?;
    records(&app, "opaque").await?;
    let hidden = missed(&app, "sip:hidden@example.org").await?;
    has(&desk, &[told.clone(), hidden.clone()]).await?;
    let file = fs::read(desk.home().join(".local/share/callarbiter/history.sqlite"))?;
    let tells = |word: &str| file.windows(word.len()).any(|part| part == word.as_bytes());
    assert_eq!(["ada@", "secret@", "hidden@"].map(tells), [true, false, false]);
    records(&app, "full").await?;
    let newer = [missed(&app, "tel:1").await?, missed(&app, "tel:2").await?];
    eventually("the oldest is gone", async || {
        let kept = kept(&desk).await?;
        (kept == [newer[1].clone(), newer[0].clone(), hidden.clone()]).then_some(())
    })
    .await
}

async fn records(app: &FakeProvider, how: &'static str) -> Result<()> {
    Ok(app.tell("UpdateConfiguration", &options([("records", how.into())])).await?)
}

#[tokio::test]
async fn an_app_behind_a_wall_erases_its_own_calls_and_only_those() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let (boxed, other) =
        (open_app(&desk, "org.example.Boxed").await?, open_app(&desk, "org.example.Other").await?);
    let own = [missed(&boxed, "tel:1").await?, missed(&boxed, "tel:2").await?];
    let others = missed(&other, "tel:1").await?;
    let all = [own[0].clone(), own[1].clone(), others.clone()];
    has(&desk, &all).await?;

    for (member, argument) in
        [("Query", "{}"), ("Explain", "x"), ("LastProvider", "tel:1"), ("Favourites", "")]
    {
        let said = asks(&desk, member, argument).await?;
        assert!(said.contains("AccessDenied") && said.contains("sandbox"), "{member}: {said}");
    }
    let said =
        asks(&desk, "Erase", "{'app-id': <'org.example.Other'>, 'handle': <'tel:2'>}").await?;
    assert!(said.contains("(uint32 1,)"), "of whatever it says only its own are meant: {said}");
    has(&desk, &[own[0].clone(), others.clone()]).await?;
    let said = asks(&desk, "Erase", "{'all': <true>}").await?;
    assert!(said.contains("(uint32 1,)"), "{said}");
    has(&desk, std::slice::from_ref(&others)).await?;
    let told: Value = json(&desk, &["history"]).await?;
    assert_eq!(told["calls"][0]["app_id"], "org.example.Other");
    Ok(())
}

/// What a program behind Flatpak's wall is told by the agent.
async fn asks(desk: &Desk, member: &str, argument: &str) -> Result<String> {
    let info = "[Application]\nname=org.example.Boxed\n";
    let launch = walled(desk, Some(info))?.arg("/usr/bin/gdbus").arg("call");
    let method = format!("{AGENT}.History.{member}");
    let words = [
        "--address",
        &desk.bus().address(),
        "--dest",
        AGENT,
        "--object-path",
        OBJECT,
        "--method",
        &method,
    ];
    let launch = words.into_iter().fold(launch, |launch, word| launch.arg(word));
    let launch = if argument.is_empty() { launch } else { launch.arg(argument) };
    let mut asking = launch.start(desk.bus().directory())?;
    asking.end().await?;
    Ok(format!("{}{}", asking.output(), asking.log()))
}
