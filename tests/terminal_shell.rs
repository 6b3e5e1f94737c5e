//! The shell of the client crate's examples, over a real bus: it shows a call, and what is typed is done as the wish of
//! the user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{Write, pipe};

use anyhow::Result;
use harness::{Arbiter, Bus, FakeProvider, Launch, built, eventually};

const CALLER: &str = "sip:dodo@example.org";

#[tokio::test]
async fn what_is_typed_into_a_shell_is_the_wish_of_the_user() -> Result<()> {
    let config = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
    let arbiter = Arbiter::on(Bus::session().await?, config).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let user = arbiter.bus.connect().await?;
    let (keys, mut typed) = pipe()?;
    let shell = Launch::new(built("examples/shell", "-p callarbiter --example shell")?)
        .arg(arbiter.bus.address())
        .stdin(keys)
        .start(arbiter.bus.directory())?;
    let shows = async |words: &str| {
        let seen = async || shell.output().contains(words).then_some(());
        eventually(&format!("the shell shows {words}"), seen).await
    };
    shows("the user interface is here").await?;
    let call = phone.report_incoming(CALLER).await?;
    shows(&format!("{} is ringing: {CALLER}", call.uuid)).await?;
    typed.write_all(b"answer\n")?;
    let asked = phone.wait_asked("PerformAnswer", 1).await?;
    let how = format!("{:?}", asked.argument(2));
    assert!(how.contains("user-interface"), "{how}");
    user.wait_state(&call.path, "active").await?;
    shows("is active").await?;
    typed.write_all(b"hold\n")?;
    user.wait_state(&call.path, "held").await?;
    typed.write_all(b"end\n")?;
    shows("no call is active").await?;
    typed.write_all(b"resume\n")?;
    user.wait_state(&call.path, "active").await?;
    shows("is held").await?;
    typed.write_all(b"end\n")?;
    phone.wait_asked("PerformEnd", 1).await?;
    shows("is ended").await
}
