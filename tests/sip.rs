//! Calls through real SIP telephones: baresip instances provide through the example of the client crate, `callctl`
//! is the user, and the far ends tell what arrived as SIP and as sound. It checks the SIP side and the arbiter's
//! view together; what the telephone alone does is in baresip.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::Output;

use anyhow::{Context, Result, bail};
use harness::sip::control::Event;
use harness::sip::{Agreement, FarEnd, Softphone};
use harness::{Arbiter, Launch, PATIENCE, Peer, Process, View, built, eventually, interface, is};
use tokio::process::Command;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use zbus::OwnedVariant;

/// The job of the whole project, with a telephone at every end.
#[tokio::test]
async fn answering_a_second_call_holds_the_first_and_ending_it_resumes_the_first() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let bob = desk.provider("bob", "org.example.Bob").await?;
    let caller = Softphone::start("yann").await?;
    let yann = caller.control().await?;
    let mut heard_by_yann = yann.events()?;
    let xavier = FarEnd::start("xavier").await?;

    // Xavier talks with Alice's phone.
    xavier.call(alice.uri()).await?;
    let first = desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    xavier.wait("200").await?;
    xavier.wait("sound").await?;
    let words: Vec<_> = xavier.heard().into_iter().map(|heard| heard.what).collect();
    assert_eq!(
        words.iter().find(|word| *word == "200 Answering" || *word == "sound").unwrap(),
        "200 Answering"
    );

    // Yann calls Bob's phone: it waits, and says what answering will do.
    yann.run(&[format!("dial {}", bob.uri())]).await?;
    let second = desk.call_with(caller.uri(), "ringing").await?;
    let plan = desk.property(&second, "AnswerPlan").await?;
    assert!(format!("{plan:?}").contains(&first), "answering does not announce the hold: {plan:?}");

    // The user answers. Nobody is connected with Yann before Xavier's side has agreed to wait.
    xavier.agrees(Agreement::WhenTold);
    let mark = xavier.mark();
    let answering = desk.begin(&["answer"])?;
    let asked = xavier.wait_since(mark, "INVITE ").await?;
    assert!(
        ["INVITE sendonly", "INVITE inactive"].contains(&asked.what.as_str()),
        "no hold: {asked:?}"
    );
    // Time enough for everything else: the telephone has lost patience and asked once more.
    xavier.wait_since(mark, "asked again").await?;
    assert_eq!(desk.user.state(&first).await?, "active");
    assert_ne!(desk.user.state(&second).await?, "active");
    let early = std::iter::from_fn(|| heard_by_yann.try_recv().ok());
    assert!(
        !early.into_iter().any(|event| event.kind == "CALL_ESTABLISHED"),
        "connected before the hold"
    );
    assert!(!xavier.heard().iter().any(|heard| heard.what == "BYE"));
    xavier.agree().await?;
    until(&mut heard_by_yann, "CALL_ESTABLISHED").await?;
    done(answering.await.context("waiting for callctl")??)?;
    xavier.agrees(Agreement::AtOnce);

    // One is held by the arbiter, the other has the audio, and each far end hears exactly that.
    assert_eq!(desk.user.state(&first).await?, "held");
    assert_eq!(words_of(&desk.property(&first, "HeldBy").await?), ["arbiter"]);
    assert_eq!(desk.user.state(&second).await?, "active");
    assert_eq!(desk.audio().await?, second);
    until(&mut heard_by_yann, "CALL_RTPESTAB").await?;
    xavier.hears_no_media().await?;
    let mark = xavier.mark();

    // The user ends it: Xavier is back, with sound.
    desk.callctl(&["end"]).await?;
    until(&mut heard_by_yann, "CALL_CLOSED").await?;
    let resumed = xavier.wait_since(mark, "INVITE sendrecv").await?;
    let sound = xavier.wait_since(mark, "sound").await?;
    assert!(resumed.when <= sound.when, "a held call was heard");
    desk.user.wait_state(&first, "active").await?;
    assert_eq!(desk.audio().await?, first);
    desk.callctl(&["end"]).await?;
    xavier.wait("BYE").await?;
    desk.nothing_left().await
}

