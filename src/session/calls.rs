//! The host's calls that move messages.

use super::exchange::{Kind, Outgoing, Owner};
use super::io::Now;
use super::Session;
use crate::error::{Error, Result, Status};
use crate::model::flags::Flag;
use crate::protocol::operations::{check_joinable, Reply, Sender};
use crate::protocol::{envelope, topic, Operation};

/// A request that is not durable.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub operation: Operation,
    /// 0: the client's own device.
    pub subdevice: u64,
    pub name: &'a str,
    /// The value of "params", or the bytes to send.
    pub params: &'a [u8],
    /// The bits of [`Flag`].
    pub flags: u32,
    /// `None`: the usual time.
    pub timeout_ms: Option<u64>,
    /// Comes back in the outcome.
    pub user: usize,
}

impl Session {
    /// Publishes at QoS 0 or 1. The token's outcome is DELIVERED.
    pub fn publish(&mut self, now: Now, topic: &str, payload: Vec<u8>, qos: u8) -> Result<u64> {
        self.check_online()?;
        envelope::check_size(payload.len())?;
        // It is copied after the check: then it is no longer than a topic can be.
        topic::validate_publish_topic(topic)?;
        let bytes = topic.len() + payload.len();
        let owner = Owner::Host(Kind::Message);
        self.exchange.send_posts_of(0, now.ms, &mut self.actions);
        let token = self.exchange.publish(owner, topic.to_owned(), payload, qos, now.ms, &mut self.actions)?;
        self.count_live(now, bytes);
        Ok(token)
    }

    /// From now on each link asks for the filter. The token's outcome is SUBSCRIBED.
    pub fn subscribe(&mut self, now: Now, filter: &str, qos: u8) -> Result<u64> {
        topic::validate_filter(filter)?;
        let online = self.connection.is_online();
        self.exchange.subscribe(filter.to_owned(), qos, online, now.ms, &mut self.actions)
    }

    /// The token's outcome is UNSUBSCRIBED.
    pub fn unsubscribe(&mut self, now: Now, filter: &str) -> Result<u64> {
        topic::validate_filter(filter)?;
        let online = self.connection.is_online();
        self.exchange.unsubscribe(filter.to_owned(), online, now.ms, &mut self.actions)
    }

    /// Sends a request. The token's outcome is REPLY, or DELIVERED if the operation has no reply.
    pub fn request(&mut self, now: Now, call: &Call) -> Result<u64> {
        let Call { operation, subdevice, name, params, flags, timeout_ms, user } = *call;
        let identity = &self.sender(subdevice)?;
        self.check_online()?;
        let row = operation.row();
        row.check_sender(Sender::of(self.identity(), subdevice))?;
        let members = flags & Flag::MEMBERS;
        let joins = Flag::ENOS_REQUEST_JOIN.is_in(flags);
        let of_members = if joins { Operation::ENOS_OP_MEASUREPOINT_POST_BATCH } else { operation };
        of_members.row().check_members(members)?;
        row.check_name(name)?;
        let keeps_secrets = Flag::ENOS_REQUEST_KEEP_SECRETS.is_in(flags);
        if keeps_secrets && self.settings.outbox.is_none() {
            return Err(Error::invalid("flags: ENOS_REQUEST_KEEP_SECRETS needs enos_config_set_storage()"));
        }
        let owner = if keeps_secrets { Owner::Register } else { Owner::Host(Kind::Message) };
        let until_reply = row.reply != Reply::None;
        let request = Outgoing { operation, identity, subdevice, name, params, members, until_reply, timeout_ms, user };
        let token = if joins {
            check_joinable(params)?;
            self.exchange.join_post(request, &self.settings.identity, now.ms, &mut self.actions)?
        } else {
            self.exchange.send_posts_of(subdevice, now.ms, &mut self.actions);
            self.exchange.request(owner, request, now.ms, &mut self.actions)?
        };
        if keeps_secrets {
            self.gateway().will_register(token);
        }
        self.count_live(now, name.len() + params.len());
        self.notice_version(now, subdevice, operation, params);
        Ok(token)
    }

    fn check_online(&self) -> Result<()> {
        if self.connection.is_online() {
            return Ok(());
        }
        Err(Error::new(
            Status::ENOS_ERR_STATE,
            format!("the device is not online (the state is {}); wait for CONNECTED", self.state().name()),
        ))
    }
}
