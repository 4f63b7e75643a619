//! Why a configuration file is not used: each error names the file, the place and what to do.

use agentry_kernel::policy::Mistake;

use crate::policies::PoliciesError;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is a link, or somebody else's to write: it says where the keys of providers are sent.
    #[error(transparent)]
    Place(#[from] PoliciesError),
    /// It cannot be read.
    #[error(
        "cannot read `{file}`: {why}\nhint: let the user that runs agents read it, or choose another home with --home DIR"
    )]
    Read {
        /// As the admin would open it.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// The prices that were read into the home are not readable any more.
    #[error("{0}")]
    Prices(String),
    /// What is installed beside it cannot be told; the words say what to do.
    #[error("{0}")]
    Installed(String),
    /// It says something that makes no sense.
    #[error("{}\nhint: {}", .0.told(), .0.hint)]
    Mistake(Mistake),
}
