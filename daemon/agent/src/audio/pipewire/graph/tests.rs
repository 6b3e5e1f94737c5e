//! A graph without a server: what it is told, and what it asks for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use zbus::OwnedObjectPath;

use super::*;
use crate::audio::whose::Process;

const PHONE: u32 = 100;
const OTHER: u32 = 200;

const SPEAKERS: u32 = 10;
const PHONE_PLAYS: u32 = 20;
const PHONE_HEARS: u32 = 21;
const MUSIC: u32 = 30;
/// Ours, as it appears.
const OTHERS: u32 = 40;
const SILENCE: u32 = 41;

fn app(pid: u32, audio: bool, silence: bool) -> App {
    let provider = OwnedObjectPath::try_from(format!("/p/{pid}")).unwrap();
    let app_id = format!("org.example.App{pid}");
    App { provider, app_id, process: Some(Process::numbered(pid)), audio, silence }
}

fn wanted(apps: &[App]) -> Wanted {
    Wanted { generation: 1, apps: apps.to_vec() }
}

fn node(graph: &mut Graph, id: u32, class: &str, client: u32) {
    let (serial, name) = (format!("s{id}"), format!("n{id}"));
    let class = class.to_owned();
    let node = Node { serial, name, class, client: Some(client), running: true, ..Node::default() };
    graph.take(Event::Node { id, node });
}

fn link(graph: &mut Graph, id: u32, output: u32, input: u32) {
    graph.take(Event::Link { id, link: Link { output, input, ports: (id, id) } });
}

fn default_sink(graph: &mut Graph, id: u32) {
    let value = Some(format!(r#"{{"name":"n{id}"}}"#));
    let key = Some("default.audio.sink".into());
    graph.take(Event::Property { subject: 0, key, value });
}

/// Speakers, a phone that plays and hears, and music; the phone's client and the music's.
fn session() -> Graph {
    let mut graph = Graph::default();
    for pid in [PHONE, OTHER] {
        let origin = Origin { app_id: None, process: Some(Process::numbered(pid)) };
        graph.take(Event::Client { id: pid, origin });
    }
    node(&mut graph, SPEAKERS, "Audio/Sink", 1);
    for (port, channel) in [(11, "FL"), (12, "FR")] {
        let port_of = Port { node: SPEAKERS, input: true, channel: channel.into() };
        graph.take(Event::Port { id: port, port: port_of });
    }
    node(&mut graph, PHONE_PLAYS, "Stream/Output/Audio", PHONE);
    node(&mut graph, PHONE_HEARS, "Stream/Input/Audio", PHONE);
    node(&mut graph, MUSIC, "Stream/Output/Audio", OTHER);
    link(&mut graph, 50, MUSIC, SPEAKERS);
    graph.take(Event::Metadata(true));
    default_sink(&mut graph, SPEAKERS);
    graph.take(Event::Ready);
    graph
}

fn ours(graph: &mut Graph, own: Own, id: u32, class: &str) {
    let (name, class) = (own.name(), class.to_owned());
    graph.take(Event::Node { id, node: Node { name, class, ..Node::default() } });
}

/// What the server does with a wish for a node: it is there, with ports.
fn made(graph: &mut Graph, own: Own, id: u32) {
    ours(graph, own, id, if own == Own::Silence { "Audio/Source/Virtual" } else { "Audio/Sink" });
    graph.take(Event::Made { own, id });
    for (port, channel) in [(id * 10, "FL"), (id * 10 + 1, "FR")] {
        let port_of = Port { node: id, input: false, channel: channel.into() };
        graph.take(Event::Port { id: port, port: port_of });
    }
}

fn to(stream: u32, own: Own) -> Command {
    Command::Target { stream, value: Some(own.name()) }
}

#[test]
fn others_go_to_the_quiet_sink_once_it_leads_somewhere_and_come_back() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    assert_eq!(graph.plan(&call, None).commands, [Command::Make(Own::Others)]);
    assert_eq!(graph.plan(&call, None).commands, []);
    made(&mut graph, Own::Others, OTHERS);
    let plan = graph.plan(&call, None);
    let joins = [Command::Join { from: 400, to: 11 }, Command::Join { from: 401, to: 12 }];
    assert_eq!(plan.commands, [&joins[..], &[to(MUSIC, Own::Others)]].concat());
    assert!(!plan.settled, "the link still leads to the speakers");
    graph.take(Event::Removed { id: 50 });
    link(&mut graph, 51, MUSIC, OTHERS);
    assert!(graph.plan(&call, None).settled);

    assert_eq!(graph.plan(&wanted(&[]), None).commands, [told(MUSIC, None)]);
    graph.take(Event::Removed { id: 51 });
    link(&mut graph, 52, MUSIC, SPEAKERS);
    let plan = graph.plan(&wanted(&[]), None);
    assert!(plan.left);
    assert_eq!(plan.commands, [Command::Drop(Own::Others)]);
}

#[test]
fn the_quiet_sink_waits_for_a_stream_that_is_sent_back_while_it_comes() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    // Its old link may still be there, or be the one of its return.
    let back = graph.plan(&wanted(&[]), None);
    assert_eq!((back.commands, back.left), (vec![told(MUSIC, None)], false));
    assert!(!graph.plan(&wanted(&[]), None).left);
    // It comes, and goes.
    graph.take(Event::Removed { id: 50 });
    link(&mut graph, 51, MUSIC, OTHERS);
    assert!(!graph.plan(&wanted(&[]), None).left);
    graph.take(Event::Removed { id: 51 });
    assert!(!graph.plan(&wanted(&[]), None).left, "it is nowhere");
    link(&mut graph, 52, MUSIC, SPEAKERS);
    assert_eq!(graph.plan(&wanted(&[]), None).commands, [Command::Drop(Own::Others)]);
}

