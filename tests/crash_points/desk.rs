//! A desk on a private bus: two apps, a user's program, a subscriber, and a daemon that dies at one point of its
//! work. Whoever is interrupted says again what it said.
//!
//! Owns the steps and the restart.

mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use harness::{
    ALLOW, Action, App, Bus, Daemon, Known, Options, Peer, ROOT, Refused, Witness, eventually,
    options,
};
use uuid::Uuid;
use zbus::{Message, ObjectPath, OwnedObjectPath};

use crate::scenario::{Act, Line, Scenario, Step, action_of, uuid_of};

/// The apps of every scenario.
const APPS: usize = 2;
const SHORT: &str = "[deadlines]\nanswer-ms = 250\nset-held-ms = 250\ngrace-ms = 150\n";
const EMERGENCY: &str = "[emergency]\nhandles = [\"112\"]\nproviders = [\"org.example.App0\"]\n[agents]\nunits = [\"*\"]\n";

/// How a scenario ended.
pub struct Outcome {
    /// How many points the daemon passed, where they were counted.
    pub points: u64,
    /// It was killed on its way.
    pub killed: bool,
    /// What the apps were asked to perform, each request once.
    pub performed: Vec<Vec<String>>,
}

/// Plays a scenario with a daemon that dies at this point; without one, the points are counted.
pub async fn play(scenario: &Scenario, point: Option<u64>) -> Result<Outcome> {
    let mut desk = Desk::set(scenario, point).await?;
    for step in scenario.steps {
        desk.take(step).await.with_context(|| format!("{step:?}"))?;
    }
    desk.check(scenario).await?;
    let points = match point {
        Some(_) => 0,
        None => {
            let text = std::fs::read_to_string(&desk.count).context(
                "no point was counted: `cargo build --workspace --all-targets` builds the daemon with them",
            )?;
            text.trim().parse()?
        }
    };
    // A mute is said again with every grant of the audio.
    let once = |app: &App| {
        let all = app.performed().into_iter();
        all.filter(|what| !what.starts_with("PerformSetMuted")).collect()
    };
    let performed = desk.apps.iter().map(once).collect();
    Ok(Outcome { points, killed: desk.killed, performed })
}

struct Desk {
    apps: Vec<App>,
    user: Peer,
    agent: Peer,
    watcher: Option<Peer>,
    witness: Witness,
    daemon: Daemon,
    bus: Bus,
    config: String,
    state: PathBuf,
    count: PathBuf,
    killed: bool,
    tokens: u128,
    /// Transactions that were acknowledged, by their tokens.
    promised: BTreeMap<String, (Vec<Act>, String)>,
    paths: BTreeMap<Line, String>,
}

impl Desk {
    async fn set(scenario: &Scenario, point: Option<u64>) -> Result<Desk> {
        let bus = Bus::session().await?;
        let config = [ALLOW, if scenario.short { SHORT } else { "" }, EMERGENCY].concat();
        let (state, count) = (bus.memory().join("state"), bus.directory().join("count"));
        let counted = count.to_string_lossy();
        let at = point.map(|n| n.to_string()).unwrap_or_default();
        let variable = match point {
            Some(_) => ("CALLARBITER_CRASH_AT", &*at),
            None => ("CALLARBITER_CRASH_COUNT", &*counted),
        };
        let first = Daemon::launch_with(&bus, &config, &state, &[variable])?.ready(&bus).await;
        let (daemon, killed) = match first {
            Ok(daemon) => (daemon, false),
            Err(_) if point.is_some() => {
                (Daemon::launch_with(&bus, &config, &state, &[])?.ready(&bus).await?, true)
            }
            Err(error) => return Err(error),
        };
        let (user, agent) = (bus.connect().await?, bus.connect().await?);
        let witness = Witness::connect(&bus).await?;
        let apps = (0..APPS).map(|n| App::new(&format!("org.example.App{n}"))).collect();
        let (watcher, tokens) = (None, 0);
        let (promised, paths) = (BTreeMap::new(), BTreeMap::new());
        let mut desk = Desk {
            apps,
            user,
            agent,
            watcher,
            witness,
            daemon,
            bus,
            config,
            state,
            count,
            killed,
            tokens,
            promised,
            paths,
        };
        desk.begin_to_watch().await?;
        for app in 0..APPS {
            desk.take(&Step::Returns(app)).await?;
        }
        Ok(desk)
    }

