//! The items of a report descriptor (HID 1.11, 6.2.2), read once: where in which report the wanted usages are.
//!
//! Owns bits and bounds; what a usage means, `telephony` knows. What is allowed and useless (units, strings,
//! delimiters, vendor items) is passed over.

use std::collections::BTreeMap;

use thiserror::Error;

/// What Linux reads at most; a headset has some hundred bytes.
const LONGEST: usize = 4096;
/// Bits of one report: what Linux takes at most.
const REPORT_BITS: u64 = 16384 * 8;
/// Of each of these a headset has a handful.
const DEPTH: usize = 16;
const USAGES: usize = 256;
const FIELDS: usize = 256;
/// Elements of one array that are looked at.
const ELEMENTS: u32 = 32;

/// Why bytes are no descriptor of a headset.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DescriptorError {
    /// Longer than any kernel takes.
    #[error("a report descriptor has 4096 bytes at most")]
    TooLong,
    /// The last item is cut.
    #[error("the report descriptor ends within an item, at byte {0}")]
    Cut(usize),
    /// More than any device needs.
    #[error(
        "the report descriptor wants too much at byte {0}: too deep, too many or too long reports"
    )]
    TooMuch(usize),
    /// Nothing in it is a telephone's.
    #[error("no hook switch, mute or other button of a telephone is in the report descriptor")]
    NoTelephone,
    /// What is typed there is nobody's business.
    #[error("a keyboard or mouse is on the same device, whose keys would be read as well")]
    Keyboard,
}

/// Usage page and usage.
pub(crate) type Usage = u32;

/// Where the wanted usages are.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub inputs: Vec<Field>,
    pub outputs: Vec<Field>,
    /// Reports begin with their number.
    pub numbered: bool,
    /// How long each output report is, in bits.
    pub output_bits: BTreeMap<u8, u64>,
    /// What the device is: the usages of its outermost collections.
    pub applications: Vec<Usage>,
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub report: u8,
    /// In bits, behind the number of the report.
    pub offset: u64,
    /// In bits, 32 at most.
    pub size: u32,
    pub relative: bool,
    pub meaning: Meaning,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// The value is this usage's.
    Variable(Usage),
    /// Each of so many values is the place of a usage that is on, counted from the first number.
    Array { count: u32, first: i64, usages: Vec<(Usage, Usage)> },
}

/// Reads it; of variable fields those with a wanted usage are kept.
pub(crate) fn read(bytes: &[u8], wanted: &[Usage]) -> Result<Layout, DescriptorError> {
    if bytes.len() > LONGEST {
        return Err(DescriptorError::TooLong);
    }
    let mut reader = Reader { wanted, ..Reader::default() };
    let mut at = 0;
    while let Some(&prefix) = bytes.get(at) {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let length = if prefix == LONG_ITEM {
            // A long item says how long it is, and there is none that means anything.
            2 + usize::from(*rest.first().ok_or(DescriptorError::Cut(at))?)
        } else {
            [0, 1, 2, 4].get(usize::from(prefix & 3)).copied().unwrap_or_default()
        };
        let data = rest.get(..length).ok_or(DescriptorError::Cut(at))?;
        if prefix != LONG_ITEM {
            reader.item(prefix, data).ok_or(DescriptorError::TooMuch(at))?;
        }
        at += 1 + length;
    }
    Ok(reader.layout)
}

const LONG_ITEM: u8 = 0xFE;

#[derive(Default)]
struct Reader<'a> {
    wanted: &'a [Usage],
    layout: Layout,
    globals: Globals,
    saved: Vec<Globals>,
    locals: Locals,
    /// Collections that are open.
    depth: usize,
    input_bits: BTreeMap<u8, u64>,
}

#[derive(Clone, Copy, Default)]
struct Globals {
    page: u16,
    logical_minimum: i64,
    size: u32,
    count: u32,
    report: u8,
}

/// Usages of the next main item; a short one's page is the one in force there, as the kernel reads it.
#[derive(Default)]
struct Locals {
    usages: Vec<(LocalUsage, LocalUsage)>,
    minimum: Option<LocalUsage>,
}

#[derive(Clone, Copy)]
struct LocalUsage {
    value: u32,
    has_page: bool,
}

impl LocalUsage {
    fn on(self, page: u16) -> Usage {
        if self.has_page { self.value } else { u32::from(page) << 16 | self.value & 0xFFFF }
    }
}

