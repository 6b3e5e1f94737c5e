//! What the user erased from the history nobody tells any more: neither the arbiter, which remembers calls for an hour,
//! nor the history itself when a call that waited in the arbiter comes after it was erased.

use anyhow::{Result, ensure};
use harness::{FakeProvider, Reply, eventually, options};

use crate::{
    desk::Desk,
    history::{AGENT, OBJECT, callctl, has, kept, missed, open_app},
};

/// Calls that wait for an agent, as many as the arbiter keeps.
const WAITING: usize = 250;

#[tokio::test]
async fn the_arbiter_forgets_why_erased_calls_were_what_they_were() -> Result<()> {
    let mut desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let soft = open_app(&desk, "org.example.Softphone").await?;
    let other = open_app(&desk, "org.example.Other").await?;
    let (ada, bob) = ("sip:ada@example.org", "sip:bob@example.org");
    let by_person = failed(&soft, ada).await?;
    let by_app = [failed(&other, bob).await?, failed(&other, ada).await?];
    let left = failed(&soft, bob).await?;
    let late = failed(&soft, bob).await?;
    let live = soft.report_incoming(ada).await?;
    let [first, second] = by_app.clone();
    has(&desk, &[by_person.clone(), first, second, left.clone(), late.clone()]).await?;
    for call in [&by_person, &by_app[0], &by_app[1], &left, &late, &live.uuid] {
        ensure!(is_explained(&desk, call).await?, "{call}");
    }

    let (done, said) = callctl(&desk, &["history", "erase", "--app", "org.example.Other"]).await?;
    ensure!(done && said.contains("2 calls are erased"), "{said}");
    let (done, said) = callctl(&desk, &["history", "erase", "--with", ada]).await?;
    ensure!(done && said.contains("1 call is erased"), "{said}");
    for call in [&by_person, &by_app[0], &by_app[1]] {
        ensure!(!is_explained(&desk, call).await?, "{call}");
    }
    for call in [&left, &late, &live.uuid] {
        ensure!(is_explained(&desk, call).await?, "{call}");
    }

    // An arbiter that is away hears it when it is back; what it wrote down of the others went for good.
    desk.arbiter.stop("KILL").await?;
    let (done, said) = callctl(&desk, &["history", "erase", "--call", &late]).await?;
    ensure!(done, "{said}");
    desk.arbiter.start().await?;
    let forgets = async || (!is_explained(&desk, &late).await.ok()?).then_some(());
    eventually("the arbiter hears what was erased", forgets).await?;
    for call in [&by_person, &by_app[0], &by_app[1]] {
        ensure!(!is_explained(&desk, call).await?, "{call}");
    }
    ensure!(is_explained(&desk, &left).await?);
    Ok(())
}

#[tokio::test]
async fn calls_that_waited_do_not_come_after_they_were_erased() -> Result<()> {
    let desk = Desk::new().await?;
    let soft = open_app(&desk, "org.example.Softphone").await?;
    let other = open_app(&desk, "org.example.Other").await?;
    let kept_of_other = missed(&other, "tel:1").await?;
    let mut waited = Vec::new();
    for n in 0..WAITING {
        waited.push(missed(&soft, &format!("tel:{n}")).await?);
    }
    let _agent = desk.agent("history").await?;
    eventually("what is left of the app's calls is erased", async || {
        let filter = options([("app-id", "org.example.Softphone".into())]);
        let interface = "org.callarbiter.Agent1.History";
        let erased = desk.phone.peer.call_at::<_, u32>(AGENT, OBJECT, interface, "Erase", &filter);
        erased.await.ok()
    })
    .await?;
    // Records come in order, so this one is behind all of them.
    let last = missed(&soft, "tel:1").await?;
    let there = async || kept(&desk).await?.contains(&last).then_some(());
    eventually("the last call is in the history", there).await?;
    has(&desk, &[kept_of_other, last]).await?;
    let newest = waited.last().map(String::as_str).unwrap_or_default();
    let forgotten = async || (!is_explained(&desk, newest).await.ok()?).then_some(());
    eventually("the arbiter forgets it, too", forgotten).await
}

/// A call whose app could not answer it; its UUID.
async fn failed(app: &FakeProvider, handle: &str) -> Result<String> {
    let call = app.report_incoming(handle).await?;
    app.script(
        "PerformAnswer",
        Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", "the teapot is full"),
    );
    app.peer.answer(&call.path).await.unwrap_err();
    Ok(call.uuid)
}

/// Whether anybody says why: the arbiter, or else the history.
async fn is_explained(desk: &Desk, call: &str) -> Result<bool> {
    let (done, said) = callctl(desk, &["why", call]).await?;
    let unknown = said.contains("no call of this name lives") && said.contains("in the history");
    ensure!(done || unknown, "{said}");
    Ok(done)
}
