//! Speakerbox: a whole calling app, with a far end that is played. `speakerbox [BUS [CALLER]]` takes
//! outgoing calls, and rings with one from CALLER.

use std::time::Duration;

use callarbiter::{
    CallState, CallUpdate, Connection, Delegate, EndReason, Performed, Provider, Request, Uuid,
};

struct Speakerbox;

impl Delegate for Speakerbox {
    async fn perform_start(&self, request: &Request, call: Uuid, handle: &str) -> Performed {
        println!("{call} calling {handle}");
        let provider = request.provider().clone();
        tokio::spawn(async move {
            for state in [CallState::Alerting, CallState::Active] {
                tokio::time::sleep(Duration::from_secs(1)).await;
                provider.report_state(call, state).await?;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            provider.report_ended(call, EndReason::RemoteEnded).await
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
    async fn perform_play_dtmf(&self, _: &Request, call: Uuid, digits: &str) -> Performed {
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
    let builder = Provider::builder("org.callarbiter.Speakerbox").display_name("Speakerbox");
    let provider = builder.schemes(["tel", "sip"]).register(&connection, Speakerbox).await?;
    println!("registered, {}", provider.authorization());
    if let Some(caller) = arguments.next() {
        let update = CallUpdate { remote_handle: Some(caller), ..CallUpdate::default() };
        provider.report_incoming(Uuid::new_v4(), update).await?;
    }
    tokio::select! {
        stop = tokio::signal::ctrl_c() => stop?,
        () = connection.closed() => anyhow::bail!("the bus is gone"),
    }
    Ok(provider.unregister().await?)
}