#[tokio::test]
async fn a_hold_that_the_far_end_refuses_leaves_both_calls_as_they_were() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let bob = desk.provider("bob", "org.example.Bob").await?;
    let (xavier, yann) = (FarEnd::start("xavier").await?, FarEnd::start("yann").await?);
    xavier.call(alice.uri()).await?;
    let first = desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    xavier.wait("sound").await?;
    yann.call(bob.uri()).await?;
    let second = desk.call_with(&yann.uri(), "ringing").await?;

    xavier.agrees(Agreement::Never);
    let refused = desk.begin(&["answer"])?.await??;
    assert!(!refused.status.success(), "answered without a hold");
    assert_eq!(desk.user.state(&first).await?, "active");
    assert_eq!(desk.user.state(&second).await?, "ringing");
    assert_eq!(desk.audio().await?, first);
    assert!(!yann.heard().iter().any(|heard| heard.what.starts_with("200")));

    desk.callctl(&["decline"]).await?;
    yann.wait("486").await?;
    Ok(())
}

#[tokio::test]
async fn an_outgoing_call_rings_talks_sends_tones_and_ends_far_away() -> Result<()> {
    let desk = Desk::start().await?;
    let _alice = desk.provider("alice", "org.example.Alice").await?;
    let xavier = FarEnd::start("xavier").await?;
    desk.callctl(&["start", &xavier.uri()]).await?;
    xavier.wait("INVITE sendrecv").await?;
    let call = desk.call_with(&xavier.uri(), "alerting").await?;
    assert!(!xavier.heard().iter().any(|heard| heard.what == "sound"));
    xavier.agree().await?;
    desk.user.wait_state(&call, "active").await?;
    xavier.wait("sound").await?;

    desk.callctl(&["dtmf", "42#"]).await?;
    for tone in ["tone 4", "tone 2", "tone #"] {
        xavier.wait(tone).await?;
    }
    let mark = xavier.mark();
    desk.callctl(&["mute"]).await?;
    xavier.wait_since(mark, "silence").await?;
    desk.callctl(&["unmute"]).await?;
    xavier.wait_since(mark, "sound").await?;

    let mark = xavier.mark();
    desk.callctl(&["hold"]).await?;
    xavier.wait_since(mark, "INVITE sendonly").await?;
    desk.callctl(&["unhold"]).await?;
    xavier.wait_since(mark, "INVITE sendrecv").await?;
    xavier.wait_since(mark, "sound").await?;

    for held in [true, false] {
        xavier.offer(if held { "sendonly" } else { "sendrecv" }).await?;
        let seen = async || {
            let shown = desk.property(&call, "RemoteHeld").await.ok()?;
            (shown == OwnedVariant::from(held)).then_some(())
        };
        eventually("the far end's hold is shown", seen).await?;
    }
    desk.user.view().await?;
    xavier.hang_up().await?;
    assert_eq!(desk.end_of(&call).await?, "remote-ended");
    desk.nothing_left().await
}

#[tokio::test]
async fn refusals_reach_whom_they_concern() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let xavier = FarEnd::start("xavier").await?;
    desk.user.view().await?;

    xavier.call(alice.uri()).await?;
    let declined = desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["decline"]).await?;
    xavier.wait("486").await?;
    assert_eq!(desk.end_of(&declined).await?, "declined");

    xavier.call(alice.uri()).await?;
    let missed = desk.call_with(&xavier.uri(), "ringing").await?;
    xavier.hang_up().await?;
    assert_eq!(desk.end_of(&missed).await?, "unanswered");

    let mark = xavier.mark();
    desk.callctl(&["start", &xavier.uri()]).await?;
    let busy = desk.call_with(&xavier.uri(), "alerting").await?;
    xavier.wait_since(mark, "INVITE").await?;
    xavier.refuse("486 Busy Here").await?;
    assert_eq!(desk.end_of(&busy).await?, "busy");

    let mark = xavier.mark();
    desk.callctl(&["start", &xavier.uri()]).await?;
    desk.call_with(&xavier.uri(), "alerting").await?;
    desk.callctl(&["end"]).await?;
    xavier.wait_since(mark, "CANCEL").await?;
    desk.nothing_left().await
}

