//! Lines in the run's trace.

use crate::bindings::agentry::agent::log as wit;
use crate::host;

pub use wit::{Field, Level};

/// Writes one line with named values. What is longer than 8 KiB is cut.
///
/// ```no_run
/// use agentry::log::{self, Level};
/// log::event(Level::Info, "read the folder", [("files", "12"), ("bytes", "40960")]);
/// ```
pub fn event<N: Into<String>, V: Into<String>>(
    level: Level,
    message: impl AsRef<str>,
    fields: impl IntoIterator<Item = (N, V)>,
) {
    let fields: Vec<Field> =
        fields.into_iter().map(|(name, value)| Field { name: name.into(), value: value.into() }).collect();
    write(level, message.as_ref(), &fields);
}

/// For the author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref(), &[]);
}

/// For the user.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref(), &[]);
}

/// Something is odd, and the agent goes on.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref(), &[]);
}

/// Something failed.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref(), &[]);
}

fn write(level: Level, message: &str, fields: &[Field]) {
    if host::IS_THERE {
        wit::event(level, message, fields);
    } else {
        eprintln!("{level:?} {message}");
    }
}
