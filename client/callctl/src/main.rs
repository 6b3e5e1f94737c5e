//! callctl: see and control the calls of the desktop.
//!
//! Owns the way from the command line to an exit status. What there is to say is said in the modules.

mod agent;
mod apps;
mod args;
mod board;
mod commands;
mod conformance;
mod demo;
mod failure;
mod history;
mod interrupt;
mod lists;
mod names;
mod open;
mod output;
mod pages;
mod paint;
mod policy;
mod preferences;
mod session;
mod steps;
mod table;
mod tape;
mod view;
mod watch;
mod why;
mod words;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use crate::{
    agent::Agent,
    args::{Cli, Command, Global},
    failure::Failure,
    output::Output,
    session::Session,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (json, colour) = (cli.global.json, cli.global.color);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure, json, colour);
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let output = Output::new(&cli.global);
    match cli.command {
        Command::Completions { shell } => {
            pages::completions(shell);
            Ok(())
        }
        Command::Man { dir } => pages::manual(dir.as_deref()),
        Command::Policy { what } => policy::run(what, &output),
        Command::Replay(options) => tape::replay(options, &output),
        command => {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::refused(format!("the program cannot start: {error}")))?;
            let done = runtime.block_on(talk(command, &cli.global, &output));
            // Nothing that still reads the terminal may keep the program from ending.
            runtime.shutdown_background();
            done
        }
    }
}

async fn talk(command: Command, global: &Global, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Apps { decision } => {
            let agent = Agent::open(global.session_bus.as_deref()).await?;
            apps::run(decision, &agent, output).await
        }
        Command::Demo { once, speed } => demo::run(once, speed, output).await,
        Command::Conformance(options) => conformance::run(options, output).await,
        Command::History { which, limit, what } => {
            history::run(which, limit, what, global, output).await
        }
        Command::Block(listing) => lists::run("block", listing, global, output).await,
        Command::Allow(listing) => lists::run("allow", listing, global, output).await,
        Command::Favourites { what } => history::favourites(what, global, output).await,
        Command::Preferences(options) => preferences::run(options, global, output).await,
        Command::Why { call } => why::run(call.as_ref(), global, output).await,
        Command::Open(options) => open::run(options, global, output).await,
        Command::Record(options) => tape::record(options, &global.bus, output).await,
        command => commands::run(command, Session::open(&global.bus).await?, output).await,
    }
}