    async fn take(&mut self, step: &Step) -> Result<()> {
        let none = || Options::new();
        match *step {
            Step::Rings(line) => {
                self.apps[line.0].calls.insert(uuid_of(line), "ringing");
                let path = self.report_incoming(line).await?;
                self.paths.insert(line, path?);
            }
            Step::Refused(line, error) => {
                let refused = self.report_incoming(line).await?.err();
                // Said again after a crash, a call that was kept from ringing has ended already.
                let again = |short: &str| self.killed && short == "AlreadyEnded";
                let as_told = |short: &str| short == error || again(short);
                ensure!(refused.as_ref().is_some_and(|r| as_told(r.short())), "{refused:?}");
            }
            Step::Lives(line, state) => {
                self.apps[line.0].calls.insert(uuid_of(line), state);
                let report = (uuid_of(line), "outgoing", state, none());
                let path: OwnedObjectPath = self.tell(line.0, "ReportCall", &report).await??;
                self.paths.insert(line, path.to_string());
            }
            Step::Says(line, state) => {
                self.apps[line.0].calls.insert(uuid_of(line), state);
                self.tell::<_, ()>(line.0, "ReportState", &(uuid_of(line), state, none()))
                    .await??;
            }
            Step::Hears(line) => {
                let held = options([("remote-held", true.into())]);
                self.tell::<_, ()>(line.0, "ReportState", &(uuid_of(line), "", held)).await??;
            }
            Step::Renamed(line) => {
                let name = options([("display-name", "Alice".into())]);
                self.tell::<_, ()>(line.0, "UpdateCall", &(uuid_of(line), name)).await??;
            }
            Step::Ends(line, reason) => {
                self.apps[line.0].calls.remove(&uuid_of(line));
                let killed = self.killed;
                let report = (uuid_of(line), reason, none());
                let ended = self.tell::<_, ()>(line.0, "ReportEnded", &report).await?;
                // Said again, it may be over already.
                let again = killed != self.killed;
                ensure!(ended.is_ok() || again, "{ended:?}");
            }
            Step::Asks(acts) => self.ask(acts).await?,
            Step::Starts(line, handle) => {
                let token = self.token();
                let path = self.start(line, handle, &token).await?;
                self.rest().await?;
                let again = self.start(line, handle, &token).await?;
                ensure!(path == again, "{path} and {again} for one token");
                self.paths.insert(line, path);
            }
            Step::Launches(line, handle) => {
                let token = self.token();
                let path = self.start(line, handle, &token).await?;
                self.asked_to_launch().await?;
                Box::pin(self.take(&Step::Returns(line.0))).await?;
                let again = self.start(line, handle, &token).await?;
                ensure!(path == again, "{path} and {again} for one token");
                self.paths.insert(line, path);
            }
            Step::Declines(line) => {
                let path = self.paths[&line].clone();
                let mut apps = std::mem::take(&mut self.apps);
                // The reply comes when the app has done it.
                let ended = loop {
                    let ending = self.user.end(&path);
                    let working = async {
                        loop {
                            for app in &mut apps {
                                let _ = app.catch_up().await;
                                let _ = app.work().await;
                            }
                            tokio::task::yield_now().await;
                        }
                    };
                    let ended = tokio::select! {
                        ended = ending => ended,
                        () = working => unreachable!("it goes on for ever"),
                    };
                    match ended {
                        Err(refused) if refused.is_interruption() => self.restart().await?,
                        ended => break ended,
                    }
                };
                self.apps = apps;
                ensure!(ended.is_ok() || self.killed, "{ended:?}");
            }
            Step::Turns(app, mood) => self.apps[app].mood = mood,
            Step::Dies(app) => {
                let name = self.apps[app].peer.as_ref().map(Peer::name).unwrap_or_default();
                self.apps[app].die();
                return self.gone(&name).await;
            }
            Step::Rests => {}
            Step::Returns(app) => {
                let returned = self.apps[app].revive(&self.bus).await;
                if returned.as_ref().is_err_and(Refused::is_interruption) {
                    self.restart().await?;
                    return Box::pin(self.take(step)).await;
                }
                returned?;
            }
            Step::Unregisters(app) => {
                self.apps[app].calls.clear();
                let killed = self.killed;
                let left = self.tell::<_, ()>(app, "Unregister", &()).await?;
                ensure!(left.is_ok() || killed != self.killed, "{left:?}");
                self.apps[app].audio = None;
            }
            Step::TakesRole(role) => {
                let take = async |agent: &Peer| -> Result<(), Refused> {
                    let path = ObjectPath::from_static_str_unchecked("/agent");
                    let registration = (path, vec![role], Options::new());
                    agent
                        .call::<_, std::collections::HashMap<String, zbus::OwnedVariant>>(
                            ROOT,
                            "Manager",
                            "RegisterAgent",
                            &registration,
                        )
                        .await
                        .map(drop)
                };
                self.repeat_as_agent(take).await??;
            }
            Step::Disturbs(refuse) => {
                let set = async |agent: &Peer| -> Result<(), Refused> {
                    let mode = (refuse, Options::new());
                    agent.call(ROOT, "Manager", "SetDoNotDisturb", &mode).await
                };
                self.repeat_as_agent(set).await??;
            }
            Step::AgentLeaves => {
                let name = self.agent.name();
                self.agent = self.bus.connect().await?;
                self.gone(&name).await?;
            }
            Step::Watches => {
                let watcher = self.bus.connect().await?;
                while let Err(refused) = watcher.view().await {
                    ensure!(refused.is_interruption(), "{refused}");
                    self.restart().await?;
                }
                self.watcher = Some(watcher);
            }
            Step::Unwatches => {
                if let Some(watcher) = self.watcher.take() {
                    let unsubscribe =
                        async || watcher.call::<_, ()>(ROOT, "Manager", "Unsubscribe", &()).await;
                    while let Err(refused) = unsubscribe().await {
                        if !refused.is_interruption() {
                            break;
                        }
                        self.restart().await?;
                    }
                }
            }
            Step::Grows(line) => {
                for n in 0..GROWTH {
                    let name = format!("{n} {}", "x".repeat(240));
                    let name = options([("display-name", name.into())]);
                    self.tell::<_, ()>(line.0, "UpdateCall", &(uuid_of(line), name)).await??;
                }
            }
        }
        self.rest().await
    }

