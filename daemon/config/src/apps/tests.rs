//! What files say of apps, and whose word counts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{Config, ConfigError, Permits, Sources, check};

/// An administrator's file, and two directories `apps.d`.
fn installed(files: &[(&str, &str)]) -> (TempDir, Sources) {
    let top = tempfile::tempdir().unwrap();
    for directory in ["etc/apps.d", "lib/apps.d"] {
        fs::create_dir_all(top.path().join(directory)).unwrap();
    }
    fs::write(top.path().join("etc/callarbiter.toml"), "").unwrap();
    for (name, text) in files {
        fs::write(top.path().join(name), text).unwrap();
    }
    let sources = Sources::only(top.path().join("etc/callarbiter.toml"));
    let sources = sources.with_packages(top.path().join("lib/apps.d"));
    (top, sources)
}

fn load(files: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let (_top, sources) = installed(files);
    sources.load()
}

#[test]
fn each_thing_is_decided_by_itself_and_by_whose_file_it_is() {
    let config = load(&[
        (
            "etc/callarbiter.toml",
            "[apps]\n\"org.x.Phone\" = { calls = \"allow\", control = \"deny\" }\n",
        ),
        ("etc/apps.d/site.toml", "[apps.\"org.x.Panel\"]\ncontrol = \"allow\"\n"),
        (
            "lib/apps.d/org.x.Panel.toml",
            "[apps.\"org.x.Panel\"]\ncalls = \"deny\"\nplace_call = \"allow\"\n",
        ),
        ("lib/apps.d/org.x.Modem.toml", "[apps]\n\"org.x.Modem\" = \"allow\"\n"),
    ]);
    let Config { settings, access } = config.unwrap();
    let policy = &settings.policy;
    assert!(policy.apps["org.x.Phone"]);
    assert_eq!(policy.apps.len(), 1, "nothing was said of the panel's own calls");
    assert!(!policy.packaged["org.x.Panel"] && policy.packaged["org.x.Modem"]);
    assert_eq!(access.apps["org.x.Phone"], Permits { control: Some(false), place_call: None });
    assert_eq!(access.apps["org.x.Panel"], Permits { control: Some(true), place_call: None });
    assert_eq!(access.packaged["org.x.Panel"], Permits { control: None, place_call: Some(true) });
}

#[test]
fn a_file_of_the_same_name_masks_a_packages() {
    let text = "[apps]\n\"org.x.Modem\" = \"allow\"\n";
    let config = load(&[("lib/apps.d/modem.toml", text), ("etc/apps.d/modem.toml", "")]).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    #[rustfmt::skip]
    let cases = [
        ("[limits]\ncalls = 1\n", "1:2", "unknown field `limits`, expected `apps`"),
        ("[apps]\n\"org.x.A\" = \"ask\"\n", "2:13", "\"allow\" or \"deny\""),
        ("[apps]\n\"org.x.A\" = 3\n", "2:13", "org.x.A is 3"),
        ("[apps]\n\"org.x.A\" = [\"allow\"]\n", "2:13", "\"allow\" or \"deny\""),
        ("\n[apps.\"org.x.A\"]\ncontroll = \"allow\"\n", "3:1", "only calls, control, place-call"),
        ("[apps.\"org.x.A\"]\ncontrol = true\n", "2:11", "control is true, but must be \"allow\" or \"deny\""),
        ("[apps]\norg.x.A = \"allow\"\n", "2:1", "needs quotes"),
        ("[apps]\n\"org/x\" = { control = \"allow\" }\n", "2:1", "is not an app id"),
    ];
    for directory in ["lib", "etc"] {
        for (text, place, words) in cases {
            let name = format!("{directory}/apps.d/bad.toml");
            let refused = load(&[(&name, text)]).unwrap_err().to_string();
            let (_, rest) = refused.split_once("apps.d/bad.toml:").unwrap();
            assert!(rest.starts_with(&format!("{place}: ")), "{text}: {refused}");
            assert!(rest.contains(words), "{text}: {refused}");
        }
    }
}

#[test]
fn a_file_is_checked_as_what_it_is() {
    let (top, _) = installed(&[("lib/apps.d/a.toml", "[limits]\ncalls = 3\n")]);
    let check = |name: &str| check(Path::new(&top.path().join(name)));
    let refused = check("lib/apps.d/a.toml").unwrap_err().to_string();
    assert!(refused.contains("a.toml:1:2: unknown field `limits`"), "{refused}");
    check("etc/callarbiter.toml").unwrap();
    fs::write(top.path().join("etc/apps.d/b.toml"), "[apps]\nx = 1\n").unwrap();
    let refused = check("etc/callarbiter.toml").unwrap_err().to_string();
    assert!(refused.contains("apps.d/b.toml:2:5"), "{refused}");
}
