//! Who sees what, when replies come, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

#[test]
fn another_user_sees_nothing() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        if path == names::ROOT_PATH {
            continue;
        }
        for (standard, name) in
            [(publish::PROPERTIES, "GetAll"), ("org.freedesktop.DBus.Introspectable", "Introspect")]
        {
            let reply = match name {
                "GetAll" => bus.call(":1.200", &path, standard, name, &interface),
                _ => bus.call(":1.200", &path, standard, name, &()),
            };
            assert_eq!(error_of(&reply).unwrap(), "org.freedesktop.DBus.Error.UnknownObject");
        }
    }
    let reply = bus.call(":1.200", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (revision, objects): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    assert_eq!((revision, objects.len()), (0, 1));
    assert!(bus.signals_to(":1.200").is_empty());
}

#[test]
fn a_subscriber_counts_every_change() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (mut revision, _): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    let call = bus.incoming(":1.100", provider.as_str());
    bus.end(":1.100", provider.as_str());
    let signals = bus.signals_to(":1.101");
    let mut seen = Vec::new();
    for signal in &signals {
        revision += 1;
        let member = member(signal);
        let body = signal.body();
        match member.as_str() {
            "PropertiesChanged" => {
                let (_, changed, _): (String, Dict, Vec<String>) = body.deserialize().unwrap();
                assert_eq!(changed["Revision"], Variant::from(revision).try_into().unwrap());
            }
            "Transition" => {
                let (.., number): (String, String, String, u64) = body.deserialize().unwrap();
                assert_eq!(number, revision);
            }
            _ => {}
        }
        seen.push(member);
    }
    assert_eq!(seen.first().unwrap(), "InterfacesAdded");
    assert_eq!(seen.last().unwrap(), "InterfacesRemoved");
    let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (now, objects): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    assert_eq!(now, revision);
    assert!(!objects.contains_key(&call));
    let late = bus.call(":1.101", call.as_str(), names::CALL, "Hold", &());
    assert_eq!(error_of(&late).unwrap(), "org.callarbiter.Calls1.Error.AlreadyEnded");
}

#[test]
fn an_app_behind_a_wall_sees_that_there_is_a_call_and_not_with_whom() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    // Without a pid nothing proves that it is not sandboxed.
    let reply = bus.call(":1.190", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    assert_eq!(error_of(&reply), None);
    bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let call = bus.incoming(":1.100", provider.as_str());
    for (reader, name) in [(":1.101", "Mum"), (":1.190", "")] {
        let added = bus.signals_to(reader).into_iter().next().unwrap();
        let (_, interfaces): (OwnedObjectPath, HashMap<String, Dict>) =
            added.body().deserialize().unwrap();
        let shown = &interfaces[names::CALL];
        assert_eq!(shown["DisplayName"], Variant::from(name).try_into().unwrap());
        assert_eq!(
            bus.get_all(reader, call.as_str(), names::CALL)["DisplayName"],
            shown["DisplayName"]
        );
    }
    // Nor who it is to the user.
    let path = OwnedObjectPath::try_from("/agent").unwrap();
    let registration = (path, vec!["contacts"], no_options());
    bus.call(":1.11", names::ROOT_PATH, names::MANAGER, "RegisterAgent", &registration);
    let asked =
        bus.delivered.iter().rev().find(|message| {
            message.message_type() == Type::MethodCall && member(message) == "LookUp"
        });
    let (request, _, _): (String, String, Dict) = asked.unwrap().body().deserialize().unwrap();
    let answer = HashMap::from([("name", Variant::from("Ada")), ("contact-id", "1".into())]);
    let reply = (request, answer);
    let reply = bus.call(":1.11", names::ROOT_PATH, names::MANAGER, "AgentReply", &reply);
    assert_eq!(error_of(&reply), None);
    for (reader, words) in [(":1.101", ["Ada", "contacts", "1"]), (":1.190", [""; 3])] {
        let all = bus.get_all(reader, call.as_str(), names::CALL);
        for (name, word) in ["DisplayName", "NameSource", "ContactId"].into_iter().zip(words) {
            assert_eq!(all[name], Variant::from(word).try_into().unwrap(), "{name}");
            let changed = bus.signals_to(reader);
            let told = changed.iter().any(|signal| format!("{:?}", signal.body()).contains("Ada"));
            assert!(reader == ":1.101" || !told);
        }
    }
}

