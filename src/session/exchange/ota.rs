//! What the upgrades of firmware need of the exchange, beside sending requests.

use super::Exchange;
use crate::protocol::Operation;

impl Exchange {
    /// Whose version query this is.
    pub fn is_version_query(&self, token: u64) -> Option<u64> {
        let entry = self.entries.get(&token)?;
        (entry.operation == Operation::ENOS_OP_OTA_VERSION_QUERY as i32).then_some(entry.subdevice)
    }
}
