//! The interface files document every member: what it does, its arguments, its errors, who hears it.

use crate::files::{Interface, Member, interfaces};
use callarbiter_dbus::{ErrorKind, Verb, names, words};

/// The words of a comment below its name and its arguments.
fn body(doc: &str) -> Vec<&str> {
    let lines = doc.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1);
    lines.filter(|line| !line.starts_with('@')).flat_map(str::split_whitespace).collect()
}

/// Apps and agents implement it, and nobody reads a reply.
fn is_asked_of_others(interface: &Interface) -> bool {
    [names::PROVIDER_DELEGATE, names::AGENT].contains(&interface.name.as_str())
}

fn each_member(mut check: impl FnMut(&Interface, &Member)) {
    for interface in interfaces() {
        for member in &interface.members {
            check(&interface, member);
        }
    }
}

#[test]
fn every_interface_and_member_has_a_comment_that_generators_attach_to_it() {
    for interface in interfaces() {
        assert_eq!(interface.doc.trim().lines().next(), Some(&*format!("{}:", interface.name)));
        assert!(body(&interface.doc).len() >= 20, "{} says too little", interface.name);
    }
    each_member(|interface, member| {
        let place = format!("{}.{}", interface.name, member.name);
        let first = member.doc.trim().lines().next();
        assert_eq!(first, Some(&*format!("{}:", member.name)), "{place} has no comment of its own");
        let least = if member.kind == "property" { 3 } else { 8 };
        assert!(body(&member.doc).len() >= least, "{place} says too little");
    });
}

#[test]
fn every_argument_is_documented_on_one_line() {
    each_member(|interface, member| {
        for arg in &member.args {
            let start = format!("@{}: ", arg.name);
            let line =
                member.doc.lines().map(str::trim).find_map(|line| line.strip_prefix(&*start));
            let words = line.map_or(0, |line| line.split_whitespace().count());
            assert!(
                words >= 2,
                "{}.{}: @{} says too little",
                interface.name,
                member.name,
                arg.name
            );
        }
        let described = member.doc.lines().filter(|line| line.trim().starts_with('@')).count();
        assert_eq!(described, member.args.len(), "{}.{}", interface.name, member.name);
    });
}

#[test]
fn every_method_names_its_errors_and_they_exist() {
    each_member(|interface, member| {
        if member.kind != "method" || is_asked_of_others(interface) {
            return;
        }
        let place = format!("{}.{}", interface.name, member.name);
        let errors = member.doc.split("Errors: ").nth(1);
        let errors = errors.unwrap_or_else(|| panic!("{place} does not name its errors"));
        // Explanations are in parentheses; outside of them a capital begins an error's name.
        let mut depth = 0;
        let names: String = errors
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '(') - i32::from(*c == ')');
                depth == 0 && *c != ')'
            })
            .collect();
        for word in names.split(|c: char| !c.is_alphanumeric()) {
            let reference = interface.members.iter().any(|other| other.name == word);
            if word.starts_with(char::is_uppercase) && !reference {
                let known = ErrorKind::ALL.iter().any(|kind| kind.short_name() == word);
                assert!(known, "{place} names {word}, which is no error");
            }
        }
    });
}

#[test]
fn every_error_can_be_met_in_the_files_and_is_explained_in_the_readme() {
    let files: String = interfaces()
        .iter()
        .flat_map(|i| {
            let members = i.members.iter().map(|member| member.doc.clone());
            members.chain([i.doc.clone()]).collect::<Vec<_>>()
        })
        .collect();
    let readme = include_str!("../../README.md");
    for kind in ErrorKind::ALL {
        let name = kind.short_name();
        assert!(files.contains(name), "no member says that it can fail with {name}");
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("the README does not explain {name}"));
        assert!(row.contains(kind.meaning().trim_end_matches('.')), "{name}: {row}");
        let help = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        assert!(help.split_whitespace().count() >= 3, "{name}: what would help?");
    }
    let rows =
        readme.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4);
    assert_eq!(rows.count(), ErrorKind::ALL.len(), "the README explains errors that do not exist");
}

#[test]
fn signals_say_that_they_are_unicast() {
    each_member(|_, member| {
        if member.kind == "signal" {
            assert!(member.doc.contains("Unicast to"), "{} does not say who gets it", member.name);
        }
    });
}

#[test]
fn delegate_methods_want_no_reply_and_have_nothing_to_reply() {
    each_member(|interface, member| {
        let no_reply = member.annotation("org.freedesktop.DBus.Method.NoReply");
        let wanted = is_asked_of_others(interface).then_some("true");
        assert_eq!(no_reply, wanted, "{}.{}", interface.name, member.name);
        if no_reply.is_some() {
            assert_eq!(member.signature_of(true), "");
        }
    });
}

#[test]
fn no_signal_is_named_as_the_change_of_a_property() {
    for interface in interfaces() {
        for signal in interface.members.iter().filter(|member| member.kind == "signal") {
            let property = signal.name.strip_suffix("Changed");
            assert!(!interface.members.iter().any(|member| Some(&*member.name) == property));
        }
    }
}

fn doc(interface: &str, member: &str) -> String {
    let found = interfaces().into_iter().find(|i| i.name == interface).unwrap();
    if member.is_empty() {
        return found.doc;
    }
    found.members.into_iter().find(|m| m.name == member).unwrap().doc
}

#[test]
fn every_word_of_a_closed_set_is_explained_where_it_is_used() {
    use words::*;
    let sets: &[(&str, &str, &[&str])] = &[
        (names::CALL, "State", CallState::KNOWN),
        (names::CALL, "Direction", Direction::KNOWN),
        (names::CALL, "EndReason", EndReason::KNOWN),
        (names::CALL, "HeldBy", Holder::KNOWN),
        (names::CALL, "Capabilities", Capability::KNOWN),
        (names::CALL, "Silenced", Silenced::KNOWN),
        (names::CALL, "NameSource", NameSource::KNOWN),
        (names::PROVIDER, "Authorization", Authorization::KNOWN),
        (names::PROVIDER, "AppIdSource", AppIdSource::KNOWN),
        (names::AUDIO_SESSION, "Phase", AudioPhase::KNOWN),
        (names::TRANSACTION, "State", TransactionState::KNOWN),
        (names::TRANSACTION, "Origin", Origin::KNOWN),
        (names::TRANSACTION, "", Outcome::KNOWN),
        (names::MANAGER, "Notice", NoticeKind::KNOWN),
        (names::MANAGER, "RegisterAgent", Role::KNOWN),
        (names::MANAGER, "RegisterProvider", HoldModel::KNOWN),
        (names::MANAGER, "RegisterProvider", Records::KNOWN),
        (names::MANAGER, "RegisterProvider", Ringer::KNOWN),
        (names::MANAGER, "", Verb::NAMES),
        (names::AGENT, "Record", Missed::KNOWN),
        (names::AGENT, "Screen", Verdict::KNOWN),
        (names::AGENT, "Screen", Ground::KNOWN),
    ];
    for (interface, member, known) in sets {
        let doc = doc(interface, member);
        let tokens: Vec<&str> = doc.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        for word in known.iter().filter(|word| !word.is_empty()) {
            assert!(tokens.contains(word), "{interface}.{member} does not explain {word}");
        }
    }
}
