//! Whose calls a user takes: block and allow lists of any size, and which entry of them decides.
//!
//! One module owns one subject: [`handle`] what two spellings of an address have in common, with the numbers of
//! [`phone`] and the countries of [`region`]; [`pattern`] what an entry covers; [`entry`] what it says; [`table`] which
//! one decides about a caller; [`csv`], [`vcard`] and [`date`] the forms in which people exchange all that. Nothing here
//! knows a bus, a file, a clock or a call.

pub mod csv;
pub mod date;
pub mod entry;
pub mod handle;
pub mod pattern;
pub mod phone;
pub mod region;
pub mod table;
pub mod vcard;
