//! The telephone of the baresip example alone, without an arbiter: what the real program does with the commands,
//! as the far end sees it. What the arbiter makes of it is in sip.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use anyhow::{Result, bail};
use harness::PATIENCE;
use harness::sip::{Agreement, FarEnd, Softphone};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use uuid::Uuid;

use harness::sip::control;
#[path = "../client/examples/baresip/line.rs"]
mod line;
#[path = "../client/examples/baresip/phone.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod phone;

use control::Event;
use phone::{Devices, News, Phone};

#[tokio::test]
async fn a_call_is_silent_until_it_has_the_audio() -> Result<()> {
    let (_softphone, mut phone) = phone("alice").await?;
    let far = FarEnd::start("xavier").await?;
    let call = phone.rung_by(&far).await?;
    phone.handle.answer(call).await?;
    far.wait("200").await?;
    far.hears_no_media().await?;
    phone.handle.set_audio(&[call], true).await?;
    far.wait("sound").await?;

    phone.handle.set_muted(call, true).await?;
    let mark = far.wait("silence").await.map(|_| far.mark())?;
    phone.handle.set_muted(call, false).await?;
    far.wait_since(mark, "sound").await?;

    phone.handle.play(call, "42#").await?;
    for tone in ["tone 4", "tone 2", "tone #"] {
        far.wait(tone).await?;
    }

    phone.handle.set_held(call, true).await?;
    far.wait("INVITE sendonly").await?;
    let mark = far.mark();
    phone.handle.set_audio(&[call], false).await?;
    phone.handle.set_held(call, false).await?;
    far.wait_since(mark, "INVITE sendrecv").await?;
    far.hears_no_media().await?;
    phone.handle.set_audio(&[call], true).await?;
    far.wait_since(mark, "sound").await?;

    far.offer("sendonly").await?;
    phone.until(|news| matches!(news, News::RemoteHeld(_, true))).await?;
    far.offer("sendrecv").await?;
    phone.until(|news| matches!(news, News::RemoteHeld(_, false))).await?;
    phone.handle.end(call).await?;
    far.wait("BYE").await?;
    Ok(())
}

#[tokio::test]
async fn a_hold_that_is_refused_or_ignored_fails_and_the_call_goes_on() -> Result<()> {
    let (_softphone, mut phone) = phone("alice").await?;
    let far = FarEnd::start("xavier").await?;
    let call = phone.rung_by(&far).await?;
    phone.handle.answer(call).await?;
    phone.handle.set_audio(&[call], true).await?;
    far.agrees(Agreement::Never);
    assert!(phone.handle.set_held(call, true).await.is_err());
    far.agrees(Agreement::AtOnce);
    assert_eq!(phone.handle.states().await, [(call, "active")]);
    Ok(())
}

#[tokio::test]
async fn several_calls_are_kept_apart() -> Result<()> {
    let (_softphone, mut phone) = phone("alice").await?;
    let (x, y) = (FarEnd::start("xavier").await?, FarEnd::start("yann").await?);
    let first = phone.rung_by(&x).await?;
    let second = phone.rung_by(&y).await?;

    // The other one still rings: baresip alone would not answer.
    phone.handle.answer(first).await?;
    x.wait("200").await?;
    phone.handle.set_audio(&[first], true).await?;
    x.wait("sound").await?;
    phone.handle.set_held(first, true).await?;
    phone.handle.set_audio(&[first], false).await?;
    phone.handle.answer(second).await?;
    y.wait("200").await?;
    phone.handle.set_audio(&[second], true).await?;
    y.wait("sound").await?;

    // Held stays held when the other one ends, whoever ends it.
    let mark = x.mark();
    y.hang_up().await?;
    phone.until(|news| matches!(news, News::Ended(_, "remote-ended", _))).await?;
    x.wait_since(mark, "INVITE sendonly").await?;
    assert_eq!(phone.handle.states().await, [(first, "held")]);
    x.hears_no_media().await?;
    x.hang_up().await?;
    phone.until(|news| matches!(news, News::Ended(..))).await?;
    Ok(())
}

#[tokio::test]
async fn refusals_carry_their_reason() -> Result<()> {
    let (_softphone, mut phone) = phone("alice").await?;
    let far = FarEnd::start("xavier").await?;
    let call = phone.rung_by(&far).await?;
    phone.handle.end(call).await?;
    far.wait("486").await?;

    phone.rung_by(&far).await?;
    far.hang_up().await?;
    phone.until(|news| matches!(news, News::Ended(_, "unanswered", _))).await?;

    for (status, reason) in
        [("486 Busy Here", "busy"), ("603 Decline", "declined"), ("404 Not Found", "failed")]
    {
        let (outgoing, mark) = (Uuid::new_v4(), far.mark());
        phone.handle.dial(outgoing, &far.uri()).await?;
        far.wait_since(mark, "INVITE").await?;
        phone.until(|news| matches!(news, News::Alerting(_))).await?;
        far.refuse(status).await?;
        phone.until(|news| matches!(news, News::Ended(call, why, _) if *call == outgoing && *why == reason)).await?;
    }
    let (outgoing, mark) = (Uuid::new_v4(), far.mark());
    phone.handle.dial(outgoing, &far.uri()).await?;
    far.wait_since(mark, "INVITE").await?;
    phone.handle.end(outgoing).await?;
    far.wait_since(mark, "CANCEL").await?;
    Ok(())
}

/// The phone with what happens to it.
struct Followed {
    handle: Phone,
    events: Receiver<Event>,
    uri: String,
}

impl Followed {
    async fn rung_by(&mut self, far: &FarEnd) -> Result<Uuid> {
        far.call(&self.uri).await?;
        match self.until(|news| matches!(news, News::Ringing(..))).await? {
            News::Ringing(uuid, _) => Ok(uuid),
            _ => bail!("it does not ring"),
        }
    }

    async fn until(&mut self, wanted: impl Fn(&News) -> bool) -> Result<News> {
        let news = async {
            loop {
                let event = self.events.recv().await?;
                if let Some(news) = self.handle.follow(&event).await?.filter(&wanted) {
                    return anyhow::Ok(news);
                }
            }
        };
        timeout(PATIENCE, news).await?
    }
}

async fn phone(name: &str) -> Result<(Softphone, Followed)> {
    let softphone = Softphone::start(name).await?;
    let devices = Devices { source: softphone.microphone(), player: "aubridge,player".into() };
    let handle = Phone::connect(softphone.control_address(), devices).await?;
    let events = handle.events()?;
    let uri = softphone.uri().to_owned();
    Ok((softphone, Followed { handle, events, uri }))
}
