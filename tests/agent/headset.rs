//! Headsets' buttons and lights, end to end: real descriptors, the reports that such devices send, a real
//! daemon. The nodes are pseudo-terminals: no machine that tests has all of these headsets.

use std::{collections::HashMap, process::Command};

use anyhow::Result;
use harness::{Asked, FakeProvider, Process, Reported, eventually};

use crate::{
    desk::{Desk, agent},
    machine::{Gadget, Keys, Machine, record},
};

#[path = "../../daemon/hid/tests/recorded/mod.rs"]
mod recorded;

const EV_LED: u16 = 0x11;
const KEY_Q: u16 = 16;
const KEY_VOLUMEUP: u16 = 115;
const KEY_PLAYPAUSE: u16 = 164;
const KEY_PHONE: u16 = 169;
const KEY_MICMUTE: u16 = 248;
const KEY_PICKUP_PHONE: u16 = 0x1BD;
const KEY_HANGUP_PHONE: u16 = 0x1BE;
const SW_MUTE_DEVICE: u16 = 0x0E;
const LED_MUTE: u16 = 7;

#[tokio::test]
async fn a_headset_answers_mutes_and_hangs_up_and_its_lights_follow() -> Result<()> {
    let (desk, machine) = desk().await?;
    let headset = machine.plug("hidraw3", &recorded::anker_powerconf(), 2)?;
    let agent = desk.agent("headset").await?;
    assert_eq!(headset.readers(agent.pid()), 0, "it may sleep between calls");

    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    headset.shows(&[2, 0b0100]).await?;
    headset.says(&agent, &[2, 0b0001]).await?;
    asked_by_the_headset(&desk.phone, "PerformAnswer").await?;
    headset.shows(&[2, 0b0001]).await?;
    headset.says(&agent, &[2, 0b0101]).await?;
    asked_by_the_headset(&desk.phone, "PerformSetMuted").await?;
    headset.shows(&[2, 0b0011]).await?;
    headset.says(&agent, &[2, 0b0001]).await?;
    headset.says(&agent, &[2, 0b0000]).await?;
    let ended = asked_by_the_headset(&desk.phone, "PerformEnd").await?;
    assert_eq!(ended, call.uuid);

    closed(&headset, &agent).await?;
    headset.shows(&[2, 0]).await?;
    let log = agent.log();
    assert!(!log.contains("ada@"), "{log}");
    Ok(())
}

#[tokio::test]
async fn what_the_screen_does_it_repeats_and_that_does_nothing() -> Result<()> {
    let (desk, machine) = desk().await?;
    let headset = machine.plug("hidraw0", &recorded::anker_powerconf(), 2)?;
    let agent = desk.agent("headset").await?;
    for nth in 1..=3 {
        let call = desk.talk("sip:ada@example.org").await?;
        repeats(&headset, &agent, [2, 0b0001]).await?;
        desk.phone.peer.hold(&call.path).await?;
        repeats(&headset, &agent, [2, 0b1001]).await?;
        desk.phone.peer.unhold(&call.path).await?;
        repeats(&headset, &agent, [2, 0b0001]).await?;
        headset.says(&agent, &[2, 0b0101]).await?;
        desk.phone.wait_asked("PerformSetMuted", nth).await?;
        headset.shows(&[2, 0b0011]).await?;
        headset.says(&agent, &[2, 0b0001]).await?;
        assert_eq!(desk.phone.peer.state(&call.path).await?, "active");
        desk.phone.peer.end(&call.path).await?;
        closed(&headset, &agent).await?;
    }
    // Each state once, and the beginning and the end: nobody loops.
    let told = headset.told();
    assert!(told.len() <= 3 * 9, "{} reports: {told:?}", told.len());
    let asked = desk.phone.asked();
    assert!(asked.iter().all(|asked| !format!("{:?}", asked.argument(2)).contains("headset")
        || asked.member == "PerformSetMuted"));
    Ok(())
}

#[tokio::test]
async fn with_two_calls_it_holds_swaps_and_declines() -> Result<()> {
    let (desk, machine) = desk().await?;
    let headset = machine.plug("hidraw0", &recorded::dell_sp325(), 2)?;
    let agent = desk.agent("headset").await?;
    let first = desk.talk("sip:ada@example.org").await?;
    repeats(&headset, &agent, [5, 0b0001]).await?;
    let second = desk.phone.report_incoming("sip:grace@example.org").await?;
    repeats(&headset, &agent, [5, 0b0101]).await?;

    // It was told that it is off the hook: on it answers the other call.
    headset.says(&agent, &[5, 0]).await?;
    desk.phone.peer.wait_state(&second.path, "active").await?;
    desk.phone.peer.wait_state(&first.path, "held").await?;
    // And so it is told again that it is off the hook.
    repeats(&headset, &agent, [5, 0b0001]).await?;
    headset.says(&agent, &[5, 0]).await?;
    desk.phone.peer.wait_state(&first.path, "active").await?;
    desk.phone.peer.wait_state(&second.path, "held").await?;

    let third = desk.phone.report_incoming("sip:edsger@example.org").await?;
    repeats(&headset, &agent, [5, 0b0101]).await?;
    headset.says(&agent, &[5, 0b1000_0001]).await?;
    wait_end(&desk, &third, "declined").await?;
    assert_eq!(desk.phone.peer.state(&first.path).await?, "active");
    Ok(())
}

