//! Why a host does not open: each with what to do about it.

use agentry_config::ConfigError;
use agentry_config::policies::PoliciesError;
use agentry_drivers::files::NoRoot;
use agentry_drivers::tools::NotAdded;
use agentry_drivers::tools::config::ToolsError;
use agentry_engine::EngineError;
use agentry_journal::audit::heads::HeadsError;
use agentry_llm::models::ModelsError;
use agentry_store::StoreError;

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The policy.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The registry of tools.
    #[error(transparent)]
    Tools(#[from] ToolsError),
    /// A tool of the program that opens it.
    #[error(transparent)]
    Tool(#[from] NotAdded),
    /// The models.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// A root.
    #[error(transparent)]
    Root(#[from] NoRoot),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The second place of the log's heads.
    #[error(transparent)]
    Heads(#[from] HeadsError),
    /// The second place knows more than the store.
    #[error(
        "this home was set back to an earlier day: the heads in `{file}` know of {missing} segments of its log that are not here, and what was done in them could be done and paid again\nhint: put the newer store back; or, if the earlier day is meant, agentry serve --accept-older"
    )]
    Older {
        /// The file of heads.
        file: String,
        /// So many segments.
        missing: u64,
    },
    /// The system gives no thread that looks at the policy.
    #[error("cannot look at the policy while agents run: {0}")]
    Watch(std::io::Error),
    /// Nor those that execute guests.
    #[error("cannot start the threads of guests: {0}\nhint: look at `ulimit -u`")]
    Threads(std::io::Error),
    /// A program that cannot start itself as a child has no workers.
    #[error(
        "`isolation = \"process\"` needs a program that can be its own worker\nhint: hand in a `Preparer::Child`, or say \"none\""
    )]
    NoProgram,
}
