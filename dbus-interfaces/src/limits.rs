//! How large things on the bus may be, and why.
//!
//! Owns the bounds of *values*; how many calls, providers or requests there may be is configuration
//! and is published by `Manager.Limits`.

/// A UUID as text, with its four hyphens: one spelling, so that one call never has two names.
pub const UUID_BYTES: usize = 36;
/// A handle (`sip:…`, `tel:…`): the longest SIP addresses in use are well below it.
pub const HANDLE_BYTES: usize = 256;
/// A name for people: what a notification can show, many times over.
pub const DISPLAY_NAME_BYTES: usize = 256;
/// A sentence for people: an error's or an end's reason.
pub const MESSAGE_BYTES: usize = 512;
/// An app id: the length that D-Bus allows for a bus name.
pub const APP_ID_BYTES: usize = 255;
/// An instance (a browser tab's id): room for a UUID with a prefix.
pub const INSTANCE_BYTES: usize = 64;
/// The name of an icon or a sound of the theme: the length of a file name.
pub const THEME_NAME_BYTES: usize = 255;
/// A ringtone that an app brings itself: minutes of Ogg, twenty seconds as a CD has them.
pub const RINGTONE_BYTES: u64 = 4 * 1024 * 1024;
/// Why an app wants to provide calls: two or three sentences in a dialogue.
pub const USAGE_DESCRIPTION_BYTES: usize = 512;
/// `correlation-id` and `contact-id`: opaque ids, room for two UUIDs or a hash in hex.
pub const OPAQUE_ID_BYTES: usize = 128;
/// The schemes of one provider: there are not that many schemes of telephony.
pub const SCHEMES: usize = 16;
/// One scheme.
pub const SCHEME_BYTES: usize = 32;
/// Handles that ring in spite of do-not-disturb: favourites, and not a whole address book.
pub const ALLOWED_HANDLES: usize = 256;
/// Apps of which the user said something: nobody has so many that call.
pub const APP_WORDS: usize = 256;
/// Calls of one ForgetCalls: more than an arbiter remembers that are over.
pub const FORGOTTEN_CALLS: usize = 512;
/// Places where the sound can go: a studio has a dozen.
pub const ENDPOINTS: usize = 64;
/// The id of one: the name of a node of the sound server.
pub const ENDPOINT_ID_BYTES: usize = 255;
/// Keys of one dictionary: four times what any of them knows, so that later versions have room.
pub const DICT_KEYS: usize = 64;
/// Tones of one PlayDtmf: a calling-card number, a PIN and pauses.
pub const DIGITS_BYTES: usize = 128;
/// The least `ring-timeout`, ms: below it nobody can answer.
pub const RING_TIMEOUT_MIN_MS: u32 = 1_000;
/// The greatest `ring-timeout`, ms: no network rings longer than ten minutes.
pub const RING_TIMEOUT_MAX_MS: u32 = 600_000;
/// The body of one message to the arbiter: a hundred times the largest sensible transaction.
pub const BODY_BYTES: usize = 256 * 1024;
/// How long a call that waits for its outcome (`wait`, the verbs of a call) is kept, ms; stock
/// clients give up after 25 s.
pub const REPLY_WITHIN_MS: u32 = 20_000;

/// The bounds under the names by which `Manager.Limits` publishes them.
pub const PUBLISHED: &[(&str, u32)] = &[
    ("handle-bytes", HANDLE_BYTES as u32),
    ("display-name-bytes", DISPLAY_NAME_BYTES as u32),
    ("message-bytes", MESSAGE_BYTES as u32),
    ("app-id-bytes", APP_ID_BYTES as u32),
    ("instance-bytes", INSTANCE_BYTES as u32),
    ("theme-name-bytes", THEME_NAME_BYTES as u32),
    ("usage-description-bytes", USAGE_DESCRIPTION_BYTES as u32),
    ("opaque-id-bytes", OPAQUE_ID_BYTES as u32),
    ("schemes", SCHEMES as u32),
    ("scheme-bytes", SCHEME_BYTES as u32),
    ("allowed-handles", ALLOWED_HANDLES as u32),
    ("endpoints", ENDPOINTS as u32),
    ("endpoint-id-bytes", ENDPOINT_ID_BYTES as u32),
    ("dict-keys", DICT_KEYS as u32),
    ("digits-bytes", DIGITS_BYTES as u32),
    ("ring-timeout-min-ms", RING_TIMEOUT_MIN_MS),
    ("ring-timeout-max-ms", RING_TIMEOUT_MAX_MS),
    ("body-bytes", BODY_BYTES as u32),
    ("reply-within-ms", REPLY_WITHIN_MS),
];

/// Whether a text may travel: within its bound, and without control characters, which terminals and
/// logs would obey.
pub fn text_fits(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes && !text.chars().any(char::is_control)
}

/// A name for people without what reorders or hides text: embeddings, overrides and isolates of direction, and
/// letters that cannot be seen. What a name in any script needs (joiners, marks of direction, emoji) stays. It is no
/// reason to refuse a call: whoever calls chose the name.
pub fn legible(mut name: String) -> String {
    if !name.is_ascii() {
        name.retain(|letter| !reorders_or_hides(letter));
    }
    name
}

/// Whether a letter reorders text or takes no room in it, without being needed by any script.
pub fn reorders_or_hides(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0001}')
}

/// What an app id is, for errors: it is the name of a desktop file and, as a rule, of a service on a bus.
pub const APP_ID: &str = "letters, digits, `.`, `_` and `-`, at most 255 of them, where each part between dots begins \
                          with a letter, a digit or `_`";

/// Whether a text is an app id: see [`APP_ID`].
pub fn is_app_id(text: &str) -> bool {
    let begins = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let part = |part: &str| {
        part.bytes().next().as_ref().is_some_and(begins)
            && part.bytes().all(|b| begins(&b) || b == b'-')
    };
    text.len() <= APP_ID_BYTES && text.split('.').all(part)
}

/// Whether a text is the scheme of a URI (RFC 3986, in lower case): `tel`, `sip`, `x-example`.
pub fn is_scheme(text: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'.' | b'-');
    text.len() <= SCHEME_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(allowed)
}
