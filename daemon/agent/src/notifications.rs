//! Notifications: every call that lives is one, with the buttons that fit its state.
//!
//! Owns which note stands for which call, and that a pressed button is done and its failure told. The
//! words are `words`', the server is `server`'s.

mod apps;
mod server;
mod words;

use std::{collections::BTreeMap, sync::Arc};

use callarbiter::{Call, CallPath, Change, NoticeKind, Private, Snapshot};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{debug, warn};
use zbus::Connection;

use self::apps::Apps;
pub use self::{
    server::{Server, Word},
    words::{ICON, Note, plain},
};
use crate::{arbiter::Desk, scene::Told, trace::Trace};

/// What a click on the note itself does: its app comes to the front.
const OPEN: (&str, &str) = ("default", "Open");

/// Until it is told nothing any more.
pub async fn run(session: Connection, mut told: UnboundedReceiver<Told>, trace: Trace, desk: Desk) {
    let server = match Server::follow(&session).await {
        Ok(server) => server,
        Err(error) => return warn!(%error, "notifications cannot be shown"),
    };
    let (done, mut results) = unbounded_channel();
    let now = Arc::default();
    let (shown, apps) = (BTreeMap::new(), Apps::of(&session));
    let mut notes = Notes { server, trace, desk, done, now, shown, pressed: 0, token: None, apps };
    notes.take_over().await;
    loop {
        tokio::select! {
            biased;
            next = told.recv() => {
                let Some(next) = next else { break };
                notes.tell(next).await;
            }
            Some(result) = results.recv() => notes.finish(result).await,
            word = notes.server.next() => notes.hear(word).await,
        }
    }
    notes.leave().await;
}

struct Notes {
    server: Server,
    trace: Trace,
    desk: Desk,
    done: UnboundedSender<Done>,
    now: Arc<Snapshot>,
    shown: BTreeMap<CallPath, Shown>,
    /// Buttons that were pressed and are not done yet.
    pressed: usize,
    /// With which the next click may raise a window: of the note with this number.
    token: Option<(u32, String)>,
    apps: Apps,
}

/// What is shown of a call.
#[derive(Default)]
struct Shown {
    /// None: it was put away, or no server shows it.
    id: Option<u32>,
    /// What was shown last; it is shown again only when it is different.
    note: Option<Note>,
    /// Why the last button did not do what it says.
    failure: Option<String>,
}

/// What became of a button.
struct Done {
    /// As it was when the button was pressed.
    call: Call,
    failure: Option<String>,
}

impl Notes {
    /// What an agent before this one showed, nobody else would take away.
    async fn take_over(&mut self) {
        for id in self.trace.found() {
            if let Ok(id) = id.parse() {
                self.server.close(id).await;
            }
        }
        self.trace.keep([]);
    }

    async fn tell(&mut self, told: Told) {
        self.now = told.now;
        let news = match &told.change {
            Change::CallRemoved(call) => {
                words::missed(call, &self.now, &self.apps.face(&call.app_id))
            }
            Change::Notice { kind, call: Some(call), message } => self.notice(kind, call, message),
            _ => None,
        };
        if let Some(note) = news {
            self.leave_note(note).await;
        }
        self.refresh().await;
    }

    fn notice(&self, kind: &NoticeKind, call: &CallPath, message: &Private) -> Option<Note> {
        // Who pressed a button is told by it.
        let told = *kind == NoticeKind::HoldFailed && self.pressed > 0;
        let call = self.now.calls.get(call).filter(|_| !told)?;
        let face = self.apps.face(&call.app_id);
        words::notice(kind, call, &self.now, &face, message.reveal())
    }

    /// Shows something that the user reads and puts away.
    async fn leave_note(&mut self, note: Note) {
        if let Err(error) = self.server.show(&note, 0).await {
            debug!(%error, "a note cannot be shown");
        }
    }

    /// Shows what is not shown yet, and takes away what is over.
    async fn refresh(&mut self) {
        let now = self.now.clone();
        let gone = |call: &CallPath| !now.calls.contains_key(call);
        let over: Vec<CallPath> = self.shown.keys().copied().filter(gone).collect();
        for call in over {
            self.put_away(&call).await;
        }
        for call in now.calls.values() {
            self.show(call).await;
        }
        let ids = self.shown.values().filter_map(|shown| shown.id);
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        self.trace.keep(ids.iter().map(String::as_str));
    }

    async fn show(&mut self, call: &Call) {
        let shown = self.shown.entry(call.object).or_default();
        let face = self.apps.face(&call.app_id);
        let Some(note) = words::note(call, &self.now, &face, shown.failure.as_deref()) else {
            return self.put_away(&call.object).await;
        };
        if shown.note.as_ref() == Some(&note) {
            return;
        }
        let mut whole = note.clone();
        if self.apps.can_raise(&call.app_id).await {
            whole.buttons.push(OPEN);
        }
        match self.server.show(&whole, shown.id.unwrap_or(0)).await {
            Ok(id) => shown.id = Some(id),
            // Whoever comes as the next server is shown everything.
            Err(error) => debug!(%error, "a call cannot be shown"),
        }
        shown.note = Some(note);
    }

    async fn put_away(&mut self, call: &CallPath) {
        if let Some(id) = self.shown.remove(call).and_then(|shown| shown.id) {
            self.server.close(id).await;
        }
    }

    async fn hear(&mut self, word: Word) {
        match word {
            Word::Restarted => {
                self.shown.clear();
                self.refresh().await;
            }
            Word::Closed(id) => {
                if let Some(shown) = self.shown.values_mut().find(|shown| shown.id == Some(id)) {
                    shown.id = None;
                }
            }
            Word::Token(id, token) => self.token = Some((id, token)),
            Word::Pressed(id, key) => self.press(id, &key),
        }
    }

    fn press(&mut self, id: u32, key: &str) {
        let Some((path, shown)) = self.shown.iter_mut().find(|(_, shown)| shown.id == Some(id))
        else {
            return;
        };
        let Some(call) = self.now.calls.get(path) else { return };
        let raises = key == OPEN.0;
        let actions = words::meaning(key, call, &self.now);
        if actions.is_none() && !raises {
            return;
        }
        shown.failure = None;
        self.pressed += 1;
        let token = self.token.take().filter(|(of, _)| *of == id).map(|(_, token)| token);
        let (desk, done, call) = (self.desk.clone(), self.done.clone(), call.clone());
        let apps = self.apps.clone();
        tokio::spawn(async move {
            let failure = match actions {
                Some(actions) => desk.perform(actions).await.err(),
                None => apps.raise(&call.app_id, token).await.err(),
            };
            // Nobody listens any more when the agent ends.
            let _ = done.send(Done { call, failure });
        });
    }

    async fn finish(&mut self, done: Done) {
        self.pressed -= 1;
        if let Some(shown) = self.shown.get_mut(&done.call.object) {
            shown.failure = done.failure;
            // Some servers take a note away with its button: it is shown again, if the call is there.
            shown.note.take_if(|_| shown.id.is_none());
        } else if let Some(why) = done.failure {
            let face = self.apps.face(&done.call.app_id);
            let note = words::failed(&done.call, &self.now, &face, &why);
            self.leave_note(note).await;
        }
        self.refresh().await;
    }

    async fn leave(&mut self) {
        for shown in std::mem::take(&mut self.shown).into_values() {
            if let Some(id) = shown.id {
                self.server.close(id).await;
            }
        }
        self.trace.keep([]);
    }
}
