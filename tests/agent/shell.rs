//! A desktop shell that does parts of the agent's work by itself, over nothing but the two buses.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Options, Peer, ROOT, eventually, options};
use zbus::OwnedVariant;

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::plain::PlainServer;
use crate::speakers::{Ear, Server, Speakers};

#[tokio::test]
async fn do_not_disturb_is_the_shells_once_it_takes_the_role() -> Result<()> {
    let mut desk = Desk::new().await?;
    let server = PlainServer::start(desk.bus()).await?;
    let agent = desk.agent("do-not-disturb").await?;
    server.inhibit(true).await?;
    said(&agent, "on=true").await?;

    let shell = take_roles(&desk, &["ui", "dnd"]).await?;
    said(&agent, "another agent took the role dnd").await?;
    disturb(&shell, true).await?;
    assert_eq!(silenced(&desk).await?, "");
    // The agent leaves it alone: also when the server changes, and for another arbiter.
    server.inhibit(false).await?;
    server.inhibit(true).await?;
    assert_eq!(silenced(&desk).await?, "");
    desk.arbiter.crash_and_restart().await?;
    let shell = take_roles(&desk, &["dnd"]).await?;
    disturb(&shell, false).await?;
    assert_eq!(silenced(&desk).await?, "dnd");
    disturb(&shell, true).await?;
    assert_eq!(silenced(&desk).await?, "");
    ensure!(!agent.log().contains("was not told"), "{}", agent.log());
    Ok(())
}

#[tokio::test]
async fn calls_are_shown_by_the_shell_alone_while_it_is_there() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    dunst.wait_count(1).await?;

    let shell = take_roles(&desk, &["ui"]).await?;
    take_name(&shell, "Notifications").await?;
    dunst.wait_count(0).await?;
    // Everything that the agent used is there: calls, changes, and the user's own wishes.
    let (_, seen): (u64, HashMap<zbus::OwnedObjectPath, OwnedVariantMap>) =
        shell.call(ROOT, "Manager", "Subscribe", &(Options::new(),)).await?;
    ensure!(seen.keys().any(|path| path.as_str() == call.path), "{seen:?}");
    shell.answer(&call.path).await?;
    let asked = desk.phone.wait_asked("PerformAnswer", 1).await?;
    let how = format!("{:?}", asked.argument(2));
    ensure!(how.contains("user-interface"), "{how}");
    desk.phone.report_incoming("sip:grace@example.org").await?;
    dunst.wait_count(0).await?;

    // It crashes: the agent goes on with what there is.
    drop(shell);
    dunst.wait_count(2).await
}

#[tokio::test]
async fn the_shell_rings_while_it_has_the_post() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let agent = desk.agent("ring").await?;
    desk.phone.report_incoming("sip:ada@example.org").await?;
    ear.wait_sound().await?;
    let shell = desk.bus().connect().await?;
    take_name(&shell, "Ring").await?;
    ear.wait_silence(Duration::from_millis(2_500)).await?;
    drop(shell);
    ear.wait_sound().await?;

    // A second agent waits until the first has gone.
    let second = desk.agent("ring").await?;
    said(&second, "another program has org.callarbiter.Agent1.Ring").await?;
    drop(agent);
    said(&second, "it rings").await
}

type OwnedVariantMap = HashMap<String, HashMap<String, OwnedVariant>>;

async fn take_roles(desk: &Desk, roles: &[&str]) -> Result<Peer> {
    let shell = desk.bus().connect().await?;
    let nothing = zbus::ObjectPath::try_from("/")?;
    let _: HashMap<String, OwnedVariant> =
        shell.call(ROOT, "Manager", "RegisterAgent", &(nothing, roles, Options::new())).await?;
    Ok(shell)
}

/// As its library would: replace whoever has it, and do not wait.
async fn take_name(shell: &Peer, part: &str) -> Result<()> {
    let (replace, do_not_queue) = (2_u32, 4_u32);
    let name = format!("org.callarbiter.Agent1.{part}");
    let taken: u32 = shell.bus("RequestName", &(name, replace | do_not_queue)).await?;
    ensure!(taken == 1, "{taken}");
    Ok(())
}

/// Whether the user may be disturbed, as the shell says it.
async fn disturb(shell: &Peer, may: bool) -> Result<()> {
    let how = (!may, options([("quiet", true.into())]));
    Ok(shell.call(ROOT, "Manager", "SetDoNotDisturb", &how).await?)
}

/// What a call that comes now is.
async fn silenced(desk: &Desk) -> Result<String> {
    let caller = format!("sip:{}@example.org", uuid::Uuid::new_v4());
    let call = desk.phone.report_incoming(&caller).await?;
    let silenced = desk.phone.peer.property(&call.path, "Call", "Silenced").await?;
    desk.phone.report_ended(&call.uuid, "unanswered").await?;
    Ok(String::try_from(silenced)?)
}

async fn said(agent: &harness::Process, words: &str) -> Result<()> {
    eventually(words, async || agent.log().contains(words).then_some(())).await
}
