//! A provider of calls that is a real SIP telephone: it drives a running baresip through its control connection,
//! so that calls of other telephones come in and go out through the arbiter. Hold and resume are re-INVITEs that
//! the far end has agreed to before they count, tones are RTP events, mute is baresip's, a decline is 486 (baresip
//! knows no other). Sound starts when the arbiter gives the audio and not before: until then, and again from
//! `audio_deactivated` on, baresip's microphone and speaker are bridges to nowhere and the call is muted, so that
//! it records, sends and plays nothing. What it does not do: conferences, video, calls that are dialled at baresip's
//! own keyboard, which nobody is told of, and a resume there, which is taken back because baresip resumes calls by
//! itself when another ends. Calls that baresip had before this program came are hung up, and so are all when it is
//! stopped; when baresip ends, so does it.
//!
//! ```text
//! baresip &        # its config: module_app ctrl_tcp.so, module aubridge.so, ring_aufile none (the arbiter rings)
//! cargo run --example baresip -- --app-id org.example.Phone --bus session --control 127.0.0.1:4444
//! ```

#[path = "baresip/control.rs"]
mod control;
#[path = "baresip/line.rs"]
mod line;
#[path = "baresip/phone.rs"]
mod phone;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use callarbiter::words::EndReason;
use callarbiter::{
    ActionError, CallState, CallUpdate, Connection, Delegate, Error, Performed, Provider, Request,
    Uuid,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use control::Event;
use phone::{Devices, News, Phone};

/// What a comma among the tones means.
const PAUSE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let phone = Arc::new(Phone::connect(&options.control, options.devices).await?);
    // Before registering, so that no call is missed.
    let mut events = phone.events()?;
    let bus = Connection::open(&options.bus).await?;
    let provider = Provider::builder(options.app_id)
        .display_name("baresip")
        .schemes(["sip"])
        .maximum_calls_per_group(1)
        .register(&bus, Softphone { phone: phone.clone() })
        .await?;
    println!("registered");
    let mut stop = signal(SignalKind::terminate())?;
    let stopped = tokio::select! {
        () = follow(&provider, &phone, &mut events) => Err(anyhow!("baresip has ended")),
        () = bus.closed() => Err(anyhow!("the bus is gone")),
        _ = stop.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    phone.end_all().await;
    let unregistered = provider.unregister().await;
    stopped.and(Ok(unregistered?))
}

/// Reports what happens at the phone until it is gone.
async fn follow(provider: &Provider, phone: &Phone, events: &mut Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => match phone.follow(&event).await {
                Ok(Some(news)) => report(provider, phone, news).await,
                Ok(None) => {}
                Err(error) => eprintln!("{error:#}"),
            },
            Err(RecvError::Lagged(_)) => {
                eprintln!("baresip is faster than this program: events were lost")
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells the arbiter what happened at the phone.
async fn report(provider: &Provider, phone: &Phone, news: News) {
    let told = match news {
        News::Ringing(call, peer) => {
            let update = CallUpdate {
                remote_handle: Some(peer),
                can_group: Some(false),
                ..CallUpdate::default()
            };
            let rings = provider.report_incoming(call, update).await.map(drop);
            if rings.is_err() {
                // Busy, filtered, not allowed: nobody will hear of it, so the caller must not wait.
                let _ = phone.end(call).await;
            }
            rings
        }
        News::Alerting(call) => provider.report_state(call, CallState::Alerting).await,
        News::Connected(call) => provider.report_state(call, CallState::Active).await,
        News::Held(call) => provider.report_state(call, CallState::Held).await,
        News::RemoteHeld(call, held) => provider.report_remote_held(call, held).await,
        News::Ended(call, reason, words) => {
            provider.report_ended_with(call, EndReason::from(reason), words).await
        }
    };
    if let Err(error) = told {
        eprintln!("the arbiter: {error}");
    }
}

/// What the arbiter asks for.
struct Softphone {
    phone: Arc<Phone>,
}

impl Delegate for Softphone {
    async fn perform_start(&self, _request: &Request, call: Uuid, handle: &str) -> Performed {
        self.phone.dial(call, handle).await.map_err(failed)
    }

    async fn perform_answer(&self, _request: &Request, call: Uuid) -> Performed {
        self.phone.answer(call).await.map_err(failed)
    }

    async fn perform_end(&self, _request: &Request, call: Uuid) -> Performed {
        self.phone.end(call).await.map_err(failed)
    }

    async fn perform_set_held(&self, _request: &Request, call: Uuid, held: bool) -> Performed {
        self.phone.set_held(call, held).await.map_err(failed)
    }

    async fn perform_set_muted(&self, _request: &Request, call: Uuid, muted: bool) -> Performed {
        self.phone.set_muted(call, muted).await.map_err(failed)
    }

    async fn perform_play_dtmf(&self, _request: &Request, call: Uuid, digits: &str) -> Performed {
        let mut parts = digits.split(',');
        let first = parts.next().unwrap_or_default();
        self.phone.play(call, first).await.map_err(failed)?;
        for part in parts {
            tokio::time::sleep(PAUSE).await;
            self.phone.play(call, part).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn audio_activated(&self, _request: &Request, calls: &[Uuid]) -> Performed {
        self.phone.set_audio(calls, true).await.map_err(failed)
    }

    async fn audio_deactivated(&self, _request: &Request, calls: &[Uuid]) -> Performed {
        self.phone.set_audio(calls, false).await.map_err(failed)
    }

    async fn reconcile(
        &self,
        _live: Vec<(Uuid, CallState)>,
        _theirs: Vec<(Uuid, CallState)>,
    ) -> Vec<(Uuid, CallState)> {
        let calls = self.phone.states().await;
        calls.into_iter().map(|(call, state)| (call, CallState::from(state))).collect()
    }

    async fn not_taken(&self, call: Uuid, _error: Error) {
        let _ = self.phone.end(call).await;
    }

    async fn reset(&self) {
        self.phone.end_all().await;
    }
}

fn failed(error: anyhow::Error) -> ActionError {
    ActionError::failed(format!("{error:#}"))
}

/// The command line.
struct Options {
    app_id: String,
    bus: String,
    control: String,
    devices: Devices,
}

impl Options {
    fn parse() -> Result<Options> {
        use lexopt::prelude::{Long, ValueExt};
        let mut options = Options {
            app_id: "org.example.Baresip".into(),
            bus: "system".into(),
            control: "127.0.0.1:4444".into(),
            devices: Devices { source: "alsa,default".into(), player: "alsa,default".into() },
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("app-id") => options.app_id = arguments.value()?.string()?,
                Long("bus") => options.bus = arguments.value()?.string()?,
                Long("control") => options.control = arguments.value()?.string()?,
                Long("source") => options.devices.source = arguments.value()?.string()?,
                Long("player") => options.devices.player = arguments.value()?.string()?,
                other => {
                    eprintln!(
                        "options: --app-id ID --bus system|session|ADDRESS \
                         --control HOST:PORT --source DRIVER,DEVICE --player DRIVER,DEVICE"
                    );
                    return Err(other.unexpected().into());
                }
            }
        }
        Ok(options)
    }
}
