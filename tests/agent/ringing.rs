//! What a person hears of calls that ring, at the output of real audio servers.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::{FakeProvider, Options, ROOT, Reported, options};

use crate::desk::Desk;
use crate::gnome::{dconf, gsettings};
use crate::speakers::{Ear, Server, Speakers};

/// Longer than any pause between two rings.
pub const QUIET: Duration = Duration::from_millis(2_500);

#[tokio::test]
async fn it_rings_over_and_over_until_the_call_is_answered() -> Result<()> {
    for server in [Server::PipeWire, Server::PulseAudio] {
        let desk = Desk::new().await?;
        let speakers = Speakers::start(&desk, server).await?;
        let ear = Ear::new(&desk).await?;
        let _agent = desk.agent("ring").await?;
        let call = desk.phone.report_incoming("sip:ada@example.org").await?;
        ear.wait_sound().await?;
        let streams = speakers.pactl(&desk, &["list", "sink-inputs"]).await?;
        for words in ["application.id = \"org.callarbiter.Agent\"", "media.role = \"event\""] {
            assert!(streams.contains(words), "{streams}");
        }
        // The theme's sound takes 1.46 s.
        let heard = ear.listen(Duration::from_secs(6)).await?;
        println!("{server:?} rings: {heard:?}");
        let rounds = heard.iter().filter(|sound| sound.loudness > 0.01).count();
        assert!(rounds >= 3, "{heard:?}");

        desk.phone.peer.answer(&call.path).await?;
        ear.wait_silence(QUIET).await?;
        let streams = speakers.pactl(&desk, &["list", "sink-inputs"]).await?;
        assert!(!streams.contains("org.callarbiter.Agent"), "{streams}");
    }
    Ok(())
}

#[tokio::test]
async fn it_stops_when_the_call_is_silenced_declined_over_or_the_agent_dies() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let mut agent = desk.agent("ring").await?;
    let rings = async || -> Result<Reported> {
        let from = ear.heard();
        let call = desk.phone.report_incoming("sip:ada@example.org").await?;
        ear.wait_sound_after(from).await?;
        Ok(call)
    };
    let call = rings().await?;
    silence(&desk, &call).await?;
    ear.wait_silence(QUIET).await?;
    desk.phone.report_ended(&call.uuid, "remote-ended").await?;

    let call = rings().await?;
    desk.phone.peer.end(&call.path).await?;
    ear.wait_silence(QUIET).await?;

    let call = rings().await?;
    desk.phone.report_ended(&call.uuid, "answered-elsewhere").await?;
    ear.wait_silence(QUIET).await?;

    rings().await?;
    agent.signal("KILL")?;
    agent.end().await?;
    ear.wait_silence(QUIET).await?;
    let _next = desk.agent("ring").await?;
    ear.wait_sound().await?;
    Ok(())
}

#[tokio::test]
async fn one_ringer_for_two_calls_and_a_quiet_tone_behind_an_active_one() -> Result<()> {
    let desk = Desk::new().await?;
    let speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    let ada = desk.phone.report_incoming("sip:ada@example.org").await?;
    let other = FakeProvider::register(desk.bus(), "org.example.Other").await?;
    let grace = other.report_incoming("sip:grace@example.org").await?;
    ear.wait_sound().await?;
    let streams = speakers.pactl(&desk, &["list", "short", "sink-inputs"]).await?;
    assert_eq!(streams.lines().count(), 1, "{streams}");
    let aloud = ear.listen(Duration::from_secs(2)).await?;

    // The other one waits now: a tone, and no ringing.
    desk.phone.peer.answer(&ada.path).await?;
    desk.phone.peer.wait_state(&ada.path, "active").await?;
    ear.wait_silence(Duration::from_millis(1_500)).await?;
    let tones = ear.listen(Duration::from_secs(9)).await?;
    println!("aloud: {aloud:?}, waiting: {tones:?}");
    assert!((2..=6).contains(&tones.len()), "{tones:?}");
    let ringing = aloud.iter().map(|sound| sound.loudness).fold(0.0, f32::max);
    assert!(
        tones.iter().all(|tone| tone.seconds < 0.5 && tone.loudness < ringing / 2.0),
        "{tones:?}"
    );
    let streams = speakers.pactl(&desk, &["list", "sink-inputs"]).await?;
    assert!(streams.contains("media.role = \"phone\""), "{streams}");

    // Alone again it rings.
    desk.phone.peer.end(&ada.path).await?;
    let aloud = ear.listen(Duration::from_secs(4)).await?;
    assert!(aloud.iter().any(|sound| sound.seconds > 0.5), "{aloud:?}");
    other.report_ended(&grace.uuid, "unanswered").await?;
    ear.wait_silence(QUIET).await
}

