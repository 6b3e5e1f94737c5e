//! Report descriptors of devices, each with where it was published; and those that are written by the
//! specification, which say so.

/// Bytes as hex text, spaces between.
pub fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Anker PowerConf, 291a:3301: from the device, as a Go library's tests have it. Its buttons are "constant".
pub fn anker_powerconf() -> Vec<u8> {
    bytes(
        "05 0c 09 01 a1 01 85 01 15 00 25 01 09 e9 09 ea 09 e2 09 cd 09 b5 09 b6 09 b3 09 b7 75 01 95 08 81 42 c0
         05 0b 09 05 a1 01 85 02 05 0b 15 00 25 01 09 20 09 97 75 01 95 02 81 23 09 2f 09 21 09 70 09 50 75 01
         95 04 81 07 05 08 09 17 09 09 09 18 09 20 09 21 75 01 95 05 91 22 95 03 91 03 c0",
    )
}

/// Dell SP325 speakerphone, 413c:8223: "dumped … from /sys/class/hidraw/hidraw0/device/report_descriptor on a
/// live device" (a Python tool for it).
pub fn dell_sp325() -> Vec<u8> {
    bytes(
        "05 0c 09 01 a1 01 85 0c 15 00 25 01 09 e9 09 ea 09 e2 09 cd 09 b5 09 b6 09 b0 09 b1 75 01 95 08 81 02 c0
         06 13 ff 09 01 a1 01 15 00 26 ff 00 85 06 09 00 75 08 95 3d 91 02 85 07 09 00 75 08 95 3d 81 02 c0
         06 14 ff 09 01 a1 01 15 00 26 ff 00 85 10 09 00 75 08 95 05 81 02 c0
         06 99 ff 09 01 a1 01 85 9a 15 00 26 ff 00 95 3f 75 08 09 03 b1 02 85 9b 15 00 25 01 95 01 75 01 09 04
         81 06 75 01 95 07 81 01 c0
         05 0b 09 05 a1 01 15 00 25 01 75 01 85 05 09 20 95 01 81 22 09 2f 95 01 81 06 09 24 09 21 09 97 09 2a
         09 50 95 05 81 06 09 07 05 09 09 01 75 01 95 01 81 02 05 08 85 05 09 17 09 09 09 18 09 20 09 21 09 2a
         95 06 91 22 95 02 91 01 c0",
    )
}

/// Plantronics Blackwire 3220, 047f:c056: its telephony collection as hidapi's pull request 262 lists it, up
/// to the light for ringing; the last light and the padding are those of the same layout in the Actions SDK.
pub fn plantronics_blackwire_3220() -> Vec<u8> {
    bytes(
        "05 0b 09 05 a1 01 85 08 09 2f 15 00 25 01 75 01 95 01 81 06 09 20 09 21 15 00 25 01 75 01 95 02 81 22
         75 05 95 01 81 01 85 09 05 08 09 09 15 00 25 01 75 01 95 01 91 22 95 07 91 01
         85 17 09 17 95 01 91 22 95 07 91 01 85 18 09 18 95 01 91 22 95 07 91 01
         85 20 09 20 95 01 91 22 95 07 91 01 c0",
    )
}

/// The layout of Jabra's headsets, as the Actions SDK for USB headsets has it.
pub fn of_jabras_layout() -> Vec<u8> {
    bytes(
        "05 0b 09 05 a1 01 85 02 05 0b 15 00 25 01 09 20 09 97 75 01 95 02 81 22 09 2f 09 21 09 70 09 50 75 01
         95 04 81 06 09 06 a1 02 19 b0 29 bb 15 00 25 0c 75 04 95 01 81 40 c0 09 07 15 00 25 01 05 09 75 01 95 01
         81 02 75 01 95 05 81 01 05 08 15 00 25 01 09 17 09 09 09 18 09 20 09 21 75 01 95 05 91 22 05 0b 15 00
         25 01 09 9e 75 01 95 01 91 22 75 01 95 0a 91 01 c0
         05 0c 09 01 a1 01 85 01 05 0c 15 00 25 01 09 ea 09 e9 09 e2 75 01 95 03 81 02 75 01 95 0d 81 01 c0",
    )
}

/// Logitech MX Brio, from the registry of macOS: its telephony collection and one of its vendor's.
pub fn logitech_mx_brio() -> Vec<u8> {
    bytes(
        "06 01 ff 09 01 a1 01 85 0a 15 00 26 ff 00 09 01 95 1f 75 08 81 02 c0
         05 0b 09 05 a1 01 85 08 15 00 25 01 09 2f 75 01 95 01 81 06 09 20 75 01 95 01 81 22 95 06 81 01
         05 08 85 08 09 09 75 01 95 01 91 22 05 0b 09 2a 75 01 95 01 91 22 95 06 91 01 c0",
    )
}

/// A Razer microphone: a hook switch and nothing else, as a test of a mouse's tool has it.
pub fn razer_microphone() -> Vec<u8> {
    bytes(
        "05 0c 09 01 a1 01 85 01 15 00 25 01 09 e9 09 ea 75 01 95 02 81 42 09 cd 09 b5 09 b6 09 b7 09 e2 95 05
         81 06 06 ff 01 09 01 95 01 81 06 05 0c 09 00 95 08 81 06 09 00 75 08 95 02 81 06 06 ff 07 09 01 95 0b
         81 02 09 00 95 0f 91 02 c0 05 0b 09 05 a1 01 85 02 09 20 15 00 25 01 95 01 75 01 81 23 95 01 75 07 81 07 c0",
    )
}

/// By the specification: volume and mute keys and a vendor's bytes, as C-Media's CM108 documents it.
pub fn cmedia_sound_card() -> Vec<u8> {
    bytes(
        "05 0c 09 01 a1 01 15 00 25 01 09 e9 09 ea 75 01 95 02 81 02 09 e2 09 00 81 06 05 0c 09 00 15 00 26 ff 00
         75 08 95 03 81 02 09 00 95 04 91 02 c0",
    )
}

/// The keyboard of the HID specification (appendix E.6).
pub fn keyboard() -> Vec<u8> {
    bytes(
        "05 01 09 06 a1 01 05 07 19 e0 29 e7 15 00 25 01 75 01 95 08 81 02 95 01 75 08 81 01 95 05 75 01 05 08
         19 01 29 05 91 02 95 01 75 03 91 01 95 06 75 08 15 00 25 65 05 07 19 00 29 65 81 00 c0",
    )
}

/// By the specification: without report numbers, hook and mute are switches of a byte each.
pub fn switches_of_a_byte() -> Vec<u8> {
    bytes(
        "05 0b 09 01 a1 01 15 00 26 ff 00 75 08 95 02 09 20 09 2f 81 02
         25 01 75 01 95 02 05 08 09 17 09 18 91 02 95 06 91 03 c0",
    )
}

/// By the specification: two of the keys from Hook Switch (0x20) to Drop (0x26) at once, counted from 1.
pub fn buttons_in_an_array() -> Vec<u8> {
    bytes("05 0b 09 04 a1 01 15 01 25 07 75 08 95 02 19 20 29 26 81 04 c0")
}
