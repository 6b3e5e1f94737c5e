//! The command line of `callctl conformance`, and what its help and its manual page explain.
//!
//! Owns the words only.

use clap::Args;

#[derive(Debug, Args)]
pub struct Conformance {
    /// A shell command that makes the far end call the app, each time that it is run
    ///
    /// `$APP_PID` is the process of the app. Without it nothing is tried that needs an incoming call.
    #[arg(long, value_name = "COMMAND")]
    pub incoming: Option<String>,
    /// A shell command that makes the far end hang up
    #[arg(long, value_name = "COMMAND")]
    pub remote_end: Option<String>,
    /// A shell command that makes the far end hold the call; with --remote-resume
    #[arg(long, value_name = "COMMAND", requires = "remote_resume")]
    pub remote_hold: Option<String>,
    /// A shell command that makes the far end resume the call that it holds
    #[arg(long, value_name = "COMMAND", requires = "remote_hold")]
    pub remote_resume: Option<String>,
    /// Whom the app is asked to call: somebody who answers at once
    #[arg(long, value_name = "HANDLE", default_value = "sip:conformance@example.org")]
    pub handle: String,
    /// Whom the app cannot call: the network, or the app itself, says so at once
    #[arg(long, value_name = "HANDLE")]
    pub unreachable: Option<String>,
    /// Whom the app is asked to call: somebody who is busy
    #[arg(long, value_name = "HANDLE")]
    pub busy: Option<String>,
    /// A shell command that makes the app call somebody by itself, as at its own keyboard
    #[arg(long, value_name = "COMMAND")]
    pub dial: Option<String>,
    /// List the rules instead
    #[arg(long)]
    pub list: bool,
    /// The app and its arguments; {bus} in them stands for the address of the bus
    #[arg(last = true, required_unless_present = "list", value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub const EXPLAINED: &str = "\
The app is started on a private bus with an arbiter of its own, and everything that it says passes
through callctl: it is asked for everything that the contract knows, hears requests twice, answers
too late, has its calls refused and its permission taken back, meets an arbiter that was restarted
and one that lost its state, is asked to end, and started once more to lose its bus.
Each rule of the contract (--list) has then passed, failed (with what was seen, what the contract
says, and what to change), or was not tried (with what would let it be tried). Whether something was
really done in the network, or heard, is not seen: only what the app says.

It needs dbus-daemon and callarbiterd, touches neither the system bus nor the session, and uses the
far end that the app has: --handle HANDLE must be somebody who answers at once and lets two calls in.
With --unreachable HANDLE it is also tried that a call which cannot be placed ends and says why, with
--busy HANDLE that somebody who is busy is told as busy.

Exit status: 0 no rule failed, 1 some did, 2 the command line is wrong.

Examples:
  callctl conformance -- my-phone
  callctl conformance --handle sip:echo@example.org -- my-phone --bus {bus}
  callctl conformance --incoming 'my-far-end call' --remote-end 'my-far-end hang-up' \\
    --remote-hold 'my-far-end hold' --remote-resume 'my-far-end resume' -- my-phone
  callctl conformance --incoming 'kill -USR1 $APP_PID' --json -- ./provider.py --bus {bus}
  callctl conformance --list";
