//! Alice and her arbiter, what bob has to do harm with, and what must be as before when he has done it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use harness::{ALLOW, Arbiter, Bus, FakeProvider, NAME, Peer, ROOT, Refused, eventually};
use serde::Serialize;
use zbus::{DynamicType, Message, MessageStream, message::Flags};

pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
pub const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
/// What the daemon may grow by, whatever is done to it: a debug build with its logs switched on.
pub const GROWTH: u64 = 48 * 1024 * 1024;
/// So that what is left alone is over soon.
pub const SHORT: &str = "[deadlines]\nstart-ms = 1500\nanswer-ms = 1500\nend-ms = 1500\nset-held-ms = 1500\n\
    play-dtmf-ms = 1500\nother-ms = 1500\ngrace-ms = 200\naudio-grant-ms = 1500\n\
    audio-release-ms = 1500\ntransaction-ms = 400\n";

pub fn scaled(size: usize) -> usize {
    let factor = std::env::var("CALLARBITER_STRESS").ok().and_then(|text| text.parse().ok());
    size * factor.unwrap_or(1)
}

/// Alice, who wants to telephone, and an arbiter that bob shares with her.
pub struct Scene {
    pub phone: FakeProvider,
    pub alice: Peer,
    pub arbiter: Arbiter,
    memory: u64,
}

impl Scene {
    pub async fn set() -> Result<Scene> {
        let arbiter = Arbiter::on(Bus::system().await?, &format!("{ALLOW}{SHORT}")).await?;
        let phone = FakeProvider::register_as(&arbiter.bus, "alice", "org.example.Phone").await?;
        let alice = arbiter.bus.connect_as("alice").await?;
        let scene = Scene { phone, alice, memory: 0, arbiter };
        // Once before, so that what a first call allocates is not taken for a leak.
        scene.whole_call().await?;
        Ok(Scene { memory: resident(&scene.arbiter)?, ..scene })
    }

    pub async fn bob(&self) -> Result<Peer> {
        self.arbiter.bus.connect_as("bob").await
    }

    pub async fn bobs_phone(&self) -> Result<FakeProvider> {
        FakeProvider::register_as(&self.arbiter.bus, "bob", "org.example.Evil").await
    }

    /// From its ringing to its end, as if nobody else were there.
    pub async fn whole_call(&self) -> Result<()> {
        whole_call(&self.phone, &self.alice).await
    }

    /// Alice telephones while this goes on; both to their ends.
    pub async fn meanwhile<T>(&self, harm: impl Future<Output = Result<T>>) -> Result<T> {
        let (call, harm) = tokio::join!(self.whole_call(), harm);
        call?;
        harm
    }

    /// The daemon is as it was, alice is unharmed, and bob, who left, has nothing.
    pub async fn ends_unharmed(mut self) -> Result<()> {
        self.whole_call().await?;
        let grown = resident(&self.arbiter)?.saturating_sub(self.memory);
        ensure!(grown < GROWTH, "the daemon grew by {} KiB", grown / 1024);
        let bob = self.bob().await?;
        eventually("nothing of bob's is left", async || {
            let usage = usage(&bob).await.ok()?;
            let left = |name: &str| usage.get(name).copied().unwrap_or(0);
            let names = ["calls", "providers", "transactions", "subscriptions"];
            names.iter().all(|name| left(name) == 0).then_some(())
        })
        .await?;
        eventually("no object of bob's is left", async || {
            (bob.view().await.ok()?.objects.len() == 1).then_some(())
        })
        .await?;
        ensure!(self.arbiter.daemon.process.ended().is_none(), "it ended");
        Ok(())
    }
}

pub async fn whole_call(phone: &FakeProvider, controller: &Peer) -> Result<()> {
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    controller.answer(&call.path).await?;
    controller.hold(&call.path).await?;
    controller.unhold(&call.path).await?;
    ensure!(controller.state(&call.path).await? == "active");
    controller.end(&call.path).await?;
    let of_it = |asked: &&harness::Asked| asked.uuid().as_deref() == Some(&call.uuid);
    let asked: Vec<String> =
        phone.asked().iter().filter(of_it).map(|asked| asked.member.clone()).collect();
    let wanted = ["PerformAnswer", "PerformSetHeld", "PerformSetHeld", "PerformEnd"];
    ensure!(asked == wanted, "in this order: {asked:?}");
    Ok(())
}

pub fn resident(arbiter: &Arbiter) -> Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{}/statm", arbiter.daemon.process.pid()))?;
    let pages: u64 = statm.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096)
}

pub async fn usage(peer: &Peer) -> Result<HashMap<String, u32>> {
    Ok(peer.property(ROOT, "Manager", "Usage").await?.try_into()?)
}

pub fn to_arbiter<B>(path: &str, of: &str, member: &str, body: &B) -> Result<Message>
where
    B: Serialize + DynamicType,
{
    let message = Message::method_call(path, member).destination(NAME).interface(of);
    Ok(message.with_flags(Flags::NO_REPLY_EXPECTED).build(body)?)
}

/// The same, again and again, as fast as the bus takes it, and all of it is through.
pub async fn flood<B>(
    by: &Peer,
    times: usize,
    path: &str,
    of: &str,
    member: &str,
    body: &B,
) -> Result<()>
where
    B: Serialize + DynamicType,
{
    for _ in 0..times {
        by.connection.send(&to_arbiter(path, of, member, body)?).await?;
    }
    // It waits behind the large views that it asked for, of which only so many may wait.
    let through = async || match by.property(ROOT, "Manager", "Version").await {
        Err(refused) if refused.short() == "LimitExceeded" => None,
        answered => Some(answered),
    };
    eventually("the flood is through", through).await??;
    Ok(())
}

/// As many at a time as a bus lets one connection have; how many were refused for their number.
pub async fn many<T>(
    times: usize,
    call: impl AsyncFn(usize) -> Result<T, Refused>,
) -> Result<(Vec<T>, Vec<Refused>)> {
    let (mut done, mut refused) = (vec![], vec![]);
    for first in (0..times).step_by(100) {
        for outcome in join_all((first..times.min(first + 100)).map(|n| call(n))).await {
            match outcome {
                Ok(outcome) => done.push(outcome),
                Err(error) if error.short() == "LimitExceeded" => refused.push(error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok((done, refused))
}

/// It reads nothing any more, until the stream is dropped.
pub fn deafen(peer: &Peer) -> MessageStream {
    let mut unread = MessageStream::from(&peer.connection);
    unread.set_max_queued(NonZeroUsize::MIN);
    unread
}
