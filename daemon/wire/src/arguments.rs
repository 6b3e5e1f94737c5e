//! The arguments of a method, read where they stand.
//!
//! Owns reading the few types that methods of the contract have. That a body has the types that are read, its caller has
//! compared with the signature; that its bytes are such, nobody has: a bus may pass on whatever it got. Variants of
//! anything but texts, flags and numbers are zbus's.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
};

use zbus::{
    Fd, ObjectPath, OwnedObjectPath, OwnedVariant, Str,
    wire::{
        Endian,
        serialized::{Context, Data},
    },
};

use crate::head::Cursor;

/// A body, and how far it has been read.
pub struct Reader<'a> {
    from: Cursor<'a>,
    files: &'a [OwnedFd],
}

impl<'a> Reader<'a> {
    /// From its beginning.
    pub fn new(bytes: &'a [u8], order: Endian, files: &'a [OwnedFd]) -> Self {
        Reader { from: Cursor { bytes, at: 0, order }, files }
    }

    /// Everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.from.at == self.from.bytes.len()
    }

    fn text(&mut self) -> Option<&'a str> {
        let range = self.from.text()?;
        let text = std::str::from_utf8(self.from.bytes.get(range)?).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    fn eight(&mut self) -> Option<u64> {
        self.from.align(8)?;
        let bytes = self.from.take(8)?.try_into().ok()?;
        Some(match self.from.order {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The elements of an array, of this alignment, one after the other.
    fn array(
        &mut self,
        alignment: usize,
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let length = self.from.number()? as usize;
        self.from.align(alignment)?;
        let end = self.from.at.checked_add(length)?;
        while self.from.at < end {
            each(self)?;
        }
        (self.from.at == end).then_some(())
    }

    fn variant(&mut self) -> Option<OwnedVariant> {
        let start = self.from.at;
        let types = self.from.signature()?;
        Some(match self.from.bytes.get(types)? {
            b"s" => OwnedVariant::from(Str::from(self.text()?.to_owned())),
            b"b" => OwnedVariant::from(bool::read(self)?),
            b"u" => OwnedVariant::from(u32::read(self)?),
            b"t" => OwnedVariant::from(self.eight()?),
            _ => {
                self.from.at = start;
                self.any_variant()?
            }
        })
    }

    fn any_variant(&mut self) -> Option<OwnedVariant> {
        let rest = self.from.bytes.get(self.from.at..)?;
        let files = self.files.iter().map(|file| Fd::from(file.as_fd()));
        let data = Data::new_borrowed_fds(rest, Context::new(self.from.order, self.from.at), files);
        let (value, length) = data.deserialize().ok()?;
        self.from.take(length)?;
        Some(value)
    }
}

/// One argument, or an element of one.
pub trait Argument: Sized {
    /// Of an array of such.
    const ALIGNMENT: usize;

    /// The next; none if there is no such thing.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// `b`
impl Argument for bool {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<bool> {
        match from.from.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// `u`
impl Argument for u32 {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<u32> {
        from.from.number()
    }
}

/// `s`
impl Argument for String {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<String> {
        from.text().map(str::to_owned)
    }
}

/// `o`
impl Argument for OwnedObjectPath {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<OwnedObjectPath> {
        let path = ObjectPath::try_from(from.text()?).ok()?;
        Some(path.into())
    }
}

/// `v`
impl Argument for OwnedVariant {
    const ALIGNMENT: usize = 1;

    fn read(from: &mut Reader<'_>) -> Option<OwnedVariant> {
        from.variant()
    }
}

/// `a{sv}`
impl Argument for HashMap<String, OwnedVariant> {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut entries = HashMap::new();
        from.array(8, |from| {
            from.from.align(8)?;
            let key = String::read(from)?;
            entries.insert(key, from.variant()?);
            Some(())
        })?;
        Some(entries)
    }
}

/// `aX`
impl<T: Argument> Argument for Vec<T> {
    const ALIGNMENT: usize = 4;

    fn read(from: &mut Reader<'_>) -> Option<Vec<T>> {
        let mut elements = Vec::new();
        from.array(T::ALIGNMENT, |from| {
            elements.push(T::read(from)?);
            Some(())
        })?;
        Some(elements)
    }
}

/// `(XY)`
impl<A: Argument, B: Argument> Argument for (A, B) {
    const ALIGNMENT: usize = 8;

    fn read(from: &mut Reader<'_>) -> Option<(A, B)> {
        from.from.align(8)?;
        Some((A::read(from)?, B::read(from)?))
    }
}

/// All arguments of a method.
pub trait Arguments: Sized {
    /// From the beginning of the body.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

impl<A: Argument> Arguments for (A,) {
    fn read(from: &mut Reader<'_>) -> Option<(A,)> {
        Some((A::read(from)?,))
    }
}

impl<A: Argument, B: Argument> Arguments for (A, B) {
    fn read(from: &mut Reader<'_>) -> Option<(A, B)> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl<A: Argument, B: Argument, C: Argument> Arguments for (A, B, C) {
    fn read(from: &mut Reader<'_>) -> Option<(A, B, C)> {
        Some((A::read(from)?, B::read(from)?, C::read(from)?))
    }
}

impl<A: Argument, B: Argument, C: Argument, D: Argument> Arguments for (A, B, C, D) {
    fn read(from: &mut Reader<'_>) -> Option<(A, B, C, D)> {
        Some((A::read(from)?, B::read(from)?, C::read(from)?, D::read(from)?))
    }
}
