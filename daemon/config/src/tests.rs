//! Good files and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{fs, sync::Arc};

use callarbiter_core::{AfterRemoteEnd, Allowance, AuthorizationPolicy, Millis, WhenBusy};
use tempfile::TempDir;

use super::{
    bounds::{DEADLINES, LIMITS, PREFERENCES},
    *,
};

const SHIPPED: &str = include_str!("../../../systemd/callarbiter.toml");

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(loaded(SHIPPED).unwrap(), Config::default());
    let shown = uncommented();
    let mut config = loaded(&shown).unwrap();
    assert_eq!(std::mem::take(&mut config.settings.policy.rules).len(), 1, "an example");
    assert_eq!(config, Config::default(), "{shown}");
}

#[test]
fn the_shipped_file_shows_every_key() {
    let shown: toml::Table = toml::from_str(&uncommented()).unwrap();
    let keys = |table: &str| -> BTreeSet<String> {
        shown[table].as_table().unwrap().keys().cloned().collect()
    };
    let known = |numbers: &[bounds::Number]| -> BTreeSet<String> {
        numbers.iter().map(|number| number.key.to_owned()).collect()
    };
    assert_eq!(keys("deadlines"), known(DEADLINES));
    assert_eq!(keys("limits"), known(LIMITS));
    let mut own = known(PREFERENCES);
    own.insert("allow".to_owned());
    assert_eq!(keys("preferences"), own);
    assert_eq!(keys("policy").len(), 3);
    assert_eq!(keys("emergency").len(), 2);
    assert_eq!(keys("agents").len(), 2);
    assert!(shown.contains_key("apps") && shown.contains_key("authorization"));
    let rule = &shown["rule"].as_array().unwrap()[0];
    let keys: Vec<&str> = rule.as_table().unwrap().keys().map(String::as_str).collect();
    let mut known = super::rules::KEYS.to_vec();
    known.sort_unstable();
    assert_eq!(keys, known);
    assert_eq!(shown.len(), 9);
}

#[test]
fn every_deadline_of_the_core_has_its_key() {
    let fields = format!("{:?}", callarbiter_core::Deadlines::default());
    let fields = fields.split(' ').filter_map(|word| word.strip_suffix(':'));
    let fields: BTreeSet<String> = fields.map(|name| name.replace('_', "-") + "-ms").collect();
    let keys: BTreeSet<String> = DEADLINES.iter().map(|number| number.key.to_owned()).collect();
    assert_eq!(fields, keys);
}

#[test]
fn each_default_lies_within_its_bounds() {
    for number in DEADLINES.iter().chain(LIMITS).chain(PREFERENCES) {
        let value = *(number.place)(&mut Config::default());
        assert!(number.range.contains(&value), "{} {value}", number.key);
    }
}

