//! The interface files as data, with the comments that document them. For tests only.

use callarbiter_dbus::xml;
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

/// One interface file.
#[derive(Default)]
pub struct Interface {
    pub name: String,
    pub doc: String,
    pub members: Vec<Member>,
}

/// A method, signal or property.
#[derive(Default)]
pub struct Member {
    pub kind: String,
    pub name: String,
    /// Of a property.
    pub signature: String,
    /// The comment right before it.
    pub doc: String,
    pub args: Vec<Arg>,
    pub annotations: Vec<(String, String)>,
}

/// An argument.
pub struct Arg {
    pub name: String,
    pub signature: String,
    pub out: bool,
}

impl Member {
    /// The types of the arguments in one direction, as a message's signature.
    pub fn signature_of(&self, out: bool) -> String {
        let args = self.args.iter().filter(|arg| arg.out == out);
        args.map(|arg| arg.signature.as_str()).collect()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All interface files.
pub fn interfaces() -> Vec<Interface> {
    let files = xml::ALL.iter();
    files
        .map(|(name, text)| {
            let interface = read(text);
            assert_eq!(&interface.name, name, "the file of {name} holds another interface");
            interface
        })
        .collect()
}

fn read(text: &str) -> Interface {
    let mut reader = Reader::from_str(text);
    let mut interface = Interface::default();
    let mut comment = String::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Comment(text) => comment = text.to_string(),
            Event::Start(element) | Event::Empty(element) => {
                take(&mut interface, &element, &mut comment);
            }
            Event::Eof => return interface,
            _ => {}
        }
    }
}

fn take(interface: &mut Interface, element: &BytesStart<'_>, comment: &mut String) {
    let attribute = |name: &str| {
        let value = element.try_get_attribute(name).expect("well-formed attributes");
        value.map(|attribute| attribute.value.to_string()).unwrap_or_default()
    };
    let kind = element.name().as_ref().to_string();
    match kind.as_str() {
        "interface" => {
            interface.name = attribute("name");
            interface.doc = std::mem::take(comment);
        }
        "method" | "signal" | "property" => interface.members.push(Member {
            kind,
            name: attribute("name"),
            signature: attribute("type"),
            doc: std::mem::take(comment),
            ..Member::default()
        }),
        "arg" => interface.members.last_mut().expect("an arg of a member").args.push(Arg {
            name: attribute("name"),
            signature: attribute("type"),
            out: attribute("direction") == "out",
        }),
        "annotation" => interface
            .members
            .last_mut()
            .expect("an annotation of a member")
            .annotations
            .push((attribute("name"), attribute("value"))),
        _ => {}
    }
}
