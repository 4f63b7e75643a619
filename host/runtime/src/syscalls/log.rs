//! `log`: lines in the run's trace. It answers nothing and never fails; what is too much is cut and counted.

use agentry_abi::bindings::agentry::agent::log::{Field, Host, Level};
use agentry_kernel::text::cut;
use agentry_store::limits::{LOG_FIELDS_MAX, LOG_LINE_MAX_BYTES};

use super::State;

impl Host for State {
    fn event(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        self.guest.keep_pace()?;
        let mut line = cut(message, LOG_LINE_MAX_BYTES);
        for Field { name, value } in fields.into_iter().take(LOG_FIELDS_MAX) {
            if line.len() >= LOG_LINE_MAX_BYTES {
                break;
            }
            line.push_str(&format!(" {name}={value:?}"));
        }
        self.lines.log(level, cut(line, LOG_LINE_MAX_BYTES));
        Ok(())
    }
}