#[test]
fn every_key_arrives() {
    let config = loaded(
        r#"
        authorization = "allow"
        [apps]
        "org.x.Phone" = "allow"
        "org.x.Nuisance" = "deny"
        [deadlines]
        answer-ms = 300
        ringing_ms = 1_000
        [limits]
        calls = 3
        tokens = 9
        [policy]
        after-remote-end = "resume"
        when-busy = "end"
        correlated = [["org.x.Phone", "org.x.Bridge"]]
        [emergency]
        handles = ["tel:112"]
        providers = ["org.x.Phone"]
        [preferences]
        allow = ["ring", "do-not-disturb"]
        rules = 3
        ring-ms-min = 10_000
        ring-ms-max = 20_000
        answer-after-ms-min = 0
        priority-max = 4
        [agents]
        units = ["org.gnome.Shell@wayland.service"]
        control = ["org.x.Remote"]
        "#,
    )
    .unwrap();
    let settings = &config.settings;
    assert_eq!(settings.policy.authorization, AuthorizationPolicy::Allow);
    assert!(settings.policy.apps[&Arc::from("org.x.Phone")]);
    assert!(!settings.policy.apps[&Arc::from("org.x.Nuisance")]);
    assert_eq!(settings.deadlines.answer, Millis(300));
    assert_eq!(settings.deadlines.ringing, Millis(1000));
    assert_eq!(settings.limits.calls, 3);
    assert_eq!(settings.limits.tokens, 9);
    assert_eq!(settings.policy.after_remote_end, AfterRemoteEnd::Resume);
    assert_eq!(settings.policy.when_busy, WhenBusy::End);
    assert_eq!(settings.policy.correlated, [[Arc::from("org.x.Phone"), Arc::from("org.x.Bridge")]]);
    assert_eq!(settings.policy.emergency.handles, [Arc::from("tel:112")]);
    assert_eq!(settings.policy.emergency.providers, [Arc::from("org.x.Phone")]);
    let allowance = Allowance {
        choices: vec!["ring", "do-not-disturb"],
        rules: 3,
        ring_least: Millis(10_000),
        ring_most: Millis(20_000),
        answer_least: Millis(0),
        priority_most: 4,
    };
    assert_eq!(settings.allowance, allowance);
    assert!(config.access.agent_units.contains("org.gnome.Shell@wayland.service"));
    assert!(config.access.controllers.contains("org.x.Remote"));
}

#[test]
fn mistakes_are_named_with_their_place() {
    #[rustfmt::skip]
    let cases = [
        // text, line:column, what the message must say
        ("authorisation = \"ask\"", "1:1", ["authorisation", "authorization"]),
        ("authorization = \"perhaps\"", "1:17", ["authorization is \"perhaps\"", "\"ask\" or \"allow\""]),
        ("authorization = 1", "1:17", ["authorization is 1", "\"ask\" or \"allow\""]),
        ("\n[deadlines]\nanswer-ms = 5\n", "3:13", ["answer-ms is 5", "number from 100 to 60000"]),
        ("[deadlines]\nanswer-ms = -1", "2:13", ["answer-ms is -1", "number from 100 to 60000"]),
        ("[deadlines]\nanswer-ms = \"5\"", "2:13", ["answer-ms is \"5\"", "number from 100"]),
        ("[deadlines]\nenforcement-ms = 9000", "2:18", ["enforcement-ms is 9000", "from 100 to 5000"]),
        ("[deadlines]\nanswer = 5000", "2:1", ["has no key \"answer\"", "answer-ms"]),
        ("[deadlines]\nanswer-ms = 99999999999", "2:13", ["99999999999", "to 60000"]),
        ("[limits]\ncalls = 0", "2:9", ["calls is 0", "number from 1 to 4096"]),
        ("[limits]\ncalls = 1\ncalls = 2", "3:1", ["duplicate key", ""]),
        ("[apps]\norg.x.Phone = \"allow\"", "2:1", ["needs quotes", "\"org.example.App\""]),
        ("[apps]\n\"org.x.Phone\" = \"maybe\"", "2:17", ["org.x.Phone is \"maybe\"", "\"allow\" or \"deny\""]),
        ("[apps]\n\"org/x\" = \"allow\"", "2:1", ["\"org/x\" is not an app id", "letters"]),
        ("[policy]\nwhen-busy = \"resume\"", "2:13", ["when-busy is \"resume\"", "\"refuse\" or \"end\""]),
        ("[policy]\nhold = true", "2:1", ["hold", "`when-busy`"]),
        ("[policy]\ncorrelated = [[\"a.b\", \"a.b\"]]", "2:15", ["two different", ""]),
        ("[preferences]\nallow = [\"ring\", \"rings\"]", "2:9", ["entry 2 of allow", "ring-ms, answer-after-ms"]),
        ("[preferences]\nring = 5", "2:1", ["has no key \"ring\"", "allow, rules, ring-ms-min"]),
        ("[preferences]\nring-ms-max = 1000", "2:1", ["ring-ms-min (5000)", "above ring-ms-max (1000)"]),
        ("[preferences]\npriority-max = 10", "2:16", ["priority-max is 10", "from 0 to 9"]),
        ("[emergency]\nhandles = [\"tel:1\\n\"]", "2:12", ["control characters", "tel:112"]),
        ("[emergency]\nhandles = [\"tel:112\", \"11x2\"]", "2:23", ["digits, * and #", "tel:112"]),
        ("[emergency]\nhandles = [\"tel:11O\"]", "2:12", ["never dialled", ""]),
        ("\n[rule]\nname = \"x\"", "2:1", ["begins with [[rule]]", ""]),
        ("[[rule]]\nname = \"x\"\ndays = []", "3:8", ["days is empty", "leave the key out"]),
        ("[agents]\nunits = [\"agent\"]", "2:10", ["\"agent\" is not a unit", "callarbiter-agent.service"]),
        ("[agents]\nunits = [\"a*.service\"]", "2:10", ["the whole name", ""]),
        ("[agents\n", "1:8", ["", ""]),
    ];
    for (text, place, words) in cases {
        let refused = loaded(text).unwrap_err().to_string();
        let (_, rest) = refused.split_once(".toml:").unwrap_or_else(|| panic!("{refused}"));
        assert!(rest.starts_with(&format!("{place}: ")), "{text}: {refused}");
        for word in words {
            assert!(refused.contains(word), "{text}: {refused}");
        }
        assert!(!refused.contains('\n'), "{refused}");
    }
}

