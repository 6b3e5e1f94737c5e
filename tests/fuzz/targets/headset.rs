//! libFuzzer drives [`fuzz::headset`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::headset::run(data));
