//! What started a run that nobody started by hand.

use agentry_kernel::labels::Labels;

/// Why a run began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Began {
    /// As people read it.
    pub by: String,
    /// What it carries from its beginning.
    pub labels: Labels,
}
