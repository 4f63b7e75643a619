//! What is left of a run's journal that went: how much it was, and its name. The run's record stays beside it.

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError, Value, keys};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// That a journal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When.
    pub at: Millis,
    /// How many segments it had.
    pub segments: u64,
    /// How many entries.
    pub entries: u64,
    /// What its segments took.
    pub bytes: u64,
    /// The name of what went, as the journal of the host has it.
    pub digest: Digest,
}

impl Receipt {
    /// As it is stored.
    pub fn encode(&self) -> Value {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let receipt = row.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        receipt.ok_or_else(|| StoreError::Damaged { why: "a receipt that does not decode".to_owned() })
    }

    /// Of this run; none if its journal is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, run: RunId) -> Result<Option<Self>, StoreError> {
        store.get(&keys::receipt(run))?.map(|row| Self::decode(&row)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn a_receipt_of_this_version_stays_readable() {
        let at = Millis(1_800_000_000_000);
        let receipt = Receipt { at, segments: 3, entries: 40, bytes: 5000, digest: Digest([0xab; 32]) };
        let row = receipt.encode();
        let hex = row.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        expect_file!["../../../../tests/golden/receipt-1.hex"].assert_eq(&hex);
        assert_eq!(Receipt::decode(&row), Ok(receipt));
        for damaged in [b"".as_slice(), b"\x02", &row[..row.len() - 1]] {
            assert!(Receipt::decode(damaged).is_err(), "{damaged:?}");
        }
    }
}