#[tokio::test]
async fn each_of_them_answers_and_ends() -> Result<()> {
    let (desk, machine) = desk().await?;
    let agent = desk.agent("headset").await?;
    // What it is, how long its output reports are, picked up, what tells it then that the call goes on, put on.
    type Device<'a> = (&'a str, Vec<u8>, usize, &'a [u8], &'a [u8], &'a [u8]);
    let devices: [Device<'_>; 7] = [
        ("Anker PowerConf", recorded::anker_powerconf(), 2, &[2, 1], &[2, 1], &[2, 0]),
        ("Dell SP325", recorded::dell_sp325(), 2, &[5, 1], &[5, 1], &[5, 0]),
        ("Plantronics", recorded::plantronics_blackwire_3220(), 2, &[8, 2], &[0x17, 1], &[8, 0]),
        ("Jabra's layout", recorded::of_jabras_layout(), 3, &[2, 1, 0], &[2, 1, 0], &[2, 0, 0]),
        ("Logitech MX Brio", recorded::logitech_mx_brio(), 2, &[8, 2], &[], &[8, 0]),
        ("Razer", recorded::razer_microphone(), 2, &[2, 1], &[], &[2, 0]),
        ("a byte for each", recorded::switches_of_a_byte(), 2, &[1, 0], &[0, 1], &[0, 0]),
    ];
    for (what, descriptor, length, picked_up, told, put_on) in devices {
        let headset = machine.plug("hidraw0", &descriptor, length)?;
        let call = desk.phone.report_incoming("sip:ada@example.org").await?;
        open(&headset, &agent).await?;
        headset.says(&agent, picked_up).await?;
        desk.phone.peer.wait_state(&call.path, "active").await?;
        if told.is_empty() {
            desk.phone.peer.end(&call.path).await?;
        } else {
            headset.is_told(told).await?;
            headset.says(&agent, put_on).await?;
            wait_end(&desk, &call, "local-ended").await.map_err(|error| error.context(what))?;
        }
        closed(&headset, &agent).await?;
    }
    Ok(())
}

/// By the specification: a handset whose keys are an array, counted from 1.
#[tokio::test]
async fn hook_flash_and_drop_as_keys() -> Result<()> {
    let (desk, machine) = desk().await?;
    let handset = machine.plug("hidraw0", &recorded::buttons_in_an_array(), 1)?;
    let agent = desk.agent("headset").await?;
    let [hook, flash, drop, none] = [[1, 0], [2, 0], [0, 7], [0, 0]];
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    open(&handset, &agent).await?;
    handset.says(&agent, &hook).await?;
    handset.says(&agent, &none).await?;
    // The audio follows the state, of which the agent has heard by then.
    desk.phone.peer.wait_audio("granted").await?;
    handset.says(&agent, &flash).await?;
    handset.says(&agent, &none).await?;
    desk.phone.peer.wait_audio("idle").await?;
    handset.says(&agent, &flash).await?;
    handset.says(&agent, &none).await?;
    desk.phone.peer.wait_audio("granted").await?;
    handset.says(&agent, &drop).await?;
    wait_end(&desk, &call, "local-ended").await
}

#[tokio::test]
async fn one_that_is_silenced_rings_in_no_headset_and_is_answered_by_it() -> Result<()> {
    let (desk, machine) = desk().await?;
    let headset = machine.plug("hidraw0", &recorded::anker_powerconf(), 2)?;
    let agent = desk.agent("headset").await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    headset.shows(&[2, 0b0100]).await?;
    let _: () = desk.phone.peer.call(&call.path, "Call", "Silence", &()).await?;
    headset.shows(&[2, 0]).await?;
    headset.says(&agent, &[2, 1]).await?;
    desk.phone.peer.wait_state(&call.path, "active").await
}