#[test]
fn a_stream_that_was_lost_on_its_way_back_is_asked_for_once_more() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    graph.plan(&wanted(&[]), None);
    graph.take(Event::Removed { id: 50 });
    let again = [told(MUSIC, Some("-1")), told(MUSIC, None)];
    assert_eq!(graph.insist(&wanted(&[]), None), again);
    assert!(!graph.plan(&wanted(&[]), None).left);
    assert_eq!(graph.insist(&wanted(&[]), None), []);
    assert!(graph.plan(&wanted(&[]), None).left, "nobody waits for ever");
}

fn told(stream: u32, value: Option<&str>) -> Command {
    Command::Target { stream, value: value.map(str::to_owned) }
}

#[test]
fn the_quiet_sink_follows_the_default() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    node(&mut graph, 13, "Audio/Sink", 1);
    graph
        .take(Event::Port { id: 14, port: Port { node: 13, input: true, channel: "MONO".into() } });
    default_sink(&mut graph, 13);
    let mut commands = graph.plan(&call, None).commands;
    let parts = [Command::Part { from: 400, to: 11 }, Command::Part { from: 401, to: 12 }];
    let joins = [Command::Join { from: 400, to: 14 }, Command::Join { from: 401, to: 14 }];
    commands.sort_by_key(|command| format!("{command:?}"));
    assert_eq!(commands, [joins, parts].concat());
}

#[test]
fn a_muted_microphone_is_silent_and_said_so_when_it_is() {
    let mut graph = session();
    link(&mut graph, 52, 99, PHONE_HEARS);
    let muted = wanted(&[app(PHONE, false, true)]);
    graph.plan(&muted, None);
    made(&mut graph, Own::Silence, SILENCE);
    let plan = graph.plan(&muted, None);
    assert_eq!(plan.commands, [to(PHONE_HEARS, Own::Silence)]);
    assert_eq!((plan.settled, plan.muted), (false, vec![]));
    graph.take(Event::Removed { id: 52 });
    link(&mut graph, 53, SILENCE, PHONE_HEARS);
    let plan = graph.plan(&muted, None);
    assert_eq!((plan.settled, plan.muted), (true, vec![muted.apps[0].provider.clone()]));
}

#[test]
fn where_a_user_sent_a_stream_it_stays_unless_its_app_lost_the_session() {
    let mut graph = session();
    let target = |stream, value: &str| Event::Property {
        subject: stream,
        key: Some(TARGET.into()),
        value: Some(value.into()),
    };
    graph.take(target(MUSIC, "77"));
    graph.take(target(PHONE_HEARS, "88"));
    let held = wanted(&[app(PHONE, false, false), app(300, true, false)]);
    graph.plan(&held, None);
    made(&mut graph, Own::Others, OTHERS);
    made(&mut graph, Own::Silence, SILENCE);
    let commands = graph.plan(&held, None).commands;
    assert!(commands.contains(&to(PHONE_HEARS, Own::Silence)), "{commands:?}");
    assert!(commands.contains(&to(PHONE_PLAYS, Own::Others)), "{commands:?}");
    assert!(!commands.contains(&to(MUSIC, Own::Others)), "{commands:?}");
    let kept = graph.former();
    assert_eq!(kept, ["21 s21 88"]);
    let late: Vec<Way> = graph.without_session(&held).into_iter().map(|(_, way)| way).collect();
    assert_eq!(late, [Way::Playback, Way::Capture]);

    let back = Command::Target { stream: PHONE_HEARS, value: Some("88".into()) };
    assert!(graph.plan(&wanted(&[]), None).commands.contains(&back));

    // Killed before: the next agent does it, for the same stream only.
    let mut next = Graph::default();
    next.recall(&[kept[0].clone(), "30 other 99".into()]);
    node(&mut next, PHONE_HEARS, "Stream/Input/Audio", PHONE);
    node(&mut next, MUSIC, "Stream/Output/Audio", PHONE);
    next.take(Event::Client { id: PHONE, origin: Origin::default() });
    next.take(Event::Metadata(true));
    next.take(target(PHONE_HEARS, "callarbiter.silence.1"));
    next.take(target(MUSIC, "callarbiter.others.1"));
    next.take(Event::Ready);
    let back = [back, Command::Target { stream: MUSIC, value: None }];
    assert_eq!(next.plan(&wanted(&[]), None).commands, back);
}

