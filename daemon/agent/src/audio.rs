//! Audio priority: while a call has the session, everything else that plays is quiet, and who lost the
//! session is neither heard nor hears.
//!
//! Owns when something is done and what the arbiter is answered. What is wanted comes from the arbiter
//! ([`wanted`]), whose a stream is from the kernel ([`whose`]), and each server has its own way.

mod endpoints;
mod outlet;
#[cfg(feature = "pipewire")]
mod pipewire;
mod pulse;
mod server;
mod wanted;
mod whose;

pub use self::endpoints::{Choice, Route};

use std::{future::pending, mem, time::Duration};

use anyhow::Result;
use callarbiter::Change;
use callarbiter_dbus::{AgentAnswer, ErrorKind};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};
use zbus::OwnedObjectPath;

use self::{
    outlet::Outlet,
    server::Server,
    wanted::{Wanted, Way},
};
use crate::{
    arbiter::Desk,
    orders::{ApplyAudio, Inbox, Order, Reply, SelectEndpoint},
    scene::Told,
    trace::Trace,
};

/// How loud others are while a call has the session: what is left of 1.
const QUIET: f32 = 0.2;

/// Streams of these are left alone, unless a calling app says so of its own.
const SPECIAL_ROLES: &[&str] = &["Accessibility", "a11y", "DSP", "Production", "production"];

/// So much of the arbiter's patience is used; what is not so by then is not enforced.
const PATIENCE: f32 = 0.8;

/// How long a server may take for one turn.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// How often a server that is not there is looked for, while there is a call.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long who lost the session may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How long it stays so without an arbiter: one that was restarted is back by then and says what it wants.
const ALONE: Duration = Duration::from_secs(10);

/// How long a new output may take to be the one where calls are heard; the arbiter waits 5 s.
const SELECT_WITHIN: Duration = Duration::from_secs(4);

/// How often and how soon what is not so is asked for again.
const INSIST: u32 = 5;
const INSIST_AFTER: Duration = Duration::from_millis(500);

/// How long the session manager may take to say what streams were told.
const TIDY_WITHIN: Duration = Duration::from_secs(1);

/// Others go on as they like.
const NO_LEVEL: &str = "none";

/// What is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Others keep quiet.
    pub enforced: bool,
    /// Providers whose microphone carries silence.
    pub muted: Vec<OwnedObjectPath>,
}

/// What came of one turn.
pub struct Turn {
    answer: Answer,
    /// What calls play goes where it is to be heard.
    routed: bool,
    /// Nothing is on its way back to where it was.
    left: bool,
    /// Something is not so that may be when it is asked for again.
    astray: bool,
    late: Vec<Late>,
}

/// A provider that streams without the session, and how.
type Late = (OwnedObjectPath, Way);

/// Until it is told nothing any more.
pub async fn run(
    mut told: UnboundedReceiver<Told>,
    (mut orders, mut choices): (Inbox<ApplyAudio>, Inbox<SelectEndpoint>),
    choice: Choice,
    route: watch::Sender<Route>,
    trace: Trace,
    desk: Desk,
) {
    let mut sound = Sound::new(desk, trace, Outlet::new(choice, route));
    // Whatever an agent before this one left, is undone.
    sound.connect().await;
    loop {
        sound.go_on().await;
        let wake = sound.wake();
        tokio::select! {
            next = told.recv() => match next {
                Some(told) => sound.hear_of_arbiter(&told),
                None => break,
            },
            Some(order) = orders.recv() => sound.want(order).await,
            Some(order) = choices.recv() => sound.select(order).await,
            changed = sound.changed() => sound.notice(changed),
            () = at(wake) => {}
        }
    }
    sound.leave().await;
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => pending().await,
    }
}

/// A wish of the arbiter, which may be answered again as long as there is no newer one.
struct Asked {
    reply: Reply,
    /// What it was answered last.
    said: Option<Answer>,
    /// When it is answered though it is not so: a stream that begins takes a moment to be quiet.
    by: Option<Instant>,
}

struct Sound {
    desk: Desk,
    trace: Trace,
    wanted: Wanted,
    outlet: Outlet,
    /// When what is not so is asked for again, and how often it was.
    again: (Option<Instant>, u32),
    /// Something is on its way back to where it was.
    returning: bool,
    /// There is a call, at least one that rings.
    calls: bool,
    /// The newest wish.
    asked: Option<Asked>,
    server: Option<Server>,
    /// When a server is looked for again.
    look: Option<Instant>,
    /// Until when the connection is kept though there is no call.
    keep: Option<Instant>,
    /// From when on streaming without the session is a violation.
    stop_by: Option<Instant>,
    reported: Vec<Late>,
    /// When everything is put back, since the arbiter is gone.
    alone: Option<Instant>,
    /// What it wanted then.
    before: Option<Wanted>,
    /// How far others could be kept quiet at the last attempt, to say each change once.
    level: Option<&'static str>,
}

