//! The users that tests run as, from the machine's own list.

use std::fs;

use anyhow::{Context, Result, bail};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its login name.
    pub name: String,
    /// Its number.
    pub uid: u32,
}

impl User {
    /// Looks a user up; the error says how to make it.
    pub fn named(name: &str) -> Result<User> {
        let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let Some(uid) = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then(|| fields.nth(1))?
        }) else {
            bail!("there is no user {name}: `tests/run` makes it, or `useradd --system {name}`");
        };
        Ok(User { name: name.into(), uid: uid.parse().context("its uid in /etc/passwd")? })
    }

    /// Fails unless this process may become other users.
    pub fn require_root() -> Result<()> {
        let status = fs::read_to_string("/proc/self/status")?;
        let root = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|uids| uids.split_whitespace().nth(1) == Some("0"));
        if !root {
            bail!("a system bus with several users needs root: run `tests/run`, or cargo by sudo");
        }
        Ok(())
    }
}
