//! Streams that were sent back, until they are there.
//!
//! Owns how long our nodes outlast their last stream. A session manager that is still linking a stream to a node
//! loses the stream when the node goes: it stays unlinked and is not heard.

use std::collections::BTreeMap;

use super::{Command, Link};

/// How far a stream that was sent back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It may be on its way to us still: no link to us was seen yet.
    Coming,
    /// It was with us.
    Here,
    /// Asked for once more.
    Asked,
}

#[derive(Debug, Default)]
pub struct Leaving(BTreeMap<u32, Way>);

impl Leaving {
    pub fn begin(&mut self, stream: u32) {
        self.0.insert(stream, Way::Coming);
    }

    pub fn forget(&mut self, stream: u32) {
        self.0.remove(&stream);
    }

    /// Whether all are somewhere else by now.
    pub fn are_gone(&mut self, own: &[u32], links: &BTreeMap<u32, Link>) -> bool {
        self.0.retain(|stream, way| match place(*stream, own, links) {
            (true, _) => {
                *way = Way::Here;
                true
            }
            (false, elsewhere) => *way == Way::Coming || !elsewhere,
        });
        self.0.is_empty()
    }

    /// Some time has passed: who is nowhere is asked for once more, and after that left alone.
    pub fn insist(&mut self, own: &[u32], links: &BTreeMap<u32, Link>) -> Vec<Command> {
        self.0.retain(|stream, way| {
            place(*stream, own, links) != (false, true) && *way != Way::Asked
        });
        self.0.values_mut().for_each(|way| *way = Way::Asked);
        // What it is told already it would not hear.
        let tell = |value: Option<&str>, stream| {
            let value = value.map(str::to_owned);
            Command::Target { stream, value }
        };
        self.0
            .keys()
            .flat_map(|stream| [tell(Some(ANYWHERE), *stream), tell(None, *stream)])
            .collect()
    }
}

/// What a session manager is told of a stream that goes where all go.
const ANYWHERE: &str = "-1";

/// Whether a stream is linked with us, and with somebody else.
pub(super) fn place(stream: u32, own: &[u32], links: &BTreeMap<u32, Link>) -> (bool, bool) {
    let others = links.values().filter_map(|link| match stream {
        _ if link.output == stream => Some(link.input),
        _ if link.input == stream => Some(link.output),
        _ => None,
    });
    others.fold((false, false), |(ours, elsewhere), other| {
        let is_ours = own.contains(&other);
        (ours || is_ours, elsewhere || !is_ours)
    })
}