impl Sound {
    fn new(desk: Desk, trace: Trace, outlet: Outlet) -> Sound {
        Sound {
            desk,
            trace,
            wanted: Wanted::default(),
            outlet,
            again: (None, 0),
            returning: false,
            calls: false,
            asked: None,
            server: None,
            look: None,
            keep: None,
            stop_by: None,
            reported: Vec::new(),
            alone: None,
            before: None,
            level: None,
        }
    }

    async fn connect(&mut self) {
        let now = Instant::now();
        let connecting = timeout(TURN_WITHIN, Server::connect(&self.trace)).await;
        match connecting.unwrap_or_else(|late| Err(late.into())) {
            Ok(server) => {
                if self.level.replace(server.level()) != Some(server.level()) {
                    server.say_level();
                }
                self.server = Some(server);
                (self.look, self.keep) = (None, Some(now + TIDY_WITHIN));
            }
            Err(error) => {
                self.look = Some(now + LOOK_AGAIN).filter(|_| !self.is_idle());
                if self.level.replace(NO_LEVEL) != Some(NO_LEVEL) {
                    warn!(level = NO_LEVEL, "{error:#}: calls go on without audio priority");
                }
            }
        }
    }

    /// What it wanted last is so for a while without it.
    fn hear_of_arbiter(&mut self, told: &Told) {
        match told.change {
            Change::ArbiterGone => self.alone = Some(Instant::now() + ALONE),
            Change::ArbiterBack | Change::Resynced => {
                self.alone = None;
                // What changed meanwhile, it did not hear.
                if let Some(asked) = &mut self.asked {
                    asked.said = None;
                }
                self.outlet.tell_again();
                // What was enforced before it went, it does not say again.
                if let Some(before) = self.before.take() {
                    self.wanted = before;
                }
            }
            _ => {}
        }
        self.calls = !told.now.calls.is_empty();
        if !self.is_idle() && self.server.is_none() && self.look.is_none() {
            self.look = Some(Instant::now());
        }
    }

    /// There is nothing to do, and nothing to know.
    fn is_idle(&self) -> bool {
        self.wanted.apps.is_empty() && !self.calls
    }

    /// The user wants the sound of calls there.
    async fn select(&mut self, Order { what, reply }: Order<SelectEndpoint>) {
        if self.server.is_none() {
            self.connect().await;
        }
        if self.server.is_none() {
            let why = "there is no audio server in this session";
            return reply.fail(ErrorKind::NotSupported, why.to_owned()).await;
        }
        self.keep = Some(Instant::now() + SELECT_WITHIN);
        self.outlet.choose(what.endpoint, reply);
    }

    async fn want(&mut self, Order { what, reply }: Order<ApplyAudio>) {
        let wanted = match Wanted::read(&what) {
            Ok(wanted) => wanted,
            Err(error) => return reply.fail(ErrorKind::InvalidArgument, error.to_string()).await,
        };
        if wanted.generation != self.wanted.generation || !wanted.held() {
            self.reported.clear();
            self.stop_by = wanted.held().then(|| Instant::now() + STOP_WITHIN);
        }
        self.wanted = wanted;
        self.before = None;
        // A newer wish replaces an older, whose answer nobody needs any more.
        self.asked = Some(Asked { reply, said: None, by: None });
        if self.server.is_none() && !self.wanted.apps.is_empty() {
            self.connect().await;
        }
    }

    /// Waits until the server has news; for ever, if there is none.
    async fn changed(&mut self) -> Result<()> {
        match &mut self.server {
            Some(server) => server.changed().await,
            None => pending().await,
        }
    }

    fn notice(&mut self, changed: Result<()>) {
        if let Err(error) = changed {
            debug!(%error, "the audio server is gone");
            self.server = None;
            self.look = Some(Instant::now() + LOOK_AGAIN).filter(|_| !self.is_idle());
        }
    }

