//! `org.callarbiter.Agent1.History` on the session bus: what is asked about the history, and who may ask it.
//!
//! Owns reading the calls and their answers. A caller behind a wall may erase what was recorded of its own app, and
//! that is all; who it is, the kernel says.

use callarbiter_dbus::{
    Dict, Error, ErrorKind, Fields,
    limits::{APP_ID_BYTES, DISPLAY_NAME_BYTES, HANDLE_BYTES, is_app_id, text_fits},
    names::{AGENT_BUS_NAME, AGENT_HISTORY, AGENT_PATH},
};
use futures_util::StreamExt;
use tokio::task::spawn_blocking;
use tracing::warn;
use zbus::{Connection, MatchRule, Message, MessageStream, Variant, message::Type};

use super::{
    History,
    calls::{self, FAVOURITES, Favourite, Filter, PAGE},
    store::StoreError,
};
use crate::identity;

const BUS: &str = "org.freedesktop.DBus";

/// `RequestName`: not now is never.
const DO_NOT_QUEUE: u32 = 4;

/// So many calls where nobody says how many.
const USUAL: u32 = 50;

type Answer = Result<Message, Error>;

/// What is asked of the agent, in its order.
pub struct Served {
    session: Connection,
    messages: MessageStream,
}

impl Served {
    /// On this bus, from now on.
    pub async fn open(session: &Connection) -> zbus::Result<Served> {
        let rule = MatchRule::builder().msg_type(Type::MethodCall).interface(AGENT_HISTORY);
        let messages = MessageStream::for_match_rule(rule.build()?, session, None).await?;
        let wanted = (AGENT_BUS_NAME, DO_NOT_QUEUE);
        let got = session.call_method(
            Some(BUS),
            "/org/freedesktop/DBus",
            Some(BUS),
            "RequestName",
            &wanted,
        );
        // Owner, or it was before.
        if !matches!(got.await?.body().deserialize::<u32>()?, 1 | 4) {
            warn!("another agent serves the history on the session bus as {AGENT_BUS_NAME}");
        }
        Ok(Served { session: session.clone(), messages })
    }

    /// The next call; none where the bus is gone.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.messages.next().await?.ok()?;
            let here = message.header().path().is_some_and(|path| path.as_str() == AGENT_PATH);
            if here {
                return Some(message);
            }
        }
    }

    /// Answers it.
    pub async fn answer(&self, call: &Message, answer: Answer) {
        let answer = match answer {
            Ok(reply) => Ok(reply),
            Err(error) => Message::error(&call.header(), error.name.as_str()).build(&error.message),
        };
        let sent = match answer {
            Ok(reply) => self.session.send(&reply).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            warn!(%error, "somebody who asked for the history was not answered");
        }
    }

    /// The app of whoever called, if it is behind a wall.
    pub async fn wall(&self, call: &Message) -> Result<Option<String>, Error> {
        let denied = |why: String| Error::new(ErrorKind::AccessDenied, why);
        let header = call.header();
        let sender = header.sender().ok_or_else(|| denied("nobody called".to_owned()))?;
        let name = sender.as_str();
        let asked = self.session.call_method(
            Some(BUS),
            "/org/freedesktop/DBus",
            Some(BUS),
            "GetConnectionUnixProcessID",
            &name,
        );
        let pid = asked.await.and_then(|reply| reply.body().deserialize::<u32>());
        let pid =
            pid.map_err(|_| denied("the bus does not tell which program calls".to_owned()))?;
        let found = spawn_blocking(move || identity::behind_wall(pid)).await;
        match found {
            Ok(Ok(app)) => Ok(app),
            Ok(Err(error)) => Err(denied(format!("who calls is not known: {error}"))),
            Err(_) => Err(denied("who calls is not known".to_owned())),
        }
    }
}

impl History {
    /// What one call asks for; it reads and writes the file.
    pub(super) fn carry_out(&self, call: &Message, wall: Option<String>) -> Answer {
        let header = call.header();
        let member = header.member().map(|member| member.as_str()).unwrap_or_default();
        if wall.is_some() && member != "Erase" {
            return Err(Error::new(
                ErrorKind::AccessDenied,
                "a program in a sandbox may erase the history of its own calls and nothing else; ask from outside of it",
            ));
        }
        let body = call.body();
        let unreadable =
            |_| Error::invalid_argument("the arguments have other types than the interface says");
        let answer = Message::method_return(&header);
        match member {
            "Query" => {
                let filter: Dict = body.deserialize().map_err(unreadable)?;
                answer.build(&self.query(&filter)?).map_err(unsent)
            }
            "Erase" => {
                let what: Dict = body.deserialize().map_err(unreadable)?;
                answer.build(&self.erase(&what, wall)?).map_err(unsent)
            }
            "Favourites" => answer.build(&self.favourites()?).map_err(unsent),
            "AddFavourite" => {
                let (handle, options): (String, Dict) = body.deserialize().map_err(unreadable)?;
                self.add_favourite(handle, &options)?;
                answer.build(&()).map_err(unsent)
            }
            "RemoveFavourite" => {
                let handle: String = body.deserialize().map_err(unreadable)?;
                self.remove_favourite(&handle)?;
                answer.build(&()).map_err(unsent)
            }
            "LastProvider" => {
                let handle: String = body.deserialize().map_err(unreadable)?;
                answer.build(&self.last_provider(&handle)?).map_err(unsent)
            }
            other => Err(Error::new(
                ErrorKind::NotSupported,
                format!("the history has no method {other}"),
            )),
        }
    }