#[test]
fn a_verb_replies_when_it_is_performed() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    let answer = Message::method_call(call.as_str(), "Answer")
        .sender(":1.101")
        .build(&(no_options(),))
        .unwrap();
    bus.deliver(&answer);
    assert!(bus.reply_to(&answer).is_none(), "the provider has not said it yet");
    bus.fulfil(provider.as_str(), "PerformAnswer");
    assert_eq!(error_of(&bus.reply_to(&answer).unwrap()), None);
}

#[test]
fn nobody_waits_longer_than_twenty_seconds() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let start = (
        "tel:5",
        HashMap::from([("provider", Variant::from("org.example.Phone")), ("wait", true.into())]),
    );
    let call =
        Message::method_call(names::ROOT_PATH, "StartCall").sender(":1.101").build(&start).unwrap();
    bus.deliver(&call);
    assert!(bus.reply_to(&call).is_none());
    let ask = bus.asks().into_iter().find(|ask| member(ask) == "PerformStart").unwrap();
    let (request, ..): (String, String, String, Dict) = ask.body().deserialize().unwrap();
    bus.wait(15);
    let progress = (request, 10_000u32);
    bus.call(":1.100", provider.as_str(), names::PROVIDER, "Progress", &progress);
    bus.wait(5);
    let reply = bus.reply_to(&call).unwrap();
    assert_eq!(error_of(&reply), None, "the call is still being placed");
    assert!(reply.body().deserialize::<OwnedObjectPath>().is_ok());
}

#[test]
fn waiting_is_bounded_for_each_user() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    let answer = || {
        let answer = Message::method_call(call.as_str(), "Answer").sender(":1.101");
        answer.build(&(no_options(),)).unwrap()
    };
    for _ in 0..admission::WAITS_PER_USER {
        let answer = answer();
        bus.deliver(&answer);
        assert!(bus.reply_to(&answer).is_none());
    }
    let one_more = answer();
    bus.deliver(&one_more);
    let refused = bus.reply_to(&one_more).unwrap();
    assert_eq!(error_of(&refused).unwrap(), "org.callarbiter.Calls1.Error.LimitExceeded");
    bus.leave(":1.101");
    let of_another = Message::method_call(call.as_str(), "Answer").sender(":1.102");
    let of_another = of_another.build(&(no_options(),)).unwrap();
    bus.deliver(&of_another);
    assert!(bus.reply_to(&of_another).is_none(), "whoever leaves gives its places back");
}

#[test]
fn the_requester_hears_of_the_end_and_one_who_reads_an_object_of_its_changes() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    bus.get_all(":1.103", call.as_str(), names::CALL);
    let answer = (vec![("Answer", HashMap::from([("call", Variant::from(UUID))]))], no_options());
    bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "RequestTransaction", &answer);
    bus.fulfil(provider.as_str(), "PerformAnswer");
    let heard: Vec<String> = bus.signals_to(":1.101").iter().map(member).collect();
    assert_eq!(heard, ["Finished"]);
    let seen = bus.signals_to(":1.103");
    assert!(!seen.is_empty());
    for signal in seen {
        assert_eq!(signal.header().path().unwrap().as_str(), call.as_str());
    }
}

#[test]
fn a_tree_can_be_walked_and_a_caller_who_leaves_is_forgotten() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    let introspectable = "org.freedesktop.DBus.Introspectable";
    for (path, child) in [("/", "org"), ("/org/callarbiter", "Calls1"), (names::ROOT_PATH, "call")]
    {
        let reply = bus.call(":1.101", path, introspectable, "Introspect", &());
        let xml: String = reply.body().deserialize().unwrap();
        assert!(xml.contains(&format!("<node name=\"{child}\"/>")), "{xml}");
    }
    bus.leave(":1.101");
    bus.leave(":1.100");
    let attached = bus.get(":1.102", provider.as_str(), names::PROVIDER, "Attached");
    assert_eq!(attached, Variant::from(false).try_into().unwrap());
}

#[test]
fn too_large_and_unwanted_replies() {
    let mut bus = Bus::new();
    let large = vec![0u8; callarbiter_dbus::limits::BODY_BYTES + 1];
    let reply = bus.call(":1.101", "/", publish::PEER, "Ping", &large);
    assert_eq!(error_of(&reply).unwrap(), "org.callarbiter.Calls1.Error.LimitExceeded");
    let silent = Message::method_call("/", "Ping")
        .interface(publish::PEER)
        .sender(":1.101")
        .with_flags(zbus::message::Flags::NO_REPLY_EXPECTED)
        .build(&())
        .unwrap();
    bus.deliver(&silent);
    assert!(bus.reply_to(&silent).is_none());
}

