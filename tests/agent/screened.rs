//! A call at which somebody looks first: nobody is told before, and nobody at all of one that is turned away.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::FakeAgent;
use tokio::join;

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::speakers::{Ear, Server, Speakers};

const ADA: &str = "sip:ada@example.org";
const SPAM: &str = "sip:spam@example.org";
const GRACE: &str = "sip:grace@example.org";

#[tokio::test]
async fn it_is_shown_when_it_may_reach_the_user() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let screener = FakeAgent::with(desk.bus(), &["screening"]).await?;
    let _agent = desk.agent("notifications").await?;
    let looks = async {
        let ada = screener.asked("Screen", 1).await?;
        let call = ada.option("call").context("a call")?;
        assert_eq!(desk.phone.peer.state(&call).await?, "screening");
        let list = desk.callctl(&["list"]).await?.map_err(anyhow::Error::msg)?;
        assert!(list.to_string().contains("\"screening\""), "{list}");
        // A later one passes, and one is turned away: whoever shows calls has seen all three.
        let (spam, _) = join!(desk.phone.report_incoming(SPAM), rejects(&screener, 2));
        assert!(spam.unwrap_err().to_string().contains("FilteredByBlockList"));
        let (grace, _) = join!(desk.phone.report_incoming(GRACE), allows(&screener, 3));
        dunst.shows(&[GRACE]).await?;
        dunst.wait_count(1).await?;
        desk.phone.peer.end(&grace?.path).await?;
        dunst.wait_count(0).await?;
        assert_eq!(desk.phone.peer.state(&call).await?, "screening");
        screener.answer(&ada, [("verdict", "silence".into())]).await?;
        anyhow::Ok(call)
    };
    let (reported, looked) = join!(desk.phone.report_incoming(ADA), looks);
    assert_eq!(reported?.path, looked?);
    dunst.shows(&[ADA]).await?;
    dunst.wait_count(1).await
}

#[tokio::test]
async fn it_rings_when_it_may_reach_the_user() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let screener = FakeAgent::with(desk.bus(), &["screening"]).await?;
    let _agent = desk.agent("ring").await?;
    let looks = async {
        let asked = screener.asked("Screen", 1).await?;
        let heard = ear.listen(Duration::from_secs(2)).await?;
        assert!(heard.iter().all(|sound| sound.loudness < 0.01), "{heard:?}");
        let from = ear.heard();
        screener.answer(&asked, [("verdict", "allow".into())]).await?;
        anyhow::Ok(from)
    };
    let (call, from) = join!(desk.phone.report_incoming(ADA), looks);
    call?;
    ear.wait_sound_after(from?).await?;
    Ok(())
}

async fn allows(screener: &FakeAgent, nth: usize) -> Result<()> {
    let asked = screener.asked("Screen", nth).await?;
    Ok(screener.answer(&asked, [("verdict", "allow".into())]).await?)
}

async fn rejects(screener: &FakeAgent, nth: usize) -> Result<()> {
    let asked = screener.asked("Screen", nth).await?;
    let no = [("verdict", "reject".into()), ("reason", "block-list".into())];
    Ok(screener.answer(&asked, no).await?)
}
