//! A desktop shell in a terminal: it shows the calls, and does what is typed about them. `shell [BUS]`, then `answer`,
//! `decline`, `hold`, `resume`, `mute`, `unmute` or `end`.

use callarbiter::{
    Agent, Call, CallState, Change, Connection, Controller, Events, Snapshot, words::Role,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bus = std::env::args().nth(1).unwrap_or("system".into());
    let connection = Connection::open(&bus).await?;
    // With this role, what is typed here is the wish of the user and not of some program.
    let mut agent = Agent::register(&connection, [Role::UserInterface]).await?;
    let controller = agent.controller();
    let mut events = Events::subscribe(&connection).await?;
    let mut typed = lines();
    println!("the user interface is here");
    events.snapshot().calls.values().for_each(show);
    loop {
        tokio::select! {
            change = events.next() => match change {
                Some(Change::CallAdded(call)) => show(&call),
                Some(Change::Transition { call, new, .. }) => println!("{} is {new}", call.uuid),
                Some(_) => {}
                None => anyhow::bail!("the bus is gone"),
            },
            // Those who show calls are asked nothing; another role would bring errands here.
            event = agent.next() => anyhow::ensure!(event.is_some(), "the bus is gone"),
            line = typed.recv() => match line {
                Some(word) => match perform(&controller, events.snapshot(), &word).await {
                    Ok(()) => {}
                    Err(refused) => println!("{refused}"),
                },
                None => return Ok(()),
            },
        }
    }
}

async fn perform(controller: &Controller, there: &Snapshot, word: &str) -> callarbiter::Result<()> {
    let state = match word {
        "answer" | "decline" => CallState::Ringing,
        "resume" => CallState::Held,
        _ => CallState::Active,
    };
    let Some(call) = there.calls.values().find(|call| call.state == state) else {
        println!("no call is {state}");
        return Ok(());
    };
    let call = call.object;
    match word {
        "answer" => controller.answer(call).await,
        "decline" => controller.decline(call).await,
        "hold" => controller.hold(call).await,
        "resume" => controller.unhold(call).await,
        "mute" | "unmute" => controller.set_muted(call, word == "mute").await,
        "end" => controller.end(call).await,
        other => {
            println!("{other}? answer, decline, hold, resume, mute, unmute, end");
            Ok(())
        }
    }
}

/// On the user's own screen it is no secret who calls.
fn show(call: &Call) {
    let who = [&call.display_name, &call.remote_handle].map(|text| text.reveal().to_owned());
    println!("{} is {}: {}", call.id, call.state, who.join(" ").trim());
}

fn lines() -> UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
