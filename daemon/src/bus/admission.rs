//! What may wait in the daemon, and how much of it: bounds that hold before anything is parsed.
//!
//! Owns the numbers. They are charged to the connection or the user, so that one who is over a bound
//! fails alone; a refused call changes nothing.

/// Messages of one connection that wait until it is identified: more than any client sends before its
/// first reply.
pub const PARKED_PER_PEER: usize = 64;
/// Bytes of them.
pub const PARKED_BYTES_PER_PEER: usize = 512 * 1024;
/// Messages of all connections that wait so: identification takes one round trip to the bus.
pub const PARKED: usize = 4096;
/// Bytes of them: sixteen connections that each send the most they may.
pub const PARKED_BYTES: usize = 8 * 1024 * 1024;

/// Calls of one user whose replies wait for an outcome. dbus-daemon lets a connection have 128 calls
/// without a reply, so this is one busy connection of each user.
pub const WAITS_PER_USER: usize = 128;

/// Subscriptions of one user: whole domains and single objects.
pub const SUBSCRIPTIONS_PER_USER: usize = 512;

/// Bytes of signals to one subscriber after which it is asked whether it has read them, and again as
/// many after which it is suspended: far below what a bus lets a receiver owe.
pub const UNREAD_BYTES: usize = 64 * 1024;

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

/// Questions to polkit that may be open: with [`BARRIERS`] fewer than the 128 of a bus.
pub const PERMISSION_QUESTIONS: usize = 16;
