//! A device that is open: its bytes become presses, and the lights are set as they are wanted.
//!
//! Owns one file, and what its switches were told. One that hangs, hangs alone: the kernel waits for a USB
//! device up to five seconds in a write, so a thread of its own does that.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use callarbiter_hid::{Control, Headset, Lights};
use input_linux::EvdevHandle;
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc::UnboundedSender, watch},
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};
use tracing::{debug, trace};

use super::{
    buttons::Press,
    evdev::{self, Abilities, Key},
    switch::Switch,
};

/// What is read at once: the longest report of a USB device is shorter, and so are some dozen key presses.
const READ: usize = 4096;

/// How to understand it.
pub enum Language {
    Hid(Headset),
    Keys(Abilities),
}

/// What a hand did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Press(Press),
    /// The button for calls is down, or up again: short or long is decided where the clock is.
    Call(bool),
}

/// An open device; none has the same again.
pub type Sign = u64;

/// Who says what; none is the last word.
pub type Said = (Sign, Option<Word>);

/// Until it is gone, or nobody wants its lights any more; they are off then.
pub async fn run(
    file: AsyncFd<OwnedFd>,
    language: Language,
    sign: Sign,
    words: UnboundedSender<Said>,
    mut wanted: watch::Receiver<Lights>,
) {
    let began = Instant::now();
    let mut device = Device::new(language);
    wanted.mark_changed();
    let mut writing: Option<JoinHandle<()>> = None;
    let mut buffer = [0; READ];
    loop {
        tokio::select! {
            ready = file.readable() => {
                let read = ready.and_then(|mut ready| {
                    match ready.try_io(|file| Ok(rustix::io::read(file, &mut buffer)?)) {
                        Ok(read) => read,
                        Err(_) => Err(std::io::ErrorKind::WouldBlock.into()),
                    }
                });
                let said = match read {
                    Ok(0) => break,
                    Ok(length) => device.hear(buffer.get(..length).unwrap_or_default(), began.elapsed()),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(_) => break,
                };
                trace!("a headset speaks");
                for word in said {
                    let _ = words.send((sign, Some(word)));
                }
            }
            () = done(&mut writing), if writing.is_some() => {}
            change = wanted.changed(), if writing.is_none() => {
                if change.is_err() {
                    break;
                }
                let lights = *wanted.borrow_and_update();
                device.keep_to_itself(&file, lights);
                writing = device.show(lights).and_then(|reports| write(&file, reports));
            }
        }
    }
    done(&mut writing).await;
    writing = device.show(Lights::default()).and_then(|reports| write(&file, reports));
    done(&mut writing).await;
    let _ = words.send((sign, None));
}

struct Device {
    language: Language,
    hook: Switch,
    mute: Switch,
    /// The lights as they were set last.
    shown: Option<Lights>,
    /// Nobody else gets its keys.
    alone: bool,
}

impl Device {
    fn new(language: Language) -> Device {
        let (hook, mute) = (Switch::default(), Switch::default());
        Device { language, hook, mute, shown: None, alone: false }
    }

    fn hear(&mut self, bytes: &[u8], now: Duration) -> Vec<Word> {
        match &mut self.language {
            Language::Hid(headset) => {
                let events = headset.hear(bytes);
                let follows = headset.follows();
                events.into_iter().filter_map(|event| self.control(event, follows, now)).collect()
            }
            Language::Keys(abilities) => {
                let events: Vec<evdev::Event> = abilities.events(bytes).collect();
                events.into_iter().filter_map(|event| self.key(event, now)).collect()
            }
        }
    }

    fn control(
        &mut self,
        event: callarbiter_hid::Event,
        follows: bool,
        now: Duration,
    ) -> Option<Word> {
        let press = match event.control {
            Control::Hook if event.key => return Some(Word::Call(event.on)),
            // Without a light that it follows, it only alternates.
            Control::Hook => match self.hook.turned(event.on, now)? {
                true if follows => Press::PickUp,
                _ => Press::Short,
            },
            Control::Mute if !event.key => Press::SetMuted(self.mute.turned(event.on, now)?),
            _ if !event.on => return None,
            Control::Mute => Press::Mute,
            Control::Flash => Press::Flash,
            Control::Drop => Press::HangUp,
            Control::Reject => Press::Reject,
        };
        Some(Word::Press(press))
    }

    /// Play on a headset answers, and must not start the music as well: while a call rings the desktop does not
    /// get its keys. Longer only where no key for the volume is among them.
    fn keep_to_itself(&mut self, file: &AsyncFd<OwnedFd>, lights: Lights) {
        let Language::Keys(abilities) = self.language else { return };
        let alone = abilities.headset && (lights.ring || lights.off_hook && !abilities.volume);
        if alone != self.alone {
            match EvdevHandle::new(file.get_ref().as_raw_fd()).grab(alone) {
                Ok(()) => self.alone = alone,
                Err(error) => debug!(%error, "the desktop hears a headset's keys as well"),
            }
        }
    }

    fn key(&mut self, event: evdev::Event, now: Duration) -> Option<Word> {
        match event {
            evdev::Event::Key(Key::Call, down) => Some(Word::Call(down)),
            evdev::Event::Key(_, false) => None,
            evdev::Event::Key(Key::PickUp, true) => Some(Word::Press(Press::PickUp)),
            evdev::Event::Key(Key::HangUp, true) => Some(Word::Press(Press::HangUp)),
            evdev::Event::Key(Key::Mute, true) => Some(Word::Press(Press::Mute)),
            evdev::Event::Muted(on) => {
                self.mute.turned(on, now).map(|on| Word::Press(Press::SetMuted(on)))
            }
        }
    }

    /// What has to be written for these lights; nothing where they are as they are wanted.
    fn show(&mut self, lights: Lights) -> Option<Vec<Vec<u8>>> {
        let known = self.shown == Some(lights);
        if known && self.hook.is(lights.off_hook) && self.mute.is(lights.mute) {
            return None;
        }
        // Before it is written: the echo may be quicker than the write.
        self.hook.set(lights.off_hook);
        self.mute.set(lights.mute);
        self.shown = Some(lights);
        let reports = match &self.language {
            Language::Hid(headset) => headset.show(lights),
            Language::Keys(abilities) if abilities.mute_light => {
                vec![evdev::mute_light(lights.mute)]
            }
            Language::Keys(_) => vec![],
        };
        (!reports.is_empty()).then_some(reports)
    }
}

fn write(file: &AsyncFd<OwnedFd>, reports: Vec<Vec<u8>>) -> Option<JoinHandle<()>> {
    let mut file = File::from(file.get_ref().try_clone().ok()?);
    Some(spawn_blocking(move || {
        for report in reports {
            if let Err(error) = file.write_all(&report) {
                debug!(%error, "a light cannot be set");
            }
        }
    }))
}

async fn done(writing: &mut Option<JoinHandle<()>>) {
    if let Some(written) = writing.as_mut() {
        let _ = written.await;
        *writing = None;
    }
}
