#![allow(clippy::unwrap_used)]
use proptest::{prelude::*, sample::select};

use super::*;
use crate::region::of_country;

const APP: &str = "org.example.Phone";
const NOW: u32 = 100;

fn rule(list: List, pattern: &str) -> Rule {
    let pattern = Pattern::parse(pattern, of_country("DE")).unwrap();
    Rule { list, pattern, app: String::new(), expires: 0 }
}

fn decides(table: &Table, handle: &str) -> Option<(List, String)> {
    let found = table.decides(handle, APP, of_country("DE"), NOW)?;
    Some((found.list, found.pattern.to_string()))
}

#[test]
fn the_most_specific_decides() {
    use List::{Allow, Block};
    let table = Table::of([
        rule(Block, "tel:+4930*"),
        rule(Block, "tel:+4940*"),
        rule(Allow, "tel:+49301*"),
        rule(Block, "tel:+493019*"),
        rule(Block, "030 1111"),
        rule(Block, "sip:*@spam.example"),
        rule(Allow, "sip:*@good.spam.example"),
        rule(Allow, "sip:ada@spam.example"),
        rule(Block, "sip:ada*"),
        rule(Block, "matrix:u/*:spam.example"),
        rule(Block, "anonymous"),
    ]);
    for (handle, list, by) in [
        ("tel:+49309999", Block, "tel:+4930*"),
        ("+49 40 1", Block, "tel:+4940*"),
        ("tel:0301234", Allow, "tel:+49301*"),
        ("tel:+493019", Block, "tel:+493019*"),
        ("tel:+49301111", Block, "tel:+49301111"),
        ("sip:bob@spam.example", Block, "sip:*@spam.example"),
        ("sips:bob@a.b.Spam.Example:5080", Block, "sip:*@spam.example"),
        ("sip:bob@a.good.spam.example", Allow, "sip:*@good.spam.example"),
        ("sip:ada@spam.example", Allow, "sip:ada@spam.example"),
        ("sip:ada@good.spam.example", Block, "sip:ada*"),
        ("sip:+49301111@gate.example", Block, "tel:+49301111"),
        ("@bob:spam.example:8448", Block, "matrix:u/*:spam.example"),
        ("sip:anonymous@anonymous.invalid", Block, "anonymous"),
        ("", Block, "anonymous"),
    ] {
        assert_eq!(decides(&table, handle), Some((list, by.to_owned())), "{handle}");
    }
    for stranger in ["tel:+4989123", "sip:bob@notspam.example", "xmpp:bob@spam.example", "tel:+493"]
    {
        assert_eq!(decides(&table, stranger), None, "{stranger}");
    }
}

#[test]
fn apps_expiry_and_what_was_said_later() {
    let for_other = Rule { app: "org.example.Other".into(), ..rule(List::Block, "tel:+491") };
    let over = Rule { expires: NOW, ..rule(List::Block, "tel:+492") };
    let still = Rule { expires: NOW + 1, ..rule(List::Block, "tel:+493") };
    let later = Rule { list: List::Allow, ..still.clone() };
    let shorter = rule(List::Allow, "tel:+49*");
    let all = [for_other.clone(), over, still, later.clone(), shorter.clone()];
    let table = Table::of(all);
    assert_eq!(table.len(), 4);
    let found = |handle, app| table.decides(handle, app, None, NOW);
    assert_eq!(found("tel:+491", "org.example.Other"), Some(for_other));
    for handle in ["tel:+491", "tel:+492"] {
        assert_eq!(found(handle, APP), Some(shorter.clone()), "{handle}");
    }
    assert_eq!(found("tel:+493", APP), Some(later));
    assert_eq!(table.decides("tel:+493", APP, None, NOW + 1), Some(shorter));
    // An app that is named is more specific than all.
    let both = Table::of([
        Rule { app: APP.into(), ..rule(List::Block, "anonymous") },
        rule(List::Allow, "anonymous"),
        rule(List::Block, "anonymous"),
    ]);
    assert_eq!(both.decides("", APP, None, NOW).unwrap().app, APP);
    assert_eq!(both.decides("", "", None, NOW).unwrap().list, List::Block);
}

