//! The telephone network of a test, on loopback: softphones (real baresip) and far ends whose every SIP message
//! and RTP packet the test sees. It must not know the arbiter.

mod far_end;
mod media;
mod message;
mod softphone;

// The control protocol is the example's own: one client of it is enough.
#[path = "../../client/examples/baresip/control.rs"]
pub mod control;

pub use far_end::{Agreement, FarEnd, Heard};
pub use softphone::Softphone;
