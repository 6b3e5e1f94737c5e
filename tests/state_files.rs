//! What the daemon finds in its state directory, and what it does when nothing can be written there: it
//! starts, it serves, and it says what became of the calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{
    ALLOW, Arbiter, Bus, Daemon, FakeProvider, Launch, PATIENCE, Peer, Process, ROOT, Reported,
    User, eventually,
};

#[tokio::test]
async fn the_files_are_for_nobody_else() -> Result<()> {
    let mut scene = Scene::start(Bus::system().await?).await?;
    let owner = User::named("callarbiter")?.uid;
    let directory = fs::metadata(&scene.arbiter.daemon.state)?;
    assert_eq!((directory.uid(), directory.mode() & 0o777), (owner, 0o700));
    for entry in fs::read_dir(&scene.arbiter.daemon.state)? {
        let file = entry?.metadata()?;
        assert_eq!((file.uid(), file.mode() & 0o777), (owner, 0o600));
    }
    scene.arbiter.crash_and_restart().await?;
    scene.phone.wait_asked("Reconcile", 1).await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_used_is_set_aside_and_named() -> Result<()> {
    type Spoil = fn(&Path) -> Result<()>;
    let spoilt: [(&str, Spoil, &str, &str); 5] = [
        ("noise", |file| Ok(fs::write(file, [0xa5; 500])?), "is no state file", "damaged-1"),
        ("a later version", later_version, "is of a later version", "newer-1"),
        ("zeros", |file| Ok(fs::write(file, [0; 4096])?), "is no state file", "damaged-1"),
        ("a hole", |file| flip(file, 60), "is damaged after", "damaged-1"),
        ("a directory", directory_instead, "cannot be read", "damaged-1"),
    ];
    for (what, spoil, told, name) in spoilt {
        let mut scene = Scene::start(Bus::session().await?).await?;
        let epoch = scene.epoch().await?;
        scene.arbiter.stop("KILL").await?;
        spoil(&scene.file()?)?;
        scene.arbiter.start().await?;
        let log = scene.arbiter.daemon.process.log();
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
        let [warning] = warnings.as_slice() else { panic!("{what}: {log}") };
        for words in [told, name, "calls are forgotten"] {
            assert!(warning.contains(words) || what == "a hole", "{what}: {warning}");
        }
        assert_ne!(scene.epoch().await?, epoch, "{what}: every client hears that it was lost");
        scene.everything_works().await?;
        scene.arbiter.crash_and_restart().await?;
        assert!(!scene.arbiter.daemon.process.log().contains(" WARN "), "{what}: said once");
        scene.arbiter.assert_no_personal_data(&["rabbit", "hatter"]);
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_before_the_damage_is_used() -> Result<()> {
    let mut scene = Scene::start(Bus::session().await?).await?;
    let epoch = scene.epoch().await?;
    let before = written(&scene.file()?)?;
    scene.user.answer(&scene.call.path).await?;
    scene.arbiter.stop("KILL").await?;
    flip(&scene.file()?, before + 40)?;
    scene.arbiter.start().await?;
    let log = scene.arbiter.daemon.process.log();
    assert!(log.contains("calls are as they were before the damage"), "{log}");
    assert_ne!(scene.epoch().await?, epoch);
    // The app says what is true now.
    let reconcile = scene.phone.wait_asked("Reconcile", 1).await?;
    assert!(!reconcile.request.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_empty_and_a_truncated_file_are_what_a_kill_leaves() -> Result<()> {
    for length in [0, 10, 27] {
        let mut scene = Scene::start(Bus::session().await?).await?;
        scene.arbiter.stop("KILL").await?;
        fs::File::options().write(true).open(scene.file()?)?.set_len(length)?;
        scene.arbiter.start().await?;
        let log = scene.arbiter.daemon.process.log();
        assert!(log.contains("holds nothing yet") && !log.contains(" WARN "), "{log}");
        scene.everything_works().await?;
    }
    let mut scene = Scene::start(Bus::session().await?).await?;
    let epoch = scene.epoch().await?;
    scene.arbiter.stop("KILL").await?;
    let file = fs::File::options().write(true).open(scene.file()?)?;
    file.set_len(written(&scene.file()?)? - 16)?;
    scene.arbiter.start().await?;
    let log = scene.arbiter.daemon.process.log();
    assert!(log.contains("were not written completely"), "{log}");
    assert_eq!(scene.epoch().await?, epoch);
    Ok(())
}

/// What a kill leaves behind the frames is reserved; who ends it in peace leaves nothing of that.
#[tokio::test]
async fn what_is_reserved_is_given_back() -> Result<()> {
    let mut scene = Scene::start(Bus::session().await?).await?;
    let epoch = scene.epoch().await?;
    for (signal, reserved) in [("KILL", true), ("TERM", false), ("KILL", true)] {
        scene.user.end(&scene.call.path).await?;
        scene.call = scene.phone.report_incoming("sip:rabbit@example.org").await?;
        scene.arbiter.stop(signal).await?;
        let file = scene.file()?;
        assert_eq!(fs::metadata(&file)?.len() > written(&file)?, reserved, "{signal}");
        scene.arbiter.start().await?;
        let log = scene.arbiter.daemon.process.log();
        assert!(!log.contains(" WARN ") && !log.contains("not written completely"), "{log}");
        assert_eq!(scene.epoch().await?, epoch);
        assert_eq!(scene.user.state(&scene.call.path).await?, "ringing");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_set_aside() -> Result<()> {
    let mut scene = Scene::start(Bus::system().await?).await?;
    scene.arbiter.stop("KILL").await?;
    let file = scene.file()?;
    fs::set_permissions(&file, Permissions::from_mode(0o000))?;
    std::os::unix::fs::chown(&file, Some(0), None)?;
    scene.arbiter.start().await?;
    let log = scene.arbiter.daemon.process.log();
    assert!(log.contains("cannot be read (Permission denied"), "{log}");
    scene.everything_works().await
}

#[tokio::test]
async fn a_directory_of_others_is_refused_with_the_reason() -> Result<()> {
    let bus = Bus::session().await?;
    let open = bus.directory().join("open");
    fs::create_dir(&open)?;
    fs::set_permissions(&open, Permissions::from_mode(0o777))?;
    let nowhere = bus.directory().join("not/there");
    for (directory, told) in [(&open, "others may write there"), (&nowhere, "not/there")] {
        let mut daemon = Daemon::launch_with(&bus, ALLOW, directory, &[])?.process;
        let status = daemon.end().await?;
        assert_eq!(status.code(), Some(1), "{}", daemon.log());
        assert!(daemon.log().contains(told), "{}", daemon.log());
    }
    Ok(())
}

#[tokio::test]
async fn unless_told_it_keeps_its_state_where_it_belongs() -> Result<()> {
    let bus = Bus::session().await?;
    let runtime = bus.directory().join("runtime");
    fs::create_dir(&runtime)?;
    let start = |bus: &Bus, variables: &[(&str, &Path)]| {
        let mut launch = Launch::new(Daemon::program()?)
            .arg("--bus")
            .arg("session")
            .arg("--config")
            .arg("/dev/null")
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address());
        for (name, value) in variables {
            launch = launch.env(name, *value);
        }
        launch.start(bus.directory())
    };
    let user = ("XDG_RUNTIME_DIR", runtime.as_path());
    let serving = async |process: &Process| {
        eventually("it serves", async || process.log().contains("serving").then_some(())).await
    };
    let mut first = start(&bus, &[user])?;
    serving(&first).await?;
    let made = runtime.join("callarbiter");
    assert_eq!(fs::metadata(&made)?.mode() & 0o777, 0o700);
    assert_eq!(state_files(&made)?.len(), 1);

    // One for another bus of the same session serves that bus, and says what it has not.
    let other = Bus::session().await?;
    let second = start(&other, &[user])?;
    serving(&second).await?;
    let log = second.log();
    assert!(log.contains("cannot be kept") && log.contains("another callarbiterd"), "{log}");

    // A service's own directory comes first.
    first.signal("TERM")?;
    first.end().await?;
    let service = bus.directory().join("service");
    let third = start(&bus, &[user, ("RUNTIME_DIRECTORY", &service)])?;
    serving(&third).await?;
    assert_eq!(state_files(&service)?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_full_file_system_costs_the_state_and_nothing_else() -> Result<()> {
    User::require_root()?;
    let bus = Bus::session().await?;
    let disk = SmallDisk::mount(bus.directory().join("small"), "64k")?;
    let manager = Manager::listen(&bus)?;
    let variables = [("NOTIFY_SOCKET", manager.socket.to_str().unwrap())];
    let daemon = Daemon::launch_with(&bus, ALLOW, &disk.0, &variables)?.ready(&bus).await?;
    manager.told("STATUS=ok")?;
    let phone = FakeProvider::register(&bus, "org.example.Phone").await?;
    let user = bus.connect().await?;
    let ballast = disk.fill()?;

    // More lives than there is room for; what is over makes room by itself.
    let log = || daemon.process.log();
    let mut apps = Vec::new();
    while !log().contains("cannot be kept") {
        ensure!(apps.len() < 20, "there is room for all that:\n{}", log());
        let name = format!("org.example.App{}", apps.len());
        let app = FakeProvider::register(&bus, &name).await?;
        for n in 0..8 {
            app.report_incoming(&format!("sip:{n}{}@example.org", "rabbit".repeat(35))).await?;
        }
        apps.push(app);
    }
    let last = phone.report_incoming("sip:rabbit@example.org").await?;
    user.answer(&last.path).await?;
    let left = state_files(&disk.0)?;
    assert!(left.is_empty(), "better none than one of another time: {left:?}");
    assert_eq!(log().matches("cannot be kept").count(), 1, "{}", log());

    manager.told("STATUS=calls would not survive a restart: No space left on device")?;
    fs::remove_file(ballast)?;
    manager.told("STATUS=ok")?;
    eventually("kept again", async || log().contains("is kept again").then_some(())).await?;
    let Daemon { mut process, state, .. } = daemon;
    process.signal("KILL")?;
    process.end().await?;
    let daemon = Daemon::launch_with(&bus, ALLOW, &state, &[])?.ready(&bus).await?;
    phone.wait_asked("Reconcile", 1).await?;
    assert_eq!(user.state(&last.path).await?, "active");
    drop(daemon);
    Ok(())
}

#[tokio::test]
async fn its_own_growth_never_fills_a_small_file_system() -> Result<()> {
    User::require_root()?;
    let bus = Bus::session().await?;
    let disk = SmallDisk::mount(bus.directory().join("small"), "256k")?;
    let daemon = Daemon::launch_with(&bus, ALLOW, &disk.0, &[])?.ready(&bus).await?;
    let phone = FakeProvider::register(&bus, "org.example.Phone").await?;
    let user = bus.connect().await?;
    let mut generations = std::collections::BTreeSet::new();
    while generations.len() < 4 {
        let call = phone.report_incoming("sip:rabbit@example.org").await?;
        user.answer(&call.path).await?;
        user.end(&call.path).await?;
        generations.extend(state_files(&disk.0)?);
    }
    assert!(!daemon.process.log().contains(" WARN "), "{}", daemon.process.log());
    Ok(())
}

/// A ringing call that is in the state file.
struct Scene {
    phone: FakeProvider,
    user: Peer,
    call: Reported,
    arbiter: Arbiter,
}

impl Scene {
    async fn start(bus: Bus) -> Result<Scene> {
        let arbiter = Arbiter::on(bus, ALLOW).await?;
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let user = arbiter.bus.connect().await?;
        let call = phone.report_incoming("sip:rabbit@example.org").await?;
        Ok(Scene { phone, user, call, arbiter })
    }

    fn file(&self) -> Result<PathBuf> {
        let files = state_files(&self.arbiter.daemon.state)?;
        files.into_iter().next_back().context("there is no state file")
    }

    async fn epoch(&self) -> Result<String> {
        Ok(String::try_from(self.user.property(ROOT, "Manager", "Epoch").await?)?)
    }

    /// An app that registers again finds an arbiter that works, and whose calls survive.
    async fn everything_works(&mut self) -> Result<()> {
        let app = FakeProvider::register(&self.arbiter.bus, "org.example.Other").await?;
        let call = app.report_incoming("sip:hatter@example.org").await?;
        app.peer.answer(&call.path).await?;
        self.arbiter.crash_and_restart().await?;
        app.wait_asked("Reconcile", 1).await?;
        assert_eq!(app.peer.state(&call.path).await?, "active");
        app.peer.end(&call.path).await?;
        Ok(())
    }
}

fn state_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().into_string().unwrap();
        let number = name.strip_prefix("state.").and_then(|n| n.parse::<u64>().ok());
        files.extend(number.map(|number| (number, directory.join(name))));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// Without what is reserved behind the last frame.
fn written(file: &Path) -> Result<u64> {
    let bytes = fs::read(file)?;
    let last = bytes.iter().rposition(|byte| *byte != 0).context("nothing is in it")?;
    Ok((last as u64 + 1).next_multiple_of(16))
}

fn flip(file: &Path, at: u64) -> Result<()> {
    let mut bytes = fs::read(file)?;
    bytes[usize::try_from(at)?] ^= 0x10;
    Ok(fs::write(file, bytes)?)
}

/// What a file of the next version would begin with.
fn later_version(file: &Path) -> Result<()> {
    let mut bytes = fs::read(file)?;
    bytes[8] += 1;
    let sum = crc32(&bytes[..24]).to_le_bytes();
    bytes[24..28].copy_from_slice(&sum);
    Ok(fs::write(file, bytes)?)
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

fn directory_instead(file: &Path) -> Result<()> {
    fs::remove_file(file)?;
    Ok(fs::create_dir(file)?)
}

/// A service manager, as far as it listens.
struct Manager {
    socket: PathBuf,
    words: UnixDatagram,
}

impl Manager {
    fn listen(bus: &Bus) -> Result<Manager> {
        let socket = bus.directory().join("notify");
        let words = UnixDatagram::bind(&socket)?;
        words.set_read_timeout(Some(PATIENCE))?;
        Ok(Manager { socket, words })
    }

    /// Waits for a line that begins like this.
    fn told(&self, line: &str) -> Result<()> {
        let mut datagram = [0; 4096];
        loop {
            let length = self.words.recv(&mut datagram).with_context(|| line.to_owned())?;
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            if text.lines().any(|told| told.starts_with(line)) {
                return Ok(());
            }
        }
    }
}

/// A file system with little room; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Result<SmallDisk> {
        fs::create_dir(&at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(&at)
            .status()?;
        ensure!(mounted.success(), "a tmpfs cannot be mounted on {}", at.display());
        Ok(SmallDisk(at))
    }

    /// Leaves no room at all.
    fn fill(&self) -> Result<PathBuf> {
        let file = self.0.join("ballast");
        fs::write(&file, "")?;
        let mut ballast = fs::File::options().append(true).open(&file)?;
        while std::io::Write::write_all(&mut ballast, &[0; 1024]).is_ok() {}
        Ok(file)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