#[tokio::test]
async fn a_call_behind_one_that_was_silenced_rings() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    let ada = desk.phone.report_incoming("sip:ada@example.org").await?;
    silence(&desk, &ada).await?;
    ear.wait_silence(QUIET).await?;
    let other = FakeProvider::register(desk.bus(), "org.example.Other").await?;
    other.report_incoming("sip:grace@example.org").await?;
    let heard = ear.listen(Duration::from_secs(3)).await?;
    assert!(heard.iter().any(|sound| sound.seconds > 0.5), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn nothing_rings_that_rings_by_itself_or_is_not_to_disturb() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    let itself = options([("ringer", "self".into())]);
    let other = configured(&desk, "org.example.Other", itself).await?;
    let call = other.report_incoming("sip:ada@example.org").await?;
    ear.wait_silence(QUIET).await?;
    other.report_ended(&call.uuid, "unanswered").await?;

    let desktop = desk.bus().connect().await?;
    let nothing = zbus::ObjectPath::try_from("/")?;
    let role = (nothing, ["dnd"].as_slice(), Options::new());
    let _: HashMap<String, zbus::OwnedVariant> =
        desktop.call(ROOT, "Manager", "RegisterAgent", &role).await?;
    let quietly = (true, options([("quiet", true.into())]));
    let _: () = desktop.call(ROOT, "Manager", "SetDoNotDisturb", &quietly).await?;
    desk.phone.report_incoming("sip:grace@example.org").await?;
    ear.wait_silence(QUIET).await
}

#[tokio::test]
async fn without_a_theme_it_rings_with_a_tone_and_a_ringtone_is_the_apps_or_the_users() -> Result<()>
{
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let home = desk.bus().directory().join("home");
    let (sounds, wishes) = (home.join("data/sounds"), home.join(".config/callarbiter"));
    fs::create_dir_all(&sounds)?;
    fs::create_dir_all(&wishes)?;
    let alone = [("XDG_DATA_HOME", home.join("data")), ("XDG_DATA_DIRS", home.join("none"))];
    let agent = desk.agent_in("ring", &alone).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    let tone = ear.listen(Duration::from_secs(4)).await?;
    assert!(tone.iter().any(|sound| (0.3..0.6).contains(&sound.seconds)), "{tone:?}");
    desk.phone.report_ended(&call.uuid, "unanswered").await?;
    ear.wait_silence(Duration::from_secs(4)).await?;

    // A beep of 100 ms, and one of 200 ms.
    fs::write(sounds.join("beep.wav"), wav(100))?;
    let ringtone = options([("ringtone", "beep".into())]);
    let other = configured(&desk, "org.example.Other", ringtone).await?;
    let call = other.report_incoming("sip:ada@example.org").await?;
    let beeps = ear.listen(Duration::from_secs(5)).await?;
    assert!(beeps.len() >= 2, "it comes again: {beeps:?}");
    let mut whole = beeps.iter().filter(|beep| beep.whole);
    assert!(whole.all(|beep| (0.05..0.15).contains(&beep.seconds)), "{beeps:?}");
    other.report_ended(&call.uuid, "unanswered").await?;
    ear.wait_silence(QUIET).await?;

    drop(agent);
    let file = home.join("own.wav");
    fs::write(&file, wav(200))?;
    fs::write(wishes.join("agent.toml"), format!("[ring]\nsound = {file:?}\n"))?;
    let _agent = desk.agent_in("ring", &alone).await?;
    other.report_incoming("sip:ada@example.org").await?;
    let beeps = ear.listen(Duration::from_secs(5)).await?;
    let mut whole = beeps.iter().filter(|beep| beep.whole);
    assert!(whole.all(|beep| (0.15..0.25).contains(&beep.seconds)), "{beeps:?}");
    assert!(beeps.len() >= 2, "{beeps:?}");
    Ok(())
}