#[test]
fn emergency_handles_as_people_write_them_are_taken() {
    let handles = r#"["112", "tel:1-1-2", "tel:*31#", "+49 (30) 112", "sip:sos@example.org", "urn:service:sos", "112@x"]"#;
    loaded(&format!("[emergency]\nhandles = {handles}")).unwrap();
}

#[test]
fn a_refused_handle_is_not_repeated() {
    let refused = loaded("[emergency]\nhandles = [\"tel:5551234\\t\"]").unwrap_err().to_string();
    assert!(!refused.contains("5551234"), "{refused}");
}

#[test]
fn a_list_that_is_too_long_is_refused() {
    let apps: String = (0..300).map(|n| format!("\"org.x.A{n}\",")).collect();
    let refused = loaded(&format!("[agents]\ncontrol = [{apps}]")).unwrap_err().to_string();
    assert!(refused.contains("300 entries") && refused.contains("256"), "{refused}");
}

#[test]
fn layers_and_drop_ins_are_merged_in_order() {
    let top = TempDir::new().unwrap();
    let file = |path: &str, text: &str| {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let vendor = file("usr/c.toml", "[limits]\ncalls = 1\nproviders = 1\nactions = 1\ntokens = 1");
    file("usr/c.toml.d/10-a.toml", "[limits]\nactions = 2\ntokens = 2\ntransactions = 2");
    file("usr/c.toml.d/20-b.toml", "[limits]\ntombstones = 2");
    let admin =
        file("etc/c.toml", "[limits]\nproviders = 3\nactions = 3\n[apps]\n\"a.B\" = \"allow\"");
    file("etc/c.toml.d/20-b.toml", "");
    file("etc/c.toml.d/30-c.toml", "[limits]\ntokens = 4\n[apps]\n\"a.C\" = \"deny\"");
    file("etc/c.toml.d/notes.txt", "not read");

    let layer = |file: PathBuf| Layer { file, required: false };
    let layers = vec![layer(vendor), layer(admin), layer(top.path().join("missing.toml"))];
    let sources =
        Sources { defaults: Config::default(), layers, apps: Vec::new(), local_time: false };
    let config = sources.load().unwrap();
    let limits = &config.settings.limits;
    assert_eq!((limits.calls, limits.providers, limits.actions), (1, 3, 2));
    assert_eq!((limits.tokens, limits.transactions), (4, 2));
    assert_eq!(limits.tombstones, Config::default().settings.limits.tombstones);
    assert_eq!(config.settings.policy.apps.len(), 2);
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let refused = Sources::only("/nonexistent/c.toml".into()).load().unwrap_err().to_string();
    assert!(refused.starts_with("/nonexistent/c.toml: cannot be read"), "{refused}");
}

#[test]
fn a_star_lets_every_process_be_an_agent() {
    let config = loaded("[agents]\nunits = [\"*\", \"a.service\"]").unwrap();
    assert!(config.access.agents_anywhere);
    assert_eq!(config.access.agent_units.len(), 1);
    assert!(!Config::default().access.agents_anywhere);
}

#[test]
fn a_private_bus_is_open_unless_its_file_says_otherwise() {
    let open = Sources::for_private_bus(None).load().unwrap();
    assert_eq!(open.settings.policy.authorization, AuthorizationPolicy::Allow);
    assert!(open.access.agents_anywhere);

    let top = TempDir::new().unwrap();
    let file = top.path().join("c.toml");
    fs::write(&file, "authorization = \"ask\"\n[agents]\nunits = []").unwrap();
    let closed = Sources::for_private_bus(Some(file)).load().unwrap();
    assert_eq!(closed.settings.policy.authorization, AuthorizationPolicy::Ask);
    assert!(!closed.access.agents_anywhere);
}

#[test]
fn users_may_be_left_nothing() {
    let config = loaded("[preferences]\nallow = []").unwrap();
    assert!(config.settings.allowance.choices.is_empty());
}

/// The shipped file with its keys made live; prose has a space after its `#`.
fn uncommented() -> String {
    let live = |line: &str| {
        let key = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(char::is_alphabetic) || rest.starts_with("[["));
        format!("{}\n", key.unwrap_or(line))
    };
    SHIPPED.lines().map(live).collect()
}

