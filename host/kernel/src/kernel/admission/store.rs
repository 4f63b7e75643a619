//! Calls to memory and files, against the namespaces and roots of a grant.

use alloc::format;

use super::{Admission, INNER, No, Terms, list, malformed, undeclared, undeclared_argument};
use crate::call::Place;
use crate::kernel::basis::Grounds;
use crate::refusal::{Code, Refusal};
use crate::rights::{Access, FilesRight};
use crate::text;

impl Admission<'_> {
    pub(super) fn memory(&self, namespace: &str, key: Option<&str>, write: bool) -> Result<Terms, No> {
        malformed("namespace", namespace, text::path(namespace))?;
        if let Some(key) = key {
            malformed("key", key, text::name(key))?;
        }
        let verb = if write { "write" } else { "read" };
        if let Some(wants) = self.wants {
            let Some(wanted) = &wants.memory else { return Err(undeclared("memory")) };
            if !wanted.allows(namespace, write) {
                let allowed = list(wanted.patterns(write));
                return Err(undeclared_argument(&format!("memory.{verb}"), "namespace", namespace, &allowed));
            }
        }
        let Some(right) = &self.grant.rights.memory else {
            return Err(self.ungranted("memory", &format!("`memory = {{ {verb} = [\"{}\"] }}`", text::show(namespace))));
        };
        if right.allows(namespace, write) {
            let terms = Terms { ground: Grounds::Memory, ..INNER };
            return Ok(if write { terms } else { Terms { brings: right.labels.clone(), ..terms } });
        }
        let because = format!("agent `{}` may not {verb} memory `{}`", self.grant.agent, text::show(namespace));
        Err(Refusal::new(Code::NoGrant, because)
            .rule(self.rule("memory", right.line))
            .argument("namespace", namespace, list(right.patterns(write)))
            .hint(format!("add \"{}\" to `{verb}` of `memory` in {}", text::show(namespace), self.grant.rule.file))
            .into())
    }

    pub(super) fn files(&self, place: &Place, write: bool) -> Result<Terms, No> {
        malformed("root", &place.root, text::name(&place.root))?;
        if !place.path.is_empty() {
            malformed("path", &place.path, text::path(&place.path))?;
        }
        let fits = |right: &FilesRight| right.allows(&place.root, &place.path, write);
        if let Some(wants) = self.wants
            && !wants.files.iter().any(fits)
        {
            let reads = |want: &&FilesRight| want.root == place.root && want.access == Access::Read;
            return Err(match wants.files.iter().find(reads) {
                _ if wants.files.is_empty() => undeclared("files"),
                Some(_) if write => read_only(place),
                _ => undeclared_place(place, write),
            });
        }
        let mut fitting = self.grant.rights.files.iter().enumerate().filter(|(_, right)| fits(right));
        let Some((at, right)) = fitting.next() else { return Err(self.place(place, write)) };
        let terms = Terms { ground: Grounds::Files(at), ..INNER };
        if write {
            return Ok(terms);
        }
        // What several rules say of one place holds together: a wider rule takes no label off.
        Ok(Terms {
            brings: fitting.fold(right.labels.clone(), |labels, (_, right)| labels.and(&right.labels)),
            ..terms
        })
    }

    fn place(&self, place: &Place, write: bool) -> No {
        let (verb, access) = if write { ("write", "rw") } else { ("read", "r") };
        let (root, path, file) = (text::show(&place.root), text::show(&place.path), &self.grant.rule.file);
        let Some(right) = self.grant.rights.files.iter().find(|right| right.root == place.root) else {
            let lines = format!("`files = [{{ root = \"{root}\", access = \"{access}\" }}]`");
            return self.ungranted("files", &lines);
        };
        let because = format!("agent `{}` may not {verb} `{path}` under root `{root}`", self.grant.agent);
        Refusal::new(Code::NoGrant, because)
            .rule(self.rule("files", right.line))
            .argument("path", &place.path, format!("`{}` of `{root}`, access \"{}\"", right.at, right.access.word()))
            .hint(format!("widen `at` or `access` of root `{root}` under `files` in {file}"))
            .into()
    }
}

/// The package asks to read there, and its code writes.
fn read_only(place: &Place) -> No {
    let root = text::show(&place.root);
    Refusal::new(Code::NotDeclared, format!("root `{root}` is wanted with access \"r\" only"))
        .argument("root", &place.root, "access \"rw\" of its `wants`")
        .hint(format!(
            "its author writes `access = \"rw\"` for `{root}` in `wants.files` of agent.toml and builds it again"
        ))
        .into()
}

fn undeclared_place(place: &Place, write: bool) -> No {
    let access = if write { "rw" } else { "r" };
    undeclared_argument("files", "root", &place.root, &format!("the roots of its `wants`, with access \"{access}\""))
}
