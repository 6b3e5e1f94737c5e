//! What may wait in the daemon, and how much of it: bounds that hold before anything is parsed.
//!
//! Owns the numbers. They are charged to the connection or the user, so that one who is over a bound
//! fails alone; a refused call changes nothing.

use callarbiter_core::Millis;

/// Messages of one connection that wait until it is identified: more than any client sends before its
/// first reply.
pub const PARKED_PER_PEER: usize = 64;
/// Bytes of them.
pub const PARKED_BYTES_PER_PEER: usize = 512 * 1024;
/// Messages of all connections that wait so: identification takes one round trip to the bus.
pub const PARKED: usize = 4096;
/// Bytes of them: sixteen connections that each send the most they may.
pub const PARKED_BYTES: usize = 8 * 1024 * 1024;

/// The first message of a connection up to this size has a place all the same: 8 MiB for the 2,048
/// connections that dbus-daemon lets in.
pub const PARKED_FIRST_BYTES: usize = 4096;

/// What comes before the arguments of a message: a path of ours has some sixty bytes, names have at most
/// 255, and D-Bus itself sets no bound to paths.
pub const HEADER_BYTES: usize = 4096;

/// Calls of one user whose replies wait for an outcome. dbus-daemon lets a connection have 128 calls
/// without a reply, so this is one busy connection of each user.
pub const WAITS_PER_USER: usize = 128;
/// Bytes of them: what they ask for is a few hundred each, the rest are options that nobody knows.
pub const WAITING_BYTES_PER_USER: usize = 1024 * 1024;

/// Calls of one user that wait until a large view is put together: all that waited for its senders to be known.
pub const LATER_PER_USER: usize = PARKED_PER_USER;
/// Bytes of them.
pub const LATER_BYTES_PER_USER: usize = PARKED_BYTES_PER_USER;

/// How many seconds' reports an app may send at once: all its calls when it starts, or a conference that
/// begins.
pub const REPORT_BURST_SECONDS: u64 = 5;

/// Subscriptions of one user: whole domains and single objects.
pub const SUBSCRIPTIONS_PER_USER: usize = 512;

/// Bytes sent to one connection after which it is asked whether it has read them: far below what a bus
/// lets a receiver owe, and seldom enough to cost nothing.
pub const UNREAD_BYTES: usize = 64 * 1024;
/// Bytes of signals to one subscriber, not known to be read, after which it is suspended: the question
/// comes half-way, so whoever reads is never suspended.
pub const SUSPENDED_BYTES: usize = 2 * UNREAD_BYTES;
/// Bytes sent to one user's connections and not known to be read. dbus-daemon takes no more from a sender
/// of whose messages 127 MiB are not read: so many users together cannot silence the daemon.
pub const UNREAD_BYTES_PER_USER: usize = 8 * 1024 * 1024;
/// What each of its connections may have of them all the same, so that one that reads is not refused
/// because of others that do not: 4 MiB for the 256 connections that dbus-daemon lets a user have.
pub const UNREAD_BYTES_SHARE: usize = 16 * 1024;
/// Bytes of refusals on top. Then a connection that does not read them gets no more replies.
pub const UNREAD_REFUSAL_BYTES: usize = 512 * 1024;
/// A reply up to this size is never withheld once its method was carried out; larger are only views.
pub const SMALL_REPLY_BYTES: usize = 4096;
/// Some libraries never answer a `Ping`. What their programs got is forgiven at this pace: a status bar
/// needs less, and who wants to fill the bus with it needs days.
pub const FORGIVEN_BYTES_PER_SECOND: usize = 256;

/// Recordings of all users that may run.
pub const RECORDINGS: usize = 8;
/// Bytes of one, unless less is asked for: some hundred thousand inputs.
pub const RECORDING_BYTES: u32 = 64 * 1024 * 1024;
/// Bytes of one that are not known to be read: then it ends, since nobody waits for a recorder.
pub const RECORDING_UNREAD_BYTES: usize = 1024 * 1024;
/// How long one runs at most.
pub const RECORDING_TIME: Millis = Millis::secs(24 * 3600);
/// Texts of one that are told apart.
pub const RECORDING_TEXTS: usize = 16_384;

/// Questions of that kind that may be open for one user: a bus frees their places only when they are
/// answered, and allows 128 to the daemon in all.
pub const BARRIERS_PER_USER: usize = 16;
/// And for all users.
pub const BARRIERS: usize = 96;

/// Signals whose serials are remembered, to know whose a signal was that the bus could not deliver: what
/// the suspended part of a few hundred subscribers can be.
pub const REMEMBERED_SIGNALS: usize = 8192;

/// Messages of one user that wait until polkit has said what their senders may do: polkit can be slow, so
/// they are not charged to everybody.
pub const PARKED_PER_USER: usize = 1024;
/// Bytes of them: four connections that each send the most they may.
pub const PARKED_BYTES_PER_USER: usize = 2 * 1024 * 1024;

/// Questions to polkit that may be open: with [`BARRIERS`] and [`PRESET_QUESTIONS`] fewer than the 128 of a bus.
pub const PERMISSION_QUESTIONS: usize = 16;
/// The same of those about registrations.
pub const PRESET_QUESTIONS: usize = 8;
