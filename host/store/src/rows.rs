//! What stands in the store, one file a table: each row as it is encoded, behind its version, and as it is read again, older versions too. It decides
//! nothing, and whoever writes a row is responsible for the batch that it stands in.

pub mod approval;
pub mod cause;
pub mod clock;
pub mod files;
pub mod format1;
pub mod format2;
pub mod hold;
pub mod host;
pub mod mail;
pub mod memory;
pub mod notice;
pub mod order;
pub mod parked;
pub mod question;
pub mod receipt;
pub mod run;
pub mod usage;
