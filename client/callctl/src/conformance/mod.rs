//! `callctl conformance`: an app's provider driven through the whole contract by the real arbiter, on a
//! private bus.
//!
//! Owns what is started and the order of the trial. Rules are in `rules`, how each is tried in the module of
//! its subject; what could not be tried is said to be not tried.

mod app;
mod bus;
mod ends;
mod far_end;
mod incoming;
mod late;
mod live;
mod options;
mod outgoing;
mod pair;
mod passive;
mod relay;
mod report;
mod restart;
mod rules;
mod said;
mod stage;
mod trial;

pub use self::options::{Conformance, EXPLAINED};
use self::{app::App, relay::Relay, report::Report, stage::Stage, trial::Trial};
use crate::{failure::Failure, interrupt::Interrupt, output::Output, session::Session};

pub async fn run(options: Conformance, output: &Output) -> Result<(), Failure> {
    if options.list {
        report::list(output);
        return Ok(());
    }
    let mut interrupt = Interrupt::listen()?;
    let report = tokio::select! {
        report = on_stage(&options) => report?,
        () = interrupt.arrived() => return Err(Failure::refused("interrupted")),
    };
    report.tell(output)
}

async fn on_stage(options: &Conformance) -> Result<Report, Failure> {
    let stage = Stage::start().await?;
    let session = Session::open(&stage.address).await?;
    trial::present(session.connection()).await?;
    let events = session.events().await?;
    let relay = Relay::start(&stage.directory.0, &stage.address).await?;
    let app = App::start(&options.command, &relay.address)?;
    let mut trial = Trial::new(options, stage, session, events, relay, app);
    let tried = whole(&mut trial).await;
    trial.app.stop().await;
    tried.map(|()| trial.report)
}

async fn whole(trial: &mut Trial<'_>) -> Result<(), Failure> {
    if trial.registers().await {
        trial.outgoing().await;
        trial.incoming().await?;
        trial.not_live();
        trial.restart().await?;
        trial.leaves().await;
        trial.bus_gone().await?;
        trial.passive();
    }
    Ok(())
}