#[tokio::test]
async fn keys_short_and_long() -> Result<()> {
    let (desk, machine) = desk().await?;
    let has = Keys {
        name: "Some USB Headset",
        keys: &[KEY_PHONE, KEY_PLAYPAUSE, KEY_MICMUTE, KEY_VOLUMEUP],
        switches: &[SW_MUTE_DEVICE],
        lights: &[LED_MUTE],
    };
    let headset = machine.plug_keys("event7", true, has)?;
    let agent = desk.agent("headset").await?;

    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    open(&headset, &agent).await?;
    headset.key(&agent, KEY_PLAYPAUSE, true).await?;
    headset.key(&agent, KEY_PLAYPAUSE, false).await?;
    asked_by_the_headset(&desk.phone, "PerformAnswer").await?;
    // Held down: the microphone.
    headset.key(&agent, KEY_PHONE, true).await?;
    muted(&desk, &call, true).await?;
    headset.key(&agent, KEY_PHONE, false).await?;
    headset.key(&agent, KEY_MICMUTE, true).await?;
    muted(&desk, &call, false).await?;
    headset.key(&agent, KEY_MICMUTE, false).await?;
    headset.switch(&agent, SW_MUTE_DEVICE, true).await?;
    muted(&desk, &call, true).await?;
    headset.is_told(&record(EV_LED, LED_MUTE, 1)).await?;
    headset.switch(&agent, SW_MUTE_DEVICE, false).await?;
    muted(&desk, &call, false).await?;
    headset.key(&agent, KEY_PHONE, true).await?;
    headset.key(&agent, KEY_PHONE, false).await?;
    wait_end(&desk, &call, "local-ended").await?;

    closed(&headset, &agent).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    open(&headset, &agent).await?;
    headset.key(&agent, KEY_PHONE, true).await?;
    wait_end(&desk, &call, "declined").await
}

#[tokio::test]
async fn whose_keys_count() -> Result<()> {
    let (desk, machine) = desk().await?;
    let media = &[KEY_PLAYPAUSE, KEY_MICMUTE];
    let keys = |name, keys| Keys { name, keys, ..Keys::default() };
    let elsewhere = machine.plug_keys("event0", false, keys("Remote control", media))?;
    let typed = &[KEY_Q, KEY_PLAYPAUSE, KEY_MICMUTE];
    let keyboard = machine.plug_keys("event1", true, keys("Keyboard with sound", typed))?;
    let laptop = &[KEY_Q, KEY_PICKUP_PHONE, KEY_HANGUP_PHONE, KEY_PLAYPAUSE];
    let laptop = machine.plug_keys("event2", false, keys("Laptop", laptop))?;
    let bluetooth = machine.plug_keys("event3", false, keys("Buds (AVRCP)", media))?;
    let agent = desk.agent("headset").await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    open(&laptop, &agent).await?;
    open(&bluetooth, &agent).await?;
    assert_eq!((elsewhere.readers(agent.pid()), keyboard.readers(agent.pid())), (0, 0));
    laptop.key(&agent, KEY_PLAYPAUSE, true).await?;
    laptop.key(&agent, KEY_PLAYPAUSE, false).await?;
    laptop.key(&agent, KEY_PICKUP_PHONE, true).await?;
    desk.phone.peer.wait_state(&call.path, "active").await?;
    laptop.key(&agent, KEY_HANGUP_PHONE, true).await?;
    wait_end(&desk, &call, "local-ended").await?;
    assert_eq!(desk.phone.asked().iter().filter(|asked| asked.member == "PerformEnd").count(), 1);
    Ok(())
}

/// The kernel makes a key of a headset's mute as well.
#[tokio::test]
async fn one_press_counts_once() -> Result<()> {
    let (desk, machine) = desk().await?;
    let raw = machine.plug("hidraw0", &recorded::dell_sp325(), 2)?;
    let has = Keys { name: "Dell SP325", keys: &[KEY_MICMUTE, KEY_VOLUMEUP], ..Keys::default() };
    let keys = machine.plug_keys("event4", true, has)?;
    let agent = desk.agent("headset").await?;
    let call = desk.talk("sip:ada@example.org").await?;
    open(&raw, &agent).await?;
    open(&keys, &agent).await?;
    for wanted in [true, false, true] {
        raw.says(&agent, &[5, 0b0011]).await?;
        keys.key(&agent, KEY_MICMUTE, true).await?;
        raw.says(&agent, &[5, 0b0001]).await?;
        keys.key(&agent, KEY_MICMUTE, false).await?;
        muted(&desk, &call, wanted).await?;
    }
    let asked = desk.phone.asked();
    assert_eq!(asked.iter().filter(|asked| asked.member == "PerformSetMuted").count(), 3);
    Ok(())
}

