//! Large views wait until nobody waits for anything smaller.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

const OWN: &str = ":1.100";
const OTHER: &str = ":1.200";

/// A bus on which both have been heard once.
fn known() -> Bus {
    let mut bus = Bus::new();
    for name in [OWN, ":1.101", OTHER] {
        bus.call(name, names::ROOT_PATH, publish::PEER, "Ping", &());
    }
    bus
}

fn question(sender: &str, member: &str) -> Message {
    let interface = if member == "Ping" { publish::PEER } else { publish::OBJECT_MANAGER };
    Message::method_call(names::ROOT_PATH, member)
        .interface(interface)
        .sender(sender)
        .destination(names::BUS_NAME)
        .build(&())
        .unwrap()
}

impl Bus {
    /// Only receives: as while there is more to be read.
    fn arrives(&mut self, message: &Message) {
        let mut out = Vec::new();
        self.router.receive(self.now, &received(message), &mut out).unwrap();
        self.deliver_all(out);
    }

    fn hears_one_later(&mut self) {
        let mut out = Vec::new();
        self.router.hear_later(self.now, &mut out);
        self.deliver_all(out);
    }
}

#[test]
fn others_are_answered_first_and_its_own_calls_after_it() {
    let mut bus = known();
    let view = question(OWN, "GetManagedObjects");
    let behind = question(OWN, "Ping");
    let (others, another) = (question(OTHER, "Ping"), question(":1.101", "Ping"));
    for message in [&view, &behind, &others, &another] {
        bus.arrives(message);
    }
    assert!(bus.reply_to(&others).is_some() && bus.reply_to(&another).is_some());
    assert!(bus.reply_to(&view).is_none() && bus.reply_to(&behind).is_none());
    bus.hears_one_later();
    let at = |bus: &Bus, call: &Message| {
        let serial = Some(call.primary_header().serial_num());
        bus.delivered.iter().position(|message| message.header().reply_serial() == serial).unwrap()
    };
    assert!(at(&bus, &view) < at(&bus, &behind));
    assert!(!bus.router.hears_later());
}

#[test]
fn users_take_turns() {
    let mut bus = known();
    let many: Vec<Message> = (0..3).map(|_| question(OWN, "GetManagedObjects")).collect();
    let one = question(OTHER, "GetManagedObjects");
    many.iter().chain([&one]).for_each(|message| bus.arrives(message));
    bus.hears_one_later();
    bus.hears_one_later();
    assert!(bus.reply_to(&one).is_some(), "it is the second one");
    assert!(bus.reply_to(&many[0]).is_some() && bus.reply_to(&many[1]).is_none());
}

#[test]
fn too_many_are_refused_and_a_connection_that_left_is_forgotten() {
    let mut bus = known();
    let most = admission::LATER_PER_USER;
    for _ in 0..most {
        bus.arrives(&question(OWN, "GetManagedObjects"));
    }
    let (more, others) = (question(OWN, "GetManagedObjects"), question(OTHER, "GetManagedObjects"));
    bus.arrives(&more);
    bus.arrives(&others);
    let refusal = bus.reply_to(&more).as_ref().and_then(error_of);
    assert_eq!(refusal.unwrap(), "org.callarbiter.Calls1.Error.LimitExceeded");
    bus.leave(OWN);
    bus.hears_one_later();
    assert!(bus.reply_to(&others).is_some());
    assert!(!bus.router.hears_later(), "of the one that left nothing waits");
}
