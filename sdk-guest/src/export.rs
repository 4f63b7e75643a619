//! What `#[agentry::agent]` expands to; authors never name it. It turns JSON into types and panics into log lines.

use std::future::Future;
use std::panic;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::log;
use crate::outcome::Failure;

pub use crate::bindings::{Guest, export};

/// The input of an agent that takes none.
pub type Nothing = IgnoredAny;

/// Reads the input, runs the agent, writes the output.
///
/// # Errors
/// What the agent gives, or that input or output is not what its types say.
pub async fn run<I, O, E, F>(input_json: String, agent: impl FnOnce(I) -> F) -> Result<String, Failure>
where
    I: DeserializeOwned,
    O: Serialize,
    E: Into<Failure>,
    F: Future<Output = Result<O, E>>,
{
    panic::set_hook(Box::new(|what| log::error(what.to_string())));
    let input = read(&input_json)?;
    let output = agent(input).await.map_err(Into::into)?;
    serde_json::to_string(&output).map_err(|error| Failure::new(format!("output: {error}")))
}

/// Names the field that does not fit, which serde_json alone does not.
fn read<I: DeserializeOwned>(json: &str) -> Result<I, Failure> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let input = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(", field `{path}`") };
        Failure::new(format!("input{place}: {}", error.inner()))
    })?;
    reader.end().map_err(|error| Failure::new(format!("input: {error}")))?;
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Line {
        amount: u32,
    }

    #[test]
    fn input_that_does_not_fit_names_the_field() {
        let failure = read::<Order>(r#"{"lines":[{"amount":1},{"amount":"two"}]}"#).unwrap_err();
        assert!(
            failure.message.starts_with("input, field `lines[1].amount`: invalid type: string \"two\""),
            "{failure}"
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        let failure = read::<Order>("{}").unwrap_err();
        assert!(failure.message.contains("missing field `lines`"), "{failure}");
    }

    #[test]
    fn text_behind_the_input_is_refused() {
        assert!(read::<u32>("1 2").is_err());
    }
}