#[tokio::test]
async fn one_that_comes_in_a_call_is_heard_and_one_that_goes_is_missed_by_nobody() -> Result<()> {
    let (desk, machine) = desk().await?;
    let agent = desk.agent("headset").await?;
    let call = desk.talk("sip:ada@example.org").await?;
    for _ in 0..3 {
        let headset = machine.plug("hidraw1", &recorded::anker_powerconf(), 2)?;
        headset.shows(&[2, 0b0001]).await?;
        drop(headset);
        let keys = Keys { name: "Buds (AVRCP)", keys: &[KEY_PLAYPAUSE], ..Keys::default() };
        let buds = machine.plug_keys("event9", false, keys)?;
        open(&buds, &agent).await?;
    }
    assert_eq!(desk.phone.peer.state(&call.path).await?, "active");
    let headset = machine.plug("hidraw1", &recorded::anker_powerconf(), 2)?;
    repeats(&headset, &agent, [2, 0b0001]).await?;
    headset.says(&agent, &[2, 0]).await?;
    wait_end(&desk, &call, "local-ended").await
}

#[tokio::test]
async fn a_shell_that_reads_headsets_itself_does_it_alone() -> Result<()> {
    let (desk, machine) = desk().await?;
    let headset = machine.plug("hidraw0", &recorded::anker_powerconf(), 2)?;
    let agent = desk.agent("headset").await?;
    desk.talk("sip:ada@example.org").await?;
    open(&headset, &agent).await?;
    let shell = desk.bus().connect().await?;
    let nothing = harness::options([]);
    let role = (zbus::ObjectPath::try_from("/")?, ["headset"].as_slice(), &nothing);
    let _: HashMap<String, zbus::OwnedVariant> =
        shell.call(harness::ROOT, "Manager", "RegisterAgent", &role).await?;
    closed(&headset, &agent).await
}

#[test]
fn what_udev_asks() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let is_telephony = |bytes: &[u8]| -> Result<Option<i32>> {
        let file = directory.path().join("report_descriptor");
        std::fs::write(&file, bytes)?;
        let mut asked = Command::new(agent()?);
        Ok(asked.arg("--is-telephony").arg(&file).output()?.status.code())
    };
    assert_eq!(is_telephony(&recorded::anker_powerconf())?, Some(0));
    assert_eq!(is_telephony(&recorded::plantronics_blackwire_3220())?, Some(0));
    assert_eq!(is_telephony(&recorded::keyboard())?, Some(1));
    assert_eq!(is_telephony(&recorded::cmedia_sound_card())?, Some(1));
    assert_eq!(is_telephony(&[0xA4; 5000])?, Some(1));
    Ok(())
}

async fn desk() -> Result<(Desk, Machine)> {
    let desk = Desk::new().await?;
    let machine = Machine::new(&desk)?;
    Ok((desk, machine))
}

/// Waits until it is told this, and says by itself that it is off the hook or on, as such headsets do.
async fn repeats(headset: &Gadget, agent: &Process, told: [u8; 2]) -> Result<()> {
    headset.shows(&told).await?;
    headset.says(agent, &[told[0], told[1] & 1]).await
}

async fn open(gadget: &Gadget, agent: &Process) -> Result<()> {
    let open = async || (gadget.readers(agent.pid()) == 1).then_some(());
    eventually("the agent opens the headset", open).await
}

async fn closed(gadget: &Gadget, agent: &Process) -> Result<()> {
    let closed = async || (gadget.readers(agent.pid()) == 0).then_some(());
    eventually("the agent closes the headset", closed).await
}

/// Which call was asked for, and that it was by a headset's button.
async fn asked_by_the_headset(phone: &FakeProvider, member: &str) -> Result<String> {
    let asked = phone.wait_asked(member, 1).await?;
    let said: Vec<String> = (2..5).map(|n| format!("{:?}", asked.argument(n))).collect();
    let said = said.join(" ");
    assert!(said.contains("\"headset\""), "{member}: {said}");
    Ok(asked.uuid().unwrap_or_default())
}

async fn muted(desk: &Desk, call: &Reported, wanted: bool) -> Result<()> {
    let is = async || {
        let muted = desk.phone.peer.property(&call.path, "Call", "Muted").await.ok()?;
        (bool::try_from(muted).ok()? == wanted).then_some(())
    };
    eventually(&format!("muted is {wanted}"), is).await
}

/// Waits until the app was asked to end this call, by the headset and for this reason.
async fn wait_end(desk: &Desk, call: &Reported, reason: &str) -> Result<()> {
    let is_it =
        |asked: &Asked| asked.member == "PerformEnd" && asked.uuid() == Some(call.uuid.clone());
    let ended = async || desk.phone.asked().into_iter().find(is_it);
    let ended = eventually("the headset ends the call", ended).await?;
    let how = format!("{:?}", ended.argument(2));
    assert!(how.contains("\"headset\"") && how.contains(reason), "{how}");
    Ok(())
}
