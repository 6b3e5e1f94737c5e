//! callctl.
fn main() {}
