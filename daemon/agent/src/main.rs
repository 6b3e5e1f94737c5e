//! callarbiter-agent: the call arbiter's hands in a user's session.
//!
//! Owns how the parts are put together, and the exit status. Each part is told what the arbiter shows and
//! does one job; none knows this file or another part, and none decides anything about calls.

mod arbiter;
mod audio;
mod cli;
mod config;
mod consent;
mod contacts;
mod database;
mod headset;
mod history;
mod identity;
mod launch;
mod lists;
mod notifications;
mod orders;
mod places;
mod players;
mod post;
mod power;
mod preferences;
mod pulse;
mod quiet;
mod ring;
mod scene;
mod served;
mod settings;
mod trace;
mod watch;

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use callarbiter::words::Role;
use callarbiter_hid::Headset;
use futures_util::future::join_all;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync,
};
use tracing::{error, info};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};
use zbus::connection::Builder;

use self::{
    arbiter::Desk,
    cli::{Command, Options, Part},
    config::Config,
    orders::Orders,
    scene::{Audience, Scenes},
    trace::Trace,
};

/// How long somebody in the session may take to answer; a server that the bus has to start included.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the parts may take to leave the session as it was; systemd waits longer.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let options = match cli::parse(env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::IsTelephony(file)) => return is_telephony(&file),
        Ok(Command::Help) => return print(&cli::help()),
        Ok(Command::Version) => {
            return print(concat!("callarbiter-agent ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(error) => {
            eprintln!("callarbiter-agent: {error}\nTry \"callarbiter-agent --help\".");
            return ExitCode::from(2);
        }
    };
    let colours = io::stderr().is_terminal();
    let layer =
        tracing_subscriber::fmt::layer().compact().with_ansi(colours).with_writer(io::stderr);
    tracing_subscriber::registry().with(options.log.clone()).with(layer).init();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has left is no reason to fail.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// For udev's rule: nothing is printed where it is none, which most devices are.
fn is_telephony(file: &Path) -> ExitCode {
    let headset = headset::read_descriptor(file).is_ok_and(|it| Headset::of(&it).is_ok());
    if headset { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: Options) -> Result<()> {
    let config = config::load(options.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the event loop cannot be made")?.block_on(serve(options, config))
}

async fn serve(options: Options, config: Config) -> Result<()> {
    let mut stop = Stop::catch().context("signals cannot be caught")?;
    let session = Builder::session().method_timeout(ANSWER_WITHIN).build();
    let session = session.await.context("the session bus cannot be reached")?;
    // What a button of a headset asks for is not the screen's wish, and callers are looked at only while there are
    // lists: these roles are on connections of their own.
    let own = |role: &Role| matches!(role, Role::Headset | Role::Screening);
    let role = |part: &Part| part.role().filter(|role| !own(role));
    let roles = options.parts.iter().filter_map(role);
    let roles = [Role::UserInterface].into_iter().chain(roles).collect();
    let desk = Desk::open(&options.bus, roles).await?;
    let scenes = tokio::select! {
        scenes = Scenes::open(&options.bus) => scenes?,
        () = stop.asked() => return Ok(()),
    };

    let bus = session.server_guid().to_string();
    let mut audience = Audience::default();
    let mut orders = Orders::default();
    let opening = served::begin(&session, &desk, &options.parts).await;
    let opening = opening.context("nothing can be served on the session bus")?;
    // Where what rings is heard, the part that knows the outputs says.
    let (route, routed) = sync::watch::channel(audio::Route::default());
    let parts: Vec<_> = options
        .parts
        .iter()
        .map(|part| {
            let (told, trace) = (audience.join(), Trace::of(part.name(), &bus));
            let (session, desk) = (session.clone(), desk.clone());
            let post = (session.clone(), part.post());
            let roles = desk.roles();
            let held = |role| (roles, role);
            match part {
                Part::Players => {
                    let resume = config.players.resume;
                    tokio::spawn(post::hold(post, told, move |told| {
                        players::run(session.clone(), told, trace.clone(), resume)
                    }))
                }
                Part::Notifications => tokio::spawn(post::hold(post, told, move |told| {
                    notifications::run(session.clone(), told, trace.clone(), desk.clone())
                })),
                Part::Ring => {
                    let (wishes, routed) = (config.ring.clone(), routed.clone());
                    tokio::spawn(post::hold(post, told, move |told| {
                        let (session, desk) = (session.clone(), desk.clone());
                        ring::run(session, told, desk, wishes.clone(), routed.clone())
                    }))
                }
                Part::DoNotDisturb => {
                    let (held, wishes) = (held(Role::DoNotDisturb), config.do_not_disturb.clone());
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        quiet::run(session.clone(), told, desk.clone(), wishes.clone())
                    }))
                }
                Part::Power => {
                    let lid = config.power.lid;
                    tokio::spawn(post::hold(post, told, move |told| power::run(told, lid)))
                }
                Part::Audio => {
                    let orders = (orders.apply_audio(), orders.select_endpoint());
                    let (held, wishes) = (held(Role::Audio), config.audio.clone());
                    let route = route.clone();
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        let (choice, route) = (audio::Choice::new(wishes.clone()), route.clone());
                        audio::run(told, orders.clone(), choice, route, trace.clone(), desk.clone())
                    }))
                }
                Part::Headset => {
                    let (bus, root) = (options.bus.clone(), config.headset.root.clone());
                    tokio::spawn(headset::run(told, bus, root))
                }
                Part::Consent => {
                    let (held, orders) = (held(Role::Consent), orders.request_consent());
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        let (session, trace) = (session.clone(), trace.clone());
                        consent::run(session, told, orders.clone(), trace, desk.clone())
                    }))
                }
                Part::Preferences => {
                    let mut opening = Some(opening.clone());
                    tokio::spawn(post::hold_role(held(Role::Preferences), told, move |told| {
                        preferences::run(session.clone(), told, desk.clone(), opening.take())
                    }))
                }
                Part::Identity => {
                    let (held, orders) = (held(Role::Identity), orders.identify());
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        identity::run(told, orders.clone())
                    }))
                }
                Part::Launch => {
                    let (held, orders) = (held(Role::Launch), orders.launch_provider());
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        launch::run(session.clone(), told, orders.clone())
                    }))
                }
                Part::Contacts => {
                    let (held, orders) = (held(Role::Contacts), orders.look_up());
                    let wishes = config.contacts.clone();
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        contacts::run(session.clone(), told, orders.clone(), wishes.clone())
                    }))
                }
                Part::Lists => {
                    let (bus, region) = (options.bus.clone(), config.contacts.region);
                    tokio::spawn(lists::run(session, told, bus, region, opening.clone()))
                }
                Part::History => {
                    let region = config.contacts.region;
                    let (held, orders) = (held(Role::History), orders.record());
                    let (wishes, mut opening) = (config.history.clone(), Some(opening.clone()));
                    tokio::spawn(post::hold_role(held, told, move |told| {
                        let (orders, wishes) = (orders.clone(), wishes.clone());
                        let (session, desk) = (session.clone(), desk.clone());
                        history::run(session, told, orders, (wishes, region), desk, opening.take())
                    }))
                }
            }
        })
        .collect();
    drop(opening);

    let ended = tokio::select! {
        () = scenes.tell(&audience, || desk.take_roles()) => Err("the arbiter's bus is gone"),
        () = desk.serve(orders) => Err("the arbiter's bus is gone"),
        () = desk.closed() => Err("the arbiter's bus is gone"),
        () = session.closed() => Err("the session bus is gone"),
        () = stop.asked() => Ok(()),
    };
    // A part that is told nothing any more undoes what it did.
    drop(audience);
    let left = tokio::time::timeout(LEAVE_WITHIN, join_all(parts)).await;
    match (ended, left) {
        (Err(reason), _) => bail!(reason),
        (Ok(()), Err(_)) => {
            bail!("the session may not be as it was: somebody in it does not answer")
        }
        (Ok(()), Ok(_)) => Ok(()),
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn catch() -> io::Result<Stop> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Stop { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM asks for the end"),
            _ = self.interrupt.recv() => info!("SIGINT asks for the end"),
        }
    }
}