fn loaded(text: &str) -> Result<Config, ConfigError> {
    let top = TempDir::new().unwrap();
    let file = top.path().join("callarbiter.toml");
    fs::write(&file, text).unwrap();
    Sources::only(file).load()
}

/// The names of its rules, in their order.
fn rules_of(config: &Config) -> Vec<&str> {
    config.settings.policy.rules.iter().map(|rule| &*rule.name).collect()
}

#[test]
fn every_key_of_a_rule_arrives() {
    use callarbiter_core::{
        AutoAnswer, Busy, Contacts, Days, Direction, Handles, HoldFailed, Hours, Pattern, Ring,
        Rule, Then, When,
    };
    let config = loaded(
        r#"
        [[rule]]
        name = "all"
        apps = ["org.x.*"]
        contacts = ["anonymous", "tel:+49 900*"]
        direction = "incoming"
        time = "22:00-07:30"
        days = ["sat-mon"]
        locked = true
        do_not_disturb = false
        foreground = true
        ring = "aloud"
        ring-ms = 1000
        answer-after-ms = 2000
        answer-beside = true
        priority = 7
        when-busy = "reject"
        after-remote-end = "resume"
        when-hold-fails = "end"
        ringing = 3
        calls = 4
        groups = 1
        "#,
    )
    .unwrap();
    let days = [5, 6, 0].into_iter().fold(Days::default(), Days::with);
    let when = When {
        apps: vec![Pattern::of("org.x.*")],
        contacts: vec![Contacts::Anonymous, Contacts::Handle(Handles::like("tel:+49900*"))],
        direction: Some(Direction::Incoming),
        time: Some(Hours { from: 22 * 60, to: 7 * 60 + 30 }),
        days: Some(days),
        locked: Some(true),
        do_not_disturb: Some(false),
        foreground: Some(true),
    };
    let then = Then {
        ring: Some(Ring::Aloud),
        ring_time: Some(Millis(1000)),
        answer: Some(AutoAnswer { after: Millis(2000), beside: true }),
        priority: Some(7),
        when_busy: Some(Busy::Reject),
        after_end: Some(AfterRemoteEnd::Resume),
        hold_failed: Some(HoldFailed::End),
        ringing: Some(3),
        calls: Some(4),
        groups: Some(1),
    };
    assert_eq!(config.settings.policy.rules[..], [Rule { name: "all".into(), when, then }]);
}

