//! Operations from bytes, carried out by the histories' own harness: its laws hold after each of them, and in
//! the end nothing is pending.

use crate::{
    bytes::Bytes,
    model::{harness::Harness, op::Op, rest::ENDINGS},
    ops,
};

/// As long as the longest random histories.
const OPERATIONS: usize = 80;

/// One history.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let ending = bytes.pick(&ENDINGS);
    let mut harness = Harness::default();
    harness.thorough = bytes.one_in(16);
    for op in ops::opening(&mut bytes) {
        harness.apply(&op);
    }
    for _ in 0..OPERATIONS {
        if bytes.is_empty() {
            break;
        }
        let op: Op = ops::op(&mut bytes, &harness.view());
        harness.apply(&op);
    }
    harness.finish(ending);
}
