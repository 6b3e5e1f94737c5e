//! DTMF: which characters are tones, and how long they take.

use crate::{Error, Millis, Refusal, Result};

/// A tone with its gap, as telephones play them.
const TONE: u32 = 200;
/// A comma: the pause of modem commands.
const PAUSE: u32 = 2000;
/// Longer sequences are a mistake or an attack.
pub const MAX_TONES: usize = 128;

/// How long these tones play: digits, `*`, `#`, `A`–`D`, and `,` for a pause of 2 s.
pub fn playing_time(tones: &str) -> Result<Millis> {
    if tones.is_empty() || tones.len() > MAX_TONES {
        return Err(Refusal::new(
            Error::InvalidArgument,
            format!("digits must have 1 to {MAX_TONES} characters, these have {}", tones.len()),
        ));
    }
    let mut length = 0;
    for tone in tones.chars() {
        length += match tone {
            '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d' => TONE,
            ',' => PAUSE,
            _ => {
                return Err(Refusal::new(
                    Error::InvalidArgument,
                    "digits may be 0-9, A-D, *, # and , (a pause of 2 s), nothing else",
                ));
            }
        };
    }
    Ok(Millis(length))
}
