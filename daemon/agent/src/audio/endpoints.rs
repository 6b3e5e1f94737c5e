//! Where the sound of calls can go, and where it goes: by the user's choice, else by the order in `agent.toml`.
//!
//! Owns the rule, what kind of thing an output is, and that the choice is there for the next call. How streams
//! get there is a server's matter.

use std::{fs, io, path::PathBuf};

use callarbiter_dbus::{Endpoint, limits, words::EndpointKind};
use tracing::warn;

use crate::{config, places};

/// The outputs that a server has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    pub list: Vec<Endpoint>,
    /// Where everything goes that goes nowhere else.
    pub default: String,
}

/// Outputs for what the agent itself plays; none for the default one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// What belongs to the call that goes on.
    pub calls: Option<String>,
    pub ring: Option<String>,
}

/// What the user wants.
#[derive(Debug)]
pub struct Choice {
    wishes: config::Audio,
    /// By name: the last choice.
    chosen: Option<String>,
    file: Option<PathBuf>,
}

impl Outputs {
    /// As many as can be told, each with an id and texts that can be.
    pub fn new(found: impl IntoIterator<Item = Endpoint>, default: String) -> Outputs {
        let is_id = |id: &str| {
            !id.is_empty()
                && id.len() <= limits::ENDPOINT_ID_BYTES
                && !id.contains(char::is_control)
        };
        let mut list: Vec<Endpoint> = Vec::new();
        for Endpoint { id, name, kind } in found {
            let known = list.iter().any(|endpoint| endpoint.id == id);
            if known || !is_id(&id) || list.len() == limits::ENDPOINTS {
                continue;
            }
            let mut name = name.replace(char::is_control, " ");
            while name.len() > limits::DISPLAY_NAME_BYTES {
                name.pop();
            }
            list.push(Endpoint { id, name, kind });
        }
        Outputs { list, default }
    }

    pub fn has(&self, id: &str) -> bool {
        self.list.iter().any(|endpoint| endpoint.id == id)
    }

    /// The first of these ids and kinds that is there.
    fn first(&self, order: &[String]) -> Option<&str> {
        let fits = |word: &String| {
            let fits = |e: &&Endpoint| e.id == *word || e.kind.as_str() == word;
            self.list.iter().find(fits)
        };
        order.iter().find_map(fits).map(|endpoint| endpoint.id.as_str())
    }
}

impl Choice {
    pub fn new(wishes: config::Audio) -> Choice {
        let file = places::state().map(|state| state.join("callarbiter/endpoint"));
        let chosen = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        Choice { wishes, chosen: chosen.filter(|id| !id.is_empty()), file }
    }

    /// From now on; what was chosen before.
    pub fn choose(&mut self, id: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.chosen, id)
    }

    /// For the next call of the next agent.
    pub fn keep(&self) {
        if let Err(error) = self.write() {
            warn!(%error, "where the sound of calls goes cannot be kept");
        }
    }

    fn write(&self) -> io::Result<()> {
        let (Some(file), Some(chosen)) = (&self.file, &self.chosen) else { return Ok(()) };
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        let new = file.with_extension("new");
        fs::write(&new, chosen)?;
        fs::rename(new, file)
    }

    /// None: to the default one.
    pub fn route(&self, outputs: &Outputs) -> Route {
        let chosen = self.chosen.as_deref().filter(|id| outputs.has(id));
        let calls = chosen.or_else(|| outputs.first(&self.wishes.outputs));
        let ring = outputs.first(&self.wishes.ring);
        let other = |id: Option<&str>| id.filter(|id| *id != outputs.default).map(str::to_owned);
        Route { calls: other(calls), ring: other(ring) }
    }

    /// Where the sound of calls goes; empty where that is none of those that are there.
    pub fn current(&self, outputs: &Outputs) -> String {
        let default = Some(&outputs.default).filter(|id| outputs.has(id)).cloned();
        self.route(outputs).calls.or(default).unwrap_or_default()
    }
}

