//! The bytes of a state file: a header, then frames; a frame is all that changed in one turn.
//!
//! Owns the format and how far a file can be believed. A kill can cut the last frame short anywhere, or leave
//! it without its length, so an incomplete last frame is ordinary; everything else that does not fit is damage.
//! The length of a frame has a checksum of its own: otherwise a flipped bit in it would look like a frame that
//! was cut short.
//!
//! ```text
//! header  magic 8 | version 4 | flags 4 | generation 8 | crc32 of these 4       the same in all versions
//! frame   length of the payload 4 | crc32 of the payload 4 | crc32 of these 4 | payload
//! payload flags 1 | records: key length 2 | key | value length 4 | value      length 0xffffffff: gone
//! ```
//! Numbers are little-endian. Flag 1 says that from here on the file needs no older one.
//!
//! Since version 2 zeros fill up the header and each frame to a multiple of 16, and the highest bit of a length
//! is set. So a length can be stored at once, after everything else of its frame, and no bit that flips makes
//! it 0: that is where the frames end. What comes then was reserved for more, and is zeros but for the frame
//! that was being written.

/// The newest version of the format and of what is in the records; older ones can be read.
pub const VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"callarb\n";
const WHOLE: u8 = 1;
/// Before the payload of a frame.
pub const FRAME_HEAD: usize = 12;
/// The bytes of its length.
pub const LENGTH: usize = 4;
/// Headers and frames are filled up to a multiple of this.
const UNIT: usize = 16;
/// In the length of a frame, so that it is never 0 nor near it.
const WRITTEN: u32 = 1 << 31;
const GONE: u32 = u32::MAX;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the format.
    pub version: u32,
    /// Counts the files.
    pub generation: u64,
    /// No older file is needed to read it.
    pub whole: bool,
}

/// Why a file cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It ends within its header: whoever made it was killed, or the disk was full.
    Empty,
    /// Not a state file, or not any more.
    Damaged,
    /// Of a later version of this program.
    Newer(u32),
}

impl Header {
    /// Its length without what fills it up.
    pub const BYTES: usize = 28;

    fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(MAGIC);
        out.extend(self.version.to_le_bytes());
        out.extend(u32::from(self.whole).to_le_bytes());
        out.extend(self.generation.to_le_bytes());
        let sum = checksum(out.get(start..).unwrap_or_default());
        out.extend(sum.to_le_bytes());
        fill_up(out);
    }

    /// Where the first frame begins.
    fn end(self) -> usize {
        Header::BYTES.next_multiple_of(unit(self.version))
    }

    /// What stands at the beginning of a file.
    pub fn read(file: &[u8]) -> Result<Header, Unreadable> {
        let mut cursor = Cursor(file.get(..Header::BYTES).ok_or(Unreadable::Empty)?);
        let summed = file.get(..Header::BYTES - 4).unwrap_or_default();
        let magic = cursor.take(MAGIC.len());
        let fields = (cursor.u32(), cursor.u32(), cursor.u64(), cursor.u32());
        match (magic, fields) {
            (Some(magic), (Some(version), Some(flags), Some(generation), Some(sum)))
                if magic == MAGIC && sum == checksum(summed) =>
            {
                if version > VERSION {
                    return Err(Unreadable::Newer(version));
                }
                let header = Header { version, generation, whole: flags & u32::from(WHOLE) != 0 };
                let fill = file.get(Header::BYTES..header.end()).ok_or(Unreadable::Empty)?;
                if is_zero(fill) { Ok(header) } else { Err(Unreadable::Damaged) }
            }
            _ => Err(Unreadable::Damaged),
        }
    }
}

/// A frame being written; its memory is used again for the next.
#[derive(Debug, Default)]
pub struct Draft {
    bytes: Vec<u8>,
    start: usize,
}

impl Draft {
    /// Begins a frame; the first of a file comes with the file's header.
    pub fn begin(&mut self, header: Option<Header>) {
        self.bytes.clear();
        if let Some(header) = header {
            header.write(&mut self.bytes);
        }
        self.start = self.bytes.len();
        self.bytes.extend([0; FRAME_HEAD + 1]);
    }

    /// One record; `value` says whether there is one.
    pub fn put(
        &mut self,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        key(&mut self.bytes);
        let length = self.bytes.len() - start - 2;
        self.patch(start, &(length as u16).to_le_bytes());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let length = if value(&mut self.bytes) {
            (self.bytes.len() - start - 4) as u32
        } else {
            self.bytes.truncate(start + 4);
            GONE
        };
        self.patch(start, &length.to_le_bytes());
    }

