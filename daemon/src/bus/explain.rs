//! `Manager.Explain`: the causes of a call, as they are told on the bus.
//!
//! Owns which call is meant (also one that is over) and the form of a cause. Which causes there are, and their words,
//! the core knows; who may read somebody's words in them is as for the call itself.

use callarbiter_core::{CallId, Domain, Fact, Over, ProviderId, Time, Why, WhyStep};
use callarbiter_dbus::{Error, ErrorKind, names};
use callarbiter_wire::Body;
use uuid::Uuid;

use super::{
    fault,
    peers::Client,
    views::{View, call_path},
};

/// So much of a UUID names a call, if no other begins so.
const SHORTEST: usize = 4;

/// The call that somebody names; without a name the one that began last.
pub fn named(view: &View<'_>, now: Time, name: &str) -> Result<CallId, Error> {
    let unknown = |why: &str| Err(Error::new(ErrorKind::UnknownCall, why));
    let Some(domain) = view.domain else {
        return unknown("there is no such call, and none ended within the hour");
    };
    let path = match names::Object::parse(name) {
        Some(names::Object::Call(path)) => Some(path),
        _ => None,
    };
    let begins = name.to_ascii_lowercase();
    if path.is_none() && !name.is_empty() && !is_beginning(&begins) {
        return Err(Error::invalid_argument(format!(
            "a call is named by its UUID, the first {SHORTEST} or more characters of it, its object \
             path, or by nothing: the newest one"
        )));
    }
    let fits = |uuid: Uuid, provider: ProviderId, plain: bool| match path {
        Some(path) => {
            path.uuid == uuid && path.provider.map_or(plain, |number| provider.0 == number)
        }
        None => {
            let text = uuid.hyphenated();
            let mut buffer = Uuid::encode_buffer();
            text.encode_lower(&mut buffer).starts_with(&begins)
        }
    };
    let live = domain.calls().filter(|c| fits(c.uuid, c.provider, call_path(c).provider.is_none()));
    let mut found: Vec<(CallId, Uuid)> = live.map(|c| (c.id, c.uuid)).collect();
    let lives = !found.is_empty();
    // One that lives is meant before one that is over, and without a name the newest of all.
    if !lives || name.is_empty() {
        let over =
            domain.all_over().filter(|(_, o)| o.until > now && fits(o.uuid, o.provider, true));
        found.extend(over.map(|(id, o)| (id, o.uuid)));
    }
    let Some((call, uuid)) = found.iter().max_by_key(|(id, _)| *id).copied() else {
        return unknown("no call of this name lives, or ended within the hour and is remembered");
    };
    // An app may choose the UUID of a call that is over again; the last one is meant.
    let other = |(id, of): &(CallId, Uuid)| *id != call && (lives || *of != uuid);
    match !name.is_empty() && found.iter().any(other) {
        true => Err(Error::invalid_argument(
            "several calls have this name; give the whole UUID, or the object path",
        )),
        false => Ok(call),
    }
}

fn is_beginning(name: &str) -> bool {
    let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    (SHORTEST..=36).contains(&name.len()) && name.chars().all(hex)
}

/// Whether a client may read what people and apps said of this call.
pub fn reveals(view: &View<'_>, client: &Client, call: CallId) -> bool {
    use callarbiter_core::Object;
    let over = view.domain.and_then(|domain| domain.over(call));
    match over {
        Some(Over { app, .. }) => {
            client.sees_all() || client.app.as_ref().is_some_and(|(own, _)| own == app)
        }
        None => view.reveals(client, Object::Call(call)),
    }
}

/// `aa{sv}`: each cause, the oldest first.
pub fn causes(body: &mut Body, domain: Option<&Domain>, call: CallId, open: bool) {
    let why = domain.and_then(|domain| domain.why(call));
    body.array(4, |body| {
        for (at, step) in why.into_iter().flat_map(Why::steps).enumerate() {
            if let Some(why) = why.filter(|why| why.dropped() > 0 && why.before_gap() == at) {
                body.array(8, |body| {
                    head(body, step.at, "dropped");
                    body.key("count");
                    body.a_u32(why.dropped());
                });
            }
            body.array(8, |body| cause(body, domain, &step, open));
        }
    });
}

fn head(body: &mut Body, at: u64, name: &str) {
    body.key("at");
    body.a_u64(at);
    body.key("cause");
    body.a_str(name);
}

fn cause(body: &mut Body, domain: Option<&Domain>, step: &WhyStep<'_>, open: bool) {
    head(body, step.at, step.cause.name());
    for (key, fact) in step.cause.facts() {
        if let Fact::Call(call) = fact
            && uuid_of(domain, call).is_none()
        {
            continue;
        }
        body.key(key);
        match fact {
            Fact::Word(word) => body.a_str(word),
            Fact::Error(error) => body.a_shown(fault::kind(error).name()),
            Fact::Milliseconds(number) => body.a_u32(number),
            Fact::Flag(flag) => body.a_bool(flag),
            Fact::Call(call) => body.an_id(uuid_of(domain, call).unwrap_or_default()),
            Fact::Transaction(id) => body.a_path(names::transaction_path(id.0).as_str()),
            Fact::Holders(by) => body.strs(by.names()),
        }
    }
    if open && !step.text.is_empty() {
        body.key(step.cause.text_key());
        body.a_str(step.text.reveal());
    }
}

/// Of a call that lives, or is remembered.
fn uuid_of(domain: Option<&Domain>, call: CallId) -> Option<Uuid> {
    let domain = domain?;
    let live = domain.call(call).map(|call| call.uuid);
    live.or_else(|| domain.over(call).map(|over| over.uuid))
}
