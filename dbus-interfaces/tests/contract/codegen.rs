//! The generators that others use accept every interface file: GDBus in C with its manual, Qt's
//! proxies and adaptors.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::files::interfaces;
use callarbiter_dbus::{names, xml};

const GDBUS: (&str, &str) = ("gdbus-codegen", "libglib2.0-dev-bin");
const QT: (&str, &str) = ("qdbusxml2cpp", "qtbase5-dev-tools");

fn file(interface: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("xml/{interface}.xml"))
}

/// Runs a generator; a complaint is a failure even where it exits with success.
fn generate((tool, package): (&str, &str), directory: &Path, arguments: &[&str]) {
    let run = Command::new(tool).args(arguments).current_dir(directory).output();
    let output = run.unwrap_or_else(|error| panic!("{tool} ({error}): install {package}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{tool} {arguments:?} (is {package} installed?): {complaint}"
    );
}

#[test]
fn gdbus_codegen_makes_c_and_a_manual_of_every_file() {
    let directory = tempfile::tempdir().unwrap();
    for interface in interfaces() {
        let input = file(&interface.name);
        let (of, _) = interface.name.rsplit_once('.').unwrap();
        let of = format!("{of}.");
        let prefix = ["--interface-prefix", &of, "--c-namespace", "Calls"];
        let outputs = ["--generate-c-code", "calls", "--generate-docbook", "manual"];
        let place = ["--output-directory", ".", input.to_str().unwrap()];
        generate(GDBUS, directory.path(), &[&prefix[..], &outputs, &place].concat());

        let code = fs::read_to_string(directory.path().join("calls.h")).unwrap();
        let short = interface.name.rsplit('.').next().unwrap();
        assert!(code.contains(&format!("Calls{short}Proxy")), "no proxy of {short}");
        let manual = directory.path().join(format!("manual-{}.xml", interface.name));
        let manual = fs::read_to_string(manual).unwrap();
        for member in &interface.members {
            let sentence = member.doc.lines().map(str::trim).filter(|line| !line.is_empty());
            let sentence = sentence.skip(1).find(|line| !line.starts_with('@')).unwrap();
            let sentence = sentence.split('@').next().unwrap();
            assert!(manual.contains(sentence), "{}.{} is not in the manual", short, member.name);
        }
    }
}

#[test]
fn qdbusxml2cpp_makes_proxies_and_adaptors_of_every_file() {
    let directory = tempfile::tempdir().unwrap();
    for (interface, _) in xml::ALL {
        let input = file(interface);
        for mode in ["-p", "-a"] {
            generate(QT, directory.path(), &[mode, "generated", input.to_str().unwrap()]);
            let code = fs::read_to_string(directory.path().join("generated.h")).unwrap();
            assert!(
                code.contains(&format!("\"{interface}\"")),
                "{mode} says nothing of {interface}"
            );
        }
    }
}

#[test]
fn qt_knows_a_type_for_every_compound_signature() {
    for interface in interfaces() {
        for member in &interface.members {
            let mut counts = [0, 0];
            for arg in &member.args {
                let out = arg.out || member.kind == "signal";
                let direction = if out { "Out" } else { "In" };
                let number = counts[usize::from(out)];
                counts[usize::from(out)] += 1;
                let annotation = format!("org.qtproject.QtDBus.QtTypeName.{direction}{number}");
                check(&member.name, &arg.signature, member.annotation(&annotation));
            }
            let own = member.annotation("org.qtproject.QtDBus.QtTypeName");
            check(&member.name, &member.signature, own);
        }
    }

    fn check(member: &str, signature: &str, name: Option<&str>) {
        let wanted = match signature {
            "a{sv}" => Some("QVariantMap"),
            "a(sa{sv})" => Some("CallarbiterActions"),
            "a{oa{sa{sv}}}" => Some("CallarbiterObjects"),
            "a{su}" => Some("CallarbiterCounts"),
            "aa{sv}" => Some("CallarbiterMaps"),
            "aay" => Some("QByteArrayList"),
            "a{sa{sv}}" => Some("CallarbiterCalls"),
            _ => None,
        };
        assert_eq!(name, wanted, "{member}: {signature}");
    }
}

#[test]
fn the_introspected_element_is_the_file_without_its_comments() {
    let served: Vec<&str> = xml::SERVED.iter().map(|(interface, _)| *interface).collect();
    assert_eq!(served, names::SERVED);
    for (interface, element) in xml::SERVED {
        let text = xml::of(interface).unwrap();
        assert!(element.starts_with(&format!("<interface name=\"{interface}\">")));
        assert!(element.ends_with("</interface>") && !element.contains("<!--"));
        for kind in ["<method ", "<signal ", "<property ", "<arg ", "<annotation "] {
            assert_eq!(element.matches(kind).count(), text.matches(kind).count(), "{interface}");
        }
    }
}
