//! A headset: what its reports say of its buttons, and the reports that set its lights.
//!
//! Owns which usages are known. What a button does with a call is not known here.

use crate::descriptor::{self, DescriptorError, Field, Layout, Meaning, Usage};

/// A button or switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Off the hook, or on it. Most headsets keep it themselves and follow their light; some have a key.
    Hook,
    /// Flash: the other call.
    Flash,
    /// Drop.
    Drop,
    /// Microphone mute.
    Mute,
    /// "Reject call": programmable button 7, by which headsets of several vendors decline.
    Reject,
}

/// Something that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub control: Control,
    /// Pressed, off the hook, muted.
    pub on: bool,
    /// A key, whose release means nothing; else a switch, whose place is what counts.
    pub key: bool,
}

/// What the lights are to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lights {
    /// A call goes on.
    pub off_hook: bool,
    /// A call rings.
    pub ring: bool,
    /// The microphone is muted.
    pub mute: bool,
    /// The call is held.
    pub hold: bool,
}

/// A device with buttons of a telephone.
#[derive(Debug)]
pub struct Headset {
    layout: Layout,
    /// What is on, by the place of the control in [`CONTROLS`].
    on: [bool; CONTROLS.len()],
}

impl Headset {
    /// What this report descriptor describes.
    pub fn of(descriptor: &[u8]) -> Result<Headset, DescriptorError> {
        let lights = LIGHTS.iter().map(|(usage, _)| *usage);
        let wanted: Vec<Usage> = CONTROLS.iter().map(|(usage, _)| *usage).chain(lights).collect();
        let layout = descriptor::read(descriptor, &wanted)?;
        if layout.applications.iter().any(|usage| TYPED.contains(usage)) {
            return Err(DescriptorError::Keyboard);
        }
        let headset = Headset { layout, on: Default::default() };
        let has_any = CONTROLS.iter().any(|(_, control)| headset.has(*control));
        if has_any { Ok(headset) } else { Err(DescriptorError::NoTelephone) }
    }

    /// Whether it has this control.
    pub fn has(&self, control: Control) -> bool {
        CONTROLS.iter().filter(|(_, known)| *known == control).any(|(usage, _)| {
            self.layout.inputs.iter().any(|field| match &field.meaning {
                Meaning::Variable(variable) => variable == usage,
                Meaning::Array { usages, .. } => holds(usages, *usage),
            })
        })
    }

    /// Whether it is told that a call goes on, which its hook switch then follows.
    pub fn follows(&self) -> bool {
        let off_hook = Meaning::Variable(OFF_HOOK);
        self.layout.outputs.iter().any(|field| field.meaning == off_hook)
    }

    /// What an input report, as it is read from the device, changes.
    pub fn hear(&mut self, report: &[u8]) -> Vec<Event> {
        let (number, bits) = match (self.layout.numbered, report.split_first()) {
            (false, _) => (0, report),
            (true, Some((number, bits))) => (*number, bits),
            (true, None) => return vec![],
        };
        let mut events = vec![];
        for ((usage, control), was) in CONTROLS.iter().zip(&mut self.on) {
            let fields = self.layout.inputs.iter().filter(|field| field.report == number);
            let Some((on, relative)) = fields.filter_map(|field| field.state(*usage, bits)).next()
            else {
                continue;
            };
            if on != std::mem::replace(was, on) {
                let switch = matches!(control, Control::Hook | Control::Mute) && !relative;
                events.push(Event { control: *control, on, key: !switch });
            }
        }
        events
    }

    /// The output reports that show this, as they are written to the device.
    pub fn show(&self, lights: Lights) -> Vec<Vec<u8>> {
        let mut reports = vec![];
        for (number, bits) in &self.layout.output_bits {
            let fields = self.layout.outputs.iter().filter(|field| field.report == *number);
            let known: Vec<(&Field, bool)> = fields
                .filter_map(|field| {
                    let light =
                        LIGHTS.iter().find(|(usage, _)| field.meaning == Meaning::Variable(*usage));
                    light.map(|(_, is_on)| (field, is_on(&lights)))
                })
                .collect();
            if known.is_empty() {
                continue;
            }
            // The first byte is the report's number, 0 where there are none.
            let bytes = usize::try_from(bits.div_ceil(8)).unwrap_or_default();
            let mut report = vec![0; 1 + bytes];
            report.splice(..1, [*number]);
            for (field, on) in known {
                let bit = usize::try_from(field.offset).unwrap_or_default();
                if let Some(byte) = report.get_mut(1 + bit / 8) {
                    *byte |= u8::from(on) << (bit % 8);
                }
            }
            reports.push(report);
        }
        reports
    }
}

impl Field {
    /// Whether this usage is on, and whether each time is one press; none where the field is not about it.
    fn state(&self, usage: Usage, bits: &[u8]) -> Option<(bool, bool)> {
        match &self.meaning {
            Meaning::Variable(variable) if *variable != usage => None,
            Meaning::Variable(_) => Some(value(bits, self.offset, self.size)? != 0),
            Meaning::Array { usages, .. } if !holds(usages, usage) => None,
            Meaning::Array { count, first, usages } => {
                let mut on = false;
                for element in 0..u64::from(*count) {
                    let offset = self.offset + element * u64::from(self.size);
                    let place = i64::from(value(bits, offset, self.size)?) - first;
                    let at =
                        u64::try_from(place).ok().and_then(|place| descriptor::at(usages, place));
                    on |= at == Some(usage);
                }
                Some(on)
            }
        }
        .map(|on| (on, self.relative))
    }
}

fn holds(usages: &[(Usage, Usage)], usage: Usage) -> bool {
    usages.iter().any(|(first, last)| (*first..=*last).contains(&usage))
}

/// The number in these bits, the lowest first; none behind the end of the report.
fn value(bits: &[u8], offset: u64, size: u32) -> Option<u32> {
    let mut value = 0u32;
    for bit in 0..u64::from(size) {
        let at = offset + bit;
        let byte = bits.get(usize::try_from(at / 8).ok()?)?;
        value |= u32::from(byte >> (at % 8) & 1) << bit;
    }
    Some(value)
}

const CONTROLS: [(Usage, Control); 5] = [
    (0x0B_0020, Control::Hook),
    (0x0B_0021, Control::Flash),
    (0x0B_0026, Control::Drop),
    (0x0B_002F, Control::Mute),
    (0x09_0007, Control::Reject),
];

const OFF_HOOK: Usage = 0x08_0017;

type IsOn = fn(&Lights) -> bool;

const LIGHTS: [(Usage, IsOn); 4] = [
    (OFF_HOOK, |lights| lights.off_hook),
    (0x08_0018, |lights| lights.ring),
    (0x08_0009, |lights| lights.mute),
    (0x08_0020, |lights| lights.hold),
];

/// Mouse, keyboard, keypad.
const TYPED: [Usage; 3] = [0x01_0002, 0x01_0006, 0x01_0007];
