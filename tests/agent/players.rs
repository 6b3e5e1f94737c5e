//! Players pause for a call and go on after it: a real mpv, a real cmus, and small players for each trap.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Peer, Process, eventually};

use crate::desk::{APP, Desk};
use crate::mpris::{FakePlayer, Nature};

#[tokio::test]
async fn mpv_pauses_for_a_call_and_goes_on_after_it() -> Result<()> {
    let desk = Desk::new().await?;
    let ears = desk.bus().connect().await?;
    let playing = mpv(&desk, &[])?;
    wait_mpv(&ears, &playing, "Playing").await?;
    let paused = mpv(&desk, &["--pause"])?;
    wait_mpv(&ears, &paused, "Paused").await?;
    let _agent = desk.agent("players").await?;

    let call = desk.talk("sip:rabbit@example.org").await?;
    wait_mpv(&ears, &playing, "Paused").await?;
    ears.end(&call.path).await?;
    wait_mpv(&ears, &playing, "Playing").await?;

    // The second call comes after everything that the first one led to.
    desk.talk("sip:rabbit@example.org").await?;
    wait_mpv(&ears, &playing, "Paused").await?;
    wait_mpv(&ears, &paused, "Paused").await
}

#[tokio::test]
async fn cmus_pauses_for_a_call_and_goes_on_after_it() -> Result<()> {
    let desk = Desk::new().await?;
    let ears = desk.bus().connect().await?;
    let cmus = cmus(&desk)?;
    wait_player(&ears, "cmus", None, "Stopped").await?;
    cmus.remote(&["--file", &tone(&desk)?.to_string_lossy()])?;
    wait_player(&ears, "cmus", None, "Playing").await?;
    let _agent = desk.agent("players").await?;

    let call = desk.talk("sip:rabbit@example.org").await?;
    wait_player(&ears, "cmus", None, "Paused").await?;
    ears.end(&call.path).await?;
    wait_player(&ears, "cmus", None, "Playing").await?;

    cmus.remote(&["--pause"])?;
    wait_player(&ears, "cmus", None, "Paused").await?;
    let call = desk.talk("sip:rabbit@example.org").await?;
    ears.end(&call.path).await?;
    // It would be told to go on before the audio of this one is granted.
    desk.talk("sip:rabbit@example.org").await?;
    wait_player(&ears, "cmus", None, "Paused").await
}

#[tokio::test]
async fn the_traps() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("players").await?;
    let player =
        async |names: &[&str], nature| FakePlayer::playing(desk.bus(), names, nature).await;
    let ordinary = Nature::default;
    let mirrored = player(&["kdeconnect.mpris_1"], ordinary()).await?;
    let proxy = player(&["playerctld"], ordinary()).await?;
    let radio = player(&["radio"], Nature { cannot_pause: true, ..ordinary() }).await?;
    let liar = player(&["liar"], Nature { lies: true, ..ordinary() }).await?;
    let own = player(&["own1"], Nature { desktop_entry: APP, ..ordinary() }).await?;
    let named = player(&["Phone.instance7"], ordinary()).await?;
    let twice = player(&["music", "music.instance2"], ordinary()).await?;
    let stopped = player(&["stopped"], ordinary()).await?;
    stopped.press("Stopped").await?;

    let call = desk.talk("sip:rabbit@example.org").await?;
    twice.wait_told(&["Pause"]).await?;
    desk.phone.peer.end(&call.path).await?;
    twice.wait_told(&["Pause", "Play"]).await?;
    // What the first call led to was said before this.
    desk.talk("sip:rabbit@example.org").await?;
    twice.wait_told(&["Pause", "Play", "Pause"]).await?;

    for (what, player) in [
        ("a mirror", &mirrored),
        ("a proxy", &proxy),
        ("what cannot pause", &radio),
        ("the calling app by its desktop entry", &own),
        ("the calling app by its name", &named),
        ("what does not play", &stopped),
    ] {
        assert_eq!(player.told(), [""; 0], "{what}");
    }
    // It is asked at every call, and never to go on: it says that it plays.
    assert!(liar.told().iter().all(|word| word == "Pause"), "{:?}", liar.told());
    Ok(())
}

