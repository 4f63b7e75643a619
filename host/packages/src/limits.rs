//! Every maximum of what is read of packages, and the reason for its number.

use agentry_store::limits::{AGENTS_MAX, COMPONENT_MAX_BYTES};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A component, wherever it comes from.
pub const FILE_MAX_BYTES: usize = COMPONENT_MAX_BYTES;

/// A signature beside a component: a statement of a few hundred bytes, in base64.
pub const SIGNATURE_MAX_BYTES: usize = 16 * KIB;

/// A bill of materials: a kilobyte for each of some ten thousand parts.
pub const SBOM_MAX_BYTES: usize = 16 * MIB;

/// A bundle of cosign beside a component: a certificate, a signature and an entry of a log, ten kilobytes; with provenance of SLSA, thirty.
pub const BUNDLE_MAX_BYTES: usize = 256 * KIB;

/// Entries of logs, and timestamps, in one bundle: each is verified, and there is one.
pub const EVIDENCE_MAX: usize = 4;

/// A trusted root of Sigstore: that of the public instance has seven kilobytes.
pub const TRUSTED_ROOT_MAX_BYTES: usize = 256 * KIB;

/// Publishers whom an admin pins by an identity.
pub const IDENTITIES_MAX: usize = 1_000;

/// An identity, or who says that it is one: an address of a workflow and its tag.
pub const IDENTITY_MAX_BYTES: usize = 512;

/// Signatures in one envelope or under one file of an index: as many people as share a key's work.
pub const SIGNATURES_MAX: usize = 16;

/// The publishers that a home knows: a few hundred bytes each.
pub const KEYRING_MAX_BYTES: usize = MIB;

/// The lock: a kilobyte for each agent and each of its versions that is kept.
pub const LOCK_MAX_BYTES: usize = 8 * MIB;

/// Agents that are installed: as many as a host may know by name.
pub const INSTALLED_MAX: usize = AGENTS_MAX;

/// Packages that are installed in one go because one requires the others. A person looks at each.
pub const TEAM_MAX: usize = 16;

/// Versions before the present one that are kept, for a rollback.
pub const PREVIOUS_MAX: usize = 3;

/// Versions of which it is kept who signed them, though they are not installed any more: a hundred and fifty bytes each.
pub const SIGNED_MAX: usize = 10_000;

/// The root of an index: a few keys.
pub const ROOT_MAX_BYTES: usize = 256 * KIB;

/// Changes of the root that are followed in one go: one a month for five years.
pub const ROOTS_MAX: u64 = 60;

/// The timestamp of an index, which names one file.
pub const TIMESTAMP_MAX_BYTES: usize = 16 * KIB;

/// All changes of the root together may take so many times as long as one file may: at first contact nobody has signed anything yet.
pub const ROOTS_WAITS: u32 = 3;

/// The snapshot of an index: two hundred bytes for each publisher.
pub const SNAPSHOT_MAX_BYTES: usize = 4 * MIB;

/// The list of the index itself, or of one publisher: half a kilobyte for each version of each package.
pub const TARGETS_MAX_BYTES: usize = 16 * MIB;

/// Lists and objects in one file of an index: seven for each version of a package, which has 350 bytes or more, so that none of
/// [`TARGETS_MAX_BYTES`] reaches it.
pub const JSON_NESTS_MAX: usize = 400_000;

/// Values in one file of an index, those among them: twenty-three for each such version, and as many words again.
pub const JSON_VALUES_MAX: usize = 1_500_000;

/// Publishers of one index.
pub const PUBLISHERS_MAX: usize = 10_000;

/// Indexes that a home asks.
pub const INDEXES_MAX: usize = 32;

/// The manifest of an image, which names a few layers.
pub const IMAGE_MAX_BYTES: usize = 256 * KIB;

/// Layers of an image in which a package is looked for.
pub const LAYERS_MAX: usize = 16;

/// An answer with a token; tokens that name many rights have some kilobytes.
pub const TOKEN_MAX_BYTES: usize = 64 * KIB;

/// What a registry says to whoever it does not know, and a token.
pub const CHALLENGE_MAX_BYTES: usize = 16 * KIB;

/// Registries of which an admin says something.
pub const REGISTRIES_MAX: usize = 32;

/// Redirects within one server.
pub const REDIRECTS_MAX: usize = 3;

/// How long one file of an index may take, unless `packages.toml` says otherwise: a slow line, and no more patience than a person has.
pub const WAIT_DEFAULT_S: u64 = 60;

/// The longest that it may say.
pub const WAIT_MAX_S: u64 = 3_600;

/// How long a command waits for another one that changes the same home, or the same index.
pub const TURN_WAIT_MS: u64 = 20_000;

/// How long an update by the same key that could do no more waits before it goes by itself, unless `packages.toml` says otherwise: long
/// enough for somebody to notice a stolen key.
pub const COOL_OFF_DEFAULT_MS: u64 = 3 * 24 * 60 * 60 * 1000;

/// How far a machine's clock may be behind where it was when an index was read, before nobody can say any more what has expired.
pub const CLOCK_BACK_MAX_MS: u64 = 24 * 60 * 60 * 1000;

const _: () = assert!(SIGNATURE_MAX_BYTES < KEYRING_MAX_BYTES && ROOT_MAX_BYTES < SNAPSHOT_MAX_BYTES);
