//! Where a run stands that works for another one.

use std::sync::Arc;

use agentry_kernel::call::CallId;
use agentry_kernel::kernel::Share;

use super::context::RunContext;

/// What a run below another one rests on.
#[derive(Debug)]
pub(crate) struct Below {
    /// The run above it.
    pub(crate) parent: Arc<RunContext>,
    /// The call that it answers.
    pub(crate) call: CallId,
    /// The part of the parent's budget that it has.
    pub(crate) share: Share,
}