#[tokio::test]
async fn what_hangs_holds_up_nobody() -> Result<()> {
    let desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let hung = desk.bus().connect().await?;
    hung.connection.request_name("org.mpris.MediaPlayer2.hung").await?;
    let _agent = desk.agent("players").await?;
    let call = desk.talk("sip:rabbit@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    desk.phone.peer.end(&call.path).await?;
    music.wait_told(&["Pause", "Play"]).await
}

#[tokio::test]
async fn it_goes_on_after_the_last_of_several_calls() -> Result<()> {
    let desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let _agent = desk.agent("players").await?;
    let first = desk.talk("sip:one@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    let second = desk.talk("sip:two@example.org").await?;
    desk.phone.peer.end(&second.path).await?;
    desk.phone.peer.wait_state(&first.path, "active").await?;
    assert_eq!(music.told(), ["Pause"]);
    desk.phone.peer.end(&first.path).await?;
    music.wait_told(&["Pause", "Play"]).await
}

#[tokio::test]
async fn what_the_user_took_back_is_the_users() -> Result<()> {
    let desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let other = FakePlayer::playing(desk.bus(), &["other"], Nature::default()).await?;
    let _agent = desk.agent("players").await?;
    let call = desk.talk("sip:rabbit@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    other.wait_told(&["Pause"]).await?;
    music.press("Playing").await?;
    music.press("Paused").await?;
    desk.phone.peer.end(&call.path).await?;
    other.wait_told(&["Pause", "Play"]).await?;
    desk.talk("sip:rabbit@example.org").await?;
    other.wait_told(&["Pause", "Play", "Pause"]).await?;
    assert_eq!(music.told(), ["Pause"]);
    Ok(())
}

#[tokio::test]
async fn stopped_in_a_call_it_leaves_the_music_playing() -> Result<()> {
    let desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let mut agent = desk.agent("players").await?;
    desk.talk("sip:rabbit@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    agent.signal("TERM")?;
    assert!(agent.end().await?.success());
    assert_eq!(music.told(), ["Pause", "Play"]);
    Ok(())
}

#[tokio::test]
async fn killed_in_a_call_the_next_one_undoes_it() -> Result<()> {
    let desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let mut agent = desk.agent("players").await?;
    let call = desk.talk("sip:rabbit@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    agent.signal("KILL")?;
    agent.end().await?;
    desk.phone.peer.end(&call.path).await?;
    let _next = desk.agent("players").await?;
    music.wait_told(&["Pause", "Play"]).await
}

#[tokio::test]
async fn the_arbiter_restarts_and_the_music_stays_paused() -> Result<()> {
    let mut desk = Desk::new().await?;
    let music = FakePlayer::playing(desk.bus(), &["music"], Nature::default()).await?;
    let _agent = desk.agent("players").await?;
    let call = desk.talk("sip:rabbit@example.org").await?;
    music.wait_told(&["Pause"]).await?;
    desk.arbiter.crash_and_restart().await?;
    desk.phone.peer.wait_state(&call.path, "active").await?;
    desk.phone.peer.wait_audio("granted").await?;
    assert_eq!(music.told(), ["Pause"]);
    desk.phone.peer.end(&call.path).await?;
    music.wait_told(&["Pause", "Play"]).await
}

/// A real player without a loudspeaker.
fn mpv(desk: &Desk, args: &[&str]) -> Result<Process> {
    let mut mpv = desk.launch("mpv")?;
    for arg in ["--no-video", "--ao=null", "--no-terminal", "--loop=inf"].iter().chain(args) {
        mpv = mpv.arg(*arg);
    }
    mpv.arg(tone(desk)?).start(desk.bus().directory())
}

/// Another one, which wants a terminal.
struct Cmus {
    _terminal: Process,
    socket: PathBuf,
}

fn cmus(desk: &Desk) -> Result<Cmus> {
    let home = desk.bus().directory().join("home");
    let socket = home.join("cmus.socket");
    fs::create_dir_all(home.join("cmus"))?;
    fs::write(home.join(".libao"), "default_driver=null\n")?;
    fs::write(
        home.join("cmus/rc"),
        "set output_plugin=ao\nset continue=true\nset repeat_current=true\n",
    )?;
    let terminal = desk
        .launch("script")?
        .env("CMUS_HOME", home.join("cmus"))
        .env("TERM", "xterm")
        .arg("--quiet")
        .arg("--command")
        // Without its terminal it would not end, but turn round and round.
        .arg(format!("exec setpriv --pdeathsig KILL cmus --listen {}", socket.display()))
        .arg("/dev/null");
    Ok(Cmus { _terminal: terminal.start(desk.bus().directory())?, socket })
}

impl Cmus {
    fn remote(&self, words: &[&str]) -> Result<()> {
        let mut remote = Command::new("cmus-remote");
        remote.arg("--server").arg(&self.socket).args(words);
        let done = remote.output().context("cmus-remote (package cmus)")?;
        ensure!(done.status.success(), "cmus-remote: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

/// A second of nothing: mono, 8 kHz, 8 bits.
fn tone(desk: &Desk) -> Result<PathBuf> {
    let samples = [128; 8000];
    let mut wav = b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wav.extend(b"\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x40\x1f\0\0");
    wav.extend(samples);
    let tone = desk.bus().directory().join("tone.wav");
    fs::write(&tone, wav)?;
    Ok(tone)
}

async fn wait_mpv(ears: &Peer, mpv: &Process, status: &str) -> Result<()> {
    wait_player(ears, "mpv", Some(mpv.pid()), status).await
}

/// Until the player of this name, and of this process if several have it, is in this state.
async fn wait_player(ears: &Peer, name: &str, process: Option<u32>, status: &str) -> Result<()> {
    let prefix = format!("org.mpris.MediaPlayer2.{name}");
    let what = format!("{name} (packages mpv, mpv-mpris, cmus) is {status}");
    eventually(&what, async || {
        let names: Vec<String> = ears.bus("ListNames", &()).await.ok()?;
        for name in names.iter().filter(|name| name.starts_with(&prefix)) {
            let pid: Result<u32, _> = ears.bus("GetConnectionUnixProcessID", name).await;
            if process.is_none() || pid.ok() == process {
                return (playback(ears, name).await? == status).then_some(());
            }
        }
        None
    })
    .await
}

async fn playback(ears: &Peer, name: &str) -> Option<String> {
    let (path, player) = ("/org/mpris/MediaPlayer2", "org.mpris.MediaPlayer2.Player");
    let get = (player, "PlaybackStatus");
    let value: Result<zbus::OwnedVariant, _> =
        ears.call_at(name, path, "org.freedesktop.DBus.Properties", "Get", &get).await;
    String::try_from(value.ok()?).ok()
}