    /// Does what is to be done next, and answers when it is done.
    async fn go_on(&mut self) {
        if self.look.is_some_and(|look| look <= Instant::now()) {
            self.connect().await;
        }
        if self.alone.take_if(|alone| *alone <= Instant::now()).is_some() {
            info!("the arbiter stays away: audio priority ends");
            self.before = Some(mem::take(&mut self.wanted));
            self.calls = false;
        }
        let answer = self.enforce().await;
        self.answer(answer).await;
        let kept = self.keep.is_some_and(|keep| keep > Instant::now());
        if self.is_idle() && !kept && !(self.returning && self.insists()) {
            self.server = None;
            (self.again, self.returning) = ((None, 0), false);
        }
    }

    /// Says what is so: when it is as wanted, when that took too long, and whenever it changes after that.
    async fn answer(&mut self, answer: Answer) {
        let arbiter = self.alone.is_none() && self.before.is_none();
        let Some(asked) = self.asked.as_mut().filter(|_| arbiter) else { return };
        let idle = self.wanted.apps.is_empty() && self.server.is_none();
        let heard = |said: &Answer| *said == answer || idle;
        if asked.said.as_ref().is_some_and(heard) {
            asked.by = None;
            return;
        }
        let now = Instant::now();
        let by = *asked.by.get_or_insert(now + asked.reply.within().mul_f32(PATIENCE));
        if answer.enforced || self.server.is_none() || by <= now {
            debug!(?answer, generation = self.wanted.generation, "audio priority");
            asked.by = None;
            asked.said = Some(answer.clone());
            let Answer { enforced, muted } = answer;
            let answer = AgentAnswer { enforced, muted, ..AgentAnswer::default() };
            asked.reply.send(answer.to_dict()).await;
        }
    }

    async fn enforce(&mut self) -> Answer {
        let Some(server) = &mut self.server else { return Answer::default() };
        let held = self.wanted.held();
        let turn = async {
            if let Some(outputs) = server.outputs().await? {
                self.outlet.learn(outputs);
            }
            let route = self.outlet.route().calls.filter(|_| held);
            server.enforce(&self.wanted, route.as_deref()).await
        };
        let turn = timeout(TURN_WITHIN, turn).await;
        let Turn { answer, routed, left, astray, late } =
            match turn.unwrap_or_else(|late| Err(late.into())) {
                Ok(done) => done,
                Err(error) => {
                    self.notice(Err(error));
                    return Answer::default();
                }
            };
        let now = Instant::now();
        self.returning = !left;
        self.insist(astray, now);
        self.outlet.tell(&self.desk, routed).await;
        if self.stop_by.is_some_and(|stop_by| stop_by <= now) {
            for (provider, way) in late {
                if !self.reported.contains(&(provider.clone(), way)) {
                    self.reported.push((provider.clone(), way));
                    let desk = self.desk.clone();
                    tokio::spawn(async move { desk.report_violation(&provider, way.word()).await });
                }
            }
        }
        answer
    }

    /// Whether what is not so will be asked for again.
    fn insists(&self) -> bool {
        self.again.0.is_some() && self.again.1 < INSIST
    }

    /// A session manager that is just starting may have missed what it was told.
    fn insist(&mut self, astray: bool, now: Instant) {
        if !astray {
            self.again = (None, 0);
            return;
        }
        let (again, times) = &mut self.again;
        match again {
            Some(at) if *at <= now && *times < INSIST => {
                (*again, *times) = (Some(now + INSIST_AFTER), *times + 1);
                if let Some(server) = &mut self.server {
                    let route = self.outlet.route().calls.filter(|_| self.wanted.held());
                    server.insist(&self.wanted, route.as_deref());
                }
            }
            Some(_) => {}
            None => *again = Some(now + INSIST_AFTER),
        }
    }

    /// When something is to be done though nobody says anything.
    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let answer_by = self.asked.as_ref().and_then(|asked| asked.by);
        let stop_by = self.stop_by.filter(|stop_by| *stop_by > now && self.server.is_some());
        let idle = self.is_idle() && self.server.is_some();
        let keep = self.keep.filter(|_| idle);
        let again = self.again.0.filter(|_| self.insists() && self.server.is_some());
        let select_by = self.outlet.until();
        [answer_by, self.look, self.alone, keep, stop_by, again, select_by]
            .into_iter()
            .flatten()
            .min()
    }

    async fn leave(mut self) {
        self.wanted = Wanted::default();
        self.enforce().await;
        let Some(server) = self.server.take() else { return };
        if !server.leave().await {
            warn!("the audio server does not answer; it puts all back when the agent has gone");
        }
    }
}
