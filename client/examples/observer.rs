//! A call observer: what is, and everything that happens. `observer [BUS]`

use callarbiter::{Call, Change, Connection, Events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bus = std::env::args().nth(1).unwrap_or("system".into());
    let connection = Connection::open(&bus).await?;
    let mut events = Events::subscribe(&connection).await?;
    println!("revision {}", events.snapshot().revision);
    events.snapshot().calls.values().for_each(show);
    while let Some(change) = events.next().await {
        match change {
            Change::CallAdded(call) => show(&call),
            Change::CallChanged { call, changed } => {
                println!("{} changed {}", call.id, changed.join(", "));
            }
            Change::Transition { call, old, new, reason } => {
                println!("{} went from {old} to {new}: {reason}", call.uuid);
            }
            Change::CallRemoved(call) => {
                let reason = call.end_reason.map_or("gone".into(), |reason| reason.to_string());
                println!("{} is over: {reason}", call.id);
            }
            Change::AudioChanged(audio) => {
                println!("audio is {}, group {:?}", audio.phase, audio.holder);
            }
            Change::Notice { kind, message, .. } => println!("{kind}: {}", message.reveal()),
            // What became different meanwhile follows like any other change.
            Change::Resynced | Change::ArbiterBack => {
                println!("anew, at revision {}", events.snapshot().revision);
            }
            Change::ArbiterGone => println!("the arbiter is gone"),
            _ => {}
        }
    }
    Ok(())
}

fn show(call: &Call) {
    println!("{} {} {} {}", call.id, call.direction, call.state, call.remote_handle.reveal());
}
