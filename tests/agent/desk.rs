//! A desk: a session bus with the daemon, the agent and an app that calls.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use harness::{Arbiter, Bus, FakeProvider, Launch, Process, Reported, built, eventually};

/// Every app may provide calls, and every process of the user act for the session.
const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";

/// The agent's name on the session bus.
pub const AGENT: &str = "org.callarbiter.Agent1";

/// The app that calls.
pub const APP: &str = "org.example.Phone";

pub struct Desk {
    pub phone: FakeProvider,
    pub arbiter: Arbiter,
}

/// The same where the user is asked about every app.
const ASKING: &str = "[agents]\nunits = [\"*\"]\n";

impl Desk {
    pub async fn new() -> Result<Desk> {
        Desk::with(CONFIG).await
    }

    /// Where nothing is decided about any app.
    pub async fn asking() -> Result<Desk> {
        Desk::with(ASKING).await
    }

    /// Under this configuration.
    pub async fn with(config: &str) -> Result<Desk> {
        let arbiter = Arbiter::on(Bus::session().await?, config).await?;
        let phone = FakeProvider::register(&arbiter.bus, APP).await?;
        Ok(Desk { phone, arbiter })
    }

    pub fn bus(&self) -> &Bus {
        &self.arbiter.bus
    }

    /// The agent with these parts, once it serves.
    pub async fn agent(&self, parts: &str) -> Result<Process> {
        self.agent_in(parts, &[]).await
    }

    /// The same in another environment.
    pub async fn agent_in(&self, parts: &str, variables: &[(&str, PathBuf)]) -> Result<Process> {
        let mut agent = self.begin_agent(parts, variables)?;
        let ready = async || {
            let named = self.phone.peer.owner(AGENT).await.ok()?.is_some();
            let serves = named && agent.log().contains("took the roles");
            (serves || agent.ended().is_some()).then_some(serves)
        };
        if !eventually("the agent takes its roles", ready).await? {
            bail!("the agent ended: {}", agent.log());
        }
        Ok(agent)
    }

    /// The same, before it serves.
    pub fn begin_agent(&self, parts: &str, variables: &[(&str, PathBuf)]) -> Result<Process> {
        let launch = self.launch(agent()?)?;
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let launch = launch.arg("--bus").arg("session").arg("--only").arg(parts);
        launch.arg("--log").arg("trace").start(self.bus().directory())
    }

    /// Where the agent and the apps of this session have their home.
    pub fn home(&self) -> PathBuf {
        self.bus().directory().join("home")
    }

    /// Something that the session's bus starts when it is called by this name.
    pub async fn activatable(&self, name: &str, command: &str) -> Result<()> {
        let home = self.home();
        let home = home.display();
        let file = self.bus().directory().join(format!("services/{name}.service"));
        let exec = format!("/usr/bin/env HOME={home} XDG_RUNTIME_DIR={home} {command}");
        fs::write(file, format!("[D-BUS Service]\nName={name}\nExec={exec}\n"))?;
        let () = self.phone.peer.bus("ReloadConfig", &()).await?;
        Ok(())
    }

    /// A program in this session, with a home of its own.
    pub fn launch(&self, program: impl Into<PathBuf>) -> Result<Launch> {
        let home = self.home();
        fs::create_dir_all(&home)?;
        fs::set_permissions(&home, Permissions::from_mode(0o700))?;
        Ok(Launch::new(program)
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus().address())
            .env("XDG_RUNTIME_DIR", &home)
            .env("HOME", &home))
    }

    /// What callctl prints as JSON; with its failure, where it fails.
    pub async fn callctl(&self, arguments: &[&str]) -> Result<Result<serde_json::Value, String>> {
        let program = built("callctl", "-p callctl")?;
        let launch = self.launch(program)?.arg("--json").arg("--bus").arg(self.bus().address());
        let launch = arguments.iter().fold(launch, |launch, word| launch.arg(*word));
        let mut run = launch.start(self.bus().directory())?;
        let done = run.end().await?.success();
        Ok(if done { Ok(serde_json::from_str(&run.output())?) } else { Err(run.log()) })
    }

    /// A call that was answered and has the audio.
    pub async fn talk(&self, handle: &str) -> Result<Reported> {
        let call = self.phone.report_incoming(handle).await?;
        self.phone.peer.answer(&call.path).await?;
        self.phone.peer.wait_audio("granted").await?;
        Ok(call)
    }
}

pub fn agent() -> Result<PathBuf> {
    built("callarbiter-agent", "-p callarbiter-agent")
}