#[test]
fn the_arbiters_own_end_reasons_cannot_be_reported() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    for (reason, refused) in
        [("filtered", true), ("provider-lost", true), ("timed-out", true), ("remote-ended", false)]
    {
        let body = (UUID, reason, no_options());
        let reply = bus.call(":1.100", provider.as_str(), names::PROVIDER, "ReportEnded", &body);
        assert_eq!(error_of(&reply).is_some(), refused, "{reason}");
    }
}

#[test]
fn whoever_waited_knows_the_new_state_when_the_reply_comes() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    bus.delivered.clear();
    let silence = Message::method_call(call.as_str(), "Silence")
        .interface(names::CALL)
        .sender(":1.101")
        .destination(names::BUS_NAME)
        .build(&())
        .unwrap();
    bus.deliver(&silence);
    let kinds: Vec<Type> = bus.delivered.iter().map(Message::message_type).collect();
    assert_eq!(kinds.last(), Some(&Type::MethodReturn));
    assert!(kinds.iter().filter(|kind| **kind == Type::Signal).count() > 1);
}

#[test]
fn a_call_of_nobody_gets_no_reply() {
    let mut bus = Bus::new();
    let ping = Message::method_call("/", "Ping").interface(publish::PEER).build(&()).unwrap();
    bus.deliver(&ping);
    let long =
        Message::method_call("/", "Ping").build(&vec![0u8; callarbiter_dbus::limits::BODY_BYTES]);
    bus.deliver(&long.unwrap());
    assert!(bus.delivered.is_empty());
}

#[test]
fn a_message_that_is_too_long_is_refused_once_even_as_the_first() {
    let mut bus = Bus::new();
    let long = vec![0u8; callarbiter_dbus::limits::BODY_BYTES];
    let path = format!("/{}", "x".repeat(admission::HEADER_BYTES));
    let from = |sender, path: &str| {
        Message::method_call(path.to_owned(), "Ping").sender(sender).interface(publish::PEER)
    };
    let refused = [
        from(":1.171", "/").build(&long).unwrap(),
        from(":1.171", "/").build(&long).unwrap(),
        from(":1.172", &path).build(&()).unwrap(),
    ];
    for call in refused {
        bus.deliver(&call);
        let reply = bus.reply_to(&call).unwrap();
        assert!(error_of(&reply).unwrap().ends_with(".LimitExceeded"));
        assert!(bus.reply_to(&call).is_none(), "once");
    }
    let short = from(":1.171", "/").build(&()).unwrap();
    bus.deliver(&short);
    assert!(error_of(&bus.reply_to(&short).unwrap()).is_none());
}

#[test]
fn each_change_carries_its_own_number_also_when_a_deadline_passed_just_before() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    let answer = (vec![("Answer", HashMap::from([("call", Variant::from(UUID))]))], no_options());
    bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "RequestTransaction", &answer);
    let all = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (mut revision, _): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        all.body().deserialize().unwrap();
    bus.signals_to(":1.101");
    // It did not answer in time, which shows when it speaks again: two changes of the provider.
    bus.now.mono = bus.now.mono + callarbiter_core::Millis::secs(11);
    let renamed = HashMap::from([("display-name", Variant::from("Telephone"))]);
    bus.call(":1.100", provider.as_str(), names::PROVIDER, "UpdateConfiguration", &renamed);
    let mut of_provider = 0;
    for signal in bus.signals_to(":1.101") {
        revision += 1;
        if member(&signal) == "PropertiesChanged" {
            let (_, changed, _): (String, Dict, Vec<String>) = signal.body().deserialize().unwrap();
            assert_eq!(u64::try_from(changed["Revision"].try_clone().unwrap()), Ok(revision));
            let path = signal.header().path().unwrap().to_string();
            of_provider += usize::from(path == provider.as_str());
        }
    }
    assert_eq!(of_provider, 2);
}

#[test]
fn a_repeated_token_gives_the_path_of_a_call_that_is_over() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let start = |bus: &mut Bus, call: Option<&str>| {
        let token = Variant::from("9b2d7f0e-1111-4222-8333-444455556666");
        let mut options = HashMap::from([("token", token)]);
        options.extend(call.map(|call| ("call", call.into())));
        let body = ("tel:+49", options);
        let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "StartCall", &body);
        assert_eq!(error_of(&reply), None);
        reply.body().deserialize::<OwnedObjectPath>().unwrap()
    };
    let first = start(&mut bus, Some(UUID));
    bus.end(":1.100", provider.as_str());
    assert_eq!(start(&mut bus, None), first);
    // Also when the transaction cannot be read any more.
    bus.wait(61);
    assert_eq!(start(&mut bus, None), first);
}
