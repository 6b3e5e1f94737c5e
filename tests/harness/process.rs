//! Child processes: started as a user, their words kept, gone when dropped.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::{User, eventually};

/// How to start a process.
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    user: Option<User>,
    stdin: Option<OwnedFd>,
}

impl Launch {
    /// A program by its path, or by its name in PATH.
    pub fn new(program: impl Into<PathBuf>) -> Launch {
        Launch { program: program.into(), args: vec![], env: vec![], user: None, stdin: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable. Nothing of the test's own environment is inherited but PATH.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it as this user.
    pub fn user(mut self, user: &User) -> Self {
        self.user = Some(user.clone());
        self
    }

    /// Gives it a standard input.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Starts it; `directory` keeps what it prints, and a copy of it where its user cannot reach it.
    pub fn start(self, directory: &Path) -> Result<Process> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let program = match &self.user {
            Some(_) => reachable(&self.program, directory)?,
            None => self.program,
        };
        let (output, log) = (fresh(directory, &name, "out")?, fresh(directory, &name, "log")?);
        // Whatever kills the test, the kernel takes its children along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = &self.user {
            command.args(["--reuid", &user.name, "--regid", &user.name, "--init-groups"]);
        }
        command.arg("--").arg(program).args(self.args).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path))).envs(self.env);
        command.stdin(self.stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(output.file).stderr(log.file).current_dir("/");
        let child = command.spawn().context("starting setpriv (package util-linux)")?;
        Ok(Process { name, child, output: output.path, log: log.path })
    }
}

/// A process of ours; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status()?;
        if !sent.success() {
            bail!("{} ({}) cannot be sent {signal}", self.name, self.pid());
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        eventually(&what, async || self.ended()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}{}---", self.name, self.output(), self.log());
        }
    }
}

/// A program of this workspace, next to the test that runs; `build` says how to make it.
pub fn built(program: &str, build: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("the test has no directory")?;
    let path = profile.join(program);
    if !path.exists() {
        bail!("{} is missing: `cargo build {build}`", path.display());
    }
    Ok(path)
}

/// A file of this repository, by its path from the top.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").join(path)
}

struct Fresh {
    path: PathBuf,
    file: File,
}

/// A new file of its own, so that a program started twice does not overwrite its words.
fn fresh(directory: &Path, name: &str, extension: &str) -> Result<Fresh> {
    let unique = uuid::Uuid::new_v4();
    let path = directory.join(format!("{name}-{unique}.{extension}"));
    let file = File::options().append(true).create_new(true).mode(0o644).open(&path)?;
    Ok(Fresh { path, file })
}

/// The program where any user can start it: itself, or a copy if it lies in somebody's private directory.
fn reachable(program: &Path, directory: &Path) -> Result<PathBuf> {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    if program.components().count() == 1 || program.ancestors().all(open) {
        return Ok(program.into());
    }
    let copy = directory.join(program.file_name().context("a program has a name")?);
    if !copy.exists() {
        fs::copy(program, &copy).with_context(|| format!("copying {}", program.display()))?;
    }
    Ok(copy)
}
