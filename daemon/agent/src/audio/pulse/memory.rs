//! What PulseAudio keeps for an app's next stream: the messages of its module-stream-restore.
//!
//! Owns their bytes. Entries are copied as they are but for what is set back: of some, the server keeps no
//! volume at all, and a reader that insists on one cannot read them.

use pulseaudio::protocol::{Command, ExtensionParams};

use super::Quiet;
use crate::audio::wanted::Way;

/// The module.
const NAME: &std::ffi::CStr = c"module-stream-restore";

/// Its name for a stream's app, said in the stream's properties.
pub const KEY: &std::ffi::CStr = c"module-stream-restore.id";

/// Asks for all entries.
pub const READ: &[u8] = b"L\0\0\0\x01";

/// Entries with the same name are replaced, and streams that are there are left alone: one may be quiet.
const WRITE: &[u8] = b"L\0\0\0\x02L\0\0\0\x020";

/// What a message to the module begins with.
pub fn extension() -> Command {
    Command::Extension(ExtensionParams { index: None, name: Some(NAME.into()) })
}

/// The message that sets a stream's entry back, if there is one in this answer.
pub fn corrected(entries: &[u8], way: Way, quiet: &Quiet) -> Option<Vec<u8>> {
    let entry = Entry::find(entries, &quiet.remembered_as)?;
    Some(match way {
        Way::Playback => Entry { volume: &volume_of(quiet)?, ..entry }.write(),
        Way::Capture => Entry { muted: b"0", ..entry }.write(),
    })
}

/// The same for the device that it names.
pub fn with_device(entries: &[u8], name: &str, device: Option<&str>) -> Option<Vec<u8>> {
    let entry = Entry::find(entries, name)?;
    let device = device.map_or(b"N".to_vec(), |device| [b"t", device.as_bytes(), b"\0"].concat());
    Some(Entry { device: &device, ..entry }.write())
}

/// The device of a stream's entry.
pub fn device(entries: &[u8], name: &str) -> Option<String> {
    text(Entry::find(entries, name)?.device).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// As it travels.
struct Entry<'a> {
    name: &'a [u8],
    channels: &'a [u8],
    volume: &'a [u8],
    device: &'a [u8],
    muted: &'a [u8],
}

impl<'a> Entry<'a> {
    fn find(entries: &'a [u8], wanted: &str) -> Option<Entry<'a>> {
        let mut rest = entries;
        while !rest.is_empty() {
            let name = value(&mut rest)?;
            let (channels, volume) = (value(&mut rest)?, value(&mut rest)?);
            let (device, muted) = (value(&mut rest)?, value(&mut rest)?);
            if text(name) == Some(wanted.as_bytes()) {
                return Some(Entry { name, channels, volume, device, muted });
            }
        }
        None
    }

    fn write(&self) -> Vec<u8> {
        [WRITE, self.name, self.channels, self.volume, self.device, self.muted].concat()
    }
}

fn text(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"t")?.strip_suffix(b"\0")
}

fn volume_of(quiet: &Quiet) -> Option<Vec<u8>> {
    let mut bytes = vec![b'v', u8::try_from(quiet.volumes.len()).ok()?];
    bytes.extend(quiet.volumes.iter().flat_map(|(was, _)| was.to_be_bytes()));
    Some(bytes)
}

/// The next value with its tag.
fn value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = || rest.get(1).copied().map(usize::from);
    let length = match rest.first()? {
        b't' => rest.iter().position(|byte| *byte == 0)? + 1,
        b'm' => 2 + count()?,
        b'v' => 2 + 4 * count()?,
        b'N' | b'0' | b'1' => 1,
        _ => return None,
    };
    let (value, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_is_set_back_and_the_rest_of_it_copied() {
        let entries =
            [&b"tother\0m\0v\0N1"[..], b"tmusic\0m\x02\x01\x02v\x02\0\0\x10\0\0\0\x10\0tcard\x000"]
                .concat();
        let quiet = |name: &str, volumes: &[(u32, u32)]| Quiet {
            volumes: volumes.to_vec(),
            remembered_as: name.into(),
        };
        let music = corrected(&entries, Way::Playback, &quiet("music", &[(1, 9), (2, 9)]));
        let expected =
            [WRITE, b"tmusic\0m\x02\x01\x02v\x02\0\0\0\x01\0\0\0\x02tcard\x000"].concat();
        assert_eq!(music, Some(expected));
        let other = corrected(&entries, Way::Capture, &quiet("other", &[]));
        assert_eq!(other, Some([WRITE, b"tother\0m\0v\0N0"].concat()));
        assert_eq!(corrected(&entries, Way::Capture, &quiet("nobody", &[])), None);
        assert_eq!(device(&entries, "music").as_deref(), Some("card"));
        assert_eq!(device(&entries, "other"), None);
        let elsewhere = with_device(&entries, "other", Some("card"));
        assert_eq!(elsewhere, Some([WRITE, b"tother\0m\0v\0tcard\x001"].concat()));
        assert_eq!(corrected(b"tcut", Way::Capture, &quiet("cut", &[])), None);
    }
}
