//! Audio priority on PipeWire: streams are moved, and nothing of theirs is changed.
//!
//! Owns that what the server says is followed by what is to be done about it.

mod connection;
mod graph;

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tokio::time::timeout;

use self::{
    connection::Connection,
    graph::{Command, Graph},
};
use super::{Answer, Turn, endpoints::Outputs, wanted::Wanted};
use crate::trace::Trace;

/// How long the server may take to put everything back when the agent ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The server, and what is known of it.
pub struct PipeWire {
    connection: Connection,
    graph: Graph,
    trace: Trace,
    /// What the trace holds.
    kept: Vec<String>,
}

impl PipeWire {
    pub fn connect(trace: Trace) -> Result<PipeWire> {
        let connection = Connection::open().map_err(|error| anyhow!(error))?;
        let (mut graph, kept) = (Graph::default(), trace.found());
        graph.recall(&kept);
        Ok(PipeWire { connection, graph, trace, kept })
    }

    /// Waits until something is not as it was. Waiting may be given up.
    pub async fn changed(&mut self) -> Result<()> {
        let event = self.connection.events.recv().await;
        ensure!(event.is_some(), "PipeWire is gone");
        event.into_iter().for_each(|event| self.graph.take(event));
        // What was said together is judged together.
        while let Ok(event) = self.connection.events.try_recv() {
            self.graph.take(event);
        }
        Ok(())
    }

    /// The outputs, once they are known.
    pub fn outputs(&self) -> Option<Outputs> {
        self.graph.is_ready().then(|| self.graph.outputs())
    }

    /// What is not so by now is asked for again.
    pub fn insist(&mut self, wanted: &Wanted, route: Option<&str>) {
        let commands = self.graph.insist(wanted, route);
        commands.into_iter().for_each(|command| self.connection.send(command));
    }

    /// Does what is to be done next; what is so by now.
    pub fn enforce(&mut self, wanted: &Wanted, route: Option<&str>) -> Turn {
        let plan = self.graph.plan(wanted, route);
        let former = self.graph.former();
        // Not yet all is known that an agent before this one wrote down.
        if former != self.kept && self.graph.is_ready() {
            self.trace.keep(former.iter().map(String::as_str));
            self.kept = former;
        }
        plan.commands.into_iter().for_each(|command| self.connection.send(command));
        let late = self.graph.without_session(wanted);
        let answer = Answer { enforced: plan.settled, muted: plan.muted };
        Turn { answer, routed: plan.routed, left: plan.left, astray: plan.astray, late }
    }

    /// Waits until every stream is back where it was, and the server has done what it was told.
    pub async fn leave(mut self) -> bool {
        let back = async {
            while !self.enforce(&Wanted::default(), None).left && self.changed().await.is_ok() {}
        };
        let back = timeout(LEAVE_WITHIN, back).await.is_ok();
        self.connection.send(Command::Leave);
        let closed = async { while self.connection.events.recv().await.is_some() {} };
        timeout(LEAVE_WITHIN, closed).await.is_ok() && back
    }
}