impl Reader<'_> {
    /// None where it is too much.
    fn item(&mut self, prefix: u8, data: &[u8]) -> Option<()> {
        let unsigned = data.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
        let signed = match *data {
            [byte] => i64::from(byte as i8),
            [low, high] => i64::from(i16::from_le_bytes([low, high])),
            _ => i64::from(unsigned as i32),
        };
        let local = LocalUsage { value: unsigned, has_page: data.len() == 4 };
        match prefix & 0xFC {
            INPUT => self.field(unsigned, true)?,
            OUTPUT => self.field(unsigned, false)?,
            COLLECTION => {
                if self.depth == 0 {
                    let usage = self.locals.usages.first().map(|(first, _)| *first);
                    self.layout.applications.extend(usage.map(|usage| usage.on(self.globals.page)));
                }
                self.depth = (self.depth < DEPTH).then_some(self.depth + 1)?;
                self.locals = Locals::default();
            }
            END_COLLECTION => {
                self.depth = self.depth.saturating_sub(1);
                self.locals = Locals::default();
            }
            FEATURE => self.locals = Locals::default(),
            USAGE_PAGE => self.globals.page = unsigned as u16,
            LOGICAL_MINIMUM => self.globals.logical_minimum = signed,
            REPORT_SIZE => self.globals.size = unsigned,
            REPORT_COUNT => self.globals.count = unsigned,
            REPORT_ID => {
                self.globals.report = unsigned as u8;
                self.layout.numbered = true;
            }
            PUSH => {
                (self.saved.len() < DEPTH).then(|| self.saved.push(self.globals))?;
            }
            POP => self.globals = self.saved.pop().unwrap_or(self.globals),
            USAGE => self.usage(local, local)?,
            USAGE_MINIMUM => self.locals.minimum = Some(local),
            USAGE_MAXIMUM => {
                if let Some(minimum) = self.locals.minimum.take() {
                    self.usage(minimum, local)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn usage(&mut self, first: LocalUsage, last: LocalUsage) -> Option<()> {
        (self.locals.usages.len() < USAGES).then(|| self.locals.usages.push((first, last)))
    }

    /// A main item: so many values of this size, one behind the other.
    fn field(&mut self, flags: u32, input: bool) -> Option<()> {
        let Globals { page, logical_minimum: first, size, count, report } = self.globals;
        let bits = if input { &mut self.input_bits } else { &mut self.layout.output_bits };
        let end = bits.entry(report).or_default();
        let offset = *end;
        *end = offset + u64::from(size) * u64::from(count);
        (*end <= REPORT_BITS).then_some(())?;
        let ranges = std::mem::take(&mut self.locals).usages.into_iter();
        let ranges: Vec<(Usage, Usage)> =
            ranges.map(|(first, last)| (first.on(page), last.on(page))).collect();
        if size == 0 || size > 32 || count == 0 {
            return Some(());
        }
        let fields = if input { &mut self.layout.inputs } else { &mut self.layout.outputs };
        let relative = flags & RELATIVE != 0;
        let mut keep = |offset, meaning| {
            let field = Field { report, offset, size, relative, meaning };
            (fields.len() < FIELDS).then(|| fields.push(field))
        };
        if flags & VARIABLE == 0 {
            let array = Meaning::Array { count: count.min(ELEMENTS), first, usages: ranges };
            return keep(offset, array);
        }
        for usage in self.wanted {
            if let Some(place) = place(&ranges, *usage).filter(|place| *place < u64::from(count)) {
                keep(offset + place * u64::from(size), Meaning::Variable(*usage))?;
            }
        }
        Some(())
    }
}

/// Which of these usages it is, counted from 0.
fn place(ranges: &[(Usage, Usage)], usage: Usage) -> Option<u64> {
    let mut before = 0;
    for &(first, last) in ranges {
        if (first..=last).contains(&usage) {
            return Some(before + u64::from(usage - first));
        }
        before += u64::from(last.saturating_sub(first)) + 1;
    }
    None
}

/// The usage at this place.
pub(crate) fn at(ranges: &[(Usage, Usage)], mut place: u64) -> Option<Usage> {
    for &(first, last) in ranges {
        let length = u64::from(last.saturating_sub(first)) + 1;
        if place < length {
            return u32::try_from(u64::from(first) + place).ok();
        }
        place -= length;
    }
    None
}

const INPUT: u8 = 0x80;
const OUTPUT: u8 = 0x90;
const COLLECTION: u8 = 0xA0;
const FEATURE: u8 = 0xB0;
const END_COLLECTION: u8 = 0xC0;
const USAGE_PAGE: u8 = 0x04;
const LOGICAL_MINIMUM: u8 = 0x14;
const REPORT_SIZE: u8 = 0x74;
const REPORT_ID: u8 = 0x84;
const REPORT_COUNT: u8 = 0x94;
const PUSH: u8 = 0xA4;
const POP: u8 = 0xB4;
const USAGE: u8 = 0x08;
const USAGE_MINIMUM: u8 = 0x18;
const USAGE_MAXIMUM: u8 = 0x28;

/// Of a main item's flags. "Constant" is none: several vendors say it of buttons.
const VARIABLE: u32 = 1 << 1;
const RELATIVE: u32 = 1 << 2;