    /// How long it is so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The frame as it is to be written.
    pub fn seal(&mut self, whole: bool) -> &[u8] {
        let payload = self.start + FRAME_HEAD;
        self.patch(payload, &[if whole { WHOLE } else { 0 }]);
        let length = (self.bytes.len() - payload) as u32 | WRITTEN;
        self.patch(self.start, &length.to_le_bytes());
        let sum = checksum(self.bytes.get(payload..).unwrap_or_default());
        self.patch(self.start + 4, &sum.to_le_bytes());
        let sum = checksum(self.bytes.get(self.start..self.start + 8).unwrap_or_default());
        self.patch(self.start + 8, &sum.to_le_bytes());
        fill_up(&mut self.bytes);
        &self.bytes
    }

    fn patch(&mut self, at: usize, with: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + with.len()) {
            place.copy_from_slice(with);
        }
    }
}

/// A frame that was read.
#[derive(Debug)]
pub struct Frame<'a> {
    /// From here on no older file is needed.
    pub whole: bool,
    /// Keys with their new values; none: gone.
    pub records: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// Where a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After a frame, with nothing behind it but what is reserved.
    Clean,
    /// Within one: it was being written.
    Torn,
    /// Before something that is no frame.
    Damaged,
}

/// The frames of a file, as far as they can be believed.
#[derive(Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    read: usize,
    version: u32,
}

impl<'a> Frames<'a> {
    /// Those of a file with this header.
    pub fn of(file: &'a [u8], header: Header) -> Frames<'a> {
        let read = header.end();
        Frames { rest: file.get(read..).unwrap_or_default(), read, version: header.version }
    }

    /// How far the file was read.
    pub fn read(&self) -> usize {
        self.read
    }

    /// The next, or how the file ends.
    pub fn next(&mut self) -> Result<Frame<'a>, End> {
        if self.rest.is_empty() {
            return Err(End::Clean);
        }
        if self.version > 1 && is_zero(self.rest.get(..LENGTH).unwrap_or(self.rest)) {
            return Err(self.beyond());
        }
        let (payload, end) = framed(self.rest, self.version)?;
        let frame = parse(payload).ok_or(End::Damaged)?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        self.read += end;
        Ok(frame)
    }

    /// How a file ends whose next frame has no length. A frame behind it means that it had one.
    fn beyond(&self) -> End {
        if is_zero(self.rest) {
            return End::Clean;
        }
        let mut places = (UNIT..self.rest.len()).step_by(UNIT);
        let is_frame = |at| self.rest.get(at..).is_some_and(|it| framed(it, self.version).is_ok());
        if places.any(is_frame) { End::Damaged } else { End::Torn }
    }
}

/// The payload of the frame that stands here, and where the next one begins.
fn framed(rest: &[u8], version: u32) -> Result<(&[u8], usize), End> {
    let head = rest.get(..FRAME_HEAD).ok_or(End::Torn)?;
    let mut cursor = Cursor(head);
    let (Some(length), Some(sum), Some(own)) = (cursor.u32(), cursor.u32(), cursor.u32()) else {
        return Err(End::Torn);
    };
    let written = version == 1 || length & WRITTEN != 0;
    if !written || own != checksum(head.get(..8).unwrap_or_default()) {
        return Err(End::Damaged);
    }
    let length = if version == 1 { length } else { length & !WRITTEN };
    let end = (FRAME_HEAD + length as usize).next_multiple_of(unit(version));
    let whole = rest.get(FRAME_HEAD..end).ok_or(End::Torn)?;
    let (payload, fill) = whole.split_at_checked(length as usize).ok_or(End::Torn)?;
    if sum != checksum(payload) || !is_zero(fill) {
        return Err(End::Damaged);
    }
    Ok((payload, end))
}

/// To a multiple of what headers and frames of a version are filled up.
fn unit(version: u32) -> usize {
    if version == 1 { 1 } else { UNIT }
}

fn fill_up(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn parse(payload: &[u8]) -> Option<Frame<'_>> {
    let mut cursor = Cursor(payload);
    let whole = cursor.take(1)? == [WHOLE];
    let mut records = Vec::new();
    while !cursor.0.is_empty() {
        let length = cursor.u16()?;
        let key = cursor.take(length.into())?;
        let value = match cursor.u32()? {
            GONE => None,
            length => Some(cursor.take(length as usize)?),
        };
        records.push((key, value));
    }
    Some(Frame { whole, records })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
