//! Key presses as the kernel hands them out (`/dev/input/event*`), and which of its devices are headsets.
//!
//! Owns the form of events and of sysfs' words for a device. Media keys go to the desktop as well; of them
//! only those count that a headset has.

use std::{fs, mem::size_of, path::Path};

/// A button that is told here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The one button for calls; a headset's Play counts as that.
    Call,
    PickUp,
    HangUp,
    Mute,
}

/// Something that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Key(Key, bool),
    /// The switch of the microphone.
    Muted(bool),
}

/// What a device is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It is worn or stands for a telephone: its media keys are a call's.
    pub headset: bool,
    /// It has keys that nothing but a call has.
    pub telephone: bool,
    /// Its light for the microphone can be set.
    pub mute_light: bool,
    /// It has keys for the volume, which others need.
    pub volume: bool,
}

impl Abilities {
    /// Of the device in this directory of sysfs; none where there is nothing for calls.
    pub fn of(device: &Path) -> Option<Abilities> {
        let read = |name: &str| fs::read_to_string(device.join(name)).unwrap_or_default();
        let keys = Bits(read("capabilities/key"));
        let switches = Bits(read("capabilities/sw"));
        let typed = keys.has(KEY_Q);
        let headset = !typed && is_headset(device, read("name").trim_end());
        let telephone =
            [KEY_PHONE, KEY_PICKUP_PHONE, KEY_HANGUP_PHONE].iter().any(|k| keys.has(*k));
        let media = [KEY_PLAYPAUSE, KEY_MEDIA, KEY_MICMUTE].iter().any(|key| keys.has(*key));
        let useful = telephone || headset && (media || switches.has(SW_MUTE_DEVICE));
        useful.then(|| Abilities {
            headset,
            telephone,
            mute_light: headset && Bits(read("capabilities/led")).has(LED_MUTE),
            volume: keys.has(KEY_VOLUMEUP),
        })
    }

    /// What a record of the kernel says to calls.
    fn event(self, kind: u16, code: u16, value: i32) -> Option<Event> {
        let on = match value {
            0 => false,
            1 => true,
            // Repeated.
            _ => return None,
        };
        match (kind, code) {
            (EV_KEY, KEY_PHONE) => Some(Event::Key(Key::Call, on)),
            (EV_KEY, KEY_PICKUP_PHONE) => Some(Event::Key(Key::PickUp, on)),
            (EV_KEY, KEY_HANGUP_PHONE) => Some(Event::Key(Key::HangUp, on)),
            _ if !self.headset => None,
            (EV_KEY, KEY_PLAYPAUSE | KEY_MEDIA) => Some(Event::Key(Key::Call, on)),
            (EV_KEY, KEY_MICMUTE) => Some(Event::Key(Key::Mute, on)),
            (EV_SW, SW_MUTE_DEVICE) => Some(Event::Muted(on)),
            _ => None,
        }
    }

    /// What these bytes say, whole records as the kernel gives them.
    pub fn events(self, bytes: &[u8]) -> impl Iterator<Item = Event> {
        bytes.chunks_exact(RECORD).filter_map(move |record| {
            let (_, said) = record.split_at_checked(TIME)?;
            let [k0, k1, c0, c1, v0, v1, v2, v3] = *said else { return None };
            let (kind, code) = (u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([c0, c1]));
            self.event(kind, code, i32::from_ne_bytes([v0, v1, v2, v3]))
        })
    }
}

/// What sets the light for the microphone.
pub fn mute_light(on: bool) -> Vec<u8> {
    let record = |kind: u16, code: u16, value: i32| {
        let mut record = vec![0; TIME];
        record.extend(kind.to_ne_bytes());
        record.extend(code.to_ne_bytes());
        record.extend(value.to_ne_bytes());
        record
    };
    [record(EV_LED, LED_MUTE, on.into()), record(EV_SYN, 0, 0)].concat()
}

/// A USB device that has sound as well, the socket of a sound card, or a Bluetooth headset's remote control.
fn is_headset(device: &Path, name: &str) -> bool {
    let path = fs::canonicalize(device).unwrap_or_default();
    name.ends_with("(AVRCP)")
        || path.components().any(|part| part.as_os_str() == "sound")
        || usb_device(&path).is_some_and(has_sound)
}

/// The USB device that this one is a part of.
pub fn usb_device(path: &Path) -> Option<&Path> {
    path.ancestors().find(|directory| directory.join("idVendor").exists())
}

fn has_sound(usb: &Path) -> bool {
    let interfaces = fs::read_dir(usb).into_iter().flatten().flatten();
    interfaces
        .map(|entry| entry.path().join("bInterfaceClass"))
        .any(|class| fs::read_to_string(class).is_ok_and(|class| class.trim_end() == AUDIO_CLASS))
}

/// A set of numbers as sysfs writes it: words in hexadecimal, the highest first.
struct Bits(String);

impl Bits {
    fn has(&self, bit: u16) -> bool {
        let (word, bit) = (usize::from(bit) / WORD, usize::from(bit) % WORD);
        let word = self.0.split_whitespace().rev().nth(word);
        word.and_then(|word| u64::from_str_radix(word, 16).ok()).is_some_and(|w| w >> bit & 1 == 1)
    }
}

/// A word of the kernel's, and the time at the beginning of a record: two of them.
const WORD: usize = usize::BITS as usize;
const TIME: usize = 2 * size_of::<usize>();
const RECORD: usize = TIME + 8;

const AUDIO_CLASS: &str = "01";

const EV_SYN: u16 = 0x00;
const EV_KEY: u16 = 0x01;
const EV_SW: u16 = 0x05;
const EV_LED: u16 = 0x11;
const KEY_Q: u16 = 16;
const KEY_VOLUMEUP: u16 = 115;
const KEY_PLAYPAUSE: u16 = 164;
const KEY_PHONE: u16 = 169;
const KEY_MEDIA: u16 = 226;
const KEY_MICMUTE: u16 = 248;
const KEY_PICKUP_PHONE: u16 = 0x1BD;
const KEY_HANGUP_PHONE: u16 = 0x1BE;
const SW_MUTE_DEVICE: u16 = 0x0E;
const LED_MUTE: u16 = 0x07;
