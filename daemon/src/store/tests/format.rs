//! The bytes of each version of the format: what was written once can be read for ever.

use super::*;

/// Format 2, byte for byte: whoever changes the format makes version 3, and this file can still be read.
#[test]
fn a_file_is_written_as_version_2_says() {
    let mut scene = Scene::new();
    let file = scene.short();
    let written: String =
        fs::read(&file).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, VERSION_2);
    assert_eq!(scene.read(), (scene.history.last().unwrap().clone(), true));
}

const VERSION_2: &str = "63616c6c6172620a02000000010000000100000000000000df801d0a00000000\
    18000080ec9a3824e9de2b3c01040000000001030000006f6e65040000000002\
    000000000000000000000000000000001d00008087a00400e75de0fe00040000\
    000001030000004f4e4504000000000305000000746872656500000000000000\
    0b000080156217c65d28bed200040000000002ffffffff000000000000000000\
    190000803f3502cfd43735040004000000000404000000666f75720400000000\
    01ffffffff0000000000000000000000";

#[test]
fn a_file_of_version_1_is_read_for_ever_and_followed_by_one_of_today() {
    let mut scene = Scene::new();
    let expected = {
        let mut other = Scene::new();
        other.short();
        other.history
    };
    let digits = VERSION_1.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
    let bytes: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    let file = scene.directory.path().join("state.1");
    // Whole, and cut short within its last frame.
    for (length, expected) in [bytes.len(), bytes.len() - 1].into_iter().zip(expected.iter().rev())
    {
        fs::write(&file, &bytes[..length]).unwrap();
        assert_eq!(scene.read(), (expected.clone(), true));
    }
    let (mut store, found) = scene.open();
    let mut model = Model(state(&found));
    scene.turn(&mut store, &mut model, &[(9, Some(b"nine"))]);
    drop(store);
    assert!(!file.exists());
    assert_eq!(scene.read(), (model.0, true));
    // Zeros behind its frames are damage in this version.
    fs::write(&file, [&bytes[..], &[0; 32]].concat()).unwrap();
    scene.files().iter().filter(|other| **other != file).for_each(|f| fs::remove_file(f).unwrap());
    assert!(!scene.read().1);
}

const VERSION_1: &str = "63616c6c6172620a010000000100000001000000000000002d34d52318000000ec9a38247b6ecd8d\
    01040000000001030000006f6e65040000000002000000001d00000087a0040075ed064f00040000\
    000001030000004f4e450400000000030500000074687265650b000000156217c6cf985863000400\
    00000002ffffffff190000003f3502cf4687d3b50004000000000404000000666f75720400000000\
    01ffffffff";