#[test]
fn a_new_session_manager_is_told_again() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    graph.take(Event::Metadata(false));
    assert_eq!(graph.plan(&call, None).commands, []);
    graph.take(Event::Metadata(true));
    assert_eq!(graph.plan(&call, None).commands, [to(MUSIC, Own::Others)]);
}

#[test]
fn without_a_loudspeaker_there_is_nothing_to_wait_for() {
    let mut graph = Graph::default();
    graph.take(Event::Metadata(true));
    graph.take(Event::Ready);
    let call = wanted(&[app(PHONE, true, false)]);
    assert!(!graph.plan(&call, None).settled);
    made(&mut graph, Own::Others, OTHERS);
    assert!(graph.plan(&call, None).settled);
}

#[test]
fn what_a_call_plays_goes_through_a_sink_of_ours_where_it_is_to_be_heard() {
    let mut graph = session();
    node(&mut graph, 13, "Audio/Sink", 1);
    let port = Port { node: 13, input: true, channel: "MONO".into() };
    graph.take(Event::Port { id: 14, port });
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, Some("n13"));
    made(&mut graph, Own::Others, OTHERS);
    made(&mut graph, Own::Calls, 42);
    let plan = graph.plan(&call, Some("n13"));
    for command in [
        Command::Join { from: 400, to: 11 },
        Command::Join { from: 420, to: 14 },
        to(MUSIC, Own::Others),
        to(PHONE_PLAYS, Own::Calls),
    ] {
        assert!(plan.commands.contains(&command), "{command:?} is not in {:?}", plan.commands);
    }
    link(&mut graph, 60, PHONE_PLAYS, SPEAKERS);
    assert!(!graph.plan(&call, Some("n13")).routed);
    assert!(graph.outputs().list.iter().all(|endpoint| endpoint.id.starts_with('n')));

    // It vanishes: back to the default one.
    graph.take(Event::Removed { id: 14 });
    graph.take(Event::Removed { id: 13 });
    let back = Command::Target { stream: PHONE_PLAYS, value: None };
    assert!(graph.plan(&call, None).commands.contains(&back));
}

#[test]
fn a_session_manager_that_missed_it_is_told_again() {
    let mut graph = session();
    let call = wanted(&[app(PHONE, true, false)]);
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    assert_eq!(graph.insist(&call, None), [Command::Target { stream: MUSIC, value: None }]);
    assert_eq!(graph.plan(&call, None).commands, [to(MUSIC, Own::Others)]);
    graph.take(Event::Removed { id: 50 });
    link(&mut graph, 51, MUSIC, OTHERS);
    assert_eq!(graph.insist(&call, None), []);
}

#[test]
fn a_session_manager_that_was_not_heard_says_it_again() {
    let (mut graph, call) = (session(), wanted(&[app(PHONE, true, false)]));
    graph.default_sink = None;
    assert_eq!(graph.insist(&call, None), [Command::Repeat]);
    default_sink(&mut graph, SPEAKERS);
    assert!(!graph.insist(&call, None).contains(&Command::Repeat));
    graph.take(Event::Metadata(false));
    assert!(!graph.plan(&call, None).astray, "there is nobody who could be asked again");
}

#[test]
fn a_stream_that_was_lost_on_its_way_to_us_is_told_again() {
    let (mut graph, call) = (session(), wanted(&[app(PHONE, true, false)]));
    graph.plan(&call, None);
    made(&mut graph, Own::Others, OTHERS);
    graph.plan(&call, None);
    graph.take(Event::Removed { id: 50 });
    assert!(!graph.plan(&call, None).astray, "without ports it is not to be linked yet");
    let port = Port { node: MUSIC, input: false, channel: "MONO".into() };
    graph.take(Event::Port { id: 31, port });
    assert!(graph.plan(&call, None).astray);
    assert_eq!(graph.insist(&call, None), [told(MUSIC, None)]);
    assert_eq!(graph.plan(&call, None).commands, [to(MUSIC, Own::Others)]);
    link(&mut graph, 51, MUSIC, OTHERS);
    assert!(!graph.plan(&call, None).astray);
}

#[test]
fn an_output_is_what_its_device_is() {
    let mut graph = session();
    let hints = vec![("device.form-factor", "headset".to_owned())];
    graph.take(Event::Device { id: 7, hints });
    let usb =
        Node { name: "usb".into(), class: "Audio/Sink".into(), device: Some(7), ..Node::default() };
    graph.take(Event::Node { id: 8, node: usb });
    let outputs = graph.outputs();
    let kinds: Vec<&str> = outputs.list.iter().map(|endpoint| endpoint.kind.as_str()).collect();
    assert_eq!((kinds, outputs.default.as_str()), (vec!["headset", "other"], "n10"));
}
