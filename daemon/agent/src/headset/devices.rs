//! Which devices there are, while somebody wants to know: found in the device directory, and followed as they
//! come, go, and become or cease to be this user's.
//!
//! Owns the directories and the open devices. Nothing is open and nothing is watched between calls: a headset
//! may sleep, and so does the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use callarbiter_hid::{Control, Headset, Lights};
use rustix::fs::{Access, Mode, OFlags, inotify};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
};
use tracing::{debug, info, warn};

use super::{
    buttons::Press,
    device::{self, Language, Said, Sign, Word},
    evdev::{Abilities, usb_device},
};

/// What of a descriptor is read: one byte more than may be.
const DESCRIPTOR: u64 = 4097;

pub struct Devices {
    root: PathBuf,
    watch: AsyncFd<OwnedFd>,
    words: UnboundedSender<Said>,
    /// By node: `hidraw0`, `event3`.
    open: BTreeMap<String, Open>,
    /// How many were opened.
    opened: u64,
    /// Nodes that are no headset's.
    others: BTreeSet<String>,
    lights: Lights,
}

struct Open {
    sign: Sign,
    lights: watch::Sender<Lights>,
    task: JoinHandle<()>,
    /// What it is a part of.
    body: PathBuf,
    /// It speaks HID, not keys; and has this of its own, which the kernel may make keys of as well.
    raw: bool,
    mute: bool,
    hook: bool,
}

impl Devices {
    /// Those below this directory, `/` but for tests; what they say goes to `words`.
    pub fn look(root: &Path, words: UnboundedSender<Said>) -> io::Result<Devices> {
        use inotify::CreateFlags;
        let watch = watched(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        let (open, others) = (BTreeMap::new(), BTreeSet::new());
        let lights = Lights::default();
        let root = root.to_owned();
        let mut devices = Devices { root, watch, words, open, opened: 0, others, lights };
        devices.take_stock();
        Ok(devices)
    }

    /// Sets the lights of all of them; also where a hand put a switch elsewhere since.
    pub fn show(&mut self, lights: Lights) {
        self.lights = lights;
        for device in self.open.values() {
            device.lights.send_replace(lights);
        }
    }

    /// Waits for a change among the devices, and follows it.
    pub async fn follow(&mut self) -> io::Result<()> {
        let mut ready = self.watch.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(ready.get_inner(), &mut buffer);
        let end = loop {
            match reader.next() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        ready.clear_ready();
        if end != rustix::io::Errno::AGAIN {
            return Err(end.into());
        }
        drop(ready);
        self.take_stock();
        Ok(())
    }

    /// Whether this word counts: the kernel may tell of one press twice, once as a key.
    pub fn counts(&self, sign: Sign, word: Word) -> bool {
        let Some(said) = self.open.values().find(|open| open.sign == sign) else { return false };
        let twin = |has: fn(&Open) -> bool| {
            let others = self.open.values().filter(|open| open.sign != sign);
            others.filter(|open| open.body == said.body).any(has)
        };
        match word {
            _ if said.raw => true,
            Word::Press(Press::Mute | Press::SetMuted(_)) => !twin(|open| open.mute),
            Word::Press(Press::PickUp | Press::HangUp) => !twin(|open| open.hook),
            _ => true,
        }
    }

    /// It is gone.
    pub fn forget(&mut self, sign: Sign) {
        self.open.retain(|_, open| open.sign != sign);
    }

    /// The lights go off, and everything is closed.
    pub async fn leave(self) {
        for Open { lights, task, .. } in self.open.into_values() {
            drop(lights);
            let _ = task.await;
        }
    }

    fn take_stock(&mut self) {
        let mut there = BTreeSet::new();
        for (directory, prefix) in [("dev", "hidraw"), ("dev/input", "event")] {
            let directory = self.root.join(directory);
            self.watch(&directory);
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            for name in names.filter(|name| name.starts_with(prefix)) {
                self.meet(&directory.join(&name), &name);
                there.insert(name);
            }
        }
        self.others.retain(|node| there.contains(node));
        self.open.retain(|node, _| there.contains(node));
    }

    /// A directory that is not there yet is in one that is watched.
    fn watch(&self, directory: &Path) {
        use inotify::WatchFlags as On;
        let changes =
            On::CREATE | On::DELETE | On::ATTRIB | On::MOVED_FROM | On::MOVED_TO | On::ONLYDIR;
        if let Err(error) = inotify::add_watch(self.watch.get_ref(), directory, changes)
            && error != rustix::io::Errno::NOENT
        {
            warn!(%error, "devices that come later are not seen");
        }
    }

    fn meet(&mut self, path: &Path, node: &str) {
        if self.others.contains(node) {
            return;
        }
        if rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).is_err() {
            // Another user's now, or not anybody's yet: its permissions change when that does.
            self.open.remove(node);
            return;
        }
        if self.open.contains_key(node) {
            return;
        }
        let Some(known) = self.recognise(node) else {
            self.others.insert(node.to_owned());
            return;
        };
        let (raw, mute, hook) = match &known.language {
            Language::Hid(it) => (true, it.has(Control::Mute), it.has(Control::Hook)),
            Language::Keys(_) => (false, false, false),
        };
        let file = match open(path).map_err(io::Error::from).and_then(watched) {
            Ok(file) => file,
            Err(error) => return debug!(%error, node, "a headset cannot be read"),
        };
        info!(node, "a headset's buttons are heard");
        self.opened += 1;
        let sign = self.opened;
        let (lights, wanted) = watch::channel(self.lights);
        let run = device::run(file, known.language, sign, self.words.clone(), wanted);
        let open =
            Open { sign, lights, task: tokio::spawn(run), body: known.body, raw, mute, hook };
        self.open.insert(node.to_owned(), open);
    }

    fn recognise(&self, node: &str) -> Option<Known> {
        let class = if node.starts_with("hidraw") { "hidraw" } else { "input" };
        let device = self.root.join("sys/class").join(class).join(node).join("device");
        let language = if class == "hidraw" {
            let descriptor = read_descriptor(&device.join("report_descriptor")).ok()?;
            Language::Hid(Headset::of(&descriptor).ok()?)
        } else {
            Language::Keys(Abilities::of(&device)?)
        };
        let device = fs::canonicalize(&device).ok()?;
        let body = usb_device(&device).map(Path::to_owned).unwrap_or(device);
        Some(Known { language, body })
    }
}

struct Known {
    language: Language,
    body: PathBuf,
}

/// A HID report descriptor as sysfs has it.
pub fn read_descriptor(file: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut descriptor = vec![];
    fs::File::open(file)?.take(DESCRIPTOR).read_to_end(&mut descriptor)?;
    Ok(descriptor)
}

/// The event loop says when there is something to read.
fn watched(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "it is unsound for types that may close what they lend; OwnedFd does not"
    )]
    AsyncFd::with_interest(file, Interest::READABLE)
}

/// Never as what controls this process, should it be a terminal.
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags | OFlags::RDWR, Mode::empty())
}
