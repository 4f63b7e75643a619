//! A package that asks for all that there is, for questions to which only policy is to answer.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Scenario;
use crate::call::{Call, Class};
use crate::kernel::Start;
use crate::manifest::{
    FORMAT, Manifest, WIT, Wants, WantsAgents, WantsFiles, WantsHttp, WantsLlm, WantsMemory, WantsOther, WantsTool,
};
use crate::policy::Subject;
use crate::rights::Access;
use crate::tool::Tools;

impl Scenario {
    /// The beginning of a run of a package that asks for anything, signed by whom the agent's grant wants.
    pub(crate) fn anything_starts<'a>(&self, agent: &str, calls: impl Iterator<Item = &'a Call>) -> Start {
        let signer = self.grant(agent).and_then(|grant| grant.publisher);
        Start { agent: agent.into(), manifest: Arc::new(self.anything_for(agent, calls)), signer }
    }

    /// A package that asks for anything, of the name and version that the agent's grant wants.
    fn anything_for<'a>(&self, agent: &str, calls: impl Iterator<Item = &'a Call>) -> Manifest {
        let pattern = self.grant(agent).and_then(|grant| grant.package.as_ref());
        let version = pattern.and_then(|pattern| pattern.version.as_ref()).map_or_else(|| "1.0.0".into(), version_of);
        let name = pattern.map_or_else(|| format!("any:{agent}"), |pattern| pattern.name.clone());
        let tools = Tools::new(Vec::new());
        let called = calls.filter_map(|call| match Subject::of(call, &tools) {
            Subject::Files { place, .. } => Some(place.root.as_str()),
            Subject::Tool { .. } | Subject::Model { .. } | Subject::Memory { .. } => None,
            Subject::Http { .. } | Subject::Inner => None,
        });
        let granted =
            self.grant(agent).into_iter().flat_map(|grant| &grant.rights.files).map(|right| right.root.as_str());
        let roots: BTreeSet<&str> = granted.chain(called).collect();
        Manifest {
            format: FORMAT,
            name,
            version,
            seq: 1,
            wit: WIT.into(),
            description: String::new(),
            provides: Vec::new(),
            requires: Vec::new(),
            wants: anything(&roots),
            budget: BTreeMap::new(),
            input_schema: None,
            output_schema: None,
            source: None,
            revision: None,
            licence: None,
        }
    }
}

fn anything(roots: &BTreeSet<&str>) -> Wants {
    let (why, optional) = (String::new(), false);
    let all = |pattern: &str| alloc::vec![String::from(pattern)];
    let other = || Some(WantsOther { why: String::new(), optional: false });
    let file = |root: &&str| {
        let (why, optional) = (String::new(), false);
        WantsFiles { root: root.to_string(), access: Access::ReadWrite, why, optional }
    };
    Wants {
        llm: Some(WantsLlm {
            models: all("*"),
            max_tokens: None,
            class: Some(Class::Interactive),
            window: None,
            tools: false,
            schema: false,
            why: why.clone(),
            optional,
        }),
        memory: Some(WantsMemory { read: all("**"), write: all("**"), why: why.clone(), optional }),
        files: roots.iter().map(file).collect(),
        tools: alloc::vec![WantsTool { tool: "*".into(), why, optional }],
        http: Some(WantsHttp { hosts: Vec::new(), methods: Vec::new(), why: String::new(), optional: false }),
        secrets: Vec::new(),
        agents: Some(WantsAgents {
            call: Vec::new(),
            send: Vec::new(),
            receive: Vec::new(),
            why: String::new(),
            optional: false,
        }),
        human: other(),
        context: other(),
    }
}

/// A version that fits: the least that the first part of the requirement names, or one a step beside it.
fn version_of(wanted: &semver::VersionReq) -> String {
    let Some(first) = wanted.comparators.first() else { return "1.0.0".into() };
    let (major, minor, patch) = (first.major, first.minor.unwrap_or(0), first.patch.unwrap_or(0));
    let named = semver::Version { pre: first.pre.clone(), ..semver::Version::new(major, minor, patch) };
    let beside = [
        semver::Version::new(major, minor, patch.saturating_add(1)),
        semver::Version::new(major, minor.saturating_add(1), 0),
        semver::Version::new(major.saturating_add(1), 0, 0),
        semver::Version::new(major, minor, 0),
        semver::Version::new(0, 0, 0),
    ];
    let fits = core::iter::once(&named).chain(&beside).find(|version| wanted.matches(version));
    fits.unwrap_or(&named).to_string()
}
