//! The summary, counted from the events.

use serde::Serialize;
use std::{collections::BTreeMap, fmt};

use crate::{
    event::{Event, Record},
    DeviceId,
};

/// The limit of devices that are counted one by one, because user names come from outside.
const COUNTED: usize = 16_384;

/// The counts of all devices together, and of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// CONNECTs, including those of unknown devices.
    pub connects: u64,
    /// Answers to them, by CONNACK code.
    pub connacks: BTreeMap<u8, u64>,
    pub devices: Vec<DeviceSummary>,
}

impl Summary {
    /// The counts of this device.
    pub fn of(&self, device: &DeviceId) -> Option<&Counts> {
        let name = device.to_string();
        self.devices.iter().find(|device| device.device == name).map(|device| &device.counts)
    }
}

/// The counts of a registered device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceSummary {
    /// `pk/dk`
    pub device: String,
    pub active: bool,
    pub online: bool,
    #[serde(flatten)]
    pub counts: Counts,
}

/// The counts of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub connects: u64,
    /// Answers to CONNECTs, by code.
    pub connacks: BTreeMap<u8, u64>,
    /// CONNECTs that the throttle refused.
    pub banned: u64,
    pub activations_pushed: u64,
    /// Requests that were accepted with 200, even if the device has not subscribed to the reply.
    pub posts_accepted: u64,
    pub posts_refused: u64,
    pub commands: u64,
    pub command_replies: u64,
    /// Commands that were not answered in time.
    pub commands_timed_out: u64,
    /// Answers that came twice, late, or for no command.
    pub stray_replies: u64,
    /// Logins of this device as a sub-device.
    pub sub_device_logins: u64,
    pub sub_device_logins_refused: u64,
    /// Requests of gateways to have this device in their topology.
    pub topology_adds: u64,
    /// Batches of logins that this gateway has sent.
    pub login_batches: u64,
    /// Readings of this device in batches of measure points that were accepted, also in those of its gateway.
    pub batch_items: u64,
}

#[derive(Debug, Default)]
pub struct Tally {
    connects: u64,
    connacks: BTreeMap<u8, u64>,
    devices: BTreeMap<DeviceId, Counts>,
}

impl Tally {
    pub fn note(&mut self, record: &Record) {
        match &record.event {
            Event::Connect { .. } => self.connects += 1,
            Event::Connack { code, .. } => *self.connacks.entry(*code).or_default() += 1,
            _ => {}
        }
        if let Event::BatchItems { devices } = &record.event {
            for device in devices {
                self.count(device).into_iter().for_each(|counts| counts.batch_items += 1);
            }
        }
        let Some(counts) = record.device.as_ref().and_then(|device| self.count(device)) else { return };
        match &record.event {
            Event::Connect { .. } => counts.connects += 1,
            Event::Connack { code, .. } => *counts.connacks.entry(*code).or_default() += 1,
            Event::Banned { .. } => counts.banned += 1,
            Event::ActivationPushed { .. } => counts.activations_pushed += 1,
            Event::Reply { code: 200, .. } => counts.posts_accepted += 1,
            Event::Reply { .. } => counts.posts_refused += 1,
            Event::Command { .. } => counts.commands += 1,
            Event::CommandReply { timed_out: false, .. } => counts.command_replies += 1,
            Event::CommandReply { .. } => counts.commands_timed_out += 1,
            Event::StrayReply { .. } => counts.stray_replies += 1,
            Event::SubDeviceLogin { code: 200, .. } => counts.sub_device_logins += 1,
            Event::SubDeviceLogin { .. } => counts.sub_device_logins_refused += 1,
            Event::TopologyAdd { .. } => counts.topology_adds += 1,
            Event::LoginBatch { .. } => counts.login_batches += 1,
            _ => {}
        }
    }

    /// None: too many devices are counted.
    fn count(&mut self, device: &DeviceId) -> Option<&mut Counts> {
        let has_room = self.devices.len() < COUNTED || self.devices.contains_key(device);
        has_room.then(|| self.devices.entry(device.clone()).or_default())
    }

    /// Adds whether each of these devices is active.
    pub fn summary(&self, devices: &[(DeviceId, bool)], online: &[DeviceId]) -> Summary {
        let devices = devices.iter().map(|(id, active)| DeviceSummary {
            device: id.to_string(),
            active: *active,
            online: online.contains(id),
            counts: self.devices.get(id).cloned().unwrap_or_default(),
        });
        Summary { connects: self.connects, connacks: self.connacks.clone(), devices: devices.collect() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CONNECTs{}", self.connects, Codes(&self.connacks))?;
        for device in &self.devices {
            let counts = &device.counts;
            write!(
                f,
                "\n           {}: {}, {}; {} CONNECTs{}, {} banned; {} activations pushed; {} posts accepted, {} \
                 refused; {} commands, {} answered, {} not in time; {} stray answers",
                device.device,
                if device.active { "active" } else { "not active" },
                if device.online { "online" } else { "offline" },
                counts.connects,
                Codes(&counts.connacks),
                counts.banned,
                counts.activations_pushed,
                counts.posts_accepted,
                counts.posts_refused,
                counts.commands,
                counts.command_replies,
                counts.commands_timed_out,
                counts.stray_replies,
            )?;
            if counts.sub_device_logins + counts.sub_device_logins_refused + counts.topology_adds > 0 {
                write!(
                    f,
                    "; as a sub-device: {} logins, {} refused, {} requests for a topology",
                    counts.sub_device_logins, counts.sub_device_logins_refused, counts.topology_adds
                )?;
            }
            if counts.login_batches > 0 {
                write!(f, "; {} batches of logins", counts.login_batches)?;
            }
        }
        Ok(())
    }
}

struct Codes<'a>(&'a BTreeMap<u8, u64>);

impl fmt::Display for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<_> = self.0.iter().map(|(code, count)| format!("{count} with CONNACK {code}")).collect();
        if codes.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", codes.join(", "))
    }
}
