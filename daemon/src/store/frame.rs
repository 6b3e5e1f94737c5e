//! The bytes of a state file: a header, then frames; a frame is all that changed in one turn.
//!
//! Owns the format and how far a file can be believed. A kill can cut the last frame short anywhere, so an
//! incomplete last frame is ordinary; everything else that does not fit is damage. The length of a frame
//! has a checksum of its own: otherwise a flipped bit in it would look like a frame that was cut short.
//!
//! ```text
//! header  magic 8 | version 4 | flags 4 | generation 8 | crc32 of these 4       the same in all versions
//! frame   length 4 | crc32 of the payload 4 | crc32 of these 4 | payload
//! payload flags 1 | records: key length 2 | key | value length 4 | value      length 0xffffffff: gone
//! ```
//! Numbers are little-endian. Flag 1 says that from here on the file needs no older one.

/// The newest version of the format and of what is in the records; older ones can be read.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"callarb\n";
const WHOLE: u8 = 1;
const FRAME_HEAD: usize = 12;
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
    /// Its length.
    pub const BYTES: usize = 28;

    fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(MAGIC);
        out.extend(self.version.to_le_bytes());
        out.extend(u32::from(self.whole).to_le_bytes());
        out.extend(self.generation.to_le_bytes());
        let sum = checksum(out.get(start..).unwrap_or_default());
        out.extend(sum.to_le_bytes());
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
                Ok(Header { version, generation, whole: flags & u32::from(WHOLE) != 0 })
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
        self.bytes.extend([0; 2]);
        key(&mut self.bytes);
        let length = self.bytes.len() - start - 2;
        self.patch(start, &(length as u16).to_le_bytes());
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
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
        let length = (self.bytes.len() - payload) as u32;
        self.patch(self.start, &length.to_le_bytes());
        let sum = checksum(self.bytes.get(payload..).unwrap_or_default());
        self.patch(self.start + 4, &sum.to_le_bytes());
        let sum = checksum(self.bytes.get(self.start..self.start + 8).unwrap_or_default());
        self.patch(self.start + 8, &sum.to_le_bytes());
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
    /// After a frame.
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
}

impl<'a> Frames<'a> {
    /// Those of a file with a good header.
    pub fn of(file: &'a [u8]) -> Frames<'a> {
        Frames { rest: file.get(Header::BYTES..).unwrap_or_default(), read: Header::BYTES }
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
        let head = self.rest.get(..FRAME_HEAD).ok_or(End::Torn)?;
        let mut cursor = Cursor(head);
        let (Some(length), Some(sum), Some(own)) = (cursor.u32(), cursor.u32(), cursor.u32())
        else {
            return Err(End::Torn);
        };
        if own != checksum(head.get(..8).unwrap_or_default()) {
            return Err(End::Damaged);
        }
        let end = FRAME_HEAD + length as usize;
        let payload = self.rest.get(FRAME_HEAD..end).ok_or(End::Torn)?;
        if sum != checksum(payload) {
            return Err(End::Damaged);
        }
        let frame = parse(payload).ok_or(End::Damaged)?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        self.read += end;
        Ok(frame)
    }
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
