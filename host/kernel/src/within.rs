//! Whether one pattern, constraint or rule gives no more than others do, by their shape alone. Yes is a proof. No may be no
//! more than doubt, so whoever asks goes on to look for a call that shows it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::approval::{Approvers, Required};
use crate::constraint::{Arguments, Constraint, Literal, Test};
use crate::json::Value;
use crate::labels::Labels;
use crate::pattern::{name_fits, namespace_fits, path_fits, url_path_fits};
use crate::rights::{Extra, HttpRight, Origin, Rate, ToolRight};
use crate::url::{Host, host_of};

/// Rules into which one is taken apart before the question stays open.
const PARTS_MAX: usize = 512;

/// Whether all names that fit `narrow` fit `wide`.
pub(crate) fn name(narrow: &str, wide: &str) -> bool {
    // A pattern is a text of its own beginning, so matching it as a name compares the two beginnings.
    name_fits(wide, narrow)
}

/// Whether all namespaces that fit `narrow` fit `wide`.
pub(crate) fn namespace(narrow: &str, wide: &str) -> bool {
    namespace_fits(wide, narrow)
}

/// Whether one subtree lies in another: `/out/a` in `/out`.
pub(crate) fn subtree(narrow: &str, wide: &str) -> bool {
    path_fits(wide, narrow.strip_prefix('/').unwrap_or(narrow))
}

/// Whether all hosts that fit `narrow` fit `wide`.
pub(crate) fn host(narrow: &str, wide: &str) -> bool {
    let below = narrow.strip_prefix('*').map_or(narrow, |below| below.strip_prefix('.').unwrap_or(below));
    let is_name = || below.is_empty() || matches!(host_of(below), Ok(Host::Name(_)));
    match wide.strip_prefix('*') {
        _ if narrow == wide => true,
        None => false,
        Some("") => is_name(),
        Some(end) => narrow.len() > end.len() && narrow.ends_with(end) && is_name(),
    }
}

/// Whether all paths of addresses that fit `narrow` fit `wide`.
pub(crate) fn url_path(narrow: &str, wide: &str) -> bool {
    match (narrow.strip_suffix("/**"), wide.strip_suffix("/**")) {
        (Some(narrow), Some(top)) => narrow == top || url_path_fits(wide, narrow),
        (Some(_), None) => false,
        (None, _) => url_path_fits(wide, narrow),
    }
}

/// Whether all addresses of one origin are addresses of another.
pub(crate) fn origin(narrow: &Origin, wide: &Origin) -> bool {
    narrow.scheme == wide.scheme && narrow.port == wide.port && host(&narrow.host, &wide.host)
}

/// Whether each of `narrow` lies within one of `wide`.
pub(crate) fn each<T, U>(narrow: &[T], wide: &[U], within: impl Fn(&T, &U) -> bool) -> bool {
    narrow.iter().all(|narrow| wide.iter().any(|wide| within(narrow, wide)))
}

impl Literal {
    /// The value that it names.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }
}

/// Whether each value that passes `narrow` passes `wide`.
pub(crate) fn constraint(narrow: &Constraint, wide: &Constraint) -> bool {
    // A list of values says all there is to say.
    for test in &narrow.tests {
        if let Test::In(literals) = test {
            let mut values = literals.iter().map(Literal::value).filter(|value| narrow.fits(value));
            return values.all(|value| wide.fits(&value));
        }
    }
    wide.tests.iter().all(|wanted| narrow.tests.iter().any(|given| implies(given, wanted)))
}

fn implies(given: &Test, wanted: &Test) -> bool {
    match (given, wanted) {
        (_, Test::Any) => true,
        (Test::EachIn(narrow), Test::EachIn(wide)) => narrow.iter().all(|literal| wide.contains(literal)),
        (Test::Prefix(narrow), Test::Prefix(wide)) => narrow.starts_with(wide.as_str()),
        (Test::Between { min, max }, Test::Between { min: from, max: to }) => from <= min && max <= to,
        (Test::BytesMax(narrow), Test::BytesMax(wide)) | (Test::ItemsMax(narrow), Test::ItemsMax(wide)) => {
            narrow <= wide
        }
        (Test::ItemsMin(narrow), Test::ItemsMin(wide)) => narrow >= wide,
        (Test::Host(narrow), Test::Host(wide)) => each(narrow, wide, |narrow, wide| host(narrow, wide)),
        (Test::Path(narrow), Test::Path(wide)) => each(narrow, wide, |narrow, wide| subtree(narrow, wide)),
        _ => false,
    }
}

/// Whether all arguments that fit `narrow` fit `wide`.
pub(crate) fn arguments(narrow: &Arguments, wide: &Arguments) -> bool {
    let (narrow, wide) = match (narrow, wide) {
        (_, Arguments::Any) => return true,
        (Arguments::Any, Arguments::Listed(_)) => return false,
        (Arguments::Listed(narrow), Arguments::Listed(wide)) => (narrow, wide),
    };
    // Both are in order of their names.
    let mut wanted = wide.iter().peekable();
    for (name, given) in narrow {
        while let Some((_, skipped)) = wanted.next_if(|(listed, _)| listed < name) {
            if !skipped.optional {
                return false;
            }
        }
        let Some((_, allowed)) = wanted.next_if(|(listed, _)| listed == name) else { return false };
        if (given.optional && !allowed.optional) || !constraint(given, allowed) {
            return false;
        }
    }
    wanted.all(|(_, skipped)| skipped.optional)
}

