//! Apps that bring a ringtone of their own: it is heard, and nothing that they bring keeps a call from ringing.

use std::fs::{self, File};
use std::io::{Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use callarbiter::{CallUpdate, Connection, Delegate, Performed, Provider, Request, Uuid};
use harness::{FakeProvider, Options, ROOT, eventually, options};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use zbus::{Fd, ObjectPath, OwnedVariant, Variant};

use crate::desk::Desk;
use crate::ringing::{QUIET, beep, configured};
use crate::speakers::{Ear, Server, Speakers};

/// Nothing that the desktop has sounds like it.
const PITCH: f32 = 2_000.0;

const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

#[tokio::test]
async fn an_app_rings_with_what_it_brought() -> Result<()> {
    for server in [Server::PipeWire, Server::PulseAudio] {
        let desk = Desk::new().await?;
        let _speakers = Speakers::start(&desk, server).await?;
        let ear = Ear::new(&desk).await?;
        let _agent = desk.agent("ring").await?;
        let other = configured(&desk, "org.example.Other", own(&beep(PITCH, 700))?).await?;
        let call = other.report_incoming("sip:ada@example.org").await?;
        ear.wait_pitch(PITCH).await?;
        let heard = ear.listen(Duration::from_secs(6)).await?;
        assert!(heard.len() >= 3, "over and over: {heard:?}");
        other.report_ended(&call.uuid, "unanswered").await?;
        ear.wait_silence(QUIET).await?;

        update(&other, own(&beep(PITCH * 1.5, 700))?).await?;
        let call = other.report_incoming("sip:ada@example.org").await?;
        ear.wait_pitch(PITCH * 1.5).await?;
        other.report_ended(&call.uuid, "unanswered").await?;
        ear.wait_silence(QUIET).await?;

        // The desktop's again; what is said of something else says nothing of it.
        update(&other, options([("ringtone", "".into())])).await?;
        update(&other, options([("icon", "call-start".into())])).await?;
        let from = ear.heard();
        other.report_incoming("sip:ada@example.org").await?;
        ear.wait_sound_after(from).await?;
        assert!(!ear.has_pitch(from, PITCH * 1.5), "{server:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_sound_rings_as_if_there_were_none_and_as_soon() -> Result<()> {
    let desk = Desk::new().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    let whole = beep(PITCH, 700);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let vorbis = fs::read("/usr/share/sounds/freedesktop/stereo/phone-incoming-call.oga");
    let mut vorbis = vorbis.context("package sound-theme-freedesktop")?;
    vorbis.truncate(200);
    vorbis.resize(400_000, 0x55);
    let broken: [(&str, Vec<u8>); 7] = [
        ("noise", (0..500_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("nothing", vec![0; 4 << 20]),
        ("a header alone", whole[..44].to_vec()),
        ("a rate that no server takes", changed(24, &4_000_000_000_u32.to_le_bytes())),
        ("no channels", changed(22, &[0, 0])),
        ("another format", changed(20, &[0x31, 0])),
        ("Ogg with nothing in it", vorbis),
    ];
    for (number, (what, bytes)) in broken.into_iter().enumerate() {
        let app = format!("org.example.Broken{number}");
        let other = configured(&desk, &app, own(&bytes)?).await?;
        let (from, begun) = (ear.heard(), Instant::now());
        let call = other.report_incoming("sip:ada@example.org").await?;
        ear.wait_sound_after(from).await.with_context(|| what.to_owned())?;
        println!("{what}: rings after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}");
        other.report_ended(&call.uuid, "unanswered").await?;
        ear.wait_silence(QUIET).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_could_hold_somebody_up_is_refused_and_not_kept() -> Result<()> {
    let desk = Desk::new().await?;
    let open = || fs::read_dir(format!("/proc/{}/fd", desk.arbiter.daemon.process.pid()));
    let before = open()?.count();
    let (silent, _writer) = pipe()?;
    let hostile: [(&str, OwnedFd, &str); 7] = [
        ("a pipe that never gives anything", silent.into(), "sealed"),
        ("a memfd that may change", memfd(100, SealFlags::empty())?, "sealed"),
        ("one that may shrink", memfd(100, SEALS.difference(SealFlags::SHRINK))?, "sealed"),
        ("a gigabyte", memfd(1 << 30, SEALS)?, "1073741824 bytes"),
        ("nothing", memfd(0, SEALS)?, "empty"),
        ("a directory", File::open("/")?.into(), "sealed"),
        ("a device", File::open("/dev/zero")?.into(), "sealed"),
    ];
    for (what, file, words) in hostile {
        let configuration = options([("ringtone", Variant::from(Fd::from(file)))]);
        let refused = configured(&desk, "org.example.Hostile", configuration).await;
        let refused = format!("{:#}", refused.err().context(what)?);
        assert!(
            refused.contains("InvalidArgument") && refused.contains(words),
            "{what}: {refused}"
        );
    }
    // Nothing else takes a file.
    let update = options([("ringtone", own(&beep(PITCH, 100))?.remove("ringtone").unwrap())]);
    let uuid = Uuid::new_v4().to_string();
    let refused = desk.phone.report_incoming_call(&uuid, &update).await.unwrap_err();
    assert!(refused.to_string().contains("only a configuration takes"), "{refused}");
    eventually("the arbiter keeps no file of them", async || {
        (open().ok()?.count() <= before).then_some(())
    })
    .await
}

#[tokio::test]
async fn it_is_given_to_who_rings_and_lives_as_long_as_its_app() -> Result<()> {
    let mut desk = Desk::new().await?;
    let other = configured(&desk, "org.example.Other", own(&beep(PITCH, 700))?).await?;
    let shell = desk.bus().connect().await?;
    let open = async |path: &str| {
        let asked = (ObjectPath::try_from(path.to_owned()).unwrap(), Options::new());
        shell.call::<_, zbus::OwnedFd>(ROOT, "Manager", "OpenRingtone", &asked).await
    };
    let refused = open(&other.path).await.unwrap_err();
    assert_eq!(refused.short(), "AccessDenied");
    let role = (ObjectPath::try_from("/")?, ["ui"].as_slice(), Options::new());
    let _: std::collections::HashMap<String, OwnedVariant> =
        shell.call(ROOT, "Manager", "RegisterAgent", &role).await?;
    let file = File::from(OwnedFd::from(open(&other.path).await?));
    let mut head = [0; 4];
    file.read_exact_at(&mut head, 0)?;
    assert_eq!(&head, b"RIFF");
    assert!(file.set_len(0).is_err() && file.write_all_at(b"x", 0).is_err(), "it is sealed");
    assert_eq!(open(&desk.phone.path).await.unwrap_err().short(), "InvalidState");
    assert_eq!(open(&format!("{}9", other.path)).await.unwrap_err().short(), "UnknownProvider");

    // Files outlive no restart: a call rings with what the desktop has until its app brings it again.
    let client = Connection::open(&desk.bus().address()).await?;
    let tone = memfd_with(&beep(PITCH * 1.5, 700))?;
    let builder = Provider::builder("org.example.Client").ringtone_file(tone);
    let client = builder.register(&client, Silent).await?;
    desk.arbiter.crash_and_restart().await?;
    let _speakers = Speakers::start(&desk, Server::PipeWire).await?;
    let ear = Ear::new(&desk).await?;
    let _agent = desk.agent("ring").await?;
    let from = ear.heard();
    let call = other.report_incoming("sip:ada@example.org").await?;
    ear.wait_sound_after(from).await?;
    assert!(!ear.has_pitch(from, PITCH));
    other.report_ended(&call.uuid, "unanswered").await?;
    ear.wait_silence(QUIET).await?;
    // The crate's Provider did, by itself.
    let (call, update) = (Uuid::new_v4(), CallUpdate::default());
    client.report_incoming(call, update).await?;
    ear.wait_pitch(PITCH * 1.5).await
}

struct Silent;

impl Delegate for Silent {
    async fn perform_answer(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }

    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }
}

fn own(bytes: &[u8]) -> Result<Options> {
    Ok(options([("ringtone", Variant::from(Fd::from(memfd_with(bytes)?)))]))
}

async fn update(provider: &FakeProvider, configuration: Options) -> Result<()> {
    let path = &provider.path;
    Ok(provider.peer.call(path, "Provider", "UpdateConfiguration", &(configuration,)).await?)
}

fn memfd_with(bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = File::from(memfd(0, SealFlags::empty())?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

fn memfd(size: u64, seals: SealFlags) -> Result<OwnedFd> {
    let file = memfd_create("ringtone", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?;
    let file = File::from(file);
    file.set_len(size)?;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
