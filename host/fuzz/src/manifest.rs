//! Manifests: what a stranger wrote is told safely, survives being written down, and drafts the grant that it asks for.

use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::Grant;

use crate::{is_plain, parse};

/// An input is an `agent.toml`.
pub fn holds(text: &str) {
    let manifest = match Manifest::parse_toml(text) {
        Ok(manifest) => manifest,
        Err(mistake) => {
            assert!(is_plain(&mistake.to_string()), "{mistake:?}");
            return;
        }
    };
    let written = serde_json::to_string(&manifest).expect("a manifest is JSON");
    let again: Manifest = serde_json::from_str(&written).expect("what was written is a manifest");
    assert_eq!(again, manifest);
    assert_eq!(again.validate(), Ok(()));
    drafted(&manifest);
}

/// The draft is a policy file, and gives what the package asks for and no more.
fn drafted(manifest: &Manifest) {
    let draft = Grant::draft(manifest, None);
    assert!(is_plain(&draft), "{draft:?}");
    let policy = parse(&[&draft]).unwrap_or_else(|mistakes| panic!("{}\n{draft}", mistakes[0]));
    let [grant] = policy.grants.as_slice() else { panic!("not one grant\n{draft}") };
    assert_eq!(grant.agent, manifest.agent());
    assert!(policy.grant(manifest.agent(), manifest, None).is_some(), "the draft is not for its own package\n{draft}");
    let (given, wanted) = (&grant.rights, manifest.rights());
    let models = |right: &agentry_kernel::rights::LlmRight| (right.models.clone(), right.max_tokens);
    assert_eq!(given.llm.as_ref().map(models), wanted.llm.as_ref().map(models));
    let namespaces = |right: &agentry_kernel::rights::MemoryRight| (right.read.clone(), right.write.clone());
    assert_eq!(given.memory.as_ref().map(namespaces), wanted.memory.as_ref().map(namespaces));
    let roots = |rights: &[agentry_kernel::rights::FilesRight]| -> Vec<_> {
        rights.iter().map(|right| (right.root.clone(), right.at.clone(), right.access)).collect()
    };
    assert_eq!(roots(&given.files), roots(&wanted.files));
    let tools = |rights: &[agentry_kernel::rights::ToolRight]| -> Vec<_> {
        rights.iter().map(|right| (right.tool.clone(), right.args.clone())).collect()
    };
    assert_eq!(tools(&given.tools), tools(&wanted.tools));
    let hosts = |rights: &[agentry_kernel::rights::HttpRight]| -> Vec<_> {
        rights.iter().map(|right| right.to.clone()).collect()
    };
    assert_eq!(hosts(&given.http), hosts(&wanted.http));
    let secrets = |rights: &[agentry_kernel::rights::SecretRight]| -> Vec<_> {
        rights.iter().map(|right| (right.handle.clone(), right.only_to.clone())).collect()
    };
    assert_eq!(secrets(&given.secrets), secrets(&wanted.secrets), "a draft gives no secret that is not asked for");
    let wants = manifest.wants.agents.as_ref();
    let named = wants.filter(|wants| !(wants.call.is_empty() && wants.send.is_empty() && wants.receive.is_empty()));
    let agents =
        |right: &agentry_kernel::rights::AgentsRight| (right.call.clone(), right.send.clone(), right.receive.clone());
    let asked = named.map(|wants| (wants.call.clone(), wants.send.clone(), wants.receive.clone()));
    assert_eq!(given.agents.as_ref().map(agents), asked, "a draft gives no agent that is not named");
}
