//! The configuration: which files, in which order, and what they decide.
//!
//! Owns the file format and the bounds of every value. What the rules mean is in the core's `Settings` and,
//! for what the core does not know, in [`Access`]. A file with a mistake is refused whole: a half-read
//! configuration is nobody's intention.

mod apps;
mod bounds;
mod file;
pub mod preferences;
mod problem;
mod rules;
pub mod zone;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use callarbiter_core::Settings;

use self::apps::By;

pub use problem::{ConfigError, Problem};

/// What the administrator allows beyond the rules for everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// User units whose processes may take agent roles.
    pub agent_units: BTreeSet<String>,
    /// Any unsandboxed process may take them: for private buses, which one person uses for trying out.
    pub agents_anywhere: bool,
    /// App ids of sandboxed apps that may control other apps' calls.
    pub controllers: BTreeSet<String>,
    /// What the administrator decided about single apps behind a wall.
    pub apps: BTreeMap<String, Permits>,
    /// What packages say of theirs; the user's own word wins over it.
    pub packaged: BTreeMap<String, Permits>,
}

/// What an app behind a wall may do beyond its own calls; none where nothing is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    /// See and control other apps' calls.
    pub control: Option<bool>,
    /// Place calls through other apps.
    pub place_call: Option<bool>,
}

/// What the administrator decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The core's rules.
    pub settings: Settings,
    /// Who may do more on the bus than everybody.
    pub access: Access,
}

/// Where the configuration is read from, now and at every reload.
#[derive(Clone, Debug)]
pub struct Sources {
    defaults: Config,
    layers: Vec<Layer>,
    /// Directories of files about apps, and whose word they are.
    apps: Vec<(By, PathBuf)>,
    local_time: bool,
}

/// A file, and the directory `FILE.d` of files that change single keys of it.
#[derive(Clone, Debug)]
struct Layer {
    file: PathBuf,
    required: bool,
}

const VENDOR: &str = "/usr/lib/callarbiter/callarbiter.toml";
const ADMINISTRATOR: &str = "/etc/callarbiter/callarbiter.toml";
/// Where packages say of their apps what they may do.
const PACKAGES: &str = "/usr/lib/callarbiter/apps.d";
/// Beside the administrator's file.
const APPS: &str = "apps.d";

impl Default for Config {
    fn default() -> Self {
        let access = Access {
            agent_units: BTreeSet::from(["callarbiter-agent.service".to_owned()]),
            ..Access::default()
        };
        Config { settings: Settings::default(), access }
    }
}

impl Config {
    /// For a private bus on which there is nobody to ask and no service manager: every app may provide
    /// calls, every process without a wall may be an agent.
    pub fn for_private_bus() -> Config {
        let mut config = Config::default();
        config.settings.policy.authorization = callarbiter_core::AuthorizationPolicy::Allow;
        config.access.agents_anywhere = true;
        config
    }
}

impl Sources {
    /// The vendor's file and, above it, the administrator's; neither need exist.
    pub fn installed() -> Sources {
        let layer = |file: &str| Layer { file: file.into(), required: false };
        Sources {
            defaults: Config::default(),
            layers: vec![layer(VENDOR), layer(ADMINISTRATOR)],
            apps: vec![
                (By::Package, PACKAGES.into()),
                (By::Administrator, Path::new(ADMINISTRATOR).with_file_name(APPS)),
            ],
            local_time: false,
        }
    }

    /// This file, its drop-ins and the `apps.d` beside it.
    pub fn only(file: PathBuf) -> Sources {
        let apps = vec![(By::Administrator, file.with_file_name(APPS))];
        let layers = vec![Layer { file, required: true }];
        Sources { defaults: Config::default(), layers, apps, local_time: false }
    }

    /// This file, if there is one, over what suits a private bus.
    pub fn for_private_bus(file: Option<PathBuf>) -> Sources {
        let layers = file.map(|file| Layer { file, required: true }).into_iter().collect();
        let apps = Vec::new();
        Sources { defaults: Config::for_private_bus(), layers, apps, local_time: false }
    }

