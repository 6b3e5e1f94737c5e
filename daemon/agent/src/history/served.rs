//! `org.callarbiter.Agent1.History` on the session bus: what is asked about the history, and who may ask it.
//!
//! Owns the interface and what its options mean. A caller behind a wall may erase what was recorded of its own app,
//! and that is all.

use std::sync::Arc;

use callarbiter_dbus::{
    Dict, Error, ErrorKind, Fields,
    limits::{
        APP_ID_BYTES, DISPLAY_NAME_BYTES, FORGOTTEN_CALLS, HANDLE_BYTES, is_app_id, text_fits,
    },
};
use rusqlite::Transaction;
use tokio::task::spawn_blocking;
use zbus::{Connection, Variant, interface, message::Header};

use super::{
    History,
    calls::{self, FAVOURITES, Favourite, Filter, PAGE},
};
use crate::{
    arbiter::Desk,
    database::{self, StoreError},
    served::{Refused, caller},
};

/// So many calls where nobody says how many.
const USUAL: u32 = 50;

/// The interface.
pub struct Served {
    pub session: Connection,
    pub history: Arc<History>,
    pub desk: Desk,
}

#[interface(name = "org.callarbiter.Agent1.History")]
impl Served {
    async fn query(
        &self,
        #[zbus(header)] call: Header<'_>,
        filter: Dict,
    ) -> Result<(Vec<Dict>, Dict), Refused> {
        self.outside(&call, move |history| history.query(&filter)).await
    }

    async fn explain(
        &self,
        #[zbus(header)] call: Header<'_>,
        id: String,
    ) -> Result<Vec<Dict>, Refused> {
        self.outside(&call, move |history| history.explain(&id)).await
    }

    async fn erase(&self, #[zbus(header)] call: Header<'_>, what: Dict) -> Result<u32, Refused> {
        let wall = caller::wall(&self.session, &call).await?;
        let (erased, newest) = self.carry_out(move |history| history.erase(&what, wall)).await?;
        self.history.erased.tell(&self.desk, newest).await;
        Ok(erased)
    }

    async fn favourites(&self, #[zbus(header)] call: Header<'_>) -> Result<Vec<Dict>, Refused> {
        self.outside(&call, History::favourites).await
    }

    async fn add_favourite(
        &self,
        #[zbus(header)] call: Header<'_>,
        handle: String,
        options: Dict,
    ) -> Result<(), Refused> {
        self.outside(&call, move |history| history.add_favourite(handle, &options)).await
    }

    async fn remove_favourite(
        &self,
        #[zbus(header)] call: Header<'_>,
        handle: String,
    ) -> Result<(), Refused> {
        self.outside(&call, move |history| history.remove_favourite(&handle)).await
    }

    async fn last_provider(
        &self,
        #[zbus(header)] call: Header<'_>,
        handle: String,
    ) -> Result<String, Refused> {
        self.outside(&call, move |history| history.last_provider(&handle)).await
    }
}

impl Served {
    /// For callers without a wall around them.
    async fn outside<T: Send + 'static>(
        &self,
        call: &Header<'_>,
        what: impl FnOnce(&History) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        caller::unwalled(&self.session, call).await?;
        self.carry_out(what).await
    }

    /// It reads and writes a file.
    async fn carry_out<T: Send + 'static>(
        &self,
        what: impl FnOnce(&History) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let history = self.history.clone();
        let done = spawn_blocking(move || what(&history)).await;
        let broken =
            |_| Error::new(ErrorKind::ActionFailed, "the history failed; the log says why");
        Ok(done.map_err(broken)??)
    }
}

impl History {
    fn query(&self, filter: &Dict) -> Result<(Vec<Dict>, Dict), Error> {
        let fields = Fields::bounded(filter)?;
        let limit = fields.number("limit")?.unwrap_or(USUAL).clamp(1, PAGE);
        let filter = self.filter(fields)?;
        let (mut records, damaged) = self
            .store
            .change(|file| {
                Ok((calls::find(file, &filter, limit + 1)?, database::damaged_at(file)?))
            })
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

    fn explain(&self, id: &str) -> Result<Vec<Dict>, Error> {
        let known = self.store.change(|file| calls::explain(file, id)).map_err(failed)?;
        known.ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownCall,
                "the history has no call of this id; Query tells the ids",
            )
        })
    }

    /// How many there were, and the ids of the newest.
    fn erase(&self, what: &Dict, wall: Option<String>) -> Result<(u32, Vec<String>), Error> {
        let fields = Fields::bounded(what)?;
        let mut filter = self.filter(fields)?;
        let all = fields.flag("all")?.unwrap_or_default();
        let Filter { missed, person, app, id, call, before, .. } = &filter;
        let texts = [person, app, id, call];
        let says = *missed || before.is_some() || texts.into_iter().any(Option::is_some);
        if all == says {
            return Err(Error::invalid_argument(
                "say what to erase: either `all`, or some of `handle`, `app-id`, `id`, `call`, `missed` and `before`",
            ));
        }
        if let Some(own) = &wall {
            filter.app = Some(own.clone());
        }
        // First, so that none slips in behind it.
        self.erased.begin(&filter);
        let erase = |file: &Transaction<'_>| {
            let newest = calls::ended_last(file, &filter, FORGOTTEN_CALLS)?;
            Ok((calls::erase(file, &filter)?, newest))
        };
        let (erased, newest) = self.store.change(erase).map_err(failed)?;
        if all && wall.is_none() {
            self.store.forget_damaged().map_err(failed)?;
        }
        Ok((u32::try_from(erased).unwrap_or(u32::MAX), newest))
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
            call: text("call", APP_ID_BYTES)?.map(|call| call.to_ascii_lowercase()),
            before: fields.time("before")?.map(database::number),
            after: text("after", APP_ID_BYTES)?,
            ended: None,
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