#[tokio::test]
async fn an_audio_server_that_comes_late_or_again_rings_as_soon_as_it_is_there() -> Result<()> {
    let desk = Desk::new().await?;
    let agent = desk.agent("ring").await?;
    desk.phone.report_incoming("sip:ada@example.org").await?;
    harness::eventually("it says that it cannot be heard", async || {
        agent.log().contains("ringing is not heard").then_some(())
    })
    .await?;
    let speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    ear.wait_sound().await?;
    drop(ear);
    speakers.crash().await?;
    let _speakers = Speakers::start(&desk, Server::PulseAudio).await?;
    let ear = Ear::new(&desk).await?;
    ear.wait_sound().await?;
    Ok(())
}

#[tokio::test]
async fn without_an_arbiter_it_does_not_ring_for_ever() -> Result<()> {
    let mut desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    desk.phone.report_incoming("sip:ada@example.org").await?;
    ear.wait_sound().await?;
    desk.arbiter.stop("KILL").await?;
    let heard = ear.listen(Duration::from_secs(3)).await?;
    assert!(!heard.is_empty(), "one that is started again finds it ringing");
    ear.wait_silence(QUIET).await
}

#[tokio::test]
async fn the_sound_theme_is_the_desktops_also_after_it_changed() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _dconf = dconf(&desk).await?;
    let theme = desk.bus().directory().join("home/.local/share/sounds/beeps");
    fs::create_dir_all(theme.join("stereo"))?;
    fs::write(theme.join("index.theme"), "[Sound Theme]\nName=Beeps\nDirectories=stereo\n")?;
    fs::write(theme.join("stereo/phone-incoming-call.wav"), wav(100))?;
    let agent = desk.agent("ring").await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    let heard = ear.listen(Duration::from_secs(2)).await?;
    assert!(heard.iter().any(|sound| sound.seconds > 0.5), "freedesktop's: {heard:?}");
    desk.phone.report_ended(&call.uuid, "unanswered").await?;
    ear.wait_silence(QUIET).await?;

    gsettings(&desk, &["set", "org.gnome.desktop.sound", "theme-name", "beeps"]).await?;
    harness::eventually("the agent knows the theme", async || {
        agent.log().contains("the desktop has another sound theme").then_some(())
    })
    .await?;
    desk.phone.report_incoming("sip:grace@example.org").await?;
    let beeps = ear.listen(Duration::from_secs(5)).await?;
    assert!(beeps.len() >= 2 && beeps.iter().all(|beep| beep.seconds < 0.15), "{beeps:?}");
    Ok(())
}

/// Measures; what it prints is in PERFORMANCE.md. It fails only where a person would notice.
#[tokio::test]
async fn from_the_report_to_the_first_sample() -> Result<()> {
    for server in [Server::PipeWire, Server::PulseAudio] {
        let desk = Desk::new().await?;
        let _speakers = Speakers::start(&desk, server).await?;
        let ear = Ear::new(&desk).await?;
        let _agent = desk.agent("ring").await?;
        let mut times = vec![];
        for _ in 0..9 {
            let (from, begun) = (ear.heard(), Instant::now());
            let call = desk.phone.report_incoming("sip:ada@example.org").await?;
            ear.wait_sound_after(from).await?;
            times.push(begun.elapsed());
            desk.phone.report_ended(&call.uuid, "unanswered").await?;
            ear.wait_silence(Duration::from_millis(700)).await?;
        }
        times.sort();
        println!("{server:?}: median {:?} of {times:?}", times[4]);
        assert!(times[4] < Duration::from_millis(1_000), "{times:?}");
    }
    Ok(())
}

pub async fn configured(desk: &Desk, app: &str, configuration: Options) -> Result<FakeProvider> {
    FakeProvider::on(desk.bus().connect().await?, app, &configuration).await
}

async fn silence(desk: &Desk, call: &Reported) -> Result<()> {
    Ok(desk.phone.peer.call(&call.path, "Call", "Silence", &()).await?)
}

/// A short one in a file.
fn wav(milliseconds: u32) -> Vec<u8> {
    beep(440.0, milliseconds)
}

/// A beep in a file.
pub fn beep(pitch: f32, milliseconds: u32) -> Vec<u8> {
    let rate = 8_000_u32;
    let samples = (0..rate * milliseconds / 1_000).flat_map(|at| {
        let sample = (at as f32 * pitch * std::f32::consts::TAU / rate as f32).sin() * 12_000.0;
        (sample as i16).to_le_bytes()
    });
    let samples: Vec<u8> = samples.collect();
    let length = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(rate.to_le_bytes());
    file.extend((rate * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}