#[tokio::test]
async fn two_calls_of_one_telephone_take_turns() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let (xavier, yann) = (FarEnd::start("xavier").await?, FarEnd::start("yann").await?);
    xavier.call(alice.uri()).await?;
    let first = desk.call_with(&xavier.uri(), "ringing").await?;
    yann.call(alice.uri()).await?;
    let second = desk.call_with(&yann.uri(), "ringing").await?;
    desk.user.answer(&first).await?;
    xavier.wait("sound").await?;
    desk.user.answer(&second).await?;
    xavier.wait("INVITE sendonly").await?;
    yann.wait("sound").await?;
    assert_eq!(desk.audio().await?, second);

    let (of_xavier, of_yann) = (xavier.mark(), yann.mark());
    desk.callctl(&["swap"]).await?;
    yann.wait_since(of_yann, "INVITE sendonly").await?;
    xavier.wait_since(of_xavier, "INVITE sendrecv").await?;
    xavier.wait_since(of_xavier, "sound").await?;
    assert_eq!(desk.audio().await?, first);

    let of_yann = yann.mark();
    desk.user.end(&first).await?;
    xavier.wait("BYE").await?;
    yann.wait_since(of_yann, "sound").await?;
    desk.user.wait_state(&second, "active").await?;
    Ok(())
}

#[tokio::test]
async fn the_calls_of_a_telephone_that_dies_end() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let xavier = FarEnd::start("xavier").await?;
    desk.user.view().await?;
    xavier.call(alice.uri()).await?;
    let call = desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    alice.softphone.process.signal("KILL")?;
    assert_eq!(desk.end_of(&call).await?, "failed");
    desk.nothing_left().await
}

#[tokio::test]
async fn a_call_goes_on_while_the_arbiter_restarts() -> Result<()> {
    let mut desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let xavier = FarEnd::start("xavier").await?;
    xavier.call(alice.uri()).await?;
    desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    xavier.wait("sound").await?;

    desk.arbiter.crash_and_restart().await?;
    let call = desk.call_with(&xavier.uri(), "active").await?;
    assert_eq!(desk.audio().await?, call);
    let mark = xavier.mark();
    desk.callctl(&["mute"]).await?;
    xavier.wait_since(mark, "silence").await?;
    desk.callctl(&["unmute"]).await?;
    xavier.wait_since(mark, "sound").await?;
    assert!(
        !xavier.heard().iter().any(|heard| heard.what == "BYE" || heard.what == "INVITE sendonly")
    );
    desk.callctl(&["end"]).await?;
    xavier.wait("BYE").await?;
    Ok(())
}

#[tokio::test]
async fn stopping_the_program_hangs_up_and_so_does_its_successor_after_a_crash() -> Result<()> {
    let desk = Desk::start().await?;
    let alice = desk.provider("alice", "org.example.Alice").await?;
    let xavier = FarEnd::start("xavier").await?;
    xavier.call(alice.uri()).await?;
    desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    let Phone { softphone, mut provider } = alice;
    provider.signal("TERM")?;
    assert!(provider.end().await?.success());
    xavier.wait("BYE").await?;
    desk.nothing_left().await?;

    let mut provider = desk.attach(&softphone, "org.example.Alice").await?;
    let mark = xavier.mark();
    xavier.call(softphone.uri()).await?;
    let call = desk.call_with(&xavier.uri(), "ringing").await?;
    desk.callctl(&["answer"]).await?;
    xavier.wait_since(mark, "sound").await?;
    provider.signal("KILL")?;
    provider.end().await?;
    let _provider = desk.attach(&softphone, "org.example.Alice").await?;
    xavier.wait_since(mark, "BYE").await?;
    assert_eq!(desk.end_of(&call).await?, "provider-lost");
    desk.nothing_left().await
}

/// One user's session: the arbiter, and the user.
struct Desk {
    arbiter: Arbiter,
    user: Peer,
}

/// A telephone with the program that brings its calls to the arbiter.
struct Phone {
    softphone: Softphone,
    provider: Process,
}

impl Phone {
    fn uri(&self) -> &str {
        self.softphone.uri()
    }
}

impl Desk {
    async fn start() -> Result<Desk> {
        let arbiter = Arbiter::on_session_bus().await?;
        let user = arbiter.bus.connect().await?;
        Ok(Desk { arbiter, user })
    }

    async fn provider(&self, name: &str, app_id: &str) -> Result<Phone> {
        let softphone = Softphone::start(name).await?;
        let provider = self.attach(&softphone, app_id).await?;
        Ok(Phone { softphone, provider })
    }

