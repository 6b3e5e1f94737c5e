//! Outputs on PulseAudio: which there are, and that what a call plays is heard at the one that is wanted.
//!
//! Owns that streams that were moved go back. PulseAudio keeps where a stream was moved for the app's next one, so
//! that is set back as well.

use std::ffi::CString;

use anyhow::Result;
use callarbiter_dbus::Endpoint;
use pulseaudio::protocol::{Command, MoveStreamParams, ServerInfo, SinkInfo, SinkInfoList};

use super::{Pulse, Stream, memory};
use crate::audio::{
    endpoints::{Outputs, kind},
    wanted::{Wanted, Way},
};

/// In a line of the trace.
const WORD: &str = "moved";

/// A stream that was moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Where it was heard before, and where since.
    from: String,
    to: String,
    /// What the server kept for the app's next stream.
    kept: Option<String>,
    remembered_as: String,
}

impl Pulse {
    pub async fn outputs(&mut self) -> Result<Outputs> {
        let about: ServerInfo = self.server.ask(Command::GetServerInfo).await?;
        let sinks: SinkInfoList = self.server.ask(Command::GetSinkInfoList).await?;
        self.sinks = sinks.iter().map(|sink| (sink.index, lossy(&sink.name))).collect();
        let default = about.default_sink_name.map(|name| lossy(&name)).unwrap_or_default();
        Ok(Outputs::new(sinks.iter().map(endpoint), default))
    }

    /// Moves what calls play to this output, and back what is there no more for; whether something was moved.
    pub(super) async fn route(
        &mut self,
        streams: &[Stream],
        wanted: &Wanted,
        route: Option<&str>,
    ) -> Result<bool> {
        let there =
            |index: &u32| streams.iter().any(|stream| stream.key() == (Way::Playback, *index));
        let left: Vec<u32> = self.moved.keys().filter(|index| !there(index)).copied().collect();
        for moved in left.iter().filter_map(|index| self.moved.remove(index)).collect::<Vec<_>>() {
            self.remember_move(&moved).await?;
        }
        let mut changed = false;
        for stream in streams.iter().filter(|stream| stream.way == Way::Playback) {
            let to = route.filter(|_| wanted.has_audio(&stream.origin));
            let moved = self.moved.get(&stream.index).map(|moved| moved.to.as_str());
            // When an output comes back that vanished, the server itself moves what was there.
            let has_audio = wanted.has_audio(&stream.origin);
            let waits = to.is_none() && has_audio && moved.is_some_and(|to| !self.is_there(to));
            if moved == to || waits {
                continue;
            }
            changed = true;
            if let Some(moved) = self.moved.remove(&stream.index) {
                // Where the user put it meanwhile, it stays, and for the next one as well.
                let there = self.sinks.get(&stream.sink) == Some(&moved.to);
                if there {
                    self.move_to(stream.index, &moved.from).await?;
                }
                if there || !self.is_there(&moved.to) {
                    self.remember_move(&moved).await?;
                }
            }
            let from = self.sinks.get(&stream.sink).cloned().unwrap_or_default();
            if let Some(to) = to.filter(|to| *to != from) {
                let kept = self.kept(&stream.remembered_as).await;
                let remembered_as = stream.remembered_as.clone();
                let moved = Moved { from, to: to.to_owned(), kept, remembered_as };
                self.moved.insert(stream.index, moved);
                self.keep();
                self.move_to(stream.index, to).await?;
            }
        }
        Ok(changed)
    }

    /// Everything that calls play is heard where it is to be.
    pub(super) fn is_routed(
        &self,
        streams: &[Stream],
        wanted: &Wanted,
        route: Option<&str>,
    ) -> bool {
        let Some(route) = route else {
            return !self.moved.values().any(|moved| self.is_there(&moved.to));
        };
        let mut of_calls = streams
            .iter()
            .filter(|stream| stream.way == Way::Playback && wanted.has_audio(&stream.origin));
        of_calls.all(|stream| self.sinks.get(&stream.sink).is_some_and(|sink| sink == route))
    }

    fn is_there(&self, output: &str) -> bool {
        self.sinks.values().any(|sink| sink == output)
    }

    /// Lines for the trace.
    pub(super) fn moves_to_keep(&self) -> impl Iterator<Item = String> {
        let text = |kept: &Option<String>| kept.clone().unwrap_or_else(|| "-".into());
        self.moved.iter().map(move |(index, Moved { from, to, kept, remembered_as })| {
            format!("{} {WORD} {index} {from} {to} {} {remembered_as}", self.cookie, text(kept))
        })
    }

    /// Takes over what an agent before this one moved.
    pub(super) async fn find_moves_left_behind(&mut self, lines: &[String]) -> Result<()> {
        for (cookie, index, moved) in lines.iter().filter_map(|line| parse(line)) {
            if cookie == self.cookie {
                self.moved.insert(index, moved);
            } else {
                self.remember_move(&moved).await?;
            }
        }
        Ok(())
    }

    async fn move_to(&mut self, stream: u32, sink: &str) -> Result<()> {
        let device_name = CString::new(sink).ok();
        let to = MoveStreamParams { index: Some(stream), device_index: None, device_name };
        self.perform(Command::MoveSinkInput(to)).await
    }

    /// Which output the server keeps for an app's next stream.
    async fn kept(&mut self, remembered_as: &str) -> Option<String> {
        let entries = self.server.converse(&memory::extension(), memory::READ).await.ok()?;
        memory::device(&entries, remembered_as)
    }

    async fn remember_move(&mut self, moved: &Moved) -> Result<()> {
        // Without the module, nothing is kept.
        let Ok(kept) = self.server.converse(&memory::extension(), memory::READ).await else {
            return Ok(());
        };
        match memory::with_device(&kept, &moved.remembered_as, moved.kept.as_deref()) {
            Some(entry) => self.server.converse(&memory::extension(), &entry).await.map(drop),
            None => Ok(()),
        }
    }
}

fn endpoint(sink: &SinkInfo) -> Endpoint {
    let port = sink.ports.get(sink.active_port).map(|port| lossy(&port.name)).unwrap_or_default();
    let port =
        ["headphones", "headset", "hdmi", "speaker"].into_iter().find(|word| port.contains(word));
    let kind = kind(|key| match key {
        "port.type" => port,
        "device.bus" => bytes(sink, c"device.bus"),
        "device.api" => bytes(sink, c"device.api"),
        "device.form_factor" => bytes(sink, c"device.form_factor"),
        "device.profile.name" => bytes(sink, c"device.profile.name"),
        _ => None,
    });
    let name = sink.description.as_ref().unwrap_or(&sink.name);
    Endpoint { id: lossy(&sink.name), name: lossy(name), kind }
}

fn bytes<'a>(sink: &'a SinkInfo, key: &std::ffi::CStr) -> Option<&'a str> {
    std::str::from_utf8(sink.props.get_bytes(key)?.strip_suffix(b"\0")?).ok()
}

fn lossy(text: &std::ffi::CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// A line as [`Pulse::moves_to_keep`] writes them.
fn parse(line: &str) -> Option<(u32, u32, Moved)> {
    let mut words = line.splitn(7, ' ');
    let cookie = words.next()?.parse().ok()?;
    if words.next()? != WORD {
        return None;
    }
    let index = words.next()?.parse().ok()?;
    let (from, to) = (words.next()?.to_owned(), words.next()?.to_owned());
    let kept = Some(words.next()?).filter(|kept| *kept != "-").map(str::to_owned);
    Some((cookie, index, Moved { from, to, kept, remembered_as: words.next()?.to_owned() }))
}
