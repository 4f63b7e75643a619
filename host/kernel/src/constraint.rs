//! What a rule says of arguments: a closed set of tests, so that a policy can be decided, compared and proven. There is no
//! pattern language, no arithmetic and no template here, and there must never be.
//!
//! A grant is read strictly: a value fits or it does not. A condition that *forbids* is read the other way: it holds for
//! whatever could be taken for what it names, see [`Constraint::may_fit`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::fold;
use crate::json::Value;
use crate::pattern::{host_fits, path_fits};
use crate::text;
use crate::url::{Url, host_of};

#[cfg(test)]
mod tests;

/// A value that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Literal {
    /// `true`
    Bool(bool),
    /// `7`
    Integer(i64),
    /// `"ops@example.org"`
    Text(String),
}

/// One test. All tests of a constraint must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// Whatever it is.
    Any,
    /// It is one of these.
    In(Vec<Literal>),
    /// It is a list, and each of its items is one of these.
    EachIn(Vec<Literal>),
    /// It is a text that begins so.
    Prefix(String),
    /// It is a whole number from `min` to `max`, both included.
    Between {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// It is a text of so many bytes of UTF-8 at most.
    BytesMax(u64),
    /// It is a list of so many items at least.
    ItemsMin(u64),
    /// It is a list of so many items at most.
    ItemsMax(u64),
    /// It is a host's name, or an address of the web, whose host fits one of these patterns.
    Host(Vec<String>),
    /// It is a path without tricks that lies in one of these subtrees: `/out` is `/out`, `out` and all below.
    Path(Vec<String>),
}

/// What a rule says of one argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// All must hold.
    pub tests: Vec<Test>,
    /// True if the argument may be left out.
    pub optional: bool,
}

/// What a grant says of all arguments of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arguments {
    /// `args = "any"`: whatever the tool takes.
    Any,
    /// By name, in order; one that is not listed is refused.
    Listed(Vec<(String, Constraint)>),
}

/// The first argument that does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Misfit<'a> {
    /// Its name; empty if the arguments are no object.
    pub name: &'a str,
    /// What it is; none if it is missing.
    pub value: Option<&'a Value>,
    /// What it must be; none if the rule does not list it.
    pub allowed: Option<&'a Constraint>,
}

impl Constraint {
    /// False if no value of this kind could fit, as JSON Schema names kinds: `integer`, `string`, …
    pub fn could_fit(&self, kind: &str) -> bool {
        let of_kind = |literal: &Literal| match literal {
            Literal::Bool(_) => kind == "boolean",
            Literal::Integer(_) => matches!(kind, "integer" | "number"),
            Literal::Text(_) => kind == "string",
        };
        self.tests.iter().all(|test| match test {
            Test::Any => true,
            Test::In(literals) => literals.iter().any(of_kind),
            Test::EachIn(_) | Test::ItemsMin(_) | Test::ItemsMax(_) => kind == "array",
            Test::Prefix(_) | Test::BytesMax(_) | Test::Host(_) | Test::Path(_) => kind == "string",
            Test::Between { .. } => matches!(kind, "integer" | "number"),
        })
    }
}

impl Literal {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Integer(a), Value::Integer(b)) => a == b,
            (Self::Text(a), Value::Text(b)) => a == b,
            _ => false,
        }
    }

    /// True also of what a careless tool could take for it: another spelling, or a number as a text.
    fn may_be(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(a), Value::Text(b)) => fold::same(a, b),
            (Self::Bool(_), Value::Bool(_)) | (Self::Integer(_), Value::Integer(_)) => self.is(value),
            _ => true,
        }
    }
}

impl Test {
    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::In(literals), _) => literals.iter().any(|literal| literal.is(value)),
            (Self::EachIn(literals), Value::List(items)) => {
                items.iter().all(|item| literals.iter().any(|literal| literal.is(item)))
            }
            (Self::Prefix(prefix), Value::Text(text)) => text.starts_with(prefix.as_str()),
            (Self::Between { min, max }, Value::Integer(number)) => (*min..=*max).contains(number),
            (Self::BytesMax(max), Value::Text(text)) => text.len() as u64 <= *max,
            (Self::ItemsMin(min), Value::List(items)) => items.len() as u64 >= *min,
            (Self::ItemsMax(max), Value::List(items)) => items.len() as u64 <= *max,
            (Self::Host(patterns), Value::Text(text)) => {
                host(text).is_some_and(|host| patterns.iter().any(|pattern| host_fits(pattern, host)))
            }
            (Self::Path(subtrees), Value::Text(path)) => {
                let relative = path.strip_prefix('/').unwrap_or(path);
                (relative.is_empty() || text::path(relative).is_ok()) && within(subtrees, relative)
            }
            _ => false,
        }
    }

    fn may_fit(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::In(literals), _) => literals.iter().any(|literal| literal.may_be(value)),
            // One forbidden item among many is enough.
            (Self::EachIn(literals), Value::List(items)) => {
                items.iter().any(|item| literals.iter().any(|literal| literal.may_be(item)))
            }
            (Self::Prefix(prefix), Value::Text(text)) => {
                text.starts_with(prefix.as_str()) || fold::begins(text, prefix)
            }
            (Self::Path(subtrees), Value::Text(path)) => subtrees.iter().any(|top| fold::covers(top, path)),
            (Self::Host(patterns), Value::Text(text)) => match host(text) {
                Some(host) => patterns.iter().any(|pattern| covers(pattern, host)),
                // Nobody knows where a careless reader would go with it.
                None => true,
            },
            (Self::Between { .. }, Value::Integer(_))
            | (Self::BytesMax(_), Value::Text(_))
            | (Self::ItemsMin(_) | Self::ItemsMax(_), Value::List(_)) => self.fits(value),
            // Of another kind than the rule thought of: a tool might convert it.
            _ => true,
        }
    }
}

