//! Speakerbox: a whole calling app, with a far end that is played. `speakerbox [BUS [CALLER]]` takes
//! outgoing calls, and rings with one from CALLER. Signal USR1 makes the far end call, USR2 makes it hang up, HUP
//! makes it hold the call or take that back, ALRM is a user who dials in the app. Nobody is at sip:nobody@…, and
//! sip:busy@… is busy.

use std::{collections::BTreeSet, time::Duration};

use callarbiter::{
    ActionError, CallState, CallUpdate, Connection, Delegate, Direction, EndReason, Performed,
    Provider, Request, Uuid,
};
use tokio::signal::unix::{SignalKind, signal};

/// What a comma among the tones means.
const PAUSE: Duration = Duration::from_secs(2);

const RABBIT: &str = "sip:rabbit@example.org";

struct Speakerbox;

impl Delegate for Speakerbox {
    async fn perform_start(&self, request: &Request, call: Uuid, handle: &str) -> Performed {
        if handle.starts_with("sip:nobody@") {
            return Err(ActionError::failed("nobody is known by that name"));
        }
        println!("{call} calling {handle}");
        let provider = request.provider().clone();
        if handle.starts_with("sip:busy@") {
            tokio::spawn(async move { provider.report_ended(call, EndReason::Busy).await });
            return Ok(());
        }
        tokio::spawn(async move {
            // What is left to say when the user has hung up meanwhile is nobody's business.
            let lives = || provider.calls().iter().any(|(live, _)| *live == call);
            for state in [CallState::Alerting, CallState::Active] {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if lives() {
                    provider.report_state(call, state).await?;
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            match lives() {
                true => provider.report_ended(call, EndReason::RemoteEnded).await,
                false => Ok(()),
            }
        });
        Ok(())
    }
    async fn perform_answer(&self, _: &Request, call: Uuid) -> Performed {
        say(format!("{call} answered"))
    }
    async fn perform_end(&self, request: &Request, call: Uuid) -> Performed {
        say(format!("{call} hung up: {:?}", request.reason()))
    }
    async fn perform_set_held(&self, _: &Request, call: Uuid, held: bool) -> Performed {
        say(format!("{call} {}", if held { "held" } else { "resumed" }))
    }
    async fn perform_set_muted(&self, _: &Request, call: Uuid, muted: bool) -> Performed {
        say(format!("{call} {}", if muted { "muted" } else { "unmuted" }))
    }
    async fn perform_set_group(&self, _: &Request, call: Uuid, with: Option<Uuid>) -> Performed {
        match with {
            Some(with) => say(format!("{call} is in one conference with {with}")),
            None => say(format!("{call} is split off its conference")),
        }
    }
    async fn perform_set_video(&self, _: &Request, call: Uuid, video: bool) -> Performed {
        say(format!("{call}: the camera is {}", if video { "on" } else { "off" }))
    }
    async fn perform_play_dtmf(&self, _: &Request, call: Uuid, digits: &str) -> Performed {
        for _ in digits.matches(',') {
            tokio::time::sleep(PAUSE).await;
        }
        say(format!("{call} plays {digits}"))
    }
    async fn audio_activated(&self, _: &Request, calls: &[Uuid]) -> Performed {
        say(format!("microphone and speaker are open for {calls:?}"))
    }
    async fn audio_deactivated(&self, _: &Request, calls: &[Uuid]) -> Performed {
        say(format!("microphone and speaker are closed for {calls:?}"))
    }
}

fn say(line: String) -> Performed {
    println!("{line}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = Connection::open(&arguments.next().unwrap_or("system".into())).await?;
    let mut calls = signal(SignalKind::user_defined1())?;
    let mut hangs_up = signal(SignalKind::user_defined2())?;
    let mut holds = signal(SignalKind::hangup())?;
    let mut dials = signal(SignalKind::alarm())?;
    let mut on_hold = BTreeSet::new();
    let mut stop = signal(SignalKind::terminate())?;
    let builder = Provider::builder("org.callarbiter.Speakerbox").display_name("Speakerbox");
    let builder = builder.schemes(["tel", "sip"]).supports_video(true);
    let provider = builder.register(&connection, Speakerbox).await?;
    println!("registered, {}", provider.authorization());
    if let Some(caller) = arguments.next() {
        called_by(&provider, caller).await?;
    }
    loop {
        tokio::select! {
            _ = calls.recv() => match called_by(&provider, RABBIT.into()).await {
                Ok(()) => {}
                // Busy, or filtered: the far end is told, and that was it.
                Err(refused) => println!("{refused}"),
            },
            _ = dials.recv() => {
                let update = CallUpdate { remote_handle: Some(RABBIT.into()), ..CallUpdate::default() };
                let (call, state) = (Uuid::new_v4(), CallState::Active);
                provider.report_call(call, Direction::Outgoing, state, update).await?;
            }
            _ = hangs_up.recv() => {
                for (call, state) in provider.calls() {
                    let rang = state == CallState::Ringing;
                    let reason = if rang { EndReason::Unanswered } else { EndReason::RemoteEnded };
                    provider.report_ended(call, reason).await?;
                }
            }
            _ = holds.recv() => {
                for (call, _) in provider.calls() {
                    let held = on_hold.insert(call) || !on_hold.remove(&call);
                    provider.report_remote_held(call, held).await?;
                }
            }
            _ = stop.recv() => break,
            interrupted = tokio::signal::ctrl_c() => break interrupted?,
            () = connection.closed() => anyhow::bail!("the bus is gone"),
        }
    }
    Ok(provider.unregister().await?)
}

async fn called_by(provider: &Provider, caller: String) -> callarbiter::Result<()> {
    let update = CallUpdate { remote_handle: Some(caller), ..CallUpdate::default() };
    provider.report_incoming(Uuid::new_v4(), update).await.map(drop)
}
