//! A report descriptor of any bytes is a headset or refused, the same each time; and whatever it reports then is
//! understood or passed over. Its lights are set by reports that are no longer than any device may have.

use callarbiter_hid::{Headset, Lights};

/// The longest report that Linux takes, and its number.
const LONGEST: usize = 16384 + 1;

/// How long the descriptor is, the descriptor, and reports, each with its length before it.
pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_at_checked(2) else { return };
    let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(rest.len());
    let (descriptor, mut reports) = rest.split_at(length);
    let (mut first, mut again) = match (Headset::of(descriptor), Headset::of(descriptor)) {
        (Ok(first), Ok(again)) => (first, again),
        (Err(first), Err(again)) => return assert_eq!(first, again),
        (first, again) => panic!("{first:?}, and then {again:?}"),
    };
    for lights in 0..16u8 {
        let bit = |n: u8| lights >> n & 1 == 1;
        let lights = Lights { off_hook: bit(0), ring: bit(1), mute: bit(2), hold: bit(3) };
        let shown = first.show(lights);
        assert!(
            shown.len() <= 256 && shown.iter().all(|report| (2..=LONGEST).contains(&report.len()))
        );
        assert_eq!(shown, again.show(lights));
    }
    while let Some((length, rest)) = reports.split_first() {
        let (report, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        reports = rest;
        let events = first.hear(report);
        // A button each.
        assert!(events.len() <= 5, "{events:?}");
        assert_eq!(events, again.hear(report));
        // The same again is no news.
        assert_eq!(first.hear(report), []);
        assert_eq!(again.hear(report), []);
    }
}
