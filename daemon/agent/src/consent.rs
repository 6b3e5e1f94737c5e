//! Consent: the user is asked once whether an app may provide calls, and the answer is remembered.
//!
//! Owns the question's way: the store is read first, one question is shown at a time, and whoever decides
//! elsewhere (the desktop's settings, `flatpak permission-set`) is heard as well. What an app may do, the
//! arbiter decides.

mod question;
mod queue;
mod store;

use std::{collections::BTreeSet, time::Instant};

use callarbiter::{Authorization, Change, words::AppIdSource};
use callarbiter_dbus::{AgentAnswer, AppWord, ErrorKind, Fields, limits};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};
use zbus::Connection;

pub use self::store::{Store, StoreError, Subject};

use self::{
    question::{ALLOW, Applicant, DENY},
    queue::{Queue, Refusal},
    store::Decisions,
};
use crate::{
    arbiter::Desk,
    launch,
    notifications::{Server, Word},
    orders::{Inbox, Order, Reply, RequestConsent},
    scene::Told,
    trace::Trace,
};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    mut orders: Inbox<RequestConsent>,
    trace: Trace,
    desk: Desk,
) {
    let mut store = match Store::open(&session).await {
        Ok(store) => store,
        Err(error) => return warn!("consent cannot be remembered, so nobody is asked: {error}"),
    };
    let server = match Server::follow(&session).await {
        Ok(server) => server,
        Err(error) => return warn!(%error, "nobody can be asked"),
    };
    let mut consent =
        Consent { server, trace, desk, queue: Queue::default(), known: None, shown: None };
    consent.take_over().await;
    loop {
        tokio::select! {
            biased;
            next = told.recv() => match next {
                None => break,
                // Another arbiter, or the same after it was away: what it knows may be of before.
                Some(Told { change: Change::ArbiterBack | Change::Resynced, .. }) => {
                    consent.settle(&store).await;
                }
                Some(_) => {}
            },
            Some(order) = orders.recv() => consent.ask(order, &store).await,
            word = consent.server.next() => consent.hear(word, &store).await,
            () = store.changed() => consent.look(&store).await,
        }
    }
    consent.leave().await;
}

struct Consent {
    server: Server,
    trace: Trace,
    desk: Desk,
    queue: Queue<Reply>,
    /// What the store said last, once it was asked.
    known: Option<Decisions>,
    /// The question on the screen: whose, and the server's number.
    shown: Option<(String, u32)>,
}

impl Consent {
    /// A question of an agent before this one nobody would answer.
    async fn take_over(&mut self) {
        for id in self.trace.found() {
            if let Ok(id) = id.parse() {
                self.server.close(id).await;
            }
        }
        self.trace.keep([]);
    }

    async fn ask(&mut self, order: Order<RequestConsent>, store: &Store) {
        let applicant = applicant(&order.what);
        let decisions = match store.decisions().await {
            Ok(decisions) => decisions,
            // Asked all the same: the answer counts until the app registers again.
            Err(error) => {
                warn!("what was decided before cannot be read: {error}");
                Decisions::default()
            }
        };
        let decided = decisions.get(&applicant.app).and_then(calls);
        self.known = Some(decisions);
        if let Some(word) = decided {
            return answer(order.reply, &word).await;
        }
        // One that comes later asks then.
        if self.server.has_buttons().await == Some(false) {
            let why = "the session's notification server has no buttons to ask the user by; \
                \"flatpak permission-set callarbiter provide-calls APP yes\" or the administrator's \
                [apps] decides as well";
            warn!(app = applicant.app, "the user is not asked: {why}");
            return order.reply.fail(ErrorKind::NotAuthorized, why.to_owned()).await;
        }
        match self.queue.add(applicant, order.reply, Instant::now()) {
            Ok(()) => self.show().await,
            Err((Refusal::PutAway, reply)) => answer(reply, &Authorization::NotDetermined).await,
            Err((Refusal::Full, reply)) => {
                let why = "too many apps wait for the user's word; try again later";
                reply.fail(ErrorKind::LimitExceeded, why.to_owned()).await;
            }
        }
    }

    /// Shows the question whose turn it is, if it is not shown yet.
    async fn show(&mut self) {
        let next = self.queue.current();
        if self.shown.as_ref().map(|(app, _)| app) == next.map(|next| &next.app) {
            return;
        }
        if let Some((_, id)) = self.shown.take() {
            self.server.close(id).await;
        }
        if let Some(next) = self.queue.current() {
            match self.server.show(&next.note(), 0).await {
                Ok(id) => self.shown = Some((next.app.clone(), id)),
                // It is asked by the next server.
                Err(error) => warn!(%error, "the user cannot be asked"),
            }
        }
        let id = self.shown.as_ref().map(|(_, id)| id.to_string());
        self.trace.keep(id.as_deref());
    }

