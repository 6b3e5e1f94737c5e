//! Providers in other languages against the real arbiter: the Python and the C example are built, run and driven
//! through a whole call. It checks the arbiter's view and what the programs print; what they look like inside is
//! theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use harness::{Arbiter, Launch, Peer, Process, ROOT, View, eventually, interface, options, source};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

const CALLER: &str = "sip:rabbit@example.org";

#[tokio::test]
async fn the_python_example_carries_a_call() -> Result<()> {
    let program = source("client/examples/python/provider.py");
    run("/usr/bin/python3", &["-c", "import dasbus.connection"], "python3-dasbus and python3-gi")?;
    carries_a_call(Launch::new("/usr/bin/python3").arg(program), true).await
}

#[tokio::test]
async fn the_c_example_carries_a_call() -> Result<()> {
    run("cc", &["--version"], "gcc")?;
    run("make", &["--version"], "make")?;
    run("gdbus-codegen", &["--help"], "libglib2.0-dev-bin")?;
    run("pkg-config", &["--exists", "gio-2.0"], "libglib2.0-dev and pkg-config")?;
    let directory = tempfile::tempdir()?;
    let build = format!("BUILD={}", directory.path().display());
    let sources: PathBuf = source("client/examples/c");
    run("make", &[OsStr::new("-C"), sources.as_os_str(), OsStr::new(&build)], "make")?;
    carries_a_call(Launch::new(directory.path().join("provider")), false).await
}

async fn carries_a_call(program: Launch, with_video: bool) -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    let user = arbiter.bus.connect().await?;
    let address = arbiter.bus.address();
    let arguments = ["--app-id", "org.example.Foreign", "--bus", &address, "--incoming", CALLER];
    let provider =
        arguments.into_iter().fold(program, Launch::arg).start(arbiter.bus.directory())?;
    let mut provider = Told { process: provider, read: 0 };
    provider.says("registered").await?;
    provider.says("incoming").await?;

    let call = the_call(&user, "ringing").await?;
    let caller = user.property(&call, "Call", "RemoteHandle").await?;
    assert_eq!(String::try_from(caller)?, CALLER);
    user.answer(&call).await?;
    provider.says("answer").await?;
    provider.says("audio on for 1").await?;
    user.wait_state(&call, "active").await?;
    has_audio(&user, true).await?;

    user.hold(&call).await?;
    provider.says("hold").await?;
    provider.says("audio off for 1").await?;
    user.wait_state(&call, "held").await?;
    has_audio(&user, false).await?;
    user.unhold(&call).await?;
    provider.says("unhold").await?;
    provider.says("audio on for 1").await?;
    user.wait_state(&call, "active").await?;

    for muted in [true, false] {
        user.call::<_, ()>(&call, "Call", "SetMuted", &muted).await?;
        provider.says(if muted { "mute" } else { "unmute" }).await?;
        let shown = user.property(&call, "Call", "Muted").await?;
        assert_eq!(shown, OwnedVariant::from(muted));
    }
    user.call::<_, ()>(&call, "Call", "SendDtmf", &"42#").await?;
    provider.says("dtmf of 3").await?;
    match user.call::<_, ()>(&call, "Call", "SetVideo", &true).await {
        Ok(()) => provider.says("video on").await?,
        Err(refused) => assert_eq!(refused.short(), "NotSupported"),
    }
    let shown = user.property(&call, "Call", "HasVideo").await?;
    assert_eq!(shown, OwnedVariant::from(with_video));
    pretend_to_be_the_arbiter(&user).await?;
    user.end(&call).await?;
    provider.says("end").await?;
    provider.says("audio off for 1").await?;
    let words = provider.process.output();
    assert!(!words.contains("dtmf of 7"), "it obeys anybody: {words}");

    let by = options([("provider", Variant::from("org.example.Foreign"))]);
    let _: OwnedObjectPath = user.call(ROOT, "Manager", "StartCall", &(CALLER, by)).await?;
    provider.says("start").await?;
    let call = the_call(&user, "active").await?;
    provider.says("audio on for 1").await?;
    user.end(&call).await?;
    provider.says("end").await?;
    assert!(!provider.process.output().contains(CALLER), "it prints whom it talks with");

    arbiter.crash_and_restart().await?;
    provider.says("registered").await?;
    user.call::<_, OwnedObjectPath>(ROOT, "Manager", "StartCall", &(CALLER, options([]))).await?;
    provider.says("start").await?;
    the_call(&user, "active").await?;
    Ok(())
}

/// Asks everybody on the bus for tones, as only the arbiter may.
async fn pretend_to_be_the_arbiter(liar: &Peer) -> Result<()> {
    let names: Vec<String> = liar.bus("ListNames", &()).await?;
    for name in names.iter().filter(|name| name.starts_with(':') && **name != liar.name()) {
        let body = ("request", "00000000-0000-4000-8000-000000000000", "1234567", options([]));
        let delegate = interface("ProviderDelegate");
        // Those without a delegate refuse, which is as good.
        let _: Result<(), _> =
            liar.call_at(name, "/org/example/Provider", &delegate, "PerformPlayDtmf", &body).await;
    }
    Ok(())
}

/// A program whose words are read one after the other.
struct Told {
    process: Process,
    read: usize,
}

impl Told {
    /// Waits until it says a line that begins like this, after all that was waited for before.
    async fn says(&mut self, words: &str) -> Result<()> {
        let read = self.read;
        let line = async || {
            let output = self.process.output();
            let at = output.lines().skip(read).position(|line| line.starts_with(words));
            at.map(|at| Some(read + at + 1)).or_else(|| self.process.ended().map(|_| None))
        };
        let found = eventually(&format!("the program says {words:?}"), line).await;
        let said = || format!("it said:\n{}{}", self.process.output(), self.process.log());
        self.read = found.with_context(said)?.with_context(|| format!("it ended; {}", said()))?;
        Ok(())
    }
}

/// The only call there is, once it is in this state.
async fn the_call(user: &Peer, state: &str) -> Result<String> {
    eventually(&format!("a call is {state}"), async || {
        let View { objects, .. } = user.view().await.ok()?;
        let call =
            objects.into_iter().find(|(_, object)| object.contains_key(&interface("Call")))?;
        (user.state(&call.0).await.ok()? == state).then_some(call.0)
    })
    .await
}

async fn has_audio(user: &Peer, granted: bool) -> Result<()> {
    let wanted = if granted { "granted" } else { "idle" };
    eventually(&format!("the audio is {wanted}"), async || {
        let phase = user.property(ROOT, "AudioSession", "Phase").await.ok()?;
        (String::try_from(phase).ok()? == wanted).then_some(())
    })
    .await
}

/// Runs a tool to its end; a missing one fails with the name of its package.
fn run(tool: &str, arguments: &[impl AsRef<OsStr>], package: &str) -> Result<Output> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.with_context(|| format!("{tool} is missing: install {package}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{tool} failed; is {package} installed?\n{words}");
    }
    Ok(output)
}
