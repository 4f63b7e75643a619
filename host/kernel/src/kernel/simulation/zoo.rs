//! What the simulation runs on: three agents, their policies, models and tools.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::LazyLock;

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::model::{Model, Price};
use crate::policy::{Policy, Source};
use crate::tool::Tool;

pub(super) const AGENTS: [&str; 3] = ["ant", "bee", "cat"];

/// SplitMix64, by Steele, Lea and Flood (OOPSLA 2014).
pub(in crate::kernel) struct Random(pub(in crate::kernel) u64);

impl Random {
    pub(in crate::kernel) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(in crate::kernel) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(in crate::kernel) fn pick(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len as u64) as usize)
    }

    pub(super) fn agent(&mut self) -> &'static str {
        AGENTS[self.below(AGENTS.len() as u64) as usize]
    }
}

static POLICIES: LazyLock<[Arc<Policy>; 3]> = LazyLock::new(|| [0, 1, 2].map(read));
static MANIFESTS: LazyLock<[Arc<Manifest>; 3]> = LazyLock::new(|| AGENTS.map(read_manifest));

/// Policies that a reload chooses from: usual, tight, and one in which an agent has no right at all.
pub(super) fn policy(kind: u64) -> Arc<Policy> {
    Arc::clone(&POLICIES[kind as usize % POLICIES.len()])
}

pub(super) fn manifest(agent: &str) -> Arc<Manifest> {
    let at = AGENTS.iter().position(|name| *name == agent).expect("it is one of the zoo");
    Arc::clone(&MANIFESTS[at])
}

fn read(kind: u64) -> Arc<Policy> {
    let (run, minute, day) = if kind == 1 { ("0.02", "0.03", "0.05") } else { ("0.10", "0.15", "0.30") };
    let grant = |agent: &str, budget: &str| {
        format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nllm = {{ models = [\"*\"], class = \"interactive\" }}\n\
             memory = {{ read = [\"**\"], write = [\"**\"] }}\nallow = [{{ id = \"a/b\", tool = \"*\" }}]\n[budget]\n{budget}"
        )
    };
    let own = format!(
        "usd_run = \"{run}\"\nusd_minute = \"{minute}\"\nusd_day = \"{day}\"\ntokens_run = 4000\ntokens_minute = 5000\n\
         tokens_day = 9000\ntokens_in_day = 7000\ntokens_out_minute = 1500\nllm_calls_day = 40\ntool_calls_run = 5\n\
         tool_calls_minute = 4\nfuel_run = 1000\nfuel_day = 2500\nwall_run = \"60s\"\nwall_day = \"150s\"\nstorage_mb = 1\n\
         on_exhausted = \"ask\"\n"
    );
    let site = "usd_minute = \"0.25\"\nusd_day = \"0.60\"\ntokens_day = 20_000\nllm_calls_minute = 9\nfuel_day = 6000\n\
                storage_mb = 2\ntool_calls_run = 4\n";
    let grants: Vec<_> = AGENTS.iter().skip(usize::from(kind == 2)).map(|agent| grant(agent, &own)).collect();
    let sources: Vec<_> = grants.iter().map(|text| Source { file: "zoo.toml", text }).collect();
    let mut policy = Policy::parse(&sources, Digest::default()).expect("the policy of the simulation is whole");
    let above = grant("site", site);
    let above = Policy::parse(&[Source { file: "site.toml", text: &above }], Digest::default());
    policy.budget = above.expect("so is the site's").grants.remove(0).budget;
    Arc::new(policy)
}

fn read_manifest(agent: &str) -> Arc<Manifest> {
    let text = format!(
        "format = 1\nname = \"zoo:{agent}\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n\
         [wants]\nllm = {{ models = [\"*\"], why = \"w\" }}\ntools = [{{ tool = \"*\", why = \"w\" }}]\n\
         memory = {{ read = [\"**\"], write = [\"**\"], why = \"w\" }}\n"
    );
    Arc::new(Manifest::parse_toml(&text).expect("the manifest of the simulation is whole"))
}

pub(super) fn tools() -> Vec<Tool> {
    vec![Tool { name: "t".into(), ..Tool::default() }]
}

pub(super) fn models() -> Vec<Model> {
    let price = Price { input: 3_000_000, output: 15_000_000, ..Price::default() };
    let cloud = Model {
        alias: "cloud".into(),
        price: Some(price),
        context_tokens: 8000,
        output_tokens_max: 1000,
        slots: 2,
        local: false,
    };
    let local = Model { alias: "local".into(), price: None, slots: 1, local: true, ..cloud.clone() };
    let unpriced = Model { alias: "unpriced".into(), price: None, ..cloud.clone() };
    vec![cloud, local, unpriced]
}
