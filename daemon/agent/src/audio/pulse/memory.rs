//! What PulseAudio keeps for an app's next stream: the messages of its module-stream-restore.
//!
//! Owns their bytes. Entries are copied as they are but for what is set back: of some, the server keeps no
//! volume at all, and a reader that insists on one cannot read them.

use super::Quiet;
use crate::audio::wanted::Way;

/// The module.
pub const NAME: &std::ffi::CStr = c"module-stream-restore";

/// Its name for a stream's app, said in the stream's properties.
pub const KEY: &std::ffi::CStr = c"module-stream-restore.id";

/// Asks for all entries.
pub const READ: &[u8] = b"L\0\0\0\x01";

/// Entries with the same name are replaced, and streams that are there are left alone: one may be quiet.
const WRITE: &[u8] = b"L\0\0\0\x02L\0\0\0\x020";

/// The message that sets a stream's entry back, if there is one in this answer.
pub fn corrected(entries: &[u8], way: Way, quiet: &Quiet) -> Option<Vec<u8>> {
    let mut rest = entries;
    while !rest.is_empty() {
        let name = value(&mut rest)?;
        let (channels, volume) = (value(&mut rest)?, value(&mut rest)?);
        let (device, muted) = (value(&mut rest)?, value(&mut rest)?);
        let key = name.strip_prefix(b"t").and_then(|name| name.strip_suffix(b"\0"));
        if key != Some(quiet.remembered_as.as_bytes()) {
            continue;
        }
        let (volume, muted) = match way {
            Way::Playback => (volume_of(quiet)?, muted),
            Way::Capture => (volume.to_vec(), &b"0"[..]),
        };
        return Some([WRITE, name, channels, &volume, device, muted].concat());
    }
    None
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
        assert_eq!(corrected(b"tcut", Way::Capture, &quiet("cut", &[])), None);
    }
}
