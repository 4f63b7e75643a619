//! Why something about a package is not done: one line, what to do about it, and of which kind it is. No text of a package stands in it
//! unescaped.

use agentry_config::policies::PoliciesError;

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was given makes no sense.
    Usage,
    /// Nobody whom this home trusts vouches for it, or a rule of the home says no.
    Denied,
    /// What is needed is not to be had now.
    Unavailable,
    /// What lies here is not as it was written.
    Damaged,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\nhint: {hint}")]
pub struct Fault {
    /// What kind of no.
    pub kind: Kind,
    /// What is wrong, lowercase, without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A file of this home that others may write, or that is no text.
pub(crate) fn unreadable(why: &PoliciesError) -> Fault {
    let told = why.to_string();
    let (message, hint) = told.split_once("\nhint: ").unwrap_or((&told, "look at who may write it"));
    match why {
        // Nobody writes it by hand, so nobody splits it.
        PoliciesError::TooLarge { .. } => {
            Fault::damaged(message, "it is not as Agentry wrote it: get it back out of a backup")
        }
        _ => Fault::damaged(message, hint),
    }
}

impl Fault {
    /// What was given makes no sense.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: hint.into() }
    }

    /// This home does not take it.
    pub fn denied(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Denied, message: message.into(), hint: hint.into() }
    }

    /// It is not to be had now.
    pub fn unavailable(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, message: message.into(), hint: hint.into() }
    }

    /// The same, with what it keeps from being done before it.
    #[must_use]
    pub fn about(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// It is not as it was written.
    pub fn damaged(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Damaged, message: message.into(), hint: hint.into() }
    }
}