    /// Starts the example for a running telephone.
    async fn attach(&self, softphone: &Softphone, app_id: &str) -> Result<Process> {
        let program = built("examples/baresip", "-p callarbiter --example baresip")?;
        let mut provider = Launch::new(program)
            .arg("--app-id")
            .arg(app_id)
            .arg("--bus")
            .arg(self.arbiter.bus.address())
            .arg("--control")
            .arg(softphone.control_address())
            .arg("--source")
            .arg(softphone.microphone())
            .arg("--player")
            .arg("aubridge,player")
            .start(self.arbiter.bus.directory())?;
        let registered = async || {
            let up = provider.output().contains("registered");
            (up || provider.ended().is_some()).then_some(up)
        };
        if !eventually("the example registers", registered).await? {
            bail!("the example ended: {}", provider.log());
        }
        Ok(provider)
    }

    /// Runs callctl, which must succeed.
    async fn callctl(&self, arguments: &[&str]) -> Result<()> {
        done(self.begin(arguments)?.await??)
    }

    /// Lets callctl run beside the test.
    fn begin(&self, arguments: &[&str]) -> Result<tokio::task::JoinHandle<Result<Output>>> {
        let mut command = Command::new(built("callctl", "-p callctl")?);
        command.args(["--bus", &self.arbiter.bus.address()]).args(arguments).kill_on_drop(true);
        Ok(tokio::spawn(async move {
            timeout(PATIENCE * 2, command.output())
                .await
                .context("callctl hangs")?
                .context("callctl")
        }))
    }

    /// The call with this far end, once it is in this state.
    async fn call_with(&self, uri: &str, state: &str) -> Result<String> {
        let what = format!("a call with {uri} is {state}");
        eventually(&what, async || {
            let View { objects, .. } = self.user.view().await.ok()?;
            let call = interface("Call");
            let is = |call: &OwnedVariant, word: &str| text(call) == word;
            objects.into_iter().find_map(|(path, object)| {
                let call = object.get(&call)?;
                (is(&call["RemoteHandle"], uri) && is(&call["State"], state)).then_some(path)
            })
        })
        .await
    }

    async fn property(&self, call: &str, name: &str) -> Result<OwnedVariant> {
        Ok(self.user.property(call, "Call", name).await?)
    }

    /// The call that has the audio, in full.
    async fn audio(&self) -> Result<String> {
        let session =
            async |name| self.user.property(harness::ROOT, "AudioSession", name).await.ok();
        let granted = async || (text(&session("Phase").await?) == "granted").then_some(());
        eventually("the audio is granted", granted).await?;
        let holder = text(&session("Holder").await.context("no holder")?);
        let calls = self.user.property(&holder, "Group", "Calls").await?;
        words_of(&calls).into_iter().next().context("a group without calls")
    }

    /// Why a call ended; the user must have looked at the calls before.
    async fn end_of(&self, call: &str) -> Result<String> {
        let of_call = |message: &zbus::Message| {
            message.header().path().is_some_and(|path| path.as_str() == call)
        };
        let ended = self
            .user
            .expect("the end of the call", |message| {
                let words: Option<(String, String, String, u64)> =
                    message.body().deserialize().ok();
                is(message, "Call", "Transition")
                    && of_call(message)
                    && words.is_some_and(|w| w.1 == "ended")
            })
            .await?;
        let (_, _, reason, _): (String, String, String, u64) = ended.body().deserialize()?;
        Ok(reason)
    }

    async fn nothing_left(&self) -> Result<()> {
        eventually("all calls are gone", async || {
            let View { objects, .. } = self.user.view().await.ok()?;
            (!objects.values().any(|object| object.contains_key(&interface("Call")))).then_some(())
        })
        .await
    }
}

fn done(output: Output) -> Result<()> {
    if !output.status.success() {
        bail!("callctl failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Waits for an event of a softphone in the test's hands.
async fn until(events: &mut Receiver<Event>, kind: &str) -> Result<Event> {
    let happened = async {
        loop {
            let event = events.recv().await?;
            if event.kind == kind {
                return anyhow::Ok(event);
            }
        }
    };
    timeout(PATIENCE, happened).await.with_context(|| format!("no {kind}"))?
}

fn text(value: &OwnedVariant) -> String {
    match &**value {
        zbus::Variant::Str(text) => text.to_string(),
        zbus::Variant::ObjectPath(path) => path.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

fn words_of(list: &OwnedVariant) -> Vec<String> {
    let zbus::Variant::Array(list) = &**list else { panic!("{list:?} is no list") };
    let word =
        |value: &zbus::Variant<'_>| text(&value.try_to_owned().expect("text has no descriptors"));
    list.iter().map(word).collect()
}
