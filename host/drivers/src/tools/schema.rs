//! Whether a value is what a JSON Schema says. Both may be a stranger's, so how much work they make together is told before it is done, and more than that is
//! refused: by the schema alone when it is read, by schema and value when one is checked. No schema is fetched from anywhere.

mod work;

use std::error::Error;

use agentry_kernel::json::Value;
use boon::{Compiler, SchemaIndex, Schemas, UrlLoader};

use self::work::Work;

/// Where the one schema stands, for the compiler; nobody reads it there.
const PLACE: &str = "schema:///arguments";

/// What is told of a mistake at most.
const TOLD_MAX_CHARS: usize = 400;

/// Looks one inside the other for which the stack of any thread here has room: each takes up to 4 KiB of it.
const LEVELS_ON_ANY_STACK: u64 = 128;

/// For as many as a value and a schema can have: no page of it is touched before it is needed.
const WIDE_STACK_BYTES: usize = 64 << 20;

/// A schema that is ready to check with.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
    work: Work,
}

/// Loads nothing: a schema that points elsewhere is refused.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _url: &str) -> Result<serde_json::Value, Box<dyn Error>> {
        Err("a schema may only point into itself".into())
    }
}

impl Schema {
    /// Compiles the text of a schema, which is JSON.
    ///
    /// # Errors
    /// A sentence about what is wrong with it, be it that checking by it could take too long.
    pub fn new(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        on_a_wide_stack(|| {
            let work = Work::of(&value).map_err(|why| told(&why))?;
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler.use_loader(Box::new(Nowhere));
            compiler.add_resource(PLACE, value).map_err(|error| told(&error.to_string()))?;
            // With its causes: the first line says only that it failed.
            let index = compiler.compile(PLACE, &mut schemas).map_err(|error| told(&format!("{error:#}")))?;
            Ok(Self { schemas, index, work })
        })
    }

    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// Where they are not what the schema says, and why; for the one who wrote them.
    pub(super) fn check(&self, arguments: &Value) -> Result<(), String> {
        self.fits(&serde_value(arguments), "the arguments")
    }

    /// Checks a value that is called `whole`.
    ///
    /// # Errors
    /// As [`Schema::check`].
    pub fn fits(&self, value: &serde_json::Value, whole: &str) -> Result<(), String> {
        let estimate = self.work.on(value, whole)?;
        let check = || self.schemas.validate(value, self.index).map_err(|error| told(&deepest(&error, whole)));
        if estimate.levels <= LEVELS_ON_ANY_STACK { check() } else { on_a_wide_stack(check) }
    }
}

/// Does this on a thread whose stack has room for all that recurses.
fn on_a_wide_stack<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("schema".to_owned()).stack_size(WIDE_STACK_BYTES);
        let done = thread.spawn_scoped(scope, work).map_err(|error| format!("it cannot be checked now: {error}"))?;
        done.join().expect("checking does not panic")
    })
}

/// The first mistake that has no other cause, with its place in the value.
fn deepest(error: &boon::ValidationError<'_, '_>, whole: &str) -> String {
    let mut error = error;
    while let Some(cause) = error.causes.first() {
        error = cause;
    }
    let place = error.instance_location.to_string();
    let place = if place.is_empty() { whole.to_owned() } else { format!("`{place}`") };
    match &error.kind {
        boon::ErrorKind::Required { want } => format!("{place}: {} missing", named(want)),
        boon::ErrorKind::AdditionalProperties { got } => format!("{place}: {} not allowed", named(got)),
        kind => format!("{place}: {kind}"),
    }
}

/// `a` is, or `a` and `b` are.
fn named(names: &[impl AsRef<str>]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    format!("{} {verb}", names.join(" and "))
}

/// The same value in the form that the checker reads.
fn serde_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => (*number).into(),
        Value::Decimal(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(serde_value).collect::<Vec<_>>().into(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), serde_value(value)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

fn told(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(PLACE, "").chars().take(TOLD_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use agentry_kernel::json;

    use super::*;

    fn check(schema: &str, arguments: &str) -> Result<(), String> {
        Schema::new(schema).expect("a schema").check(&json::parse(arguments).expect("JSON"))
    }

    const MAIL: &str = r#"{"type": "object", "required": ["to"], "additionalProperties": false,
        "properties": {"to": {"type": "string", "pattern": "^[a-z]+@example\\.org$"}, "n": {"type": "integer", "maximum": 5}}}"#;

    #[test]
    fn what_the_schema_says_is_taken() {
        assert_eq!(check(MAIL, r#"{"to": "ops@example.org", "n": 5}"#), Ok(()));
    }

    #[test]
    fn what_it_does_not_say_is_refused_with_its_place() {
        for (arguments, place) in [
            (r#"{"to": "ops@evil.example"}"#, "`/to`"),
            (r#"{"to": "ops@example.org", "n": 6}"#, "`/n`"),
            (r#"{"to": "ops@example.org", "x": 1, "y": 2}"#, "the arguments: `x` and `y` are not allowed"),
            ("{}", "the arguments: `to` is missing"),
        ] {
            let why = check(MAIL, arguments).expect_err(arguments);
            assert!(why.starts_with(place), "{arguments}: {why}");
        }
    }

    #[test]
    fn a_schema_that_makes_no_sense_or_points_elsewhere_is_refused() {
        for bad in [
            r#"{"type": "objekt"}"#,
            r#"{"properties": 1}"#,
            r##"{"$ref": "#/nowhere"}"##,
            r#"{"$ref": "https://example.org/schema"}"#,
            r#"{"$ref": "file:///etc/hostname"}"#,
            r#"{"pattern": "("}"#,
        ] {
            assert!(Schema::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_others_choke_on_takes_no_time() {
        let schema = r#"{"type": "object", "properties": {"x": {"pattern": "^(a+)+$"}}}"#;
        let begun = Instant::now();
        assert!(check(schema, &format!("{{\"x\": \"{}!\"}}", "a".repeat(100_000))).is_err());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
