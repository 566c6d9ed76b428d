//! The queues of the client's own device and of its sub-devices, in one storage.

use crate::error::{Error, Result, Status};
use crate::protocol::{Identity, Request};
use crate::sorted::SortedMap;
use crate::storage::queue::{Appended, Queue, QueueLimits};
use crate::storage::records::Records;

pub struct Queues {
    records: Records,
    limits: QueueLimits,
    own: Queue,
    subdevices: SortedMap<u64, Queue>,
}

/// Messages for one queue, and their places in the call of the host.
#[derive(Default)]
pub struct Batch {
    pub messages: Vec<Request>,
    pub users: Vec<usize>,
    pub places: Vec<usize>,
}

impl Queues {
    pub fn new(records: Records, limits: QueueLimits) -> Queues {
        let own = Queue::new(records.clone(), limits);
        Queues { records, limits, own, subdevices: SortedMap::new() }
    }

    /// The records of this device in the same storage.
    pub fn records_of(&self, identity: &Identity) -> Records {
        self.records.of(identity.product_key(), identity.device_key(), &identity.digest_hex())
    }

    pub fn remove(&mut self, id: u64) {
        self.subdevices.remove(&id);
        self.subdevices.release();
    }

    /// The queue of a sub-device with this identity; 0: of the client's own device.
    pub fn get_or_add(&mut self, id: u64, identity: impl FnOnce() -> Result<Identity>) -> Result<&mut Queue> {
        if id == 0 {
            return Ok(&mut self.own);
        }
        if self.subdevices.get(&id).is_none() {
            let identity = identity()?;
            let digest = identity.digest_hex();
            let records = self.records.beside(identity.product_key(), identity.device_key(), &digest);
            self.subdevices.insert(id, Queue::new(records, self.limits));
        }
        self.subdevices.get_mut(&id).ok_or_else(|| no_subdevice(id))
    }

    /// Accepts the messages of all batches, or none. Returns their places in the order of the ids.
    pub fn append(&mut self, batches: &SortedMap<u64, Batch>) -> Result<Vec<Appended>> {
        // Most batches are for one device, and there can be thousands of others.
        let mut ids = batches.keys().copied();
        let (first, last) = (ids.next().unwrap_or_default(), ids.last());
        let theirs = self.subdevices.range_mut(first..=last.unwrap_or(first));
        let all = std::iter::once((&0, &mut self.own)).chain(theirs);
        let mut batches: Vec<(&mut Queue, &[Request])> =
            all.filter_map(|(id, queue)| Some((queue, &batches.get(id)?.messages[..]))).collect();
        Ok(Queue::append_to_all(&mut batches)?)
    }
}

pub fn no_subdevice(id: u64) -> Error {
    Error::new(Status::ENOS_ERR_NOT_FOUND, format!("subdevice: the client has no sub-device {id}"))
}
