//! The session's audio server, whichever it is.
//!
//! Owns which one is taken, and that the log says how far it can be trusted.

use anyhow::{Context, Result};
use tracing::warn;

#[cfg(feature = "pipewire")]
use super::pipewire::PipeWire;
use super::{Turn, endpoints::Outputs, pulse::Pulse, wanted::Wanted};
use crate::trace::Trace;

pub enum Server {
    #[cfg(feature = "pipewire")]
    PipeWire(PipeWire),
    Pulse(Pulse),
}

impl Server {
    /// The one that is there.
    pub async fn connect(trace: &Trace) -> Result<Server> {
        #[cfg(feature = "pipewire")]
        if let Ok(server) = PipeWire::connect(trace.clone()) {
            return Ok(Server::PipeWire(server));
        }
        Ok(Server::Pulse(Pulse::connect(trace.clone()).await.context("no audio server")?))
    }

    /// How others are kept quiet.
    pub fn level(&self) -> &'static str {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(_) => "streams are moved",
            Server::Pulse(_) => "volumes are changed",
        }
    }

    /// Says how far that can be trusted.
    pub fn say_level(&self) {
        let level = self.level();
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(_) => tracing::info!(
                level,
                "audio priority on PipeWire: whatever ends this agent, the server moves them back"
            ),
            Server::Pulse(_) => warn!(
                level,
                "audio priority on PulseAudio: an agent that is killed leaves streams quiet until it is back"
            ),
        }
    }

    /// Waits until something is not as it was. Waiting may be given up.
    pub async fn changed(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(server) => server.changed().await,
            Server::Pulse(server) => server.changed().await,
        }
    }

    /// The outputs, once they are known.
    pub async fn outputs(&mut self) -> Result<Option<Outputs>> {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(server) => Ok(server.outputs()),
            Server::Pulse(server) => server.outputs().await.map(Some),
        }
    }

    /// Does what is to be done next; what is so by now. `route`: the output for the sound of calls, where it is not
    /// the default one.
    pub async fn enforce(&mut self, wanted: &Wanted, route: Option<&str>) -> Result<Turn> {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(server) => Ok(server.enforce(wanted, route)),
            Server::Pulse(server) => server.enforce(wanted, route).await,
        }
    }

    /// What is not so by now is asked for again, where that may help.
    #[cfg_attr(not(feature = "pipewire"), expect(unused_variables))]
    pub fn insist(&mut self, wanted: &Wanted, route: Option<&str>) {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(server) => server.insist(wanted, route),
            Server::Pulse(_) => {}
        }
    }

    /// Ends; whether everything is as it was.
    pub async fn leave(self) -> bool {
        match self {
            #[cfg(feature = "pipewire")]
            Server::PipeWire(server) => server.leave().await,
            Server::Pulse(_) => true,
        }
    }
}
