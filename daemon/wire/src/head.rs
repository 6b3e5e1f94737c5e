//! The header of a message that came: where in its bytes each field stands.
//!
//! Owns reading it as the specification has it. A bus has checked every header before it passes one on, so nothing
//! here says what is wrong with one: it is whole, or it is none.

use std::{num::NonZeroU32, ops::Range};

use zbus::wire::Endian;

/// Before its fields.
pub const FIXED: usize = 16;

/// Values within values, at most: as deep as the specification lets them be. Of what is not there, an element of an empty
/// array, only the types count: there are no more of them than a signature is long.
const DEEPEST: usize = 64;

const NO_REPLY: u8 = 1;

/// What a header says, as far as it matters here. A field that it does not have is an empty range.
#[derive(Clone, Debug)]
pub struct Fields {
    pub order: Endian,
    pub kind: u8,
    pub no_reply: bool,
    pub serial: NonZeroU32,
    pub reply_to: Option<NonZeroU32>,
    pub files: u32,
    pub path: Range<usize>,
    pub interface: Range<usize>,
    pub member: Range<usize>,
    pub sender: Range<usize>,
    pub signature: Range<usize>,
    /// Where the arguments begin.
    pub body: usize,
}

/// Byte order, and how long the header and the whole message are; none if it is no header.
pub fn measure(fixed: &[u8; FIXED]) -> Option<(Endian, usize, usize)> {
    let [first, _, _, _, a, b, c, d, _, _, _, _, e, f, g, h] = *fixed;
    let order = match first {
        b'l' => Endian::Little,
        b'B' => Endian::Big,
        _ => return None,
    };
    let (body, fields) = (number(order, [a, b, c, d]), number(order, [e, f, g, h]));
    let header = (FIXED + fields as usize).next_multiple_of(8);
    Some((order, header, header + body as usize))
}

impl Fields {
    /// Those of a message of this length.
    pub fn of(message: &[u8]) -> Option<Fields> {
        let fixed = message.first_chunk()?;
        let (order, body, length) = measure(fixed)?;
        let [_, kind, flags, version, _, _, _, _, e, f, g, h, i, j, k, l] = *fixed;
        if length != message.len() || version != 1 {
            return None;
        }
        let mut fields = Fields {
            order,
            kind,
            no_reply: flags & NO_REPLY != 0,
            serial: NonZeroU32::new(number(order, [e, f, g, h]))?,
            reply_to: None,
            files: 0,
            path: 0..0,
            interface: 0..0,
            member: 0..0,
            sender: 0..0,
            signature: 0..0,
            body,
        };
        let end = FIXED + number(order, [i, j, k, l]) as usize;
        let mut from = Cursor { bytes: message.get(..end)?, at: FIXED, order };
        while from.at < end {
            fields.read_one(&mut from)?;
        }
        Some(fields)
    }

    fn read_one(&mut self, from: &mut Cursor<'_>) -> Option<()> {
        from.align(8)?;
        let code = from.byte()?;
        let types = from.signature()?;
        let place = match (code, from.bytes.get(types.clone())?) {
            (1, b"o") => &mut self.path,
            (2, b"s") => &mut self.interface,
            (3, b"s") => &mut self.member,
            (5, b"u") => {
                self.reply_to = NonZeroU32::new(from.number()?);
                return Some(());
            }
            // What an error is called, and that it is for us.
            (4 | 6, b"s") => return from.text().map(drop),
            (7, b"s") => &mut self.sender,
            (8, b"g") => {
                self.signature = from.signature()?;
                return Some(());
            }
            (9, b"u") => {
                self.files = from.number()?;
                return Some(());
            }
            (1..=9, _) => return None,
            // Whatever later versions of the protocol say is not for us.
            _ => return from.skip_all(types, DEEPEST),
        };
        *place = from.text()?;
        Some(())
    }
}

/// A number as this byte order has it.
pub fn number(order: Endian, bytes: [u8; 4]) -> u32 {
    match order {
        Endian::Little => u32::from_le_bytes(bytes),
        Endian::Big => u32::from_be_bytes(bytes),
    }
}

/// Bytes, and how far they have been read. After a failure it is of no use.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub order: Endian,
}

impl<'a> Cursor<'a> {
    pub fn align(&mut self, to: usize) -> Option<()> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding)?.iter().all(|byte| *byte == 0).then_some(())
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(number(self.order, self.take(4)?.try_into().ok()?))
    }

    /// Where a text (or path) stands, without the zero behind it.
    pub fn text(&mut self) -> Option<Range<usize>> {
        let length = self.number()? as usize;
        self.terminated(length)
    }

    /// Where a signature stands.
    pub fn signature(&mut self) -> Option<Range<usize>> {
        let length = self.byte()?;
        self.terminated(length.into())
    }

    fn terminated(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.at;
        self.take(length)?;
        (self.byte()? == 0).then_some(start..start + length)
    }

    fn skip_all(&mut self, types: Range<usize>, deepest: usize) -> Option<()> {
        let mut types = self.bytes.get(types)?;
        while !types.is_empty() {
            types = self.skip(types, deepest)?;
        }
        Some(())
    }

    /// Leaves out a value of the first of these types; the types behind it.
    fn skip<'t>(&mut self, types: &'t [u8], deepest: usize) -> Option<&'t [u8]> {
        let deeper = deepest.checked_sub(1)?;
        let (first, mut rest) = types.split_first()?;
        match first {
            b'y' => self.take(1).map(drop)?,
            b'n' | b'q' => self.skip_fixed(2)?,
            b'b' | b'i' | b'u' | b'h' => self.skip_fixed(4)?,
            b'x' | b't' | b'd' => self.skip_fixed(8)?,
            b's' | b'o' => self.text().map(drop)?,
            b'g' => self.signature().map(drop)?,
            b'v' => {
                let types = self.signature()?;
                self.skip_all(types, deeper)?;
            }
            b'a' => {
                let length = self.number()? as usize;
                self.align(alignment(*rest.first()?))?;
                self.take(length)?;
                rest = rest.get(one(rest)?..)?;
            }
            b'(' | b'{' => {
                self.align(8)?;
                while !matches!(rest.first()?, b')' | b'}') {
                    rest = self.skip(rest, deeper)?;
                }
                rest = rest.get(1..)?;
            }
            _ => return None,
        }
        Some(rest)
    }

    fn skip_fixed(&mut self, size: usize) -> Option<()> {
        self.align(size)?;
        self.take(size).map(drop)
    }
}

fn alignment(first: u8) -> usize {
    match first {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// How long the first of these types is.
fn one(types: &[u8]) -> Option<usize> {
    match types.first()? {
        b'a' => Some(1 + one(types.get(1..)?)?),
        b'(' | b'{' => {
            let mut length = 1;
            while !matches!(types.get(length)?, b')' | b'}') {
                length += one(types.get(length..)?)?;
            }
            Some(length + 1)
        }
        _ => Some(1),
    }
}
