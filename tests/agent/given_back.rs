//! A desktop shell that leaves gives back what it took: whose role it was has it again, ours and another program of the
//! client crate alike, also where the shell left while the arbiter was away, and where the arbiter lost its state.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result, ensure};
use callarbiter::{Agent, AgentEvent, Connection, DoNotDisturbOptions, words::Role};
use harness::{Options, Peer, Process, ROOT, eventually, options};
use zbus::{ObjectPath, OwnedVariant};

use crate::desk::Desk;
use crate::history::{callctl, has, missed, open_app};

/// All that have one holder.
const ROLES: [&str; 9] = [
    "dnd",
    "consent",
    "launch",
    "identity",
    "contacts",
    "audio",
    "headset",
    "history",
    "preferences",
];

#[tokio::test]
async fn what_a_shell_took_is_the_agents_again_when_it_is_gone() -> Result<()> {
    let mut desk = Desk::new().await?;
    let parts = "do-not-disturb,consent,launch,identity,contacts,audio,headset,history,preferences";
    let agent = desk.agent(parts).await?;
    let soft = open_app(&desk, "org.example.Softphone").await?;
    let mut calls = Vec::new();
    for round in 1..=3 {
        let shell = takes(&desk, &ROLES).await?;
        for role in ROLES {
            says(&agent, &format!("another agent took the role {role}"), round).await?;
        }
        let unserved = async || {
            let (done, _) = callctl(&desk, &["history"]).await.ok()?;
            (!done).then_some(())
        };
        eventually("the shell has the history", unserved).await?;
        // Whom the shell does not answer, it leaves to others; what waits is lost with the arbiter's state.
        if round < 3 {
            calls.push(missed(&soft, "sip:ada@example.org").await?);
        }
        match round {
            1 => drop(shell),
            _ => {
                desk.arbiter.stop("KILL").await?;
                drop(shell);
                if round == 3 {
                    fs::remove_dir_all(&desk.arbiter.daemon.state)?;
                }
                desk.arbiter.start().await?;
            }
        }
        for role in ROLES {
            says(&agent, &format!("nobody has the role {role} any more"), round).await?;
        }
        let served = async || {
            let (done, _) = callctl(&desk, &["history"]).await.ok()?;
            done.then_some(())
        };
        eventually("the history is the agent's again", served).await?;
        has(&desk, &calls).await?;
    }
    ensure!(!agent.log().contains("was not told"), "{}", agent.log());
    Ok(())
}

#[tokio::test]
async fn an_agent_of_the_client_crate_has_its_role_back_and_takes_no_other() -> Result<()> {
    let mut desk = Desk::new().await?;
    let connect = async || Connection::open(&desk.bus().address()).await;
    let mut first = Agent::register(&connect().await?, [Role::DoNotDisturb]).await?;
    let mut other = Agent::register(&connect().await?, [Role::History]).await?;
    let second = takes(&desk, &["dnd"]).await?;
    let event = in_time(&mut first).await?;
    ensure!(matches!(&event, AgentEvent::RoleLost(Role::DoNotDisturb)), "{event:?}");
    let how = DoNotDisturbOptions { quiet: true, allow: vec![] };
    ensure!(first.set_do_not_disturb(true, &how).await.is_err());

    drop(second);
    let event = in_time(&mut first).await?;
    ensure!(matches!(&event, AgentEvent::RoleBack(Role::DoNotDisturb)), "{event:?}");
    ensure!(first.roles() == [Role::DoNotDisturb], "{first:?}");
    first.set_do_not_disturb(true, &how).await?;
    // One that had another role hears of its own alone.
    drop(takes(&desk, &["history"]).await?);
    let event = in_time(&mut other).await?;
    ensure!(matches!(&event, AgentEvent::RoleLost(Role::History)), "{event:?}");
    let event = in_time(&mut other).await?;
    ensure!(matches!(&event, AgentEvent::RoleBack(Role::History)), "{event:?}");
    ensure!(first.roles() == [Role::DoNotDisturb], "{first:?}");
    // An arbiter that lost its state does not know who left meanwhile.
    let second = takes(&desk, &["dnd"]).await?;
    let event = in_time(&mut first).await?;
    ensure!(matches!(&event, AgentEvent::RoleLost(Role::DoNotDisturb)), "{event:?}");
    desk.arbiter.stop("KILL").await?;
    drop(second);
    fs::remove_dir_all(&desk.arbiter.daemon.state)?;
    desk.arbiter.start().await?;
    let event = in_time(&mut first).await?;
    ensure!(matches!(&event, AgentEvent::RoleBack(Role::DoNotDisturb)), "{event:?}");
    // What somebody has is left to them.
    let third = desk.bus().connect().await?;
    let nothing = ObjectPath::try_from("/")?;
    let only_free = (nothing, vec!["dnd", "contacts"], options([("only-free", true.into())]));
    let mut state: HashMap<String, OwnedVariant> =
        third.call(ROOT, "Manager", "RegisterAgent", &only_free).await?;
    let taken = Vec::<String>::try_from(state.remove("roles").context("roles")?)?;
    ensure!(taken == ["contacts"], "{taken:?}");
    first.set_do_not_disturb(false, &how).await?;
    Ok(())
}

async fn in_time(agent: &mut Agent) -> Result<AgentEvent> {
    tokio::time::timeout(harness::PATIENCE, agent.next()).await?.context("the connection is closed")
}

async fn takes(desk: &Desk, roles: &[&str]) -> Result<Peer> {
    let shell = desk.bus().connect().await?;
    let nothing = ObjectPath::try_from("/")?;
    let _: HashMap<String, OwnedVariant> =
        shell.call(ROOT, "Manager", "RegisterAgent", &(nothing, roles, Options::new())).await?;
    Ok(shell)
}

async fn says(agent: &Process, words: &str, times: usize) -> Result<()> {
    let said = async || (agent.log().matches(words).count() >= times).then_some(());
    let log = |error| anyhow::anyhow!("{error}: {}", agent.log());
    eventually(&format!("{words}, {times} times"), said).await.map_err(log)
}