    /// `StartCall`, until it is heard; the path of the call.
    async fn start(&mut self, line: Line, handle: &str, token: &str) -> Result<String> {
        let start = async |user: &Peer| -> Result<OwnedObjectPath, Refused> {
            let app = format!("org.example.App{}", line.0);
            let how = options([
                ("provider", app.into()),
                ("call", uuid_of(line).into()),
                ("token", token.to_owned().into()),
            ]);
            user.call(ROOT, "Manager", "StartCall", &(handle, how)).await
        };
        Ok(self.repeat(start).await??.to_string())
    }

    /// The agent has heard that an app is to be started, from one daemon or the next.
    async fn asked_to_launch(&mut self) -> Result<()> {
        let asked = eventually("an agent is asked to start the app", async || {
            let launch = |message: &Message| {
                message.header().member().is_some_and(|member| member.as_str() == "LaunchProvider")
            };
            let heard = self.agent.received().iter().any(launch);
            let died = self.daemon.process.ended().is_some();
            (heard || died).then_some(heard)
        });
        if !asked.await? {
            self.restart().await?;
            return Box::pin(self.asked_to_launch()).await;
        }
        Ok(())
    }

    async fn ask(&mut self, acts: &[Act]) -> Result<()> {
        let token = self.token();
        let path = self.request(acts, &token).await?;
        self.promised.insert(token.clone(), (acts.to_vec(), path.clone()));
        self.rest().await?;
        ensure!(self.request(acts, &token).await? == path, "another transaction for its token");
        Ok(())
    }

    async fn request(&mut self, acts: &[Act], token: &str) -> Result<String> {
        let how = options([("token", token.to_owned().into())]);
        let actions: Vec<Action> = acts.iter().map(|act| action_of(*act)).collect();
        Ok(self.repeat(async |user| user.request(&actions, &how).await).await??)
    }

