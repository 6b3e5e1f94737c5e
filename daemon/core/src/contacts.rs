//! Who it is, by the user's own address book: asked of the contacts agent, never waited for.
//!
//! Owns when it is asked and what an answer changes. A name from the user's contacts stands before what an app
//! claims, whatever the app says later.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AgentAsk, Call, CallId, CallState, Domain, Private, errand::AgentAnswer};

/// An entry of the user's address book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// As the user wrote it; never empty.
    #[serde(with = "crate::private::stored")]
    pub name: Private,
    /// What the agent calls the entry.
    #[serde(with = "crate::private::stored")]
    pub id: Private,
}

impl Call {
    /// The far end's name, the user's own word for it first.
    pub fn shown_name(&self) -> &Private {
        self.known.as_ref().map_or(&self.name, |known| &known.name)
    }

    /// Where the shown name comes from, as on the bus.
    pub fn name_source(&self) -> &'static str {
        name_source(self.known.as_deref(), &self.name)
    }
}

pub(crate) fn name_source(known: Option<&Contact>, claimed: &Private) -> &'static str {
    match known {
        Some(_) => "contacts",
        None if claimed.is_empty() => "",
        None => "claimed",
    }
}

impl Domain {
    /// Asks who this is; whatever the call does goes on meanwhile.
    pub(crate) fn look_up(&mut self, call: CallId) {
        let Some(handle) = self.calls.get(&call).map(|c| c.handle.clone()) else { return };
        if !handle.is_empty() {
            self.ask_agent(AgentAsk::LookUp { call, handle });
        }
    }

    /// The call has another handle: what was known was about the old one.
    pub(crate) fn handle_changed(&mut self, call: CallId) {
        let about = |ask: &AgentAsk| matches!(ask, AgentAsk::LookUp { .. });
        self.drop_errands(|e| e.ask.call() == Some(call) && about(&e.ask));
        self.know(call, None);
        self.look_up(call);
        self.screen_again(call);
    }

    pub(crate) fn looked_up(&mut self, call: CallId, handle: &Private, answer: AgentAnswer) {
        let same = self.calls.get(&call).is_some_and(|c| c.handle == *handle);
        let name = answer.name.filter(|name| !name.is_empty() && answer.error.is_none());
        if let Some(name) = name.filter(|_| same) {
            let contact = Contact { name, id: answer.contact.unwrap_or_default() };
            self.know(call, Some(Arc::new(contact)));
        }
    }

    /// An agent with an address book came: it is asked about everybody who is still there.
    pub(crate) fn look_up_strangers(&mut self) {
        let strange = |c: &&Call| c.known.is_none() && c.state != CallState::Ending;
        let strangers: Vec<CallId> = self.calls.values().filter(strange).map(|c| c.id).collect();
        strangers.into_iter().for_each(|call| self.look_up(call));
    }

    fn know(&mut self, id: CallId, known: Option<Arc<Contact>>) {
        self.call_mut(id);
        let shown = self.turn.shown_before(id);
        let Some((call, shown)) = self.calls.get_mut(&id).zip(shown) else { return };
        let before = std::mem::replace(&mut call.known, known);
        if before != call.known {
            shown.known.get_or_insert(before);
            self.contacts_changed.push(id);
            self.treat_again(id);
        }
    }
}