#[test]
fn a_wrong_rule_is_named_with_its_place() {
    #[rustfmt::skip]
    let cases = [
        ("ring = \"silence\"", "1:1", "needs a name"),
        ("name = \"\"\nring = \"silence\"", "2:8", "1 to 64 bytes"),
        ("name = \"a\"", "1:1", "decides nothing"),
        ("name = \"a\"\nring = \"loud\"", "3:8", "\"silence\" or \"reject\" or \"aloud\""),
        ("name = \"a\"\nrings = 1", "3:1", "no key \"rings\"; it has name, apps"),
        ("name = \"a\"\napps = []", "3:8", "leave the key out"),
        ("name = \"a\"\napps = [\"a.b\", \"a b\"]", "3:8", "entry 2 of apps: an app id"),
        ("name = \"a\"\ncontacts = [\"bob\"]", "3:12", "entry 1 of contacts: known, unknown"),
        ("name = \"a\"\ntime = \"22-7\"", "3:8", "like \"22:00-07:00\""),
        ("name = \"a\"\ntime = \"25:00-07:00\"", "3:8", "two times of the day"),
        ("name = \"a\"\ndays = [\"monday\"]", "3:8", "entry 1 of days: a day"),
        ("name = \"a\"\nlocked = 1", "3:10", "true or false"),
        ("name = \"a\"\npriority = 10", "3:12", "number from 0 to 9"),
        ("name = \"a\"\nanswer-beside = true\nring-ms = 500", "3:1", "needs answer-after-ms"),
        ("name = \"a\"\nanswer-after-ms = 500", "1:1", "must say of which apps"),
        ("name = \"a\"\nring = \"reject\"\ncontacts = [\"unknown\"]", "1:1", "use ring = \"silence\""),
        ("name = \"a\"\nringing = 1\n[[rule]]\nname = \"a\"\nringing = 2", "4:1", "two rules are called \"a\""),
    ];
    for (text, place, words) in cases {
        let refused = loaded(&format!("[[rule]]\n{text}")).unwrap_err().to_string();
        let (_, rest) = refused.split_once(".toml:").unwrap_or_else(|| panic!("{refused}"));
        assert!(rest.starts_with(&format!("{place}: ")), "{text}: {refused}");
        assert!(refused.contains(words), "{text}: {refused}");
    }
    let refused = loaded("[[rule]]\nname = \"a\"\ncontacts = [\"5551234\"]").unwrap_err();
    assert!(!refused.to_string().contains("5551234"), "{refused}");
}

#[test]
fn later_rules_stand_first_and_replace_those_of_their_names() {
    let top = TempDir::new().unwrap();
    let rule =
        |name: &str, ringing: u32| format!("[[rule]]\nname = {name:?}\nringing = {ringing}\n");
    let file = top.path().join("c.toml");
    fs::write(&file, rule("a", 1) + &rule("b", 1)).unwrap();
    let drop_ins = top.path().join("c.toml.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(drop_ins.join("1.toml"), rule("c", 1) + &rule("a", 2)).unwrap();
    let config = Sources::only(file).load().unwrap();
    assert_eq!(rules_of(&config), ["c", "a", "b"]);
    assert_eq!(config.settings.policy.rules[1].then.ringing, Some(2));
    let many: String = (0..129).map(|n| rule(&n.to_string(), 1)).collect();
    assert!(loaded(&many).unwrap_err().to_string().contains("129 rules, but may be 128"));
}
