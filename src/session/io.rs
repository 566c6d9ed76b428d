//! The inputs and outputs of the session. Payloads may hold secrets: types that carry one have no Debug.

use zeroize::Zeroizing;

use super::credential::{Accepted, Credential};
use super::event::Event;
use crate::error::Status;
use crate::log::Level;
use crate::model::link::{LinkEvent, LinkRequest};
use crate::model::storage::StorageError;
use crate::protocol::command::{Command, Digest};
use crate::protocol::outbox::{Message, OutboxEnds, PageFound};
use crate::protocol::{DeviceSecret, Identity, Suspect, Totals};

/// What happens outside, told to the session.
pub enum Input {
    /// Nothing but time passed.
    Tick,
    Loaded(Box<Loaded>),
    SecretsStored(std::result::Result<(), StorageError>),
    Link {
        attempt: u64,
        what: LinkEvent,
    },
    /// Inbound messages that were dropped because the queue was full.
    Dropped(u64),
    /// The stored secrets of a sub-device, the oldest first.
    SubdeviceLoaded {
        id: u64,
        result: std::result::Result<Vec<DeviceSecret>, StorageError>,
    },
    SubdeviceStored {
        id: u64,
        result: std::result::Result<(), StorageError>,
    },
    /// The queue of a sub-device (0: of the client's own device) has done its task.
    Outbox {
        subdevice: u64,
        done: Done,
    },
}

/// What came of a [`Task`].
pub enum Done {
    Opened(std::result::Result<OutboxEnds, StorageError>),
    PageRead {
        page: u64,
        result: std::result::Result<PageFound, StorageError>,
    },
    /// With the totals that the queue still holds.
    PagesFinished {
        through: u64,
        result: std::result::Result<Totals, StorageError>,
    },
    DeadLetterStored {
        token: u64,
        result: std::result::Result<(), StorageError>,
    },
}

/// What an outbox wants its queue in the storage to do.
pub enum Task {
    /// Answered by [`Done::Opened`].
    Open,
    /// Answered by [`Done::PageRead`]. `last_try`: one that cannot be loaded, while others can, is lost.
    ReadPage { page: u64, last_try: bool },
    /// Remove what is completed: all pages before this one. Answered by [`Done::PagesFinished`].
    FinishPages { through: u64, after: Totals },
    /// Answered by [`Done::DeadLetterStored`].
    StoreDeadLetter { token: u64, code: i32, message: Message },
    /// Best effort.
    StoreSuspect(Option<Suspect>),
}

/// How a request of the outbox ended.
pub enum Outcome {
    /// Acknowledged by the broker.
    Delivered,
    Reply {
        code: i32,
        words: String,
        topic: Vec<u8>,
        payload: Zeroizing<Vec<u8>>,
    },
    NotDelivered {
        status: Status,
        reason: String,
    },
}

/// Why a link ended on which the device was online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The host wanted it.
    Planned,
    /// The broker had acknowledged nothing for too long.
    Stalled,
    /// Another client has probably logged in as this device.
    Conflict,
    Lost,
}

/// What the host's storage holds of this device.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that could be read, the oldest first.
    pub secrets: Vec<DeviceSecret>,
    /// Why some secrets may be missing. `None` means that there are no others.
    pub failure: Option<StorageError>,
    pub accepted: Option<Accepted>,
    /// Stamps of earlier CONNECTs, and whether they may be of this boot.
    pub budget: Option<(Vec<u64>, bool)>,
    /// Commands that were handed over, and whose answers did not get out.
    pub commands: Vec<Digest>,
}

/// A command to be handed to the host.
pub struct Handed {
    /// Names the command in calls of the session.
    pub key: u64,
    pub command: Command,
    /// Whom it is for, and what the host has given with that. 0: the client's own device.
    pub subdevice: u64,
    pub user: usize,
    pub since_login_ms: u32,
    /// An earlier process had it, and its answer did not get out.
    pub interrupted: bool,
}

/// What the session wants done, in this order.
pub enum Action {
    /// Read everything; answered by [`Input::Loaded`].
    Load,
    /// Store, load again, compare; answered by [`Input::SecretsStored`].
    StoreSecrets(Vec<DeviceSecret>),
    /// Read the secrets of a sub-device; answered by [`Input::SubdeviceLoaded`].
    LoadSubdevice {
        id: u64,
        identity: Identity,
    },
    /// Store a secret beside those of the sub-device, load again, compare; answered by [`Input::SubdeviceStored`].
    StoreSubdevice {
        id: u64,
        identity: Identity,
        secret: DeviceSecret,
    },
    StoreAccepted(Accepted),
    StoreBudget(Vec<u64>),
    /// Resolve, connect, CONNECT; answered by Connected, Refused or Failed.
    Open {
        attempt: u64,
        credential: Credential,
        timestamp_ms: u64,
    },
    /// Drop the link at once; answered by Failed.
    Abandon {
        attempt: u64,
        reason: String,
    },
    /// Drop the link at once, unless its CONNECT has gone out or it is wanted again; answered by Failed if it was dropped.
    Withdraw {
        attempt: u64,
        reason: String,
    },
    /// Send DISCONNECT after messages in flight had some time to finish; answered by Closed or Lost.
    Disconnect {
        attempt: u64,
        linger_ms: u64,
    },
    Send(LinkRequest),
    /// For the queue of a sub-device; 0: of the client's own device.
    Outbox {
        subdevice: u64,
        task: Task,
    },
    /// Best effort. If there are none, the record is removed.
    StoreCommands(Vec<Digest>),
    /// Do one piece of work for the updates of a sub-device (0: of the client's own device): see `ota_work`.
    Ota {
        subdevice: u64,
    },
    /// Call the host's callback with a command. Its time begins right before; see `begin_command`.
    HandOver(Box<Handed>),
    /// An event that tells how many commands were refused.
    TellRefused(Event),
    Emit(Event),
    Log(Level, String),
}

/// What it costs to perform an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burden {
    None,
    /// A callback of the host's is called with an event.
    Event,
    /// The host's storage is called.
    Storage,
}

impl Action {
    pub fn burden(&self) -> Burden {
        match self {
            Action::Emit(_) | Action::TellRefused(_) | Action::HandOver(_) => Burden::Event,
            Action::StoreAccepted(_)
            | Action::StoreBudget(_)
            | Action::StoreCommands(_)
            | Action::Ota { .. }
            | Action::Outbox { .. } => Burden::Storage,
            // These only begin.
            Action::Load | Action::StoreSecrets(_) | Action::LoadSubdevice { .. } | Action::StoreSubdevice { .. } => {
                Burden::None
            }
            Action::Open { .. }
            | Action::Abandon { .. }
            | Action::Withdraw { .. }
            | Action::Disconnect { .. }
            | Action::Send(_)
            | Action::Log(..) => Burden::None,
        }
    }
}

/// Elapsed time, and the wall clock, which is used only in signatures and time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_BOOTTIME.
    pub ms: u64,
    pub wall_ms: u64,
}
