//! What a USB headset's buttons say and its lights show, from its own report descriptor.
//!
//! Owns the telephony page (0x0B) and the lights of calls on the LED page (0x08) of USB HID: the kernel makes
//! key presses of most other pages, of these it drops what matters. Pure: bytes in, words out, no file and no
//! clock. Whatever the bytes are it neither panics nor takes more than a moment: they come from whatever
//! was plugged in.

mod descriptor;
mod telephony;

pub use descriptor::DescriptorError;
pub use telephony::{Control, Event, Headset, Lights};
