//! What the upgrades of firmware need of the exchange, beside sending requests.

use super::Exchange;
use crate::protocol::Operation;
use crate::session::io::Outcome;

impl Exchange {
    /// The outcomes of reports of firmware versions, by their tokens.
    pub fn take_ota(&mut self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut self.ota)
    }

    /// Whose version query this is.
    pub fn is_version_query(&self, token: u64) -> Option<u64> {
        let entry = self.entries.get(&token)?;
        (entry.operation == Operation::ENOS_OP_OTA_VERSION_QUERY as i32).then_some(entry.subdevice)
    }
}
