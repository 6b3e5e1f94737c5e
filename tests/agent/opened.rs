//! The name of the agent on the session bus: whoever sees it finds everything behind it, however long it took to load.

use std::{collections::HashMap, fs};

use anyhow::{Result, ensure};
use harness::{Options, eventually};
use zbus::OwnedVariant;

use crate::desk::Desk;
use crate::history::{AGENT, OBJECT};
use crate::lists::{agent, said};

type Dict = HashMap<String, OwnedVariant>;

/// Entries that take a moment to load.
const MANY: usize = 100_000;

#[tokio::test]
async fn whoever_sees_the_name_finds_everything_behind_it() -> Result<()> {
    let desk = Desk::new().await?;
    let parts = "consent,history,lists,preferences";
    let mut first = agent(&desk, parts).await?;
    let path = desk.bus().directory().join("many.csv");
    let numbers: String = (0..MANY).map(|n| format!("tel:+4988{n:06}\n")).collect();
    fs::write(&path, format!("address\n{numbers}"))?;
    said(&desk, &["block", "import", &path.to_string_lossy()]).await?;
    first.signal("KILL")?;
    first.end().await?;

    let peer = &desk.phone.peer;
    let gone = async || peer.owner(AGENT).await.ok()?.is_none().then_some(());
    eventually("the bus knows that it is gone", gone).await?;
    let second = desk.begin_agent(parts, &[])?;
    let there = async || peer.owner(AGENT).await.ok()?;
    eventually("the next one has the name", there).await?;
    let xml: String = peer
        .call_at(AGENT, OBJECT, "org.freedesktop.DBus.Introspectable", "Introspect", &())
        .await?;
    for part in ["Apps", "History", "Lists", "Preferences"] {
        ensure!(xml.contains(&format!("org.callarbiter.Agent1.{part}\"")), "{part}: {xml}");
    }
    let lists = "org.callarbiter.Agent1.Lists";
    let (entries, _): (Vec<Dict>, Dict) =
        peer.call_at(AGENT, OBJECT, lists, "Entries", &(Options::new(),)).await?;
    ensure!(!entries.is_empty(), "{}", second.log());
    Ok(())
}