/// The host in a text that is a name or a canonical address.
fn host(text: &str) -> Option<&str> {
    if text.contains("://") { Url::parse(text).ok().map(|url| url.name) } else { host_of(text).ok().map(|_| text) }
}

/// A rule that forbids a host forbids what lies below it too.
pub(crate) fn covers(pattern: &str, host: &str) -> bool {
    let below = |top: &str| host.strip_suffix(top).is_some_and(|rest| rest.ends_with('.'));
    host_fits(pattern, host) || below(pattern) || pattern == "*"
}

fn within(subtrees: &[String], path: &str) -> bool {
    subtrees.iter().any(|subtree| path_fits(subtree, path))
}

impl Constraint {
    /// Whether a value passes every test.
    pub fn fits(&self, value: &Value) -> bool {
        self.tests.iter().all(|test| test.fits(value))
    }

    /// Whether a value could be taken for one that passes: spelt with other capitals, escapes or Unicode forms, by way of
    /// `.`, `..` or doubled slashes, or of another type. For rules that forbid.
    pub fn may_fit(&self, value: &Value) -> bool {
        self.tests.iter().all(|test| test.may_fit(value))
    }
}

impl Default for Arguments {
    /// None at all.
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Arguments {
    /// The first argument that does not fit; none if all do. Allocates nothing.
    pub fn misfit<'a>(&'a self, value: &'a Value) -> Option<Misfit<'a>> {
        let Some(given) = value.entries() else { return Some(Misfit { name: "", value: Some(value), allowed: None }) };
        let Self::Listed(listed) = self else { return None };
        let mut rules = listed.iter().peekable();
        for (name, value) in given {
            // Both are in order, so whatever the rule lists before this name was left out.
            while let Some((missing, constraint)) = rules.next_if(|(listed, _)| listed < name) {
                if !constraint.optional {
                    return Some(Misfit { name: missing, value: None, allowed: Some(constraint) });
                }
            }
            match rules.next_if(|(listed, _)| listed == name) {
                Some((_, constraint)) if constraint.fits(value) => {}
                rule => return Some(Misfit { name, value: Some(value), allowed: rule.map(|(_, rule)| rule) }),
            }
        }
        let missing = rules.find(|(_, constraint)| !constraint.optional);
        missing.map(|(name, constraint)| Misfit { name, value: None, allowed: Some(constraint) })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{}\"", text::show(text)),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::In(literals) => joined(f, "one of ", literals),
            Self::EachIn(literals) => joined(f, "a list of ", literals),
            Self::Prefix(prefix) => write!(f, "begins with \"{}\"", text::show(prefix)),
            Self::Between { min, max } => write!(f, "{min}..{max}"),
            Self::BytesMax(max) => write!(f, "a text of at most {max} bytes"),
            Self::ItemsMin(min) => write!(f, "a list of at least {min}"),
            Self::ItemsMax(max) => write!(f, "a list of at most {max}"),
            Self::Host(patterns) => joined(f, "a host of ", patterns),
            Self::Path(subtrees) => joined(f, "a path under ", subtrees),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, test) in self.tests.iter().enumerate() {
            write!(f, "{}{test}", if count > 0 { " and " } else { "" })?;
        }
        Ok(())
    }
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, lead: &str, things: &[T]) -> fmt::Result {
    const SHOWN_MAX: usize = 8;
    f.write_str(lead)?;
    for (count, thing) in things.iter().take(SHOWN_MAX).enumerate() {
        write!(f, "{}{thing}", if count > 0 { ", " } else { "" })?;
    }
    if things.len() > SHOWN_MAX { f.write_str(", …") } else { Ok(()) }
}