/// By what the server says of a device: under names that PipeWire and PulseAudio write a little differently.
pub fn kind<'a>(says: impl Fn(&str) -> Option<&'a str>) -> EndpointKind {
    let says = |key: &str| says(key).or_else(|| says(&key.replace('-', "_"))).unwrap_or_default();
    if says("device.bus") == "bluetooth" || says("device.api") == "bluez5" {
        return EndpointKind::Bluetooth;
    }
    // The port in use, else what the whole device is.
    let words = [says("port.type"), says("device.form-factor")];
    let word = words.into_iter().find_map(|word| match word {
        "headset" | "hands-free" | "handsfree" | "handset" => Some(EndpointKind::Headset),
        "headphone" | "headphones" | "earpiece" => Some(EndpointKind::Headphones),
        "hdmi" | "tv" => Some(EndpointKind::Hdmi),
        "speaker" | "internal" | "hifi" | "portable" | "analog" => Some(EndpointKind::Speaker),
        _ => None,
    });
    let profile = says("device.profile.name");
    match word {
        Some(kind) => kind,
        None if profile.contains("hdmi") => EndpointKind::Hdmi,
        None if profile.contains("analog") => EndpointKind::Speaker,
        None => EndpointKind::from("other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Outputs {
        let endpoint = |id: &str, kind| Endpoint { id: id.into(), name: id.into(), kind };
        let list = [
            endpoint("screen", EndpointKind::Hdmi),
            endpoint("built-in", EndpointKind::Speaker),
            endpoint("usb", EndpointKind::Headset),
            endpoint("usb", EndpointKind::Headset),
            endpoint("", EndpointKind::Headset),
        ];
        Outputs::new(list, "built-in".into())
    }

    #[test]
    fn the_users_last_choice_goes_before_the_order_and_both_only_where_it_is_there() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let wishes = config::Audio {
            outputs: words(&["bluetooth", "headset", "built-in"]),
            ring: words(&["speaker"]),
        };
        let mut choice = Choice { wishes, chosen: None, file: None };
        let mut there = outputs();
        assert_eq!(there.list.len(), 3);
        let calls = |choice: &Choice, there: &Outputs| choice.route(there).calls;
        assert_eq!(calls(&choice, &there).as_deref(), Some("usb"));
        assert_eq!(choice.route(&there).ring, None, "it is the default");
        choice.choose(Some("screen".into()));
        assert_eq!(calls(&choice, &there).as_deref(), Some("screen"));
        there.list.remove(0);
        assert_eq!(calls(&choice, &there).as_deref(), Some("usb"));
        there.list.pop();
        assert_eq!((calls(&choice, &there), choice.current(&there).as_str()), (None, "built-in"));
    }

    #[test]
    fn what_an_output_is_says_its_port_its_form_or_its_profile() {
        for (says, expected) in [
            (&[("device.bus", "bluetooth"), ("device.form_factor", "headset")][..], "bluetooth"),
            (&[("port.type", "headphones"), ("device.form-factor", "internal")], "headphones"),
            (&[("device.form_factor", "headset")], "headset"),
            (&[("device.profile.name", "hdmi-stereo")], "hdmi"),
            (&[("device.profile.name", "analog-stereo")], "speaker"),
            (&[], "other"),
        ] {
            let of =
                |key: &str| says.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            assert_eq!(kind(of).as_str(), expected, "{says:?}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_and_an_id_left_out() {
        let long = |bytes: usize| "ä".repeat(bytes);
        let endpoint = |id: String| Endpoint { id, name: long(999), kind: EndpointKind::Speaker };
        let many = (0..99).map(|nth| endpoint(format!("sink-{nth}")));
        let told = Outputs::new([endpoint(long(200))].into_iter().chain(many), String::new());
        assert_eq!(told.list.len(), limits::ENDPOINTS);
        assert!(told.list.iter().all(|endpoint| endpoint.name.len() <= limits::DISPLAY_NAME_BYTES));
    }
}
