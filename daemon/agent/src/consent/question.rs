//! What the user is asked about an app, in its own words and in ours.
//!
//! Owns the words; pure.

use callarbiter::words::AppIdSource;

use crate::notifications::{ICON, Note, plain};

pub const ALLOW: &str = "allow";
pub const DENY: &str = "deny";

/// Letters; more is cut off by servers, in the wrong place.
const NAME: usize = 60;
const SENTENCES: usize = 300;

/// An app that wants to provide calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applicant {
    pub app: String,
    pub source: Option<AppIdSource>,
    /// As the desktop knows it; empty where it does not.
    pub installed_name: String,
    /// As it calls itself.
    pub display_name: String,
    /// Empty where it has none.
    pub icon: String,
    /// Why it wants to, in its own words.
    pub usage: String,
}

impl Applicant {
    /// The question.
    pub fn note(&self) -> Note {
        let (name, usage) = (self.name(), plain(&self.usage, SENTENCES));
        let usage = Some(format!("“{usage}”")).filter(|_| !usage.is_empty());
        let lines: Vec<String> = usage.into_iter().chain([self.origin()]).collect();
        Note {
            summary: format!("Allow {name} to make and receive calls?"),
            body: lines.join("\n"),
            app: name,
            icon: if self.icon.is_empty() { ICON } else { &self.icon }.to_owned(),
            desktop_entry: self.app.clone(),
            category: "",
            urgency: 1,
            lasting: true,
            buttons: vec![(ALLOW, "Allow"), (DENY, "Don't Allow")],
        }
    }

    fn name(&self) -> String {
        let names = [&self.installed_name, &self.display_name, &self.app];
        let names = names.map(|name| plain(name, NAME));
        names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// What is known of it, so that nobody takes one app for another.
    fn origin(&self) -> String {
        let (app, known) = (&self.app, self.source.as_ref());
        match known {
            Some(AppIdSource::Sandbox) => format!("{app}, in a sandbox"),
            Some(AppIdSource::Unit) => app.clone(),
            _ => format!("It calls itself {app}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_the_app_as_the_desktop_does() {
        let mut phone = Applicant {
            app: "org.x.Phone".into(),
            source: Some(AppIdSource::Sandbox),
            installed_name: "Phone".into(),
            display_name: "Your Bank".into(),
            icon: "org.x.Phone".into(),
            usage: "Calls to <b>everybody</b>".into(),
        };
        let note = phone.note();
        assert_eq!(note.summary, "Allow Phone to make and receive calls?");
        assert_eq!(note.body, "“Calls to <b>everybody</b>”\norg.x.Phone, in a sandbox");
        assert_eq!((note.icon.as_str(), note.buttons.len()), ("org.x.Phone", 2));
        phone.installed_name.clear();
        phone.icon.clear();
        (phone.usage, phone.source) = (String::new(), Some(AppIdSource::Declared));
        let note = phone.note();
        assert_eq!(note.summary, "Allow Your Bank to make and receive calls?");
        assert_eq!(note.body, "It calls itself org.x.Phone.");
        assert_eq!(note.icon, ICON, "what it is about, and no light bulb of the server's");
    }
}
