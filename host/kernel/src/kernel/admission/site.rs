//! What the site says of a call that a grant gives: its ceilings, what it forbids, whom it asks and what it marks.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use super::{Admission, No, Terms, list};
use crate::approval::{Factor, Required};
use crate::json::Value;
use crate::labels::Labels;
use crate::pattern::name_fits;
use crate::policy::{Ceiling, Duty, SiteRule, Subject};
use crate::refusal::{Code, Refusal};
use crate::text;

impl Admission<'_> {
    /// The terms with what the site adds to them, or its no. What files that only observe would have said stands in
    /// `terms.observed`.
    pub(super) fn bounded(&self, subject: &Subject<'_>, terms: Terms) -> Result<Terms, No> {
        let mut terms = terms;
        for ceiling in &self.policy.ceilings {
            let Some(no) = above(ceiling, subject) else { continue };
            if !ceiling.observed {
                return Err(no);
            }
            terms.observed.get_or_insert(no);
        }
        let mut forbidden: Option<&SiteRule> = None;
        let mut clash = None;
        self.policy.rules_about(subject, |rule| {
            if !rule.applies(&self.grant.agent, subject, self.labels) {
                return;
            }
            match &rule.duty {
                Duty::Forbid if rule.observed => {
                    terms.observed.get_or_insert_with(|| self.forbidden(rule, subject));
                }
                Duty::Forbid => forbidden = Some(forbidden.map_or(rule, |before| first(before, rule))),
                Duty::Require(required) if rule.observed => {
                    terms.observed.get_or_insert_with(|| crate::kernel::reasons::nobody_to_ask(required));
                }
                Duty::Require(required) => match meet(terms.require.as_ref(), required) {
                    Ok(met) => terms.require = Some(met),
                    Err(no) => clash = Some(no),
                },
                Duty::Mark { .. } if rule.observed => {}
                Duty::Mark { adds, removes } => {
                    terms.brings = terms.brings.and(adds);
                    if !removes.is_empty() {
                        let (before, named) = terms.clears.take().unwrap_or((Labels::NONE, rule.rule.clone()));
                        terms.clears = Some((before.and(removes), named));
                    }
                }
            }
        });
        match (forbidden, clash) {
            (Some(rule), _) => Err(self.forbidden(rule, subject)),
            (None, Some(no)) => Err(no),
            (None, None) => Ok(terms),
        }
    }

    fn forbidden(&self, rule: &SiteRule, subject: &Subject<'_>) -> No {
        let why = if rule.why.is_empty() { String::new() } else { format!(": {}", rule.why) };
        let refusal = if rule.tests_labels() {
            let tested = rule.when.labels_all.and(&rule.when.labels_any);
            Refusal::new(Code::Label, format!("a site rule forbids it to a run that has read so much{why}"))
                .argument("labels", &self.labels.to_string(), format!("not with {tested}"))
                .hint("let another run do it that has not read both, or let a person take a label off")
        } else {
            Refusal::new(Code::Forbidden, format!("a site rule forbids it, and no grant can override that{why}"))
                .hint(format!("if it must be possible, change {} in {}", rule.rule.id, rule.rule.file))
        };
        let refusal = match rule.obstacle(subject) {
            Some((name, value, constraint)) => {
                let value = value.map_or_else(|| "nothing".into(), Value::to_string);
                refusal.argument(&text::show(name), &value, constraint.to_string())
            }
            None => refusal,
        };
        refusal.rule(rule.rule.clone()).into()
    }
}

/// The rule that stands first is the one that is told.
fn first<'a>(one: &'a SiteRule, other: &'a SiteRule) -> &'a SiteRule {
    let place = |rule: &'a SiteRule| (&rule.rule.file, rule.rule.line);
    if place(other) < place(one) { other } else { one }
}

fn above(ceiling: &Ceiling, subject: &Subject<'_>) -> Option<No> {
    let (name, value, allowed) = match subject {
        Subject::Model { alias } => {
            let models = ceiling.models.as_ref()?;
            if models.iter().any(|pattern| name_fits(pattern, alias)) {
                return None;
            }
            ("model", *alias, list(models))
        }
        Subject::Tool { name, .. } => {
            let tools = ceiling.tools.as_ref()?;
            if tools.iter().any(|pattern| name_fits(pattern, name)) {
                return None;
            }
            ("name", *name, list(tools))
        }
        Subject::Http { url, .. } => {
            let egress = ceiling.egress.as_ref()?;
            if egress.iter().any(|origin| origin.fits(url)) {
                return None;
            }
            let origins: alloc::vec::Vec<String> = egress.iter().map(ToString::to_string).collect();
            ("url", url.name, list(&origins))
        }
        Subject::Memory { .. } | Subject::Files { .. } | Subject::Inner => return None,
    };
    let refusal = Refusal::new(Code::AboveCeiling, "a grant gives it, but the ceiling of the site does not")
        .rule(ceiling.rule.clone())
        .argument(name, value, allowed)
        .hint(format!("raise [ceiling] in {}, or take it out of the grant", ceiling.rule.file));
    Some(Box::new(refusal))
}

/// What satisfies both: the stronger factor, the larger quorum, the shorter time. Two groups cannot both be asked.
pub(in crate::kernel) fn meet(one: Option<&Required>, other: &Required) -> Result<Required, No> {
    let Some(one) = one else { return Ok(other.clone()) };
    use crate::approval::Approvers::Anyone;
    let (named, from) = match (&one.from, &other.from) {
        (Anyone, from) => (other, from),
        (from, Anyone) => (one, from),
        (from, same) if from == same => (one, from),
        _ => {
            let because = format!("two rules want a yes, one from {} and one from {}", one.from, other.from);
            return Err(Refusal::new(Code::NotApproved, because)
                .rule(other.rule.clone())
                .hint(format!("let {} and {} ask the same people", one.rule.id, other.rule.id))
                .into());
        }
    };
    let totp = one.factor == Factor::Totp || other.factor == Factor::Totp;
    Ok(Required {
        rule: named.rule.clone(),
        from: from.clone(),
        factor: if totp { Factor::Totp } else { Factor::Confirm },
        quorum: one.quorum.max(other.quorum),
        ttl_ms: one.ttl_ms.min(other.ttl_ms),
    })
}
