//! `callctl watch`.
pub mod frame;
pub mod happenings;
pub mod keys;
pub mod screen;
