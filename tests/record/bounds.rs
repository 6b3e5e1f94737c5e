//! The bounds of recordings: who does not read harms nobody and is told that it ended, and so is who reaches a bound.

use futures_util::future::join_all;

use super::*;

const FAST: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n[limits]\nreports-per-second = 1000000\n";
/// More than a recording can tell apart.
const MANY: usize = 18_000;

/// A call about which much is said, until it is too much for whoever records.
struct Talk {
    phone: FakeProvider,
    alice: Peer,
    uuid: String,
    path: String,
}

impl Talk {
    async fn on(bus: &Bus) -> Result<Talk> {
        let phone = FakeProvider::register(bus, "org.example.Phone").await?;
        let alice = bus.connect().await?;
        let call = phone.report_incoming("sip:rabbit@example.org").await?;
        alice.answer(&call.path).await?;
        Ok(Talk { phone, alice, uuid: call.uuid, path: call.path })
    }

    /// True: another may record, so that the recording there was is over.
    async fn goes_on(&self, other: &Peer) -> Result<bool> {
        let toggle = async |n: usize| -> Result<(), Refused> {
            let held = options([("remote-held", n.is_multiple_of(2).into())]);
            self.phone.tell("ReportState", &(&self.uuid, "", held)).await
        };
        for told in join_all((0..100).map(toggle)).await {
            told?;
        }
        match record(other).await {
            Ok(()) => Ok(true),
            Err(refused) if refused.short() == "LimitExceeded" => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn until_over(&self, other: &Peer) -> Result<()> {
        for _ in 0..200 {
            if self.goes_on(other).await? {
                return Ok(());
            }
        }
        anyhow::bail!("20,000 reports later it was still recorded")
    }
}

async fn record(peer: &Peer) -> Result<(), Refused> {
    peer.call(ROOT, "Manager", "Record", &(Options::new(),)).await
}

/// What was written is played as it was, and says why there is no more.
fn ended_early(file: &Path, why: &str, at_least: u64) -> Result<()> {
    let played = replay(file, &[])?;
    let closing = played.last().unwrap();
    assert_eq!((&closing["ended"], &closing["played"]["unlike"]), (&why.into(), &0.into()));
    let inputs = closing["played"]["inputs"].as_u64().unwrap();
    assert!(inputs >= at_least, "{inputs}");
    Ok(())
}

#[tokio::test]
async fn who_stopped_reading_harms_nobody_and_is_told_when_it_reads_again() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, FAST).await?;
    let talk = Talk::on(&arbiter.bus).await?;
    let mut recorder = Recorder::start(&arbiter, "stopped.jsonl").await?;
    recorder.process.signal("STOP")?;
    let other = arbiter.bus.connect().await?;
    talk.until_over(&other).await?;
    // The user's calls, and another recording of them, are as ever.
    talk.alice.hold(&talk.path).await?;
    talk.alice.unhold(&talk.path).await?;
    talk.alice.wait_state(&talk.path, "active").await?;
    let recorded = |message: &Message| is(message, "Manager", "Recorded");
    other.expect("what the other records", recorded).await?;

    recorder.process.signal("CONT")?;
    let status = recorder.process.end().await?;
    let said = recorder.process.log();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("was not written as fast as things happened"), "{said}");
    ended_early(&recorder.file, "unread", 1000)
}

#[tokio::test]
async fn one_with_few_bytes_ends_with_them() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, FAST).await?;
    let talk = Talk::on(&arbiter.bus).await?;
    let few = (options([("bytes", 64u32.into())]),);
    let refused: Result<(), Refused> = talk.alice.call(ROOT, "Manager", "Record", &few).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.short(), "LimitExceeded");
    assert!(refused.to_string().contains("more than `bytes`"), "{refused}");

    let mut recorder = Recorder::with(&arbiter, "small.jsonl", &["--bytes", "65536"]).await?;
    let other = arbiter.bus.connect().await?;
    talk.until_over(&other).await?;
    let status = recorder.process.end().await?;
    let said = recorder.process.log();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the recording reached its bound"), "{said}");
    ended_early(&recorder.file, "size", 100)
}

#[tokio::test]
async fn one_with_more_people_than_can_be_told_apart_ends() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, FAST).await?;
    let desk = FakeAgent::with(&arbiter.bus, &["dnd"]).await?;
    let mut recorder = Recorder::start(&arbiter, "people.jsonl").await?;
    let known: u32 = desk.peer.property(ROOT, "Manager", "Limits").await.map(|limits| {
        let limits: HashMap<String, u32> = limits.try_into().unwrap();
        limits["allowed-handles"]
    })?;
    for first in (0..MANY).step_by(known as usize) {
        let allow: Vec<String> = (first..first + known as usize)
            .map(|n| format!("sip:{n}@wonderland.example"))
            .collect();
        let () = desk
            .peer
            .call(ROOT, "Manager", "SetDoNotDisturb", &(true, options([("allow", allow.into())])))
            .await?;
    }
    let status = recorder.process.end().await?;
    let said = recorder.process.log();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the recording reached its bound"), "{said}");
    assert!(!fs::read_to_string(&recorder.file)?.contains("wonderland"));
    ended_early(&recorder.file, "size", 1)
}

#[tokio::test]
async fn eight_users_may_record_at_once() -> Result<()> {
    let arbiter = Arbiter::on_system_bus().await?;
    let mut recording = vec![];
    // Beside those of the tests, users that every Debian has.
    for user in ["alice", "bob", "root", "daemon", "bin", "games", "mail", "news"] {
        let peer = arbiter.bus.connect_as(user).await?;
        record(&peer).await.map_err(|refused| anyhow::anyhow!("{user}: {refused:?}"))?;
        recording.push(peer);
    }
    let ninth = arbiter.bus.connect_as("lp").await?;
    let refused = record(&ninth).await.unwrap_err();
    assert_eq!(refused.short(), "LimitExceeded");
    assert!(refused.to_string().contains("too many users record"), "{refused}");
    // Calls are not affected, and whoever leaves makes room.
    let phone = FakeProvider::register_as(&arbiter.bus, "lp", "org.example.Phone").await?;
    phone.report_incoming("sip:rabbit@example.org").await?;
    drop(recording.pop());
    eventually("there is room for another", async || record(&ninth).await.ok()).await
}