    async fn report_incoming(&mut self, line: Line) -> Result<Result<String, Refused>> {
        let update = options([("remote-handle", "sip:rabbit@example.org".into())]);
        let report = (uuid_of(line), update);
        let path = self.tell::<_, OwnedObjectPath>(line.0, "ReportIncomingCall", &report).await?;
        Ok(path.map(|path| path.to_string()))
    }

    /// What an app says, until it is heard.
    async fn tell<B, R>(&mut self, app: usize, member: &str, body: &B) -> Result<Result<R, Refused>>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: serde::de::DeserializeOwned + zbus::Type,
    {
        loop {
            let app = &self.apps[app];
            let Some(peer) = &app.peer else { bail!("{} is not there", app.id) };
            match peer.call(&app.path, "Provider", member, body).await {
                Err(refused) if refused.is_interruption() => self.restart().await?,
                answer => return Ok(answer),
            }
        }
    }

    async fn repeat<R>(
        &mut self,
        call: impl AsyncFn(&Peer) -> Result<R, Refused>,
    ) -> Result<Result<R, Refused>> {
        loop {
            match call(&self.user).await {
                Err(refused) if refused.is_interruption() => self.restart().await?,
                answer => return Ok(answer),
            }
        }
    }

    async fn repeat_as_agent(
        &mut self,
        call: impl AsyncFn(&Peer) -> Result<(), Refused>,
    ) -> Result<Result<(), Refused>> {
        loop {
            match call(&self.agent).await {
                Err(refused) if refused.is_interruption() => self.restart().await?,
                answer => return Ok(answer),
            }
        }
    }

    /// The daemon was killed; another one goes on with what it left.
    async fn restart(&mut self) -> Result<()> {
        ensure!(!self.killed, "it died twice:\n{}", self.daemon.process.log());
        self.daemon.process.end().await?;
        self.witness.read().await?;
        let before = self.witness.known().map_or(0, |known| known.revision);
        let daemon = Daemon::launch_with(&self.bus, &self.config, &self.state, &[])?;
        self.daemon = daemon.ready(&self.bus).await?;
        self.killed = true;
        let after = self.user.view().await?.revision;
        ensure!(before <= after, "{before} changes were told, and {after} are remembered");
        self.begin_to_watch().await
    }

    /// Without a daemon there is nothing to see: then whoever restarts it comes back here.
    async fn begin_to_watch(&mut self) -> Result<()> {
        self.witness.begin().await
    }

    /// Everything that was said is through, and what followed from it, also where the daemon dies meanwhile.
    async fn settle(&mut self) -> Result<()> {
        for _ in 0..200 {
            let mut taken = 0;
            let mut died = false;
            for app in &mut self.apps {
                match app.catch_up().await {
                    Ok(()) => taken += app.work().await?,
                    Err(error) => {
                        let refused = error.downcast_ref::<Refused>();
                        ensure!(refused.is_some_and(Refused::is_interruption), "{error:#}");
                        died = true;
                        break;
                    }
                }
            }
            if died {
                self.restart().await?;
                continue;
            }
            let holders: Vec<_> =
                self.apps.iter().filter(|app| app.audio.is_some()).map(|app| &app.id).collect();
            ensure!(holders.len() <= 1, "two have the audio: {holders:?}");
            if taken == 0 {
                return Ok(());
            }
        }
        bail!("they never come to rest")
    }

    async fn rest(&mut self) -> Result<()> {
        let end = tokio::time::Instant::now() + harness::PATIENCE;
        loop {
            self.settle().await?;
            let view = self.repeat(async |user| user.view().await).await??;
            let mut pending = Known::from(view).pending();
            // The far end takes its time.
            let rings = ["dialing", "alerting", "connecting"];
            pending.retain(|line| !rings.iter().any(|state| line.ends_with(state)));
            if pending.is_empty() {
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < end, "for ever: {pending:#?}");
        }
    }

    /// The daemon knows that a connection is gone when the bus does.
    async fn gone(&mut self, name: &str) -> Result<()> {
        eventually("the bus knows that it is gone", async || {
            let alive: bool = self.user.bus("NameHasOwner", &name).await.ok()?;
            (!alive).then_some(())
        })
        .await
    }

    fn token(&mut self) -> String {
        self.tokens += 1;
        Uuid::from_u128(0xffff + self.tokens).to_string()
    }
}

/// More than the 256 KiB at which a state file is written anew.
const GROWTH: usize = 500;