/// Whether what binds one rule binds it at least as much as another is bound.
pub(crate) fn extra(narrow: &Extra, wide: &Extra) -> bool {
    let all_bar = wide.unless_all.is_empty()
        || narrow.unless_any.has_any(&wide.unless_all)
        || (!narrow.unless_all.is_empty() && wide.unless_all.has_all(&narrow.unless_all));
    narrow.unless_any.has_all(&wide.unless_any)
        && all_bar
        && rate(narrow.rate, wide.rate)
        && approval(narrow.approval.as_ref(), wide.approval.as_ref())
        && narrow.labels.has_all(&wide.labels)
}

fn rate(narrow: Option<Rate>, wide: Option<Rate>) -> bool {
    match (narrow, wide) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(narrow), Some(wide)) => narrow.calls <= wide.calls && narrow.span_ms >= wide.span_ms,
    }
}

/// Whether these demands of people are at least as strong as those.
pub(crate) fn approval(strong: Option<&Required>, weak: Option<&Required>) -> bool {
    match (strong, weak) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(strong), Some(weak)) => {
            (weak.from == Approvers::Anyone || strong.from == weak.from)
                && (strong.factor == weak.factor || weak.factor == crate::approval::Factor::Confirm)
                && strong.quorum >= weak.quorum
                && strong.ttl_ms <= weak.ttl_ms
        }
    }
}

/// Whether all that one rule for tools gives is given by another.
pub(crate) fn tool(narrow: &ToolRight, wide: &ToolRight) -> bool {
    name(&narrow.tool, &wide.tool) && extra(&narrow.extra, &wide.extra) && arguments(&narrow.args, &wide.args)
}

/// Whether all that a rule gives is given by those others together. What lists values is taken apart until each part lies
/// within one of them.
pub(crate) fn tool_among(rule: &ToolRight, others: &[&ToolRight]) -> bool {
    if others.iter().any(|other| tool(rule, other)) {
        return true;
    }
    let near: Vec<_> = others.iter().copied().filter(|other| name(&rule.tool, &other.tool)).collect();
    if near.len() < 2 {
        return false;
    }
    let mut parts = PARTS_MAX;
    tool_in_parts(Cow::Borrowed(rule), &near, 0, &mut parts)
}

/// Takes the arguments from `from` on apart, one after the other.
fn tool_in_parts(rule: Cow<'_, ToolRight>, others: &[&ToolRight], from: usize, left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    if *left == 0 {
        return false;
    }
    if others.iter().any(|other| tool(&rule, other)) {
        return true;
    }
    let Arguments::Listed(listed) = &rule.args else { return false };
    for (at, (argument, whole)) in listed.iter().enumerate().skip(from) {
        let parts = parts_of(whole, others, argument);
        if parts.len() < 2 {
            continue;
        }
        return parts.into_iter().all(|part| {
            let mut rule = rule.clone().into_owned();
            if let Arguments::Listed(listed) = &mut rule.args
                && let Some((_, constraint)) = listed.get_mut(at)
            {
                *constraint = part;
            }
            tool_in_parts(Cow::Owned(rule), others, at, left)
        });
    }
    false
}

/// Constraints that together say the same, each saying less; the whole alone if it cannot be taken apart.
fn parts_of(whole: &Constraint, others: &[&ToolRight], argument: &str) -> Vec<Constraint> {
    for (at, test) in whole.tests.iter().enumerate() {
        let parts: Vec<Test> = match test {
            Test::In(values) => values.iter().map(|value| Test::In(alloc::vec![value.clone()])).collect(),
            Test::Host(hosts) => hosts.iter().map(|host| Test::Host(alloc::vec![host.clone()])).collect(),
            Test::Path(tops) => tops.iter().map(|top| Test::Path(alloc::vec![top.clone()])).collect(),
            Test::Between { min, max } => spans(*min, *max, others, argument),
            _ => continue,
        };
        if parts.len() > 1 {
            let with = |part| {
                let mut one = whole.clone();
                one.tests[at] = part;
                one
            };
            return parts.into_iter().map(with).collect();
        }
    }
    alloc::vec![whole.clone()]
}

/// A span of numbers, cut where the spans of others begin or end.
fn spans(min: i64, max: i64, others: &[&ToolRight], argument: &str) -> Vec<Test> {
    let mut begins = alloc::vec![min];
    for other in others {
        let Arguments::Listed(listed) = &other.args else { continue };
        let Some((_, constraint)) = listed.iter().find(|(name, _)| name == argument) else { continue };
        for test in &constraint.tests {
            if let Test::Between { min: from, max: to } = test {
                begins.extend(
                    [Some(*from), to.checked_add(1)].into_iter().flatten().filter(|at| min < *at && *at <= max),
                );
            }
        }
    }
    begins.sort_unstable();
    begins.dedup();
    let ends = begins.iter().skip(1).map(|begin| begin - 1).chain([max]);
    begins.iter().zip(ends).map(|(min, max)| Test::Between { min: *min, max }).collect()
}

/// Whether all that a rule for the web gives is given by those others together.
pub(crate) fn http_among(rule: &HttpRight, others: &[&HttpRight]) -> bool {
    let near = |other: &&&HttpRight| {
        origin(&rule.to, &other.to) && (other.private || !rule.private) && extra(&rule.extra, &other.extra)
    };
    let near: Vec<_> = others.iter().filter(near).collect();
    let given = |method: &str, path: &str| {
        near.iter().any(|other| {
            other.methods.iter().any(|theirs| theirs == method) && other.paths.iter().any(|wide| url_path(path, wide))
        })
    };
    rule.methods.iter().all(|method| rule.paths.iter().all(|path| given(method, path)))
}

/// Every label that one of these sets names, but the mark of a set that lost count.
pub(crate) fn names_of<'a>(sets: impl Iterator<Item = &'a Labels>) -> Labels {
    sets.fold(Labels::NONE, |all, set| all.and(set))
}