    /// Packages say of their apps in this directory what they may do, and nowhere else.
    #[must_use]
    pub fn with_packages(mut self, directory: PathBuf) -> Sources {
        self.apps.retain(|(by, _)| *by != By::Package);
        self.apps.insert(0, (By::Package, directory));
        self
    }

    /// Rules about the time of day mean the time of this machine, as its zone file has it at each reading.
    #[must_use]
    pub fn in_local_time(self) -> Sources {
        Sources { local_time: true, ..self }
    }

    /// Reads everything again; the first mistake refuses all of it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = self.defaults.clone();
        for layer in &self.layers {
            if layer.required || exists(&layer.file)? {
                file::merge(&layer.file, &mut config)?;
            }
        }
        for (by, file) in self.files_about_apps()? {
            file::merge_apps(&file, by, &mut config)?;
        }
        for file in self.drop_ins()? {
            file::merge(&file, &mut config)?;
        }
        if self.local_time {
            config.settings.zone = zone::local()?;
        }
        Ok(config)
    }

    /// By name, whichever directory they are in; of two with one name, the higher layer's: an
    /// administrator masks a vendor's file by an empty one of its name.
    fn drop_ins(&self) -> Result<impl Iterator<Item = PathBuf>, ConfigError> {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for layer in &self.layers {
            let mut directory = layer.file.clone().into_os_string();
            directory.push(".d");
            for (name, file) in toml_files(Path::new(&directory))? {
                files.insert(name, file);
            }
        }
        Ok(files.into_values())
    }

    /// Those of packages first; the administrator's masks a package's of the same name.
    fn files_about_apps(&self) -> Result<Vec<(By, PathBuf)>, ConfigError> {
        let mut files: BTreeMap<OsString, (By, PathBuf)> = BTreeMap::new();
        for (by, directory) in &self.apps {
            for (name, file) in toml_files(directory)? {
                files.insert(name, (*by, file));
            }
        }
        let (last, mut first): (Vec<_>, Vec<_>) =
            files.into_values().partition(|(by, _)| *by == By::Administrator);
        first.extend(last);
        Ok(first)
    }
}

/// Reads a file by itself, as whoever follows it would: one in a directory `apps.d` is about apps and nothing else, a
/// `preferences.toml` is a user's, any other is a configuration, with its drop-ins and the `apps.d` beside it. What is said:
/// it is right, and yet does not what it seems to.
pub fn check(file: &Path) -> Result<Option<&'static str>, ConfigError> {
    if file.file_name().is_some_and(|name| name == preferences::FILE) {
        return preferences::read(file).map(|_| None);
    }
    let directory = file.parent().and_then(Path::file_name);
    if directory.is_some_and(|name| name == APPS) {
        let merged = file::merge_apps(file, By::Administrator, &mut Config::default());
        return merged.map(|()| None);
    }
    let config = Sources::only(file.into()).load()?;
    let emergency = &config.settings.policy.emergency;
    Ok(match (emergency.handles.is_empty(), emergency.providers.is_empty()) {
        (false, true) => Some(
            "no call is an emergency call: [emergency] has handles, but no providers through which they may go",
        ),
        (true, false) => {
            Some("no call is an emergency call: [emergency] has providers, but no handles")
        }
        _ => None,
    })
}

fn exists(file: &Path) -> Result<bool, ConfigError> {
    file.try_exists().map_err(|error| ConfigError::unreadable(file, error))
}

/// By name; there may be no such directory.
fn toml_files(directory: &Path) -> Result<BTreeMap<OsString, PathBuf>, ConfigError> {
    let list = || -> io::Result<_> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries?,
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                files.insert(file.file_name().unwrap_or_default().to_owned(), file);
            }
        }
        Ok(files)
    };
    list().map_err(|error| ConfigError::unreadable(directory, error))
}

#[cfg(test)]
mod tests;
