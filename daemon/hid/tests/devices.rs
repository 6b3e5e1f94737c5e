//! Real devices: their own descriptors, and what their buttons send.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use callarbiter_hid::{Control, DescriptorError, Event, Headset, Lights};

mod recorded;

fn key(control: Control, on: bool) -> Event {
    Event { control, on, key: true }
}

fn switch(control: Control, on: bool) -> Event {
    Event { control, on, key: false }
}

const CALLING: Lights = Lights { off_hook: true, ring: false, mute: true, hold: false };
const RINGING: Lights = Lights { off_hook: false, ring: true, mute: false, hold: false };

#[test]
fn anker_powerconf() {
    let mut it = Headset::of(&recorded::anker_powerconf()).unwrap();
    // Volume up.
    assert_eq!(it.hear(&[1, 1]), []);
    assert_eq!(it.hear(&[2, 0b0000_0001]), [switch(Control::Hook, true)]);
    // The same again, with its mute key; and let go.
    assert_eq!(it.hear(&[2, 0b0000_0101]), [key(Control::Mute, true)]);
    assert_eq!(it.hear(&[2, 0b0000_0001]), [key(Control::Mute, false)]);
    assert_eq!(it.hear(&[2, 0b0000_1001]), [key(Control::Flash, true)]);
    assert_eq!(it.hear(&[2, 0]), [switch(Control::Hook, false), key(Control::Flash, false)]);
    assert_eq!(it.show(CALLING), [[2, 0b0000_0011]]);
    assert_eq!(it.show(RINGING), [[2, 0b0000_0100]]);
}

#[test]
fn dell_sp325() {
    let mut it = Headset::of(&recorded::dell_sp325()).unwrap();
    assert_eq!(it.hear(&[5, 0b0000_0001]), [switch(Control::Hook, true)]);
    assert_eq!(it.hear(&[5, 0b0000_0011]), [key(Control::Mute, true)]);
    assert_eq!(it.hear(&[5, 0b1000_0001]), [key(Control::Mute, false), key(Control::Reject, true)]);
    assert_eq!(it.show(CALLING), [[5, 0b0000_0011]]);
    assert_eq!(it.show(RINGING), [[5, 0b0000_0100]]);
}

/// Each light is a report of its own.
#[test]
fn plantronics_blackwire_3220() {
    let mut it = Headset::of(&recorded::plantronics_blackwire_3220()).unwrap();
    assert_eq!(it.hear(&[8, 0b0000_0010]), [switch(Control::Hook, true)]);
    assert_eq!(it.hear(&[8, 0b0000_0011]), [key(Control::Mute, true)]);
    assert_eq!(it.show(CALLING), [[0x09, 1], [0x17, 1], [0x18, 0], [0x20, 0]]);
    assert_eq!(it.show(RINGING), [[0x09, 0], [0x17, 0], [0x18, 1], [0x20, 0]]);
}

/// With a dial pad, which is an array, between the buttons; and a light for the microphone and its ringer.
#[test]
fn of_jabras_layout() {
    let mut it = Headset::of(&recorded::of_jabras_layout()).unwrap();
    assert_eq!(it.hear(&[2, 0b0000_0001, 0]), [switch(Control::Hook, true)]);
    assert_eq!(it.hear(&[2, 0b0000_0101, 0]), [key(Control::Mute, true)]);
    // Its key 5 is pressed.
    assert_eq!(it.hear(&[2, 0b0100_0001, 0b01]), [key(Control::Mute, false)]);
    assert_eq!(it.hear(&[2, 0b0000_0001, 0b0000_0100]), [key(Control::Reject, true)]);
    assert_eq!(it.show(CALLING), [[2, 0b0000_0011, 0]]);
}

/// A camera: its only light is the microphone's.
#[test]
fn logitech_mx_brio() {
    let mut it = Headset::of(&recorded::logitech_mx_brio()).unwrap();
    assert!(it.has(Control::Mute) && it.has(Control::Hook) && !it.has(Control::Drop));
    assert_eq!(it.hear(&[8, 1]), [key(Control::Mute, true)]);
    assert_eq!(it.hear(&[8, 0]), [key(Control::Mute, false)]);
    assert_eq!(it.show(CALLING), [[8, 1]]);
}

#[test]
fn little_and_nothing() {
    let it = Headset::of(&recorded::razer_microphone()).unwrap();
    assert!(it.has(Control::Hook) && it.show(CALLING).is_empty());
    // What the kernel makes keys of.
    let cards = recorded::cmedia_sound_card();
    assert_eq!(Headset::of(&cards).unwrap_err(), DescriptorError::NoTelephone);
}

#[test]
fn a_keyboard_is_not_read_even_if_it_has_a_mute_key() {
    let mut both = recorded::keyboard();
    assert_eq!(Headset::of(&both).unwrap_err(), DescriptorError::Keyboard);
    both.extend(recorded::anker_powerconf());
    assert_eq!(Headset::of(&both).unwrap_err(), DescriptorError::Keyboard);
}

/// By the specification: no report numbers, switches of a byte, buttons in an array.
#[test]
fn written_by_the_specification() {
    let mut it = Headset::of(&recorded::switches_of_a_byte()).unwrap();
    assert_eq!(it.hear(&[1, 0]), [switch(Control::Hook, true)]);
    assert_eq!(it.hear(&[1, 200]), [switch(Control::Mute, true)]);
    assert_eq!(it.hear(&[1]), [], "a cut report says nothing of what it does not have");
    assert_eq!(it.hear(&[]), []);
    assert_eq!(
        it.hear(&[0, 0, 9, 9]),
        [switch(Control::Hook, false), switch(Control::Mute, false)]
    );
    assert_eq!(it.show(CALLING), [[0, 0b01]]);

    let mut it = Headset::of(&recorded::buttons_in_an_array()).unwrap();
    // First the hook key, then drop with it, then only drop.
    assert_eq!(it.hear(&[1, 0]), [key(Control::Hook, true)]);
    assert_eq!(it.hear(&[7, 1]), [key(Control::Drop, true)]);
    assert_eq!(it.hear(&[7, 0]), [key(Control::Hook, false)]);
    assert_eq!(it.hear(&[255, 255]), [key(Control::Drop, false)]);
}

#[test]
fn hostile_ones_are_refused_and_cost_nothing() {
    let push = [0xA4; 4096];
    assert!(matches!(Headset::of(&push), Err(DescriptorError::TooMuch(_))));
    assert_eq!(Headset::of(&[0xA4; 4097]).unwrap_err(), DescriptorError::TooLong);
    // Four thousand million hook switches of as many bits each.
    let endless =
        [0x05, 0x0B, 0x09, 0x20, 0x77, 255, 255, 255, 255, 0x97, 255, 255, 255, 255, 0x81, 2];
    assert!(matches!(Headset::of(&endless), Err(DescriptorError::TooMuch(_))));
    assert_eq!(Headset::of(&[0x05]).unwrap_err(), DescriptorError::Cut(0));
    assert_eq!(Headset::of(&[0xFE, 9, 0]).unwrap_err(), DescriptorError::Cut(0));
}