    fn query(&self, filter: &Dict) -> Result<(Vec<Dict>, Dict), Error> {
        let fields = Fields::bounded(filter)?;
        let limit = fields.number("limit")?.unwrap_or(USUAL).clamp(1, PAGE);
        let filter = self.filter(fields)?;
        let (mut records, damaged) = self
            .store
            .change(|file| Ok((calls::find(file, &filter, limit + 1)?, calls::damaged_at(file)?)))
            .map_err(failed)?;
        let more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let mut about = Dict::new();
        let damaged = damaged.map(|at| ("damaged-at", Variant::from(at)));
        let more = more.then(|| ("more", Variant::from(true)));
        for (key, value) in damaged.into_iter().chain(more) {
            about.extend(value.try_into_owned().ok().map(|value| (key.to_owned(), value)));
        }
        Ok((records.iter().map(callarbiter_dbus::Record::to_dict).collect(), about))
    }

    fn erase(&self, what: &Dict, wall: Option<String>) -> Result<u32, Error> {
        let fields = Fields::bounded(what)?;
        let mut filter = self.filter(fields)?;
        let all = fields.flag("all")?.unwrap_or_default();
        let Filter { missed, person, app, id, before, after: _ } = &filter;
        let says = *missed || person.is_some() || app.is_some() || id.is_some() || before.is_some();
        if all == says {
            return Err(Error::invalid_argument(
                "say what to erase: either `all`, or some of `handle`, `app-id`, `id`, `missed` and `before`",
            ));
        }
        if let Some(own) = &wall {
            filter.app = Some(own.clone());
        }
        let erased = self.store.change(|file| calls::erase(file, &filter)).map_err(failed)?;
        if all && wall.is_none() {
            self.store.forget_damaged().map_err(failed)?;
        }
        Ok(u32::try_from(erased).unwrap_or(u32::MAX))
    }

    fn favourites(&self) -> Result<Vec<Dict>, Error> {
        let all = self.store.change(calls::favourites).map_err(failed)?;
        let dict = |it: Favourite| {
            let texts = [("handle", it.handle), ("display-name", it.name), ("provider", it.app)];
            let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
            let entry = |(key, text): (&str, String)| {
                Some((key.to_owned(), Variant::from(text).try_into_owned().ok()?))
            };
            texts.filter_map(entry).collect()
        };
        Ok(all.into_iter().map(dict).collect())
    }

    fn add_favourite(&self, handle: String, options: &Dict) -> Result<(), Error> {
        let fields = Fields::bounded(options)?;
        let text =
            |key, most| Ok::<_, Error>(fields.text(key, most)?.unwrap_or_default().to_owned());
        let new = Favourite {
            person: self.person(&handle)?,
            handle,
            name: text("display-name", DISPLAY_NAME_BYTES)?,
            app: text("provider", APP_ID_BYTES)?,
        };
        if !new.app.is_empty() && !is_app_id(&new.app) {
            return Err(Error::invalid_argument(
                "`provider` is the id of an app, as `callctl providers` lists it",
            ));
        }
        match self.store.change(|file| calls::add_favourite(file, &new)).map_err(failed)? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("there are {FAVOURITES} favourites; remove one first"),
            )),
        }
    }

    fn remove_favourite(&self, handle: &str) -> Result<(), Error> {
        let person = self.person(handle)?;
        match self.store.change(|file| calls::remove_favourite(file, &person)).map_err(failed)? {
            true => Ok(()),
            false => Err(Error::invalid_argument("nobody with that address is a favourite")),
        }
    }

    fn last_provider(&self, handle: &str) -> Result<String, Error> {
        let person = self.person(handle)?;
        let app = self.store.change(|file| calls::last_use(file, &person)).map_err(failed)?;
        Ok(app.unwrap_or_default())
    }

    pub(super) fn filter(&self, fields: Fields<'_>) -> Result<Filter, Error> {
        let text = |key, most| Ok::<_, Error>(fields.text(key, most)?.map(str::to_owned));
        let handle = fields.any_text("handle")?;
        Ok(Filter {
            missed: fields.flag("missed")?.unwrap_or_default(),
            person: handle.map(|handle| self.person(handle)).transpose()?,
            app: text("app-id", APP_ID_BYTES)?,
            id: text("id", APP_ID_BYTES)?,
            before: fields.time("before")?.map(calls::number),
            after: text("after", APP_ID_BYTES)?,
        })
    }

    fn person(&self, handle: &str) -> Result<String, Error> {
        let person = Some(handle).filter(|handle| text_fits(handle, HANDLE_BYTES));
        let person =
            person.map(|handle| self.person_of(handle)).filter(|person| !person.is_empty());
        person.ok_or_else(|| {
            Error::invalid_argument(
                "this is nobody's address; write it as tel:+4930123456 or sip:ada@example.org",
            )
        })
    }
}

fn failed(error: StoreError) -> Error {
    Error::new(ErrorKind::ActionFailed, format!("the history cannot be used: {error}"))
}

fn unsent(error: zbus::Error) -> Error {
    Error::new(ErrorKind::ActionFailed, format!("the answer cannot be made: {error}"))
}