/// Every entry is looked at: whether it covers the caller, and how specific it is.
fn naive(rules: &[Rule], handle: &str, app: &str) -> Option<Rule> {
    let keys = Keys::of(handle, of_country("DE"));
    let covers = |rule: &Rule| match &rule.pattern {
        Pattern::Exact(wanted) => keys.all().any(|key| key == wanted).then_some(0),
        Pattern::Prefix(start) => {
            keys.all().any(|key| key.starts_with(start)).then_some(start.len())
        }
        Pattern::Domain(domain) => {
            let (scheme, domain) = domain.split_once(':')?;
            let within = |host: &str| host == domain || host.ends_with(&format!(".{domain}"));
            let mut hosts = keys.all().filter_map(host_of);
            hosts.any(|(of, host)| of == scheme && within(host)).then_some(domain.len())
        }
        Pattern::Anonymous => is_anonymous(handle).then_some(0),
    };
    let rank = |rule: &Rule| {
        let length = covers(rule)?;
        let counts = (rule.app.is_empty() || rule.app == app) && !rule.is_over(NOW);
        counts.then_some((rule.pattern.kind(), usize::MAX - length, rule.app.is_empty(), rule.list))
    };
    rules
        .iter()
        .filter_map(|rule| Some((rank(rule)?, rule)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, rule)| rule.clone())
}

fn like(expression: String) -> impl Strategy<Value = String> {
    prop::string::string_regex(&expression).unwrap()
}

/// Few digits and hosts, so that they meet.
fn address() -> impl Strategy<Value = String> {
    let host = "(a|b|aa)(\\.(a|b|aa)){0,3}";
    prop_oneof![
        "tel:\\+49[12]{1,6}",
        like(format!("sip:[ab]{{1,2}}@{host}")),
        like(format!("sip:\\+49[12]{{1,4}}@{host}")),
        like(format!("matrix:u/[ab]{{1,2}}:{host}")),
        Just("sip:anonymous@anonymous.invalid".to_owned()),
        Just(String::new()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let host = "(a|b|aa)(\\.(a|b|aa)){0,2}";
    prop_oneof![
        address().prop_filter("an address", |text| !text.is_empty()),
        "tel:\\+49[12]{0,5}\\*",
        "sip:([ab]{1,2}|\\+49[12]{0,3})\\*",
        like(format!("sip:\\*@{host}")),
        like(format!("matrix:u/\\*:{host}")),
        Just("anonymous".to_owned()),
    ]
}

fn rules(most: usize) -> impl Strategy<Value = Vec<Rule>> {
    let app = select(vec!["", "", APP, "org.example.Other"]);
    let one = (any::<bool>(), pattern(), app, select(vec![0, 0, NOW, NOW + 1]));
    let one = one.prop_map(|(allow, pattern, app, expires)| Rule {
        app: app.to_owned(),
        expires,
        ..rule(if allow { List::Allow } else { List::Block }, &pattern)
    });
    prop::collection::vec(one, 0..most)
}

fn same_callers(one: &Rule, other: &Rule) -> bool {
    one.pattern == other.pattern && one.app == other.app
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_as_a_look_at_every_entry(
        begun in rules(40),
        changes in prop::collection::vec((any::<bool>(), rules(2)), 0..12),
        handles in prop::collection::vec(address(), 1..20),
    ) {
        let mut table = Table::of(begun.clone());
        let mut known: Vec<Rule> = vec![];
        let put = |known: &mut Vec<Rule>, rule: &Rule| {
            known.retain(|old| !same_callers(old, rule));
            known.push(rule.clone());
        };
        begun.iter().for_each(|rule| put(&mut known, rule));
        for (remove, rules) in &changes {
            for rule in rules {
                if *remove {
                    let there = known.iter().any(|old| same_callers(old, rule));
                    known.retain(|old| !same_callers(old, rule));
                    prop_assert_eq!(table.remove(&rule.pattern, &rule.app), there);
                } else {
                    put(&mut known, rule);
                    table.insert(rule.clone());
                }
            }
        }
        prop_assert_eq!(table.len(), known.len());
        for handle in &handles {
            for app in [APP, "org.example.None"] {
                let found = table.decides(handle, app, of_country("DE"), NOW);
                let expected = naive(&known, handle, app);
                let of = |rule: &Option<Rule>| rule.as_ref().map(|rule| (rule.list, rule.pattern.kind(), rule.app.clone()));
                prop_assert_eq!(of(&found), of(&expected), "{} {:?} {:?}", handle, found, expected);
            }
        }
    }
}
