//! A machine with headsets: a device directory and a sysfs of its own, and pseudo-terminals in place of the
//! nodes of a kernel that this machine may not have. Bytes go both ways as through a real node.

use std::{
    fs,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::Result;
use harness::{Process, eventually};
use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinHandle,
};

/// Below it are `dev` and `sys`.
pub struct Machine(PathBuf);

/// Something that is plugged in.
pub struct Gadget {
    /// Its nodes in `dev` and in `sys/class`.
    nodes: [PathBuf; 2],
    plug: Arc<AsyncFd<OwnedFd>>,
    /// The side of whoever reads it, so that it outlives them.
    _socket: OwnedFd,
    told: Arc<Mutex<Vec<Vec<u8>>>>,
    listener: JoinHandle<()>,
}

/// What the kernel says of keys.
#[derive(Default)]
pub struct Keys<'a> {
    pub name: &'a str,
    pub keys: &'a [u16],
    pub switches: &'a [u16],
    pub lights: &'a [u16],
}

impl Machine {
    /// One without any device, and the user's wish to look there.
    pub fn new(desk: &crate::desk::Desk) -> Result<Machine> {
        let machine = Machine(desk.bus().directory().join("machine"));
        fs::create_dir_all(machine.0.join("dev"))?;
        let wishes = desk.bus().directory().join("home/.config/callarbiter");
        fs::create_dir_all(&wishes)?;
        let root = format!("[headset]\nroot = {:?}\n", machine.0);
        fs::write(wishes.join("agent.toml"), root)?;
        Ok(machine)
    }

    /// A USB device with sound, and a raw node with this report descriptor; `length` is how long its output
    /// reports are.
    pub fn plug(&self, node: &str, descriptor: &[u8], length: usize) -> Result<Gadget> {
        let hid = self.usb(true)?.join("1-1:1.3/0003:047F:C056.0001");
        fs::create_dir_all(&hid)?;
        fs::write(hid.join("report_descriptor"), descriptor)?;
        self.appear("hidraw", "dev", node, &hid, length)
    }

    /// A device with keys; `sound`: of a USB device that has that as well.
    pub fn plug_keys(&self, node: &str, sound: bool, has: Keys<'_>) -> Result<Gadget> {
        let input = self.usb(sound)?.join("1-1:1.3/0003:047F:C056.0001/input").join(node);
        let abilities = input.join("capabilities");
        fs::create_dir_all(&abilities)?;
        fs::write(input.join("name"), format!("{}\n", has.name))?;
        fs::write(abilities.join("key"), words(has.keys))?;
        fs::write(abilities.join("sw"), words(has.switches))?;
        fs::write(abilities.join("led"), words(has.lights))?;
        self.appear("input", "dev/input", node, &input, RECORD)
    }

    fn usb(&self, sound: bool) -> Result<PathBuf> {
        let usb = self.0.join("sys/devices").join(if sound { "usb1/1-1" } else { "usb1/1-2" });
        fs::create_dir_all(usb.join("1-1:1.0"))?;
        fs::write(usb.join("idVendor"), "047f\n")?;
        fs::write(usb.join("1-1:1.0/bInterfaceClass"), if sound { "01\n" } else { "03\n" })?;
        Ok(usb)
    }

    fn appear(
        &self,
        class: &str,
        directory: &str,
        node: &str,
        device: &Path,
        length: usize,
    ) -> Result<Gadget> {
        let class = self.0.join("sys/class").join(class).join(node);
        fs::create_dir_all(&class)?;
        symlink(device, class.join("device"))?;
        let plug =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&plug)?;
        rustix::pty::unlockpt(&plug)?;
        rustix::fs::fcntl_setfl(&plug, OFlags::NONBLOCK)?;
        let terminal = rustix::pty::ptsname(&plug, vec![])?.into_string()?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let socket = rustix::fs::open(&*terminal, flags, Mode::empty())?;
        let mut raw = tcgetattr(&socket)?;
        raw.make_raw();
        tcsetattr(&socket, OptionalActions::Now, &raw)?;
        let plug = Arc::new(watched(plug)?);
        let told = Arc::default();
        let listener = tokio::spawn(listen(Arc::clone(&plug), length, Arc::clone(&told)));
        let directory = self.0.join(directory);
        fs::create_dir_all(&directory)?;
        let path = directory.join(node);
        symlink(&terminal, &path)?;
        Ok(Gadget { nodes: [path, class], plug, _socket: socket, told, listener })
    }
}

