//! What is left of a call: the dictionary of `Agent.Record`, and of what the agent's history tells.
//!
//! Owns its form. What is recorded, and why a call counts as missed, the arbiter decides.

use std::fmt;

use crate::{
    Dict, Error, Fields,
    fields::{Writer, debug_keys, missing},
    words::{Direction, EndReason, Missed, Records, Silenced},
};

/// One call that is over. Texts are empty and times 0 where there is nothing to tell.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Its name for ever: a record that comes again is the same.
    pub id: String,
    /// The UUID that its provider chose.
    pub call: String,
    /// The app that carried it.
    pub app_id: String,
    /// The app's name for people.
    pub provider_name: String,
    /// Who called whom.
    pub direction: Direction,
    /// The far end's address.
    pub handle: String,
    /// The far end's name.
    pub display_name: String,
    /// The entry of the user's address book.
    pub contact_id: String,
    /// When it was reported or requested, µs since the epoch.
    pub created_at: u64,
    /// When it was first active.
    pub connected_at: u64,
    /// When it ended.
    pub ended_at: u64,
    /// Why it ended.
    pub reason: EndReason,
    /// Why in words, for people.
    pub detail: String,
    /// Why nobody here answered it.
    pub missed: Option<Missed>,
    /// Why it did not ring aloud.
    pub silenced: Silenced,
    /// An emergency call.
    pub emergency: bool,
    /// It had video.
    pub has_video: bool,
    /// What its provider lets the user keep.
    pub records: Records,
    /// So many records before this one never came.
    pub lost: u32,
    /// Its causes, each for [`crate::Cause::from_dict`]; none where they are not remembered, or not told.
    pub why: Vec<Dict>,
}

impl Record {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        let some = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let text = |dict: Writer, key, text: &str| dict.text(key, some(text).as_deref());
        let time = |dict: Writer, key, time: u64| dict.put(key, (time != 0).then_some(time));
        let dict = Writer::default().text("id", Some(&self.id)).text("call", Some(&self.call));
        let dict = text(text(dict, "app-id", &self.app_id), "provider-name", &self.provider_name);
        let dict = dict.text("direction", Some(self.direction.as_str()));
        let dict = text(text(dict, "handle", &self.handle), "display-name", &self.display_name);
        let dict = time(text(dict, "contact-id", &self.contact_id), "created-at", self.created_at);
        let dict = time(dict, "connected-at", self.connected_at);
        let dict = time(dict, "ended-at", self.ended_at);
        let dict = text(dict.text("reason", Some(self.reason.as_str())), "detail", &self.detail);
        text(dict, "silenced", self.silenced.as_str())
            .text("missed", self.missed.as_ref().map(Missed::as_str))
            .flag("emergency", self.emergency)
            .flag("has-video", self.has_video)
            .text("records", Some(self.records.as_str()))
            .put("lost", (self.lost != 0).then_some(self.lost))
            .put("why", Some(self.why.clone()).filter(|why| !why.is_empty()))
            .done()
    }

    /// From the arbiter, or from an agent.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::trusted(dict);
        let text = |key| Ok::<_, Error>(fields.any_text(key)?.unwrap_or_default().to_owned());
        let word = |key| fields.any_text(key)?.ok_or_else(|| missing(key));
        let time = |key| Ok::<_, Error>(fields.time(key)?.unwrap_or_default());
        Ok(Record {
            id: word("id")?.to_owned(),
            call: text("call")?,
            app_id: text("app-id")?,
            provider_name: text("provider-name")?,
            direction: Direction::from(word("direction")?),
            handle: text("handle")?,
            display_name: text("display-name")?,
            contact_id: text("contact-id")?,
            created_at: time("created-at")?,
            connected_at: time("connected-at")?,
            ended_at: time("ended-at")?,
            reason: EndReason::from(word("reason")?),
            detail: text("detail")?,
            missed: fields.any_text("missed")?.map(Missed::from),
            silenced: Silenced::from(&*text("silenced")?),
            emergency: fields.flag("emergency")?.unwrap_or_default(),
            has_video: fields.flag("has-video")?.unwrap_or_default(),
            records: Records::from(word("records")?),
            lost: fields.number("lost")?.unwrap_or_default(),
            why: fields.dicts("why")?.unwrap_or_default(),
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "Record", &self.to_dict())
    }
}