    async fn hear(&mut self, word: Word, store: &Store) {
        let of_shown = |id: u32| {
            self.shown.as_ref().filter(|(_, shown)| *shown == id).map(|(app, _)| app.clone())
        };
        match word {
            Word::Restarted => {
                self.shown = None;
                self.show().await;
            }
            Word::Token(..) => {}
            Word::Closed(id) => {
                let Some(app) = of_shown(id) else { return };
                info!(app, "the user did not decide");
                self.shown = None;
                self.finish(&app, &Authorization::NotDetermined).await;
            }
            Word::Pressed(id, key) => {
                let Some(app) = of_shown(id) else { return };
                let word = match key.as_str() {
                    ALLOW => Authorization::Authorized,
                    DENY => Authorization::Denied,
                    _ => return,
                };
                info!(app, word = word.as_str(), "the user decided");
                let allowed = word == Authorization::Authorized;
                let known = self.known.get_or_insert_default().entry(app.clone());
                let unknown = || AppWord { app_id: app.clone(), ..AppWord::default() };
                known.or_insert_with(unknown).calls = Some(allowed);
                if let Err(error) = store.remember(&app, Subject::Calls, allowed).await {
                    warn!(app, "the user's word cannot be remembered: {error}");
                }
                self.finish(&app, &word).await;
            }
        }
    }

    /// What is decided is told, to an arbiter that may never have heard of it.
    async fn settle(&mut self, store: &Store) {
        match store.decisions().await {
            Ok(decisions) => self.tell(decisions).await,
            Err(error) => warn!("what was decided cannot be read: {error}"),
        }
    }

    async fn tell(&mut self, decisions: Decisions) {
        let decisions = self.known.insert(decisions);
        if decisions.len() > limits::APP_WORDS {
            let (known, most) = (decisions.len(), limits::APP_WORDS);
            warn!(
                known,
                most, "of too many apps something was decided; the arbiter hears of the first"
            );
        }
        let words: Vec<AppWord> = decisions.values().take(limits::APP_WORDS).cloned().collect();
        self.desk.set_apps(&words).await;
    }

    /// Somebody changed the store; what differs is told.
    async fn look(&mut self, store: &Store) {
        let now = match store.decisions().await {
            Ok(now) => now,
            Err(error) => return warn!("what was decided cannot be read: {error}"),
        };
        let before = self.known.take().unwrap_or_default();
        if before == now {
            self.known = Some(now);
            return;
        }
        self.tell(now.clone()).await;
        for app in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
            if before.get(app) == now.get(app) {
                continue;
            }
            info!(app, "decided elsewhere");
            if let Some(word) = now.get(app).and_then(calls) {
                self.finish(app, &word).await;
            }
        }
    }

    /// Whoever waits is answered, and the next is asked.
    async fn finish(&mut self, app: &str, word: &Authorization) {
        let mut late = false;
        for reply in self.queue.finish(app, word.clone(), Instant::now()) {
            late |= reply.is_late();
            answer(reply, word).await;
        }
        if late && *word != Authorization::NotDetermined {
            self.desk.set_authorization(app, word).await;
        }
        self.show().await;
    }

    /// What was not answered stays open in the arbiter, and is asked again by the next agent.
    async fn leave(&mut self) {
        self.queue.clear();
        self.show().await;
    }
}

fn calls(word: &AppWord) -> Option<Authorization> {
    match word.calls? {
        true => Some(Authorization::Authorized),
        false => Some(Authorization::Denied),
    }
}

async fn answer(reply: Reply, word: &Authorization) {
    let authorization = Some(word.clone());
    reply.send(AgentAnswer { authorization, ..AgentAnswer::default() }.to_dict()).await;
}

/// The desktop's own name and icon count for more than the app's.
fn applicant(request: &RequestConsent) -> Applicant {
    let fields = Fields::trusted(&request.options);
    let said = |key| fields.any_text(key).ok().flatten().unwrap_or_default().to_owned();
    let entry = launch::find(&launch::folders(), &request.app_id).unwrap_or_default();
    let icon = if entry.icon.is_empty() { said("icon") } else { entry.icon };
    Applicant {
        app: request.app_id.clone(),
        source: fields.any_text("app-id-source").ok().flatten().map(AppIdSource::from),
        installed_name: entry.name,
        display_name: said("display-name"),
        icon,
        usage: said("usage-description"),
    }
}
