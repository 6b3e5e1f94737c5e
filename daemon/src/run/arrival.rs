//! How the daemon arrives on a bus: first it looks who is there, the name comes last.
//!
//! Owns the questions to the bus before the loop runs, and every message that comes meanwhile: it is for the
//! loop, in its order. It is read all the time; a bus whose messages are not read would not answer either.

use std::collections::{HashSet, VecDeque};

use callarbiter_dbus::names::BUS_NAME;
use callarbiter_wire::{Outgoing, Received};
use serde::Serialize;
use tracing::debug;
use zbus::{DynamicType, Message, message::Type};

use super::ServeError;
use crate::line::Line;

const BUS: &str = "org.freedesktop.DBus";

/// One rule for everybody who leaves: each further stream would be tested against every message.
const RULE: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
                    member='NameOwnerChanged'";

/// RequestName: do not queue, and neither replace nor be replaced.
const DO_NOT_QUEUE: u32 = 4;
/// RequestName: it is ours.
const PRIMARY_OWNER: u32 = 1;

/// A line on which nothing is served yet.
pub struct Arrival {
    line: Line,
    early: VecDeque<Received>,
}

/// What a bus says of itself.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Its id; another one of the same address has another.
    pub bus: String,
    /// Everybody on it, by their names. Who leaves from here on is told by it.
    pub present: HashSet<String>,
}

struct Question {
    what: &'static str,
    message: Message,
    answer: Option<Received>,
}

impl Question {
    fn new<B>(what: &'static str, member: &'static str, body: &B) -> Result<Question, ServeError>
    where
        B: Serialize + DynamicType,
    {
        let message = Message::method_call("/org/freedesktop/DBus", member)
            .destination(BUS)
            .interface(BUS)
            .build(body)
            .map_err(|source| ServeError::Refused { what, source })?;
        Ok(Question { what, message, answer: None })
    }

    fn is_answered_by(&self, message: &Received) -> bool {
        message.reply_to() == Some(self.message.primary_header().serial_num())
            && message.sender() == BUS
    }

    fn answer<B>(&self) -> Result<B, ServeError>
    where
        B: serde::de::DeserializeOwned + zbus::Type,
    {
        let refused = |source| ServeError::Refused { what: self.what, source };
        let answer = self.answer.as_ref().ok_or(ServeError::Disconnected)?.whole();
        let answer = answer.map_err(refused)?;
        if answer.message_type() == Type::Error {
            return Err(refused(answer.into()));
        }
        answer.body().deserialize().map_err(refused)
    }
}

impl Arrival {
    /// Nobody has been asked yet.
    pub fn on(line: Line) -> Arrival {
        Arrival { line, early: VecDeque::new() }
    }

    /// Asks to be told of everybody who leaves.
    pub async fn watch(&mut self) -> Result<(), ServeError> {
        let rule = Question::new("the rule for connections that leave", "AddMatch", &RULE)?;
        let [rule] = self.ask([rule]).await?;
        rule.answer()
    }

    /// The same, and looks who is there.
    pub async fn look_around(&mut self) -> Result<Surroundings, ServeError> {
        let questions = [
            Question::new("the rule for connections that leave", "AddMatch", &RULE)?,
            Question::new("its id", "GetId", &())?,
            // After the rule: nobody can leave unseen.
            Question::new("the names of those who are there", "ListNames", &())?,
        ];
        let [rule, id, names] = self.ask(questions).await?;
        rule.answer::<()>()?;
        let names: Vec<String> = names.answer()?;
        Ok(Surroundings { bus: id.answer()?, present: names.into_iter().collect() })
    }

    /// Takes the name: whoever sees it finds everything behind it.
    pub async fn take_name(&mut self) -> Result<(), ServeError> {
        let name = Question::new("the name", "RequestName", &(BUS_NAME, DO_NOT_QUEUE))?;
        let [name] = self.ask([name]).await?;
        if name.answer::<u32>()? == PRIMARY_OWNER { Ok(()) } else { Err(ServeError::NameTaken) }
    }

    /// The messages that came already.
    pub fn done(self) -> VecDeque<Received> {
        self.early
    }

    async fn ask<const N: usize>(
        &mut self,
        mut questions: [Question; N],
    ) -> Result<[Question; N], ServeError> {
        let messages: Vec<Outgoing> = questions.iter().map(|q| q.message.clone().into()).collect();
        self.line.send(&messages).await.map_err(ServeError::Send)?;
        while questions.iter().any(|question| question.answer.is_none()) {
            let message = self.line.next().await.map_err(|error| {
                debug!(%error, "the connection broke");
                ServeError::Disconnected
            })?;
            match questions.iter_mut().find(|question| question.is_answered_by(&message)) {
                Some(question) => question.answer = Some(message),
                None => self.early.push_back(message),
            }
        }
        Ok(questions)
    }
}