impl Gadget {
    /// A hand: what the device says, read by the other side before this is over.
    pub async fn says(&self, agent: &Process, bytes: &[u8]) -> Result<()> {
        let heard = || agent.log().matches("a headset speaks").count();
        let before = heard();
        rustix::io::write(self.plug.get_ref(), bytes)?;
        eventually("the agent hears the headset", async || (heard() > before).then_some(())).await
    }

    /// A key of a device with keys.
    pub async fn key(&self, agent: &Process, code: u16, down: bool) -> Result<()> {
        self.says(agent, &record(1, code, down.into())).await
    }

    /// A switch of such a device.
    pub async fn switch(&self, agent: &Process, code: u16, on: bool) -> Result<()> {
        self.says(agent, &record(5, code, on.into())).await
    }

    /// Waits until it was told this last.
    pub async fn shows(&self, report: &[u8]) -> Result<()> {
        let what = format!("{report:?} is the last of what is told to the headset");
        let last = async || {
            let told = self.told.lock().unwrap();
            told.last().is_some_and(|last| last == report).then_some(())
        };
        eventually(&what, last).await
    }

    /// Waits until it was told this.
    pub async fn is_told(&self, report: &[u8]) -> Result<()> {
        let told = async || self.told().iter().any(|told| told == report).then_some(());
        eventually(&format!("{report:?} is told to the headset"), told).await
    }

    /// Everything that it was told.
    pub fn told(&self) -> Vec<Vec<u8>> {
        self.told.lock().unwrap().clone()
    }

    /// How often this process has it open.
    pub fn readers(&self, pid: u32) -> usize {
        let terminal = fs::read_link(&self.nodes[0]).unwrap_or_default();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == terminal)).count()
    }
}

impl Drop for Gadget {
    fn drop(&mut self) {
        self.listener.abort();
        let _ = fs::remove_file(&self.nodes[0]);
        let _ = fs::remove_dir_all(&self.nodes[1]);
    }
}

async fn listen(plug: Arc<AsyncFd<OwnedFd>>, length: usize, told: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut heard = vec![];
    loop {
        let mut buffer = [0; 256];
        let Ok(mut ready) = plug.readable().await else { return };
        match ready.try_io(|plug| Ok(rustix::io::read(plug, &mut buffer)?)) {
            Ok(Ok(length)) => heard.extend_from_slice(&buffer[..length]),
            Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(Err(_)) => return,
            Err(_) => continue,
        }
        while heard.len() >= length {
            let report: Vec<u8> = heard.drain(..length).collect();
            told.lock().unwrap().push(report);
        }
    }
}

/// A record of the kernel's, as it gives them to programs of this machine's kind.
pub fn record(kind: u16, code: u16, value: i32) -> Vec<u8> {
    let mut record = vec![0; RECORD - 8];
    record.extend(kind.to_ne_bytes());
    record.extend(code.to_ne_bytes());
    record.extend(value.to_ne_bytes());
    record
}

const RECORD: usize = 2 * size_of::<usize>() + 8;

/// A set of numbers as sysfs writes it.
fn words(set: &[u16]) -> String {
    let mut words = [0u64; 12];
    for bit in set {
        words[usize::from(bit / 64)] |= 1 << (bit % 64);
    }
    let highest = words.iter().rposition(|word| *word != 0).unwrap_or(0);
    let words: Vec<String> =
        words[..=highest].iter().rev().map(|word| format!("{word:x}")).collect();
    words.join(" ") + "\n"
}

fn watched(plug: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "it is unsound for types that may close what they lend; OwnedFd does not"
    )]
    AsyncFd::with_interest(plug, Interest::READABLE)
}
