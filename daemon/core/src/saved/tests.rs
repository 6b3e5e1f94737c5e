//! What earlier versions wrote stays readable: the types of all records against what they once were.

use std::path::Path;

use callarbiter_records::layout::{Layout, check};

use super::{Kind, shapes::*};
use crate::{
    Contact, Group, Preferences, Record,
    arbiter::Shared,
    batch::Batch,
    consent::Decision,
    domain::Desktop,
    memory::{Answered, Tombstone},
    quiet::{Allowed, Suppressed},
    request::Past,
    why::{Chunk, Over},
};

#[test]
fn the_saved_state_changes_by_the_rule() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/layout");
    let checked = check(&golden, |all| Kind::ALL.into_iter().for_each(|kind| record(kind, all)));
    assert_eq!(checked, Ok(()));
}

fn record(kind: Kind, all: &mut Layout) {
    let name = format!("{}, {}:", kind as u8, kind.name());
    match kind {
        Kind::Arbiter => all.record::<Shared>(name),
        Kind::Course => all.record::<Course>(name),
        Kind::Desktop => all.record::<Desktop>(name),
        Kind::Provider => all.record::<ProviderRecord>(name),
        Kind::Call => all.record::<CallRecord>(name),
        Kind::Group => all.record::<Group>(name),
        Kind::Transaction => all.record::<TransactionRecord>(name),
        Kind::Request => all.record::<RequestRecord>(name),
        Kind::Past => all.record::<Past>(name),
        Kind::Batch => all.record::<Batch>(name),
        Kind::Tombstone => all.record::<Tombstone>(name),
        Kind::Token => all.record::<Answered>(name),
        Kind::Allowed => all.record::<Allowed>(name),
        Kind::Suppressed => all.record::<Suppressed>(name),
        Kind::Decision => all.record::<Decision>(name),
        Kind::Errand => all.record::<ErrandRecord>(name),
        Kind::Contact => all.record::<Contact>(name),
        Kind::Enforcement => all.record::<EnforcementRecord>(name),
        Kind::Record => all.record::<Record>(name),
        Kind::Recording => all.record::<RecordingRecord>(name),
        Kind::Why => all.record::<Chunk>(name),
        Kind::Over => all.record::<Over>(name),
        Kind::Preferences => all.record::<Preferences>(name),
    }
}
